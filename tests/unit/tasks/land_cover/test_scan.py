"""Whole scenes: the same answer as a tile of the same content, whatever the storage, at bounded memory."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import rasterio

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.tasks.land_cover.bits import pack
from sightline.tasks.land_cover.rules import Condition, Rule
from sightline.tasks.land_cover.scan import SceneFile, is_large, read_scene
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import Cutoffs
from tests.unit.tasks.land_cover.networks import network_model, scene
from tests.unit.tasks.land_cover.tiles import write, write_pages

SMALL = Limits(pixels=10_000)
"""Of what is decoded at once, so that the scenes of these tests are beyond it."""

CUTOFFS = Cutoffs((0.5,) * 10, (0, 3, 10, 10, 40, 40, 5, 5, 0, 1000))
WATER = CLASSES.index("waterways")
RULES = {WATER: Rule((Condition("brightness", -1.0, 0.42),))}


@pytest.fixture(scope="module")
def values():
    made = scene()
    made[:, 20:60, 100:] = 0  # without data
    return made


def geotiff(path, values, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        count, height, width = values.shape
        profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
        with rasterio.open(path, "w", **profile, **options) as dataset:
            dataset.write(values)
    return path


def layouts(folder, values):
    yield write(folder / "planes.tif", values, rowsperstrip=7)
    yield write_pages(folder / "pages.tif", values)
    tiles = {"tiled": True, "blockxsize": 48, "blockysize": 16}
    yield geotiff(folder / "tiles.tif", values, interleave="band", compress="deflate", **tiles)
    yield geotiff(folder / "pixels.tif", values, interleave="pixel", tiled=True, blockxsize=64, blockysize=128)


def test_a_scene_is_answered_as_a_tile_of_the_same_content(tmp_path, values):
    model = network_model(CUTOFFS, RULES)
    tile = model.read(write(tmp_path / "tile.tif", values), Limits())
    expected = model.predict([tile])[0]
    assert all(one["polygons"] for one in expected.document["classes"].values())  # else this shows little
    specks = model.cutoffs.above(model.segment(tile.bands).probabilities)
    assert (pack(specks) != expected.rasters["mask"]).any()
    for path in layouts(tmp_path, values):
        source = model.read(path, SMALL)
        assert isinstance(source, SceneFile)
        answer = model.predict([source])[0]
        np.testing.assert_array_equal(answer.rasters["mask"], expected.rasters["mask"], err_msg=path.name)
        assert dict(answer.exports) == dict(expected.exports)
        assert answer.document["classes"] == expected.document["classes"]
        assert dict(answer.row) == pytest.approx(dict(expected.row))
        np.testing.assert_allclose(answer.embedding, expected.embedding, rtol=1e-6)


def test_the_mask_is_a_tiled_geotiff_in_the_scenes_place(tmp_path, values):
    model = network_model(CUTOFFS)
    transform = rasterio.Affine(1.24, 0, 500_000, 0, -1.24, 4_000_000)
    path = geotiff(tmp_path / "placed.tif", values, crs="EPSG:32633", transform=transform)
    found = model.scan(read_scene(path), tmp_path / "out" / "mask.tif")
    with rasterio.open(tmp_path / "out" / "mask.tif") as mask:
        assert (mask.crs, mask.transform) == (rasterio.CRS.from_epsg(32633), transform)
        assert mask.block_shapes == [(256, 256)]
        np.testing.assert_array_equal(mask.read(1), found.bits)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mask.tif"]


def test_a_scene_that_breaks_meanwhile_leaves_no_mask(tmp_path, values):
    model = network_model(CUTOFFS)
    path = write(tmp_path / "scene.tif", values, rowsperstrip=16)
    source = read_scene(path)
    write(path, values[:, :64])
    with pytest.raises(DataRejected, match=r"scene\.tif.*changed"):
        model.scan(source, tmp_path / "mask.tif")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataRejected, match=r"scene\.tif"):
        model.scan(source, tmp_path / "mask.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


def test_only_files_beyond_the_limits_are_scanned(tmp_path, values):
    path = write(tmp_path / "scene.tif", values)
    assert not is_large(path, Limits())
    assert is_large(path, Limits(bytes=1000))
    assert is_large(path, SMALL)
    with pytest.raises(DataRejected):  # bytes are never held beyond the limits
        network_model().read(path.read_bytes(), SMALL)


def test_large_files_that_are_no_scene_are_refused_by_name(tmp_path):
    model = network_model()
    path = write(tmp_path / "three.tif", scene()[:3])
    with pytest.raises(DataRejected, match=r"three\.tif"):
        model.read(path, SMALL)
    path.write_bytes(b"II*\0 and nothing")
    with pytest.raises(DataRejected, match=r"three\.tif"):
        model.read(path, Limits(bytes=5))
    with pytest.raises(DataMissing, match=r"absent\.tif"):
        model.read(tmp_path / "absent.tif", SMALL)


def test_a_scene_is_drawn_small(tmp_path):
    model = network_model()
    source = model.read(write(tmp_path / "wide.tif", scene(24, 1100)), SMALL)
    drawn = model.draw(source, model.predict([source])[0])
    assert drawn.shape == (12, 2 * 550, 3)


MEASURED = """
import resource, sys
from pathlib import Path
from sightline.limits import Limits
from tests.unit.tasks.land_cover.networks import INPUT, network_model, scene
from tests.unit.tasks.land_cover.tiles import write
from tests.parameters import changed
from sightline.tasks.land_cover.thresholds import Cutoffs

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

model = network_model(Cutoffs((0.5,) * 10, (50,) * 10), taken=changed(INPUT, window_px=160, overlap_px=40))
small = write(Path(sys.argv[2]), scene(200, 200))
model.predict([model.read(small, Limits(pixels=1000))])  # libraries and the session
before = peak_mb()
answer = model.predict([model.read(Path(sys.argv[1]), Limits())])[0]
assert answer.rasters["mask"].shape == (3400, 3400)
print(round(peak_mb() - before))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_whole_scene_takes_less_than_a_gigabyte(tmp_path):
    # Things as large as houses and fields: tens of thousands of outlines, as in no real scene.
    large = scene(170, 170).repeat(20, axis=1).repeat(20, axis=2)
    write(tmp_path / "large.tif", large, tile=(256, 256))
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEASURED, tmp_path / "large.tif", tmp_path / "small.tif"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 1000
