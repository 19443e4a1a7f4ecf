"""Tiles from outside: every usual layout is read alike, what cannot be read is named."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.tasks.land_cover.bands import BANDS
from sightline.tasks.land_cover.tile import Tile, read_tile
from tests.unit.tasks.land_cover.tiles import HEIGHT, WIDTH, counts, declared, write, write_pages

LIMITS = Limits(bytes=2**20, pixels=12_500)


def read(path: Path) -> Tile:
    return read_tile(path, LIMITS)


LAYOUTS: dict[str, Any] = {
    "planes": write,
    "compressed planes": lambda path, values: write(path, values, compression="lzw", predictor=True),
    "interleaved": lambda path, values: write(path, np.moveaxis(values, 0, -1), planarconfig="contig"),
    "tiled": lambda path, values: write(path, values, tile=(16, 16), compression="deflate"),
    "pages": write_pages,
    "a stack, bands first": lambda path, values: tifffile.imwrite(path, values, photometric="minisblack"),
    "a stack, bands last": lambda path, values: tifffile.imwrite(
        path, np.moveaxis(values, 0, -1), photometric="minisblack"
    ),
    "big-endian": lambda path, values: tifffile.imwrite(path, values, photometric="minisblack", byteorder=">"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_values(layout: str, tmp_path: Path) -> None:
    values = counts()
    LAYOUTS[layout](tmp_path / "a.tif", values)
    tile = read(tmp_path / "a.tif")
    assert tile.bands.dtype == np.float32
    assert tile.scale == "counts"
    assert np.array_equal(np.rint(tile.bands * 2047), values)


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_values_between_0_and_1_stay_as_they_are(kind: str, tmp_path: Path) -> None:
    values = (counts() / 2047).astype(kind)
    tile = read(write_pages(tmp_path / "a.tif", values))
    assert tile.scale == "unit"
    assert tile.statistics["counts"] == 0
    assert np.array_equal(tile.bands, values.astype(np.float32))


def test_floats_may_hold_counts(tmp_path: Path) -> None:
    tile = read(write(tmp_path / "a.tif", counts().astype(np.float32)))
    assert (tile.scale, tile.statistics["counts"]) == ("counts", 1)
    assert np.array_equal(np.rint(tile.bands * 2047), counts())


def test_bytes_and_a_file_are_read_alike(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", counts())
    tile, same = read(path), read_tile(path.read_bytes(), LIMITS)
    assert (tile.name, same.name) == (str(path), "image")
    assert tile.sha256 == same.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert np.array_equal(tile.bands, same.bands)
    assert tile.statistics == same.statistics


def test_declared_no_data_becomes_0(tmp_path: Path) -> None:
    values = counts().clip(1)
    values[:, :4, :5] = 65535
    values[3, 10, 10] = 65535
    tile = read(write(tmp_path / "a.tif", values, **declared("65535")))
    assert not tile.bands[:, :4, :5].any()
    assert not tile.bands[:, 10, 10].any()
    assert tile.statistics["no_data"] == pytest.approx(21 / (HEIGHT * WIDTH))
    floats = (values / 2047).astype(np.float32)
    floats[values == 65535] = np.nan
    assert read(write(tmp_path / "b.tif", floats, **declared("nan"))).statistics["no_data"] > 0


def broken(**changes: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    values = (counts() / 2047).astype(np.float32)
    values[2, 5, 7] = changes["value"]
    return values


@pytest.mark.parametrize(
    ("values", "match"),
    [
        (counts()[:3], "3 bands, not 8"),
        (np.concatenate([counts(), counts()]), "16 bands, not 8"),
        (counts()[0], "1 band, not 8"),
        (counts()[:, :8], "too few"),
        ((counts() % 256).astype(np.uint8), "8 bits"),
        (counts() + 40, "beyond the 11 bits"),
        (np.full((8, 20, 20), 7, np.uint16), "every value is 7"),
        (broken(value=float("nan")), "NaN or infinite; the first is in band green at x 7, y 5"),
        (broken(value=float("inf")), "NaN or infinite"),
        (broken(value=-3.0), "negative values, down to -3"),
        (broken(value=3.0), "neither values of 0 .. 1 nor counts"),
    ],
)
def test_what_is_no_tile_is_refused_and_named(values: Any, match: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, values, photometric="minisblack", metadata=None)
    with pytest.raises(DataRejected, match=match) as caught:
        read(path)
    assert "bad.tif" in caught.value.where
    assert caught.value.way_out


def test_no_data_everywhere_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.full((8, 20, 20), 65535, np.uint16), **declared("65535"))
    with pytest.raises(DataRejected, match="no pixel has data"):
        read(path)


def test_the_eight_bands_of_the_short_wave_file_are_refused(tmp_path: Path) -> None:
    """`_A.tif` has eight bands as well, of 14 bits."""
    with pytest.raises(DataRejected, match="up to 5662"):
        read(write(tmp_path / "6010_4_2_A.tif", np.linspace(1464, 5662, 8 * 400).reshape(8, 20, 20).astype(np.uint16)))


def test_files_that_are_no_images(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no such file"):
        read(tmp_path / "absent.tif")
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("ImageId,ClassType")
    for name in ("empty.tif", "text.tif"):
        with pytest.raises(DataRejected, match=name):
            read(tmp_path / name)
    path = write(tmp_path / "cut.tif", counts(), compression="deflate")
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataRejected, match=r"cut\.tif"):
        read(path)


def test_size_is_limited_before_anything_is_decoded(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", np.zeros((8, 40, 40), np.uint16), compression="deflate")
    with pytest.raises(DataRejected, match="more than 12,500"):
        read(path)
    with pytest.raises(DataRejected, match="larger than"):
        read_tile(write(tmp_path / "b.tif", counts()), Limits(bytes=1000))


def test_statistics_tell_what_changed(tmp_path: Path) -> None:
    values = counts(height=40, width=40) // 2
    first = read_tile(write(tmp_path / "a.tif", values), Limits()).statistics
    brighter = read_tile(write(tmp_path / "b.tif", values * 2), Limits()).statistics
    assert {f"{name}_mean" for name in BANDS} < first.keys() == brighter.keys()
    assert all(brighter[f"{name}_mean"] == pytest.approx(2 * first[f"{name}_mean"], rel=0.01) for name in BANDS)
    assert all(np.isfinite(value) for value in first.values())


def test_the_real_tile(real_data: Path) -> None:
    """Eight pages of float16, between 0 and 1 already."""
    tile = read_tile(real_data / "land_cover" / "ds4a_sample" / "vlj_img_1029.tiff", Limits())
    assert tile.bands.shape == (8, 160, 160)
    assert (tile.scale, tile.bands.min(), tile.bands.max()) == ("unit", 0, 1)
    assert tile.bands.mean() == pytest.approx(0.594, abs=1e-3)


def test_real_files_of_other_bands(real_data: Path) -> None:
    folder = real_data / "land_cover"
    for name, match in (
        ("spacenet_sample/ms1.tif", "4 bands, not 8"),
        ("spacenet_sample/sample_geotiff.tif", "1 band, not 8"),
        ("sixteen_band/6010_4_2_A.tif", "beyond the 11 bits"),
    ):
        with pytest.raises(DataRejected, match=match):
            read_tile(folder / name, Limits())
