"""Files that cameras, telephones and other programs write, and that must be read."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images import decode, decode_bands
from tests.unit.bad_images import (
    encoded,
    jpeg_of_size,
    motion_photo,
    noise,
    plain_tiff,
    png_chunk,
    png_text_bomb,
    tiff,
)

LIMITS = Limits()


def smooth(height: int = 96, width: int = 128) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(h, w, 3) that JPEG keeps nearly as it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, 200 - x, y + 40], axis=-1).clip(0, 255).astype(np.uint8)


# ----------------------------------------------------------------------------------------- behind the picture's end

TRAILERS = {
    "motion photo": b"MotionPhoto_Data\0\0\0\x18ftypmp42" + bytes(range(256)) * 50 + b"\xff\xda" + bytes(5000),
    "padding": bytes(4096),
    "padding of ones": b"\xff" * 4096,
    "Samsung's trailer": b"\0\0\x01\n\x0e\0\0\0Image_UTC_Data1717236000000SEFHj\0\0\0SEFT",
    "a second picture": encoded("JPEG", "L"),
    "half a picture": encoded("JPEG")[:500],
    "a line end": b"\r\n",
}


@pytest.mark.parametrize("name", TRAILERS)
def test_what_follows_the_end_of_a_jpeg_is_no_part_of_it(name: str) -> None:
    assert np.array_equal(decode(encoded("JPEG") + TRAILERS[name], LIMITS, "a"), decode(encoded("JPEG"), LIMITS, "a"))


def test_a_motion_photo_is_read() -> None:
    progressive = encoded("JPEG", progressive=True)
    assert np.array_equal(decode(motion_photo(progressive), LIMITS, "a"), decode(progressive, LIMITS, "a"))


@pytest.mark.parametrize("cut", [2, 3, 100, 2000])
def test_a_jpeg_without_its_end_is_truncated_whatever_follows(cut: int) -> None:
    for tail in (b"", encoded("JPEG")):
        with pytest.raises(DataRejected, match="truncated"):
            decode(encoded("JPEG")[:-cut] + tail, LIMITS, "a")


@pytest.mark.parametrize("name", [name for name in TRAILERS if "end" in name or "padding" in name])
def test_what_follows_the_end_of_a_png_is_no_part_of_it(name: str) -> None:
    assert np.array_equal(decode(encoded("PNG") + TRAILERS[name], LIMITS, "a"), noise())


def test_fill_bytes_between_segments_are_no_harm() -> None:
    data = encoded("JPEG")
    at = data.index(b"\xff\xdb")
    assert np.array_equal(decode(data[:at] + b"\xff" * 9 + data[at:], LIMITS, "a"), decode(data, LIMITS, "a"))


# --------------------------------------------------------------------------------------------- texts and profiles


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_a_text_that_would_inflate_to_any_size_is_not_looked_at(kind: bytes) -> None:
    data = png_text_bomb(kind)
    tracemalloc.start()
    try:
        values = decode(data, LIMITS, "a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(values, noise())
    assert peak < 2 * 2**20


def test_a_second_header_cannot_lie_about_the_size() -> None:
    small = encoded("PNG")
    other = png_chunk(b"IHDR", (30_000).to_bytes(4, "big") * 2 + small[24:29])
    with pytest.raises(DataRejected, match="two headers"):
        decode(small[:33] + other + small[33:], LIMITS, "a")


# --------------------------------------------------------------------------------------------------------- TIFF


@pytest.mark.parametrize("left_out", [(259,), (259, 277), (259, 278), (278,), (262,), (259, 262, 278)], ids=str)
def test_tags_that_have_a_default_may_be_left_out(left_out: tuple[int, ...]) -> None:
    grey = 8000 + noise(1).astype("<u2")
    assert np.array_equal(decode(plain_tiff(grey, left_out), LIMITS, "a"), grey)
    assert np.array_equal(decode_bands(plain_tiff(grey, left_out), LIMITS, "a").values[0], grey)
    if 277 not in left_out:
        assert np.array_equal(decode(plain_tiff(noise(), left_out), LIMITS, "a"), noise())
        assert np.array_equal(decode_bands(plain_tiff(noise(), left_out), LIMITS, "a").values[1], noise()[..., 1])


def jpeg_tiff(path: Path, photometric: str, **options: Any) -> bytes:
    import rasterio

    kind: dict[str, Any] = {"height": 96, "width": 128, "count": 3, "dtype": "uint8", "compress": "jpeg"}
    place = rasterio.Affine(3, 0, 500_000, 0, -3, 5_500_000)
    with rasterio.open(
        path, "w", driver="GTiff", photometric=photometric, transform=place, jpeg_quality=95, **kind, **options
    ) as file:
        file.write(np.moveaxis(smooth(), -1, 0))
    return path.read_bytes()


@pytest.mark.parametrize("photometric", ["ycbcr", "rgb"])
@pytest.mark.parametrize("options", [{}, {"tiled": True, "blockxsize": 64, "blockysize": 64}, {"blockysize": 32}])
def test_jpeg_within_a_tiff_is_read(tmp_path: Path, photometric: str, options: dict[str, Any]) -> None:
    data = jpeg_tiff(tmp_path / "ortho.tif", photometric, **options)
    values = decode(data, LIMITS, "a").astype(int)
    assert values.shape == (96, 128, 3)
    assert np.abs(values - smooth()).mean() < 3


def test_grey_jpeg_within_a_tiff_is_read() -> None:
    data = tiff(smooth()[..., 0].copy(), compression="jpeg", tile=(64, 64))
    assert np.abs(decode(data, LIMITS, "a").astype(int) - smooth()[..., 0]).mean() < 3


def test_a_tile_that_is_larger_than_it_says_is_refused_before_it_is_decoded() -> None:
    plain = tiff(noise(), compression="jpeg", photometric="ycbcr", rowsperstrip=64)
    with tifffile.TiffFile(io.BytesIO(plain)) as file:
        page = file.pages[0]
        start, count = page.dataoffsets[0], page.databytecounts[0]  # type: ignore[union-attr]
    lie = jpeg_of_size(65_000, 65_000)
    assert len(lie) <= count
    data = plain[:start] + lie + bytes(count - len(lie)) + plain[start + count :]
    with pytest.raises(DataRejected, match="larger than its header says"):
        decode(data, LIMITS, "a")


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_may_lie_side_by_side_or_in_planes(planar: str) -> None:
    values = noise() if planar == "contig" else np.ascontiguousarray(np.moveaxis(noise(), -1, 0))
    assert np.array_equal(decode(tiff(values, photometric="rgb", planarconfig=planar), LIMITS, "a"), noise())


def test_colours_of_16_bits_are_cut_to_8() -> None:
    deep = noise().astype(np.uint16) * 257
    assert np.array_equal(decode(tiff(deep, photometric="rgb"), LIMITS, "a"), noise())


def test_colours_that_would_be_black_are_refused() -> None:
    """12 bits in the lower part of 16, as microscopes and raw converters write them."""
    deep = noise().astype(np.uint16) * 16
    for data in (tiff(deep, photometric="rgb"), _png_of_16_bits(deep)):
        with pytest.raises(DataRejected, match="would be black with 8 bits"):
            decode(data, LIMITS, "a")


def _png_of_16_bits(values: np.ndarray[Any, Any]) -> bytes:
    import cv2

    return bytes(cv2.imencode(".png", values)[1])


def test_a_palette_is_applied() -> None:
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), dtype=np.uint16)
    values = decode(tiff(noise(1), photometric="palette", colormap=colours), LIMITS, "a")
    assert np.array_equal(values, (colours.T >> 8).astype(np.uint8)[noise(1)])


def test_white_as_zero_is_turned_over() -> None:
    assert np.array_equal(decode(tiff(noise(1), photometric="miniswhite"), LIMITS, "a"), 255 - noise(1))


def test_overviews_of_gdal_are_left_out(tmp_path: Path) -> None:
    import rasterio

    path = tmp_path / "a.tif"
    path.write_bytes(jpeg_tiff(path, "ycbcr", tiled=True, blockxsize=64, blockysize=64))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    assert decode(path.read_bytes(), LIMITS, "a").shape == (96, 128, 3)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (encoded("JPEG", "CMYK"), "CMYK"),
        (tiff(np.asarray(Image.fromarray(noise()).convert("CMYK")), photometric="separated"), "SEPARATED"),
        (tiff(noise(1) > 127), "bool|1 x"),
        (tiff(noise(1).astype(np.int32)), "int32"),
    ],
)
def test_what_cannot_be_read_truly_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(DataRejected, match=words) as caught:
        decode(data, LIMITS, "a.tif")
    assert "Convert it" in caught.value.way_out


def test_a_huge_flat_picture_is_not_held_several_times() -> None:
    """4,096 x 4,096 of one colour: the array is 48 MB; what Pillow holds beside is not counted here."""
    buffer = io.BytesIO()
    Image.new("RGB", (4096, 4096), (9, 120, 200)).save(buffer, "PNG", compress_level=1)
    decode(encoded("PNG"), LIMITS, "a")
    tracemalloc.start()
    try:
        values = decode(buffer.getvalue(), LIMITS, "a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert values.shape == (4096, 4096, 3)
    assert peak < 2 * values.nbytes
