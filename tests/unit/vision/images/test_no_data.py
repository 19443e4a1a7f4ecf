"""Pixels without data, scales and offsets: what a file declares is honoured, and what it does not is not made up."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images import Pixels, decode, decode_bands, decode_picture, filled
from tests.unit.bad_images import noise, tiff

LIMITS = Limits()
SIDE = 64


def declared(no_data: str) -> dict[str, Any]:
    return {"extratags": [(42113, "s", 0, no_data, True)]}


def hole() -> np.ndarray[Any, np.dtype[np.bool_]]:
    missing = np.zeros((SIDE, SIDE), bool)
    missing[:, :12] = True
    return missing


def opaque(values: np.ndarray[Any, Any], opacity: int = 0) -> np.ndarray[Any, Any]:
    alpha = np.full((SIDE, SIDE, 1), 255, values.dtype)
    alpha[hole()] = opacity
    return np.concatenate([values, alpha], axis=-1)


def png(values: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG", **options)
    return buffer.getvalue()


def masked(path: Path, values: np.ndarray[Any, Any], **options: Any) -> bytes:
    """(h, w, bands) as GDAL writes it, with a mask within the file."""
    import rasterio

    kind: dict[str, Any] = {"height": SIDE, "width": SIDE, "count": values.shape[2], "dtype": values.dtype.name}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", driver="GTiff", transform=rasterio.Affine.scale(2.0), **kind, **options) as file,
    ):
        file.write(np.moveaxis(values, -1, 0))
        file.write_mask(~hole())
    return path.read_bytes()


# ------------------------------------------------------------------------------------------------------ opacity


@pytest.mark.parametrize("kind", [1, 2])
def test_a_band_that_is_tagged_as_opacity_hides_what_lies_below(kind: int) -> None:
    data = tiff(opaque(noise()), photometric="rgb", extrasamples=[kind])
    pixels = decode_picture(data, LIMITS, "a")
    assert np.array_equal(pixels.valid, ~hole())
    assert np.array_equal(pixels.values[~hole()], noise()[~hole()])
    assert pixels.no_data_share == pytest.approx(12 / 64)
    assert not decode(data, LIMITS, "a")[hole()].any()


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_a_fourth_band_that_is_not_tagged_is_no_opacity(photometric: str) -> None:
    """Near infrared, as satellites have it."""
    data = tiff(opaque(noise()), photometric=photometric, extrasamples=[0] if photometric == "rgb" else [0, 0, 0])
    bands = decode_bands(data, LIMITS, "a")
    assert bands.valid is None
    assert bands.values.shape == (4, SIDE, SIDE)
    if photometric == "rgb":
        assert decode_picture(data, LIMITS, "a").valid is None
        assert np.array_equal(decode(data, LIMITS, "a"), noise())


def test_bands_of_opacity_are_no_bands() -> None:
    values = noise().astype(np.uint16) + np.uint16(500)
    data = tiff(opaque(values), photometric="minisblack", planarconfig="contig", extrasamples=[0, 0, 2])
    bands = decode_bands(data, LIMITS, "a")
    assert np.array_equal(bands.values, np.moveaxis(values, -1, 0))
    assert np.array_equal(bands.valid, ~hole())


@pytest.mark.parametrize(
    "data",
    [
        png(opaque(noise())),
        png(np.where(hole()[..., None], np.uint8(7), np.maximum(noise(), 8)), transparency=(7, 7, 7)),
    ],
    ids=["RGBA", "tRNS"],
)
def test_what_is_transparent_in_a_png_has_no_data(data: bytes) -> None:
    pixels = decode_picture(data, LIMITS, "a")
    assert np.array_equal(pixels.valid, ~hole())
    assert not decode(data, LIMITS, "a")[hole()].any()
    inside = np.median(pixels.values[~hole()], axis=0)
    assert np.array_equal(pixels.values[3, 3], inside.astype(np.uint8))


def test_what_is_half_transparent_has_data() -> None:
    assert decode_picture(png(opaque(noise(), opacity=1)), LIMITS, "a").valid is None


# -------------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("options", [{}, {"compress": "deflate", "tiled": True, "blockxsize": 32, "blockysize": 32}])
def test_a_mask_within_the_file_is_honoured(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = decode_picture(masked(tmp_path / "a.tif", noise(), photometric="rgb", **options), LIMITS, "a")
    assert np.array_equal(pixels.valid, ~hole())
    assert np.array_equal(pixels.values[~hole()], noise()[~hole()])


def test_a_mask_of_many_bands_is_honoured(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1, 2047, (SIDE, SIDE, 8), dtype=np.uint16)
    bands = decode_bands(masked(tmp_path / "a.tif", values), LIMITS, "a")
    assert np.array_equal(bands.values, np.moveaxis(values, -1, 0))
    assert np.array_equal(bands.valid, ~hole())


# ------------------------------------------------------------------------------------------------------ no data


@pytest.mark.parametrize(
    ("kind", "no_data"),
    [("uint16", "65535"), ("int16", "-9999"), ("float32", "-9999"), ("float32", "nan"), ("float64", "-3.4e38"),
     ("float32", "-3.4028234663852886e+38"), ("uint16", "0")],
)  # fmt: skip
def test_a_declared_value_means_no_data(kind: str, no_data: str) -> None:
    values = np.random.default_rng(0).integers(1, 900, (5, SIDE, SIDE)).astype(kind)
    values[:, hole()] = float(no_data)
    bands = decode_bands(tiff(values, photometric="minisblack", **declared(no_data)), LIMITS, "a")
    assert np.array_equal(bands.valid, ~hole())
    if kind != "int16":
        pixels = decode_picture(tiff(values[0], **declared(no_data)), LIMITS, "a")
        assert np.array_equal(pixels.valid, ~hole())
        assert np.isfinite(pixels.values).all()
        assert pixels.values.min() >= 1
        assert pixels.values.max() < 900


def test_one_dark_band_is_no_gap() -> None:
    """0 means "no data" only where every band is 0."""
    values = np.random.default_rng(0).integers(1, 900, (5, SIDE, SIDE), dtype=np.uint16)
    values[2] = 0
    assert decode_bands(tiff(values, photometric="minisblack", **declared("0")), LIMITS, "a").valid is None
    blue = np.zeros((SIDE, SIDE, 3), np.uint8)
    blue[..., 2] = 255
    assert decode_picture(tiff(blue, **declared("0")), LIMITS, "a").valid is None


@pytest.mark.parametrize("no_data", ["-9999", "70000", "none", "", "1e400"])
def test_a_value_that_cannot_occur_changes_nothing(no_data: str) -> None:
    values = np.random.default_rng(0).integers(1, 900, (SIDE, SIDE), dtype=np.uint16)
    assert decode_picture(tiff(values, **declared(no_data)), LIMITS, "a").valid is None


@pytest.mark.parametrize(
    "data",
    [
        tiff(np.full((SIDE, SIDE), -9999, np.float32), **declared("-9999")),
        tiff(np.full((SIDE, SIDE), np.nan, np.float32), **declared("nan")),
        tiff(np.concatenate([noise(), np.zeros((SIDE, SIDE, 1), np.uint8)], -1), photometric="rgb", extrasamples=[2]),
        png(np.concatenate([noise(), np.zeros((SIDE, SIDE, 1), np.uint8)], -1)),
    ],
)
def test_a_picture_without_any_data_is_refused(data: bytes) -> None:
    with pytest.raises(DataRejected, match="no pixel has data"):
        decode_picture(data, LIMITS, "a")


def test_missing_pixels_hold_the_median() -> None:
    values = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
    full = filled(values, ~hole())
    assert np.array_equal(full[~hole()], values[~hole()])
    assert set(full[hole()].tolist()) == {int(np.median(values[~hole()]))}
    assert filled(values, None) is values


# ---------------------------------------------------------------------------------------------- scale and offset


def scaled_file(path: Path, values: np.ndarray[Any, Any], scales: Any, offsets: Any) -> bytes:
    import rasterio

    kind: dict[str, Any] = {"height": SIDE, "width": SIDE, "count": len(values), "dtype": values.dtype.name}
    with rasterio.open(path, "w", driver="GTiff", transform=rasterio.Affine.scale(2.0), **kind) as file:
        file.write(values)
        file.scales, file.offsets = scales, offsets
    return path.read_bytes()


def test_scale_and_offset_of_gdal_are_applied(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1100, 9000, (3, SIDE, SIDE), dtype=np.uint16)
    data = scaled_file(tmp_path / "a.tif", values, (1e-4, 1e-4, 2e-4), (-0.1, -0.1, 0.3))
    bands = decode_bands(data, LIMITS, "a")
    assert bands.scaled
    assert bands.values.dtype == np.float32
    expected = values * np.array([1e-4, 1e-4, 2e-4])[:, None, None] + np.array([-0.1, -0.1, 0.3])[:, None, None]
    assert np.allclose(bands.values, expected, atol=1e-6)


def test_a_scale_that_changes_nothing_leaves_counts(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1100, 9000, (3, SIDE, SIDE), dtype=np.uint16)
    bands = decode_bands(scaled_file(tmp_path / "a.tif", values, (1, 1, 1), (0, 0, 0)), LIMITS, "a")
    assert not bands.scaled
    assert bands.values.dtype == np.uint16


def test_what_was_never_written_stays_without_data_under_an_offset(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(1100, 9000, (3, SIDE, SIDE), dtype=np.uint16)
    values[:, hole()] = 0
    data = scaled_file(tmp_path / "a.tif", values, (1e-4,) * 3, (-0.1,) * 3)
    assert np.array_equal(decode_bands(data, LIMITS, "a").valid, ~hole())


def test_degrees_packed_into_integers_are_degrees(tmp_path: Path) -> None:
    celsius = np.random.default_rng(0).uniform(-5, 90, (SIDE, SIDE))
    data = scaled_file(tmp_path / "a.tif", np.rint(celsius * 100).astype(np.int16)[None], (0.01,), (0.0,))
    pixels = decode_picture(data, LIMITS, "a")
    assert pixels.values.dtype == np.float32
    assert np.abs(pixels.values - celsius).max() < 0.006


@pytest.mark.parametrize(
    "text",
    [
        "<GDALMetadata>" + "<Item " * 100_000,
        '<!DOCTYPE a [<!ENTITY b "c">]><GDALMetadata>&b;</GDALMetadata>',
        '<Item name="SCALE" sample="0" role="scale">nan</Item>',
        '<Item name="SCALE" sample="0" role="scale">0</Item>',
        '<Item name="SCALE" sample="99999999" role="scale">many</Item>',
        '<Item name="OTHER">0.5</Item>',
    ],
)
def test_odd_metadata_change_nothing(text: str) -> None:
    values = np.random.default_rng(0).integers(1, 900, (SIDE, SIDE), dtype=np.uint16)
    pixels = decode_picture(tiff(values, extratags=[(42112, "s", 0, text, True)]), LIMITS, "a")
    assert isinstance(pixels, Pixels)
    assert np.array_equal(pixels.values, values)
    assert not pixels.scaled


def test_each_page_may_have_its_own_scale() -> None:
    values = np.random.default_rng(0).integers(1, 900, (2, SIDE, SIDE), dtype=np.uint16)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for band, scale in zip(values, ("0.5", "0.25"), strict=True):
            item = f'<GDALMetadata><Item name="SCALE" sample="0" role="scale">{scale}</Item></GDALMetadata>'
            writer.write(band, extratags=[(42112, "s", 0, item, True)], contiguous=False)
    bands = decode_bands(buffer.getvalue(), LIMITS, "a").values
    assert np.allclose(bands, values * np.array([0.5, 0.25])[:, None, None])
