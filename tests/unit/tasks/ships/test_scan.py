"""The scan: the answer depends on the raster alone, not on how it is stored, cut or how large the tiles' rest is."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import rasterio

from sightline.errors import DataMissing, DataRejected, ParamsError
from sightline.limits import Limits
from sightline.tasks.ships.raster import read_raster
from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.scan import Heat, Scanner, Tiles, logit_near, normalised, peaks_of
from sightline.vision.graphs import open_session
from tests.unit.tasks.ships.networks import brightness_graph, network_model, scene, sea

SMALL = Limits(pixels=10_000)
"""Of what is decoded at once, so that the scenes of these tests are beyond it."""


def geotiff(path, pixels, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        height, width, count = pixels.shape
        profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": pixels.dtype}
        with rasterio.open(path, "w", **profile, **options) as dataset:
            dataset.write(np.moveaxis(pixels, -1, 0))
    return path


def layouts(folder, pixels):
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 32}
    yield geotiff(folder / "strips.tif", pixels, interleave="pixel", blockysize=7)
    yield geotiff(folder / "planes.tif", pixels, interleave="band", compress="deflate", **tiles)
    yield geotiff(folder / "tiles.tif", pixels, interleave="pixel", tiled=True, blockxsize=256, blockysize=256)


def part_of(pixels):
    return lambda top, left, height, width: pixels[top : top + height, left : left + width]


def found_in(model, source):
    found = model.find(source)
    return [(one.x, one.y, one.score, one.corners.tolist()) for one in found.detections], found.embedding.tolist()


@pytest.mark.parametrize("gsd_m", [3.0, 4.2])
def test_the_answer_does_not_depend_on_how_a_raster_is_stored(tmp_path, gsd_m):
    model = network_model()
    pixels, boxes = scene()
    whole = model.under(model.read(geotiff(tmp_path / "whole.tif", pixels), Limits()), {"gsd_m": gsd_m})
    assert whole.pixels is not None
    expected = found_in(model, whole)
    assert len(expected[0]) >= len(boxes)  # else this shows little
    for path in layouts(tmp_path, pixels):
        left = model.under(model.read(path, SMALL), {"gsd_m": gsd_m})
        assert left.pixels is None
        assert found_in(model, left) == expected


def test_a_scan_is_the_same_window_by_window():
    """Each cell of the map is the window around its middle, wherever tiles begin and end."""
    pixels, _ = scene(170, 230)
    tiles = Tiles(192, 32, 32, 8)
    raster = Scaled.to(part_of(pixels), (170, 230), 1.0)
    heat = Scanner(brightness_graph(), tiles, 1)(raster)
    assert heat.logits.shape == tiles.grid((170, 230)) == (22, 29)
    session = open_session(brightness_graph(), 1)
    for row, column in ((0, 0), (5, 13), (13, 14), (14, 13), (21, 28)):
        window = raster.part(row * 8 + 4 - 16, column * 8 + 4 - 16, 32, 32)
        logit = session.run(["logit"], {"image": normalised(window)[None]})[0]
        assert heat.logits[row, column] == pytest.approx(float(logit[0, 0, 0]), abs=1e-4)


def test_a_scan_may_take_fewer_windows_than_the_network_answers():
    pixels, _ = scene(170, 230)
    raster = Scaled.to(part_of(pixels), (170, 230), 1.0)
    fine = Scanner(brightness_graph(), Tiles(192, 32, 32, 8), 1)(raster).logits
    coarse = Scanner(brightness_graph(), Tiles(192, 32, 32, 24), 1)(raster).logits
    expected = fine[1::3, 1::3]  # the middles of 24 px; the last ones lie beyond the raster
    np.testing.assert_allclose(coarse[: expected.shape[0], : expected.shape[1]], expected, atol=1e-4)
    with pytest.raises(ParamsError, match="multiple of 16"):
        Scanner(brightness_graph(stride_px=16), Tiles(192, 32, 32, 8), 1)(raster)


def test_a_small_raster_takes_a_small_tile():
    tiles = Tiles(704, 48, 32, 8)
    assert tiles.cells == 73
    assert tiles.side_for(10) == 224  # an 80 px chip: 32 + 96 + 72 = 200, in whole strides of 32
    assert tiles.side_for(73) == tiles.side_for(400) == 704


def test_peaks_lie_between_cells_where_their_neighbours_say_so():
    x, y = np.meshgrid(np.arange(12) + 0.5, np.arange(9) + 0.5)
    logits = (3 - (x - 6.3) ** 2 - (y - 4.8) ** 2).astype(np.float32)
    (peak,) = peaks_of(heat(logits), 8, 0.0)
    assert (peak.x, peak.y) == pytest.approx((6.3 * 8, 4.8 * 8), abs=1e-3)
    assert peak.length_m == 0  # this network tells none
    assert peaks_of(heat(logits), 8, 3.5) == []
    corner = peaks_of(heat(-np.hypot(x, y).astype(np.float32)), 8, -10.0)
    assert [(one.x, one.y) for one in corner] == [(4.0, 4.0)]


def heat(logits, lengths=None):
    return Heat(logits, np.zeros(3, dtype=np.float32), lengths)


def test_a_peak_has_the_length_that_the_network_tells_there():
    logits = np.zeros((5, 5), dtype=np.float32)
    logits[2, 3] = 4
    lengths = np.full((5, 5), 7, dtype=np.float16)
    lengths[2, 3] = 1
    (peak,) = peaks_of(heat(logits, lengths), 4, 1.0)
    assert peak.length_m == 100


def test_around_a_place_the_highest_logit_counts():
    logits = np.array([[0.0, 1.0, 5.0], [2.0, 3.0, 4.0]], dtype=np.float32)
    assert logit_near(logits, 8, (4, 4), 0) == 0
    assert logit_near(logits, 8, (4, 4), 8) == 3
    assert logit_near(logits, 8, (100, 100), 0) == 4


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.4])
def test_parts_of_a_scaled_raster_fit_together(factor):
    pixels = scene(150, 190)[0]
    raster = Scaled.to(part_of(pixels), (150, 190), factor)
    height, width = raster.size
    whole = raster.part(0, 0, height, width).astype(int)
    pieces = np.concatenate([raster.part(0, 0, 40, width), raster.part(40, 0, height - 40, width)]).astype(int)
    assert np.abs(whole - pieces).max() <= 1  # the library's own rounding
    beyond = raster.part(-5, -3, 20, 20).astype(int)
    np.testing.assert_array_equal(beyond[5:, 3:], raster.part(0, 0, 15, 17))
    np.testing.assert_array_equal(beyond[4], beyond[6])


@pytest.mark.parametrize(
    ("change", "said"),
    [("16 bits", "uint16"), ("one band", "1 x uint8"), ("truncated", "end is missing"), ("words", "broken|content")],
)
def test_large_files_that_cannot_be_scanned_are_refused_by_name(tmp_path, change, said):
    path = tmp_path / "scene.tif"
    pixels = sea(200, 200)
    if change == "16 bits":
        pixels = pixels.astype(np.uint16)
    geotiff(path, pixels[..., :1] if change == "one band" else pixels, tiled=True, blockxsize=64, blockysize=64)
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:-5000])
    if change == "words":
        path.write_bytes(b"II*\0 and nothing")
    with pytest.raises(DataRejected, match=rf"scene\.tif.*({said})"):
        read_raster(path, SMALL)


def test_a_raster_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(DataMissing, match=r"absent\.tif"):
        read_raster(tmp_path / "absent.tif", SMALL)


def test_a_raster_that_changes_meanwhile_is_refused(tmp_path):
    model = network_model()
    path = geotiff(tmp_path / "scene.tif", sea(200, 200))
    source = model.read(path, SMALL)
    geotiff(path, sea(100, 200))
    with pytest.raises(DataRejected, match=r"scene\.tif.*changed"):
        model.predict([source])


def test_a_raster_that_would_be_too_large_at_the_networks_scale_is_refused(tmp_path):
    model = network_model()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        profile = {"driver": "GTiff", "count": 3, "height": 20_000, "width": 20_000, "dtype": "uint8"}
        sparse = {"tiled": True, "sparse_ok": True}
        with rasterio.open(tmp_path / "huge.tif", "w", **profile, **sparse):
            pass
    source = model.read(tmp_path / "huge.tif", Limits())
    with pytest.raises(DataRejected, match=r"huge\.tif.*200,000 x 200,000"):
        model.under(source, {"gsd_m": 30.0})


MEASURED = """
import resource, sys
from pathlib import Path
from sightline.limits import Limits
from tests.parameters import changed
from tests.unit.tasks.ships.networks import SCAN, network_model

def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

model = network_model(scan=changed(SCAN, tile_px=704, context_px=32))
model.predict([model.read(Path(sys.argv[1]), Limits(pixels=100))])  # libraries and the session
before = peak_mb()
answer = model.predict([model.read(Path(sys.argv[2]), Limits())])[0]
assert answer.document["image"]["width"] == 6000
print(round(peak_mb() - before))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_large_scene_is_scanned_at_bounded_memory(tmp_path):
    small = geotiff(tmp_path / "small.tif", scene()[0])
    large = np.tile(scene()[0], (20, 15, 1))
    geotiff(tmp_path / "large.tif", large, tiled=True, blockxsize=256, blockysize=256, compress="deflate")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", MEASURED, small, tmp_path / "large.tif"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) < 200  # the scene itself has 108 MB, and is not held
