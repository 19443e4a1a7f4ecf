"""Reading images: what is in them, and what is refused before it costs anything."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.vision.images import MAX_BANDS, decode, decode_bands, decode_indices, read_bytes
from tests.unit.bad_images import BAD_IMAGES, encoded, noise, patched_tiff, png_bomb, png_chunk, tiff, tiff_bomb

LIMITS = Limits()


def band_values(data: bytes, limits: Limits, where: str) -> NDArray[Any]:
    return decode_bands(data, limits, where).values


TYPES = ["uint8", "uint16", "int16", "float16", "float32", "float64"]


def bands_of(count: int = 5, dtype: str = "uint16") -> NDArray[Any]:
    values = np.random.default_rng(1).integers(0, 2047, (count, 40, 56))
    return (values >> 4 if dtype == "uint8" else values).astype(dtype)


def refused(data: bytes, decoder: Any = band_values, limits: Limits = LIMITS) -> DataRejected:
    """The refusal, which names its file and a way out, and cost little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(DataRejected) as caught:
            decoder(data, limits, "tile.tif")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.where == "tile.tif"
    assert caught.value.way_out
    assert peak < 24 * 2**20
    return caught.value


# -------------------------------------------------------------------------------------------------------- bytes


def test_bytes_of_a_path_and_bytes_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"abc")
    assert read_bytes(path, LIMITS, "a") == read_bytes(b"abc", LIMITS, "a") == b"abc"


def test_what_is_absent_empty_too_large_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"a\.tif: there is no such file"):
        read_bytes(tmp_path / "a.tif", LIMITS, "a.tif")
    with pytest.raises(DataRejected, match="not a file"):
        read_bytes(tmp_path, LIMITS, "a")
    with pytest.raises(DataRejected, match="empty"):
        read_bytes(b"", LIMITS, "a")
    with pytest.raises(DataRejected, match="larger than 2 bytes"):
        read_bytes(b"abc", Limits(bytes=2), "a")


# ----------------------------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize("name", [name for name in BAD_IMAGES if name not in ("empty", "too_small")])
def test_bad_images_are_refused(name: str) -> None:
    data, reason = BAD_IMAGES[name]
    assert reason in refused(data, decode).what


@pytest.mark.parametrize(("mode", "shape"), [("RGB", (64, 64, 3)), ("RGBA", (64, 64, 3)), ("L", (64, 64))])
def test_png_gives_colours_or_grey(mode: str, shape: tuple[int, ...]) -> None:
    values = decode(encoded("PNG", mode), LIMITS, "a.png")
    assert values.shape == shape
    assert values.dtype == np.uint8


# ------------------------------------------------------------------------------------------------------- labels


def labels(classes: int = 6) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, classes, (31, 45), dtype=np.uint8)


def indexed_png(values: NDArray[np.uint8], **options: Any) -> bytes:
    image = Image.fromarray(values, mode="L")
    image.putpalette([(37 * k) % 256 for k in range(3 * 256)])
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def grey_png(values: NDArray[np.uint8], bits: int) -> bytes:
    """Grey of 1, 2, 4 or 8 bits a pixel, which Pillow does not write."""
    unpacked = np.unpackbits(values[..., None], axis=-1)[..., 8 - bits :].reshape(len(values), -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in unpacked)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


@pytest.mark.parametrize("options", [{}, {"bits": 4}, {"transparency": 0}])
def test_palette_index_is_the_label(options: dict[str, Any]) -> None:
    assert np.array_equal(decode_indices(indexed_png(labels(), **options), LIMITS, "a.png"), labels())


def test_palette_of_one_bit() -> None:
    assert np.array_equal(decode_indices(indexed_png(labels(2), bits=1), LIMITS, "a.png"), labels(2))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_value_is_the_label(bits: int) -> None:
    values = labels(2**bits) if bits < 8 else labels(200)
    decoded = decode_indices(grey_png(values, bits), LIMITS, "a.png")
    assert np.array_equal(decoded, values)
    assert decoded.dtype == np.uint8


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encoded("PNG", "RGB"), "the image holds colours"),
        (encoded("PNG", "RGBA"), "the image holds colours"),
        (encoded("PNG", "LA"), "the image holds alpha"),
        (encoded("PNG", "I;16"), "the image holds 16 bits a pixel"),
        (encoded("JPEG", "L"), "not that of a PNG"),
        (tiff(noise(1)), "not that of a PNG"),
        (png_bomb(), "pixels are more than"),
        (indexed_png(labels())[:-20], "truncated"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
    ],
)
def test_what_holds_no_labels_is_refused(data: bytes, reason: str) -> None:
    error = refused(data, decode_indices)
    assert reason in error.what


# -------------------------------------------------------------------------------------------------------- bands


def layouts(values: NDArray[Any]) -> dict[str, bytes]:
    """The same bands, written as programs write them."""
    last = np.ascontiguousarray(np.moveaxis(values, 0, -1))
    grey: dict[str, Any] = {"photometric": "minisblack"}
    return {
        "pages": tiff(values, **grey),
        "pages_of_rows": tiff(np.ascontiguousarray(last), **grey),  # an array (h, w, bands), given without a word
        "planes": tiff(values, planarconfig="separate", **grey),
        "interleaved": tiff(last, planarconfig="contig", **grey),
        "tiles": tiff(last, planarconfig="contig", tile=(16, 32), **grey),
        "tiles_of_planes": tiff(values, planarconfig="separate", tile=(32, 16), **grey),
        "strips": tiff(last, planarconfig="contig", rowsperstrip=7, **grey),
        "big_endian": tiff(values, planarconfig="separate", byteorder=">", **grey),
        "bigtiff": tiff(last, planarconfig="contig", bigtiff=True, **grey),
        "big_endian_bigtiff_pages": tiff(values, byteorder=">", bigtiff=True, **grey),
    }


@pytest.mark.parametrize("layout", layouts(bands_of()))
@pytest.mark.parametrize("dtype", TYPES)
def test_bands_come_first_in_every_layout(layout: str, dtype: str) -> None:
    values = bands_of(dtype=dtype)
    decoded = band_values(layouts(values)[layout], LIMITS, "a.tif")
    assert decoded.dtype == np.dtype(dtype)
    assert decoded.dtype.isnative
    assert np.array_equal(decoded, values)


@pytest.mark.parametrize("compression", ["lzw", "zlib", "packbits", "zstd"])
@pytest.mark.parametrize(("dtype", "predictor"), [("uint16", None), ("int16", 2), ("float16", 3), ("float32", 3)])
def test_bands_of_every_compression(compression: str, dtype: str, predictor: int | None) -> None:
    values = np.moveaxis(bands_of(dtype=dtype), 0, -1)
    data = tiff(
        values,
        photometric="minisblack",
        planarconfig="contig",
        compression=compression,
        predictor=predictor,
        tile=(16, 16),
    )
    assert np.array_equal(band_values(data, LIMITS, "a.tif"), bands_of(dtype=dtype))


def test_one_band_and_colours_are_bands_too() -> None:
    assert np.array_equal(band_values(tiff(noise(1)), LIMITS, "a.tif"), noise(1)[None])
    assert np.array_equal(band_values(tiff(noise(3)), LIMITS, "a.tif"), np.moveaxis(noise(3), -1, 0))


def test_missing_values_are_left_to_the_task() -> None:
    values = bands_of(dtype="float32")
    values[2, 3, 4] = np.nan
    assert np.array_equal(band_values(layouts(values)["planes"], LIMITS, "a.tif"), values, equal_nan=True)


def test_files_of_gdal_are_read(tmp_path: Path) -> None:
    """With what GDAL adds: overviews and a validity mask."""
    import rasterio

    path = tmp_path / "scene.tif"
    shape: dict[str, Any] = {"height": 128, "width": 144, "count": 8, "dtype": "uint16"}
    values = np.random.default_rng(0).integers(0, 2047, (8, 128, 144), dtype=np.uint16)
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", tiled=True, blockxsize=64, blockysize=64, compress="deflate", predictor=2,
            transform=rasterio.Affine.scale(2.0), **shape,
        ) as file,
    ):  # fmt: skip
        file.write(values)
        file.write_mask(np.full((128, 144), 255, dtype=np.uint8))
        file.build_overviews([2, 4])
    assert np.array_equal(band_values(path.read_bytes(), LIMITS, "a.tif"), values)


@pytest.mark.parametrize("compression", ["zlib", "zstd", "lzw", "packbits"])
def test_bombs_cost_no_more_than_the_image_they_claim_to_be(compression: str) -> None:
    data = tiff_bomb(compression)
    tracemalloc.start()
    try:
        try:
            values = band_values(data, LIMITS, "bomb.tif")
        except DataRejected:
            values = np.zeros((1, 64, 64), np.uint8)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert values.shape == (1, 64, 64)
    assert peak < len(data) + 16 * 2**20


def looped() -> bytes:
    """Two pages, the second of which is followed by the first."""
    data = bytearray(tiff(bands_of(2), photometric="minisblack"))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        first, second = file.pages[0].offset, file.pages[1].offset
    tags = struct.unpack_from("<H", data, second)[0]
    struct.pack_into("<I", data, second + 2 + 12 * tags, first)
    return bytes(data)


def unlike_pages(*pages: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in pages:
            writer.write(page)
    return buffer.getvalue()


def many_strips() -> bytes:
    """A page that names a million strips, which another table of the file stands for."""
    data = tiff(noise(1)) + bytes(4 * 2**20 + 8)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages[0].tags["StripOffsets"].offset  # type: ignore[union-attr]
    return data[: at + 2] + struct.pack("<HII", 4, 2**20 + 1, len(data) - 4 * 2**20 - 8) + data[at + 12 :]


PAGES = layouts(bands_of())["pages"]
PLANES = {"photometric": "minisblack", "planarconfig": "separate"}
BAD_BANDS = {
    "png": (encoded("PNG"), "not that of a TIFF"),
    "text": (b"not an image at all", "not that of a TIFF"),
    "only_magic": (b"II*\0", "broken"),
    "no_page": (b"II*\0" + bytes(4), "no page"),
    "loop": (looped(), "in a circle"),
    "many_strips": (many_strips(), "too many strips"),
    "half": (PAGES[: len(PAGES) // 2], ""),
    "sizes_differ": (unlike_pages(noise(1), noise(1)[:32]), "pages differ"),
    "types_differ": (unlike_pages(noise(1), noise(1).astype(np.float32)), "pages differ"),
    "two_colour_images": (unlike_pages(noise(3), noise(3)), "2 pages of 3 bands"),
    "many_bands": (tiff(np.zeros((MAX_BANDS + 1, 70, 80), np.uint8), **PLANES), "65 bands are more than 64"),
    "many_pages": (tiff(np.zeros((1025, 2, 80), np.uint8), photometric="minisblack"), "too many"),
    "complex": (tiff(noise(1).astype(np.complex64)), "complex64"),
    "volume": (
        tiff(np.zeros((4, 16, 16, 16), np.uint8), volumetric=True, tile=(16, 16, 16), photometric="minisblack"),
        "",
    ),
    "jpeg": (tiff(noise(3), compression="jpeg", photometric="ycbcr"), "JPEG"),
    "palette": (tiff(noise(1), photometric="palette", colormap=np.zeros((3, 256), np.uint16)), "PALETTE"),
    "huge": (patched_tiff(noise(1), 256, 2**31), "pixels are more"),
    "huge_tile": (patched_tiff(noise(1), 322, 2**30, tile=(16, 16)), "pixels are more"),
    "huge_samples": (patched_tiff(bands_of(3), 277, 60_000, **PLANES), ""),
    "no_width": (patched_tiff(noise(1), 256, 0), "no size"),
    "huge_tag": (patched_tiff(noise(1), 279, 0)[:-9], "truncated"),
}


@pytest.mark.parametrize("name", BAD_BANDS)
def test_bad_bands_are_refused(name: str) -> None:
    data, reason = BAD_BANDS[name]
    assert reason in refused(data).what


def test_limits_hold_for_all_bands_together() -> None:
    few = Limits(pixels=5 * 40 * 56 - 1)
    assert "56 x 40 pixels x 5 are more than" in refused(PAGES, limits=few).what
    assert band_values(PAGES, Limits(pixels=5 * 40 * 56), "a.tif").shape == (5, 40, 56)


@pytest.mark.parametrize("layout", ["pages", "interleaved", "tiles_of_planes"])
def test_a_file_that_was_cut_anywhere_is_refused(layout: str) -> None:
    values = bands_of()[:, :16, :24]
    data = layouts(values)[layout]
    padding = 16 if layout == "pages" else 0  # what this writer leaves unused at the end
    assert np.array_equal(band_values(data[: len(data) - padding], LIMITS, "a.tif"), values)
    for end in [*range(0, len(data) - padding, 11), len(data) - padding - 1]:
        with pytest.raises(DataRejected):
            band_values(data[:end], LIMITS, "a.tif")


def test_real_tiles(real_data: Path) -> None:
    folder = real_data / "land_cover"
    tile, wide = folder / "ds4a_sample" / "vlj_img_1029.tiff", folder / "sixteen_band" / "6010_0_0_A.tif"
    if not (tile.is_file() and wide.is_file()):
        pytest.skip("no real tiles of land_cover")
    values = band_values(tile.read_bytes(), LIMITS, tile.name)
    assert values.shape == (8, 160, 160)
    assert values.dtype == np.float16
    assert 0 <= values.min() < values.max() <= 1
    assert band_values(wide.read_bytes(), LIMITS, wide.name).shape == (8, 134, 136)
