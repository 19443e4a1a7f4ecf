"""Reading thermograms: what is in them, and what is refused."""

from __future__ import annotations

import io
import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion, gaussian_filter

from sightline.errors import DataError, DataMissing, DataRejected
from sightline.limits import Limits
from sightline.radiometry import Planck, embed_radiometry
from sightline.task import Input
from sightline.tasks.pv_hotspots.palette import colourise
from sightline.tasks.pv_hotspots.thermogram import Thermogram, read_thermogram, write_thermogram
from sightline.vision.images import jpeg_segments
from sightline.vision.images.orientation import as_stored
from tests.unit.bad_images import BAD_IMAGES, encoded, noise, tiff, with_exif

LIMITS = Limits()


def counts_of(shape: tuple[int, int] = (48, 64)) -> np.ndarray[Any, np.dtype[np.uint16]]:
    rng = np.random.default_rng(3)
    smooth = np.add.outer(np.linspace(0, 200, shape[0]), np.linspace(0, 150, shape[1]))
    return (8000 + smooth + rng.integers(0, 9, shape)).astype(np.uint16)


def picture_of(counts: np.ndarray[Any, Any], palette: str = "iron") -> np.ndarray[Any, np.dtype[np.uint8]]:
    return colourise((counts - counts.min()) * (255.0 / np.ptp(counts)), palette)


def radiometric(counts: np.ndarray[Any, np.dtype[np.uint16]]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture_of(counts)).save(buffer, "JPEG", quality=90)
    return embed_radiometry(buffer.getvalue(), counts, Planck())


def stored(picture: np.ndarray[Any, Any]) -> Thermogram:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return read_thermogram(buffer.getvalue(), LIMITS)


# ------------------------------------------------------------------------------------------------------ contents


def test_radiometric_jpeg_gives_its_counts(tmp_path: Path) -> None:
    counts = counts_of()
    path = tmp_path / "a.jpg"
    write_thermogram(path, counts, Planck(), picture_of(counts))
    thermogram = read_thermogram(path, LIMITS)
    assert isinstance(thermogram, Input)
    assert thermogram.radiometric
    assert thermogram.palette == "iron"
    assert np.array_equal(thermogram.level, counts.astype(np.float32))
    assert thermogram.picture.shape == (48, 64, 3)
    assert thermogram.celsius is not None
    assert [p.name for p in tmp_path.iterdir()] == ["a.jpg"]


def test_path_and_bytes_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(radiometric(counts_of()))
    first, second = read_thermogram(path, LIMITS), read_thermogram(path.read_bytes(), LIMITS)
    assert first.sha256 == second.sha256
    assert first.statistics == second.statistics
    assert np.array_equal(first.level, second.level)


@pytest.mark.parametrize("palette", ["iron", "rainbow", "grey"])
def test_picture_without_counts_is_inverted(palette: str) -> None:
    counts = counts_of()
    thermogram = stored(picture_of(counts, palette))
    assert not thermogram.radiometric
    assert thermogram.celsius is None
    assert thermogram.palette == palette
    expected = (counts - counts.min()) * (255.0 / np.ptp(counts))
    assert np.abs(thermogram.level - expected).max() <= 1.5


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_grey_tiff_gives_its_values(dtype: str, compression: str | None) -> None:
    values = (noise(1) / 3).astype(dtype)
    thermogram = read_thermogram(tiff(values, compression=compression), LIMITS)
    assert np.array_equal(thermogram.level, values.astype(np.float32))
    assert thermogram.picture.dtype == np.uint8


def test_16_bit_png_gives_its_values() -> None:
    counts = counts_of()
    buffer = io.BytesIO()
    Image.fromarray(counts).save(buffer, "PNG")
    assert np.array_equal(read_thermogram(buffer.getvalue(), LIMITS).level, counts.astype(np.float32))


@pytest.mark.parametrize(
    "data",
    [
        encoded("JPEG", "L"),
        encoded("JPEG", progressive=True),
        encoded("PNG", "RGBA"),
        encoded("PNG", "P"),
        encoded("PNG", "LA"),
        tiff(noise()),
        tiff(noise(), tile=(16, 16), compression="zlib"),
        tiff(noise(1), bigtiff=True),
        tiff(noise(1), byteorder=">"),
    ],
)
def test_other_kinds_are_read(data: bytes) -> None:
    thermogram = read_thermogram(data, LIMITS)
    assert thermogram.picture.shape == (64, 64, 3)
    assert thermogram.level.shape == (64, 64)
    assert thermogram.level.dtype == np.float32


def test_flat_image_has_finite_statistics() -> None:
    for data in (tiff(np.full((32, 32), 7, np.uint16)), tiff(np.zeros((32, 32, 3), np.uint8))):
        assert all(np.isfinite(v) for v in read_thermogram(data, LIMITS).statistics.values())


def test_coarser_detector_is_resampled() -> None:
    counts = counts_of((24, 32))
    buffer = io.BytesIO()
    Image.fromarray(picture_of(counts_of((48, 64)))).save(buffer, "JPEG")
    thermogram = read_thermogram(embed_radiometry(buffer.getvalue(), counts, Planck()), LIMITS)
    assert thermogram.radiometric
    assert thermogram.level.shape == (48, 64)
    assert abs(float(thermogram.level.mean()) - float(counts.mean())) < 2


# ------------------------------------------------------------------------------------------------------ FLIR block


def pieces(data: bytes) -> tuple[list[bytes], bytes]:
    """The FLIR segments of a JPEG, whole, and the JPEG without them."""
    segments = [
        b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
        for marker, body in jpeg_segments(data)
        if marker == 0xE1 and body.startswith(b"FLIR\0")
    ]
    rest = data
    for segment in segments:
        rest = rest.replace(segment, b"")
    return segments, rest


def joined(segments: list[bytes], rest: bytes) -> bytes:
    return rest[:2] + b"".join(segments) + rest[2:]


BIG = counts_of((160, 240))  # 76,800 bytes of counts: two segments


def test_segments_are_split_as_cameras_do() -> None:
    segments, _ = pieces(radiometric(BIG))
    assert [len(s) for s in segments] == [65_536, len(segments[1])]
    assert [(s[10], s[11]) for s in segments] == [(0, 1), (1, 1)]


@pytest.mark.parametrize("order", [[1, 0], [0, 0, 1], [1, 1, 0, 1]])
def test_segments_in_any_order_and_repeated(order: list[int]) -> None:
    segments, rest = pieces(radiometric(BIG))
    thermogram = read_thermogram(joined([segments[k] for k in order], rest), LIMITS)
    assert np.array_equal(thermogram.level, BIG.astype(np.float32))


@pytest.mark.parametrize("kept", [[], [0], [1], [0, 0]])
def test_missing_segments_leave_the_picture(kept: list[int]) -> None:
    segments, rest = pieces(radiometric(BIG))
    thermogram = read_thermogram(joined([segments[k] for k in kept], rest), LIMITS)
    assert not thermogram.radiometric
    assert thermogram.palette == "iron"
    assert thermogram.level.shape == BIG.shape


def patched(offset: int, value: bytes) -> bytes:
    """A radiometric JPEG whose FFF block (at 20 + 4 + 8 of the file) has other bytes at `offset`."""
    data = bytearray(radiometric(counts_of()))
    at = data.index(b"FFF\0") + offset
    data[at : at + len(value)] = value
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        patched(0x18, struct.pack(">I", 2**32 - 1)),  # the directory lies beyond the block
        patched(0x1C, struct.pack(">I", 0)),  # no entries
        patched(64 + 12, struct.pack(">I", 2**32 - 1)),  # the raw record lies beyond the block
        patched(64 + 16, struct.pack(">I", 2**32 - 1)),  # and is longer than it
        patched(512 + 2, struct.pack("<HH", 65_535, 65_535)),  # its size does not fit its length
        patched(512 + 2, struct.pack("<HH", 0, 0)),
        patched(512 + 2, struct.pack("<HH", 3072, 1)),  # fits, but is not the picture's shape
        patched(0, b"XXXX"),
        patched(512 + 32, b"\x89PNG\r\n\x1a\n"),  # claims a PNG that is none
    ],
)
def test_lies_in_the_block_leave_the_picture(data: bytes) -> None:
    thermogram = read_thermogram(data, LIMITS)
    assert not thermogram.radiometric
    assert thermogram.level.max() <= 255


def test_many_entries_cost_nothing() -> None:
    assert read_thermogram(patched(0x1C, struct.pack(">I", 2**32 - 1)), LIMITS).radiometric


@pytest.mark.parametrize("value", [np.nan, -1.0, 0.0, np.inf])
def test_insane_constants_leave_the_counts(value: float) -> None:
    camera = 512 + 32 + 2 * counts_of().size
    thermogram = read_thermogram(patched(camera + 0x58, struct.pack("<f", value)), LIMITS)
    assert thermogram.radiometric
    assert thermogram.celsius is None


@pytest.mark.parametrize("swapped", [False, True])
def test_counts_as_png_in_either_byte_order(swapped: bool) -> None:
    counts = counts_of()
    buffer = io.BytesIO()
    Image.fromarray(counts.byteswap() if swapped else counts).save(buffer, "PNG")
    raw = struct.pack("<HHH", 2, 64, 48) + bytes(26) + buffer.getvalue()
    data = radiometric(counts)
    block = data[data.index(b"FFF\0") :][:512]
    entry = struct.pack(">HHIIII", 1, 1, 100, 1, 512, len(raw)) + bytes(12)
    block = block[:64] + entry + bytes(512 - 96) + raw
    body = b"FLIR\0\x01\x00\x00" + block
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    thermogram = read_thermogram(joined([segment], pieces(data)[1]), LIMITS)
    assert thermogram.radiometric
    assert np.array_equal(thermogram.level, counts.astype(np.float32))


def test_too_many_counts_cannot_be_written(tmp_path: Path) -> None:
    counts = np.zeros((3000, 3000), np.uint16)
    with pytest.raises(ValueError, match="256 APP1 segments"):
        write_thermogram(tmp_path / "a.jpg", counts, Planck(), np.zeros((3000, 3000, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------------------ drift


def test_statistics_tell_shifts_apart() -> None:
    counts = counts_of()
    plain, other = stored(picture_of(counts)).statistics, stored(picture_of(counts, "rainbow")).statistics
    assert abs(plain["chroma_a"] - other["chroma_a"]) > 0.1
    blurred = gaussian_filter(picture_of(counts), (1.5, 1.5, 0))
    assert stored(blurred).statistics["sharpness"] < 0.5 * plain["sharpness"]
    cool, hot = (read_thermogram(radiometric(counts + np.uint16(k)), LIMITS).statistics for k in (0, 300))
    assert hot["level_median"] == cool["level_median"] + 300
    assert hot["level_spread"] == cool["level_spread"]


def test_noise_is_estimated() -> None:
    rng = np.random.default_rng(0)
    values = np.add.outer(np.arange(200.0), np.arange(200.0)) + rng.normal(0, 5, (200, 200))
    estimate = read_thermogram(tiff(values.astype(np.float32)), LIMITS).statistics["level_noise"]
    assert estimate == pytest.approx(5, rel=0.05)


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images_are_refused(name: str, tmp_path: Path) -> None:
    data, reason = BAD_IMAGES[name]
    path = tmp_path / name
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(DataRejected) as caught:
            read_thermogram(path, LIMITS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reason in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.way_out
    assert peak < 16 * 2**20 + len(data)


def test_limits_hold_before_decoding(tmp_path: Path) -> None:
    data = encoded("PNG")
    with pytest.raises(DataRejected, match="larger than 100 bytes"):
        read_thermogram(data, Limits(bytes=100))
    with pytest.raises(DataRejected, match="64 x 64 pixels are more than 4,095"):
        read_thermogram(data, Limits(pixels=4095))
    large = tmp_path / "sparse.jpg"
    with large.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataRejected, match="larger than"):
        read_thermogram(large, LIMITS)


def test_raw_counts_obey_the_limit_too() -> None:
    counts = counts_of((48, 64))
    data = bytearray(radiometric(counts))
    buffer = io.BytesIO()
    Image.fromarray(noise()[:24, :32]).save(buffer, "JPEG")
    coarse = embed_radiometry(buffer.getvalue(), counts, Planck())
    assert read_thermogram(coarse, Limits(pixels=48 * 64)).radiometric
    assert not read_thermogram(coarse, Limits(pixels=1000)).radiometric
    assert read_thermogram(bytes(data), LIMITS).radiometric


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no such file"):
        read_thermogram(tmp_path / "none.jpg", LIMITS)
    with pytest.raises(DataError, match="it is not a file"):
        read_thermogram(tmp_path, LIMITS)


def test_messages_use_the_callers_name() -> None:
    with pytest.raises(DataRejected, match=r"upload 3: the file is empty\."):
        read_thermogram(b"", LIMITS, "upload 3")


# ------------------------------------------------------------------------------------------------------ real files


def test_real_thermograms(real_data: Path) -> None:
    paths = sorted((real_data / "pv_hotspots" / "dataset_2" / "images").glob("*.jpg"))
    if not paths:
        pytest.skip("no real thermograms of pv_hotspots")
    for path in paths:
        thermogram = read_thermogram(path, LIMITS)
        assert thermogram.radiometric
        assert thermogram.level.shape == (512, 640)
        assert 7000 < float(np.median(thermogram.level)) < 9000
        assert thermogram.palette == "iron"
        assert thermogram.celsius is not None
        assert 90 < float(np.median(thermogram.celsius)) < 100  # the factory's constants: implausible, as documented


def test_real_palette_gives_the_order_of_the_counts(real_data: Path) -> None:
    path = real_data / "pv_hotspots" / "dataset_2" / "images" / "20180630_154541.jpg"
    if not path.is_file():
        pytest.skip("no real thermograms of pv_hotspots")
    counts = read_thermogram(path, LIMITS)
    buffer = io.BytesIO()
    Image.open(path).save(buffer, "PNG")
    inverted = read_thermogram(buffer.getvalue(), LIMITS)
    assert not inverted.radiometric
    assert np.corrcoef(counts.level.ravel(), inverted.level.ravel())[0, 1] > 0.99


def test_real_counts_tell_defective_modules(real_data: Path) -> None:
    """Max minus median of the counts in the module, 2 px inside its outline: AUC 0.98 on the published modules."""
    root = real_data / "pv_hotspots" / "dataset_2"
    scores: dict[bool, list[float]] = {False: [], True: []}
    for labels in sorted((root / "annotations").glob("*.json")):
        level = read_thermogram(root / "images" / f"{labels.stem}.jpg", LIMITS).level
        for instance in json.loads(labels.read_text())["instances"]:
            mask = Image.new("1", level.shape[::-1])
            ImageDraw.Draw(mask).polygon([(c["x"], c["y"]) for c in instance["corners"]], fill=1)
            values = level[binary_erosion(np.asarray(mask), np.ones((5, 5)), border_value=1)]
            if len(values) >= 60:
                scores[instance["defected_module"]].append(float(values.max() - np.median(values)))
    if not scores[True]:
        pytest.skip("no real thermograms of pv_hotspots")
    healthy, defective = np.array(scores[False]), np.array(scores[True])
    above = (defective[:, None] > healthy).mean() + (defective[:, None] == healthy).mean() / 2
    assert len(defective) == 52
    assert len(healthy) > 1100
    assert above == pytest.approx(0.98, abs=0.01)


# ----------------------------------------------------------------------- turned, packed, and with pixels without data


def uneven_counts() -> np.ndarray[Any, np.dtype[np.uint16]]:
    """Counts with a hot corner, which no turn leaves in its place."""
    counts = counts_of()
    counts[:12, :16] += 400
    return counts


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("turned", ["with the picture", "upright already"])
def test_counts_stand_as_the_picture_is_shown(orientation: int, turned: str) -> None:
    shown = uneven_counts()
    stored = np.ascontiguousarray(as_stored(shown, orientation))
    buffer = io.BytesIO()
    Image.fromarray(picture_of(stored)).save(buffer, "JPEG", quality=95)
    beside = stored if turned == "with the picture" else shown
    thermogram = read_thermogram(with_exif(embed_radiometry(buffer.getvalue(), beside, Planck()), orientation), LIMITS)
    assert thermogram.radiometric
    assert np.array_equal(thermogram.level, shown.astype(np.float32))
    assert thermogram.picture.shape == (*shown.shape, 3)


def celsius_of() -> np.ndarray[Any, np.dtype[np.float32]]:
    return ((uneven_counts().astype(np.float32) - 8000) / 10).astype(np.float32)


def test_declared_missing_pixels_are_neither_cold_nor_hot() -> None:
    celsius = celsius_of()
    full = read_thermogram(tiff(celsius), LIMITS)
    celsius[:, -12:] = -9999
    border = read_thermogram(tiff(celsius, extratags=[(42113, "s", 0, "-9999", True)]), LIMITS)
    assert full.valid is None
    assert border.valid is not None
    assert np.array_equal(border.valid, celsius > -9999)
    assert np.array_equal(border.level[:, :-12], full.level[:, :-12])
    assert border.level.min() >= celsius[:, :-12].min()
    assert border.statistics["level_spread"] == pytest.approx(full.statistics["level_spread"], rel=0.3)


@pytest.mark.parametrize("value", [-9999, -32768, -3.4e5])
def test_what_is_no_temperature_is_refused_unless_it_is_declared(value: float) -> None:
    celsius = celsius_of()
    celsius[:, :12] = value
    with pytest.raises(DataRejected, match="neither a temperature nor a count") as caught:
        read_thermogram(tiff(celsius), LIMITS)
    assert "gdal_edit.py -a_nodata" in caught.value.way_out


def test_integers_with_a_scale_are_degrees() -> None:
    scale = '<GDALMetadata><Item name="SCALE" sample="0" role="scale">0.1</Item></GDALMetadata>'
    packed = np.rint(celsius_of() * 10).astype(np.int16)
    level = read_thermogram(tiff(packed, extratags=[(42112, "s", 0, scale, True)]), LIMITS).level
    assert np.abs(level - celsius_of()).max() < 0.06


def dji_jpeg() -> bytes:
    """A JPEG as DJI's thermal cameras write it: the detector's values in APP3, their parameters in APP4."""
    maker = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\x04\0\0\0DJI\0\0\0\0\0"
    segments = [(0xE1, maker), (0xE3, bytes(40_000)), (0xE4, b"\xaa\x55\x12\x06" + bytes(60))]
    packed = b"".join(b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments)
    plain = encoded("JPEG")
    return plain[:2] + packed + plain[2:]


def test_a_thermal_jpeg_of_dji_says_that_its_temperatures_are_not_read() -> None:
    thermogram = read_thermogram(dji_jpeg(), LIMITS)
    assert not thermogram.radiometric
    assert "DJI" in thermogram.note
    assert "dji_irp" in thermogram.note
    assert "DJI" not in read_thermogram(encoded("JPEG"), LIMITS).note


def test_a_radiometric_file_of_dji_by_flir_needs_no_note() -> None:
    counts = counts_of((64, 64))
    assert read_thermogram(embed_radiometry(dji_jpeg(), counts, Planck()), LIMITS).note == ""
