"""Mosaics: each pixel where it belongs, nothing outside the outline, holes told, nothing half-written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from mercantile import Tile
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import BackendError
from sightline.maps.area import Area, read_area
from sightline.maps.fetch import Missing, fetch
from sightline.maps.mosaic import Mosaic, write_mosaic
from sightline.maps.position import Georeference
from sightline.maps.providers import open_folder
from sightline.maps.tiles import AreaPlan, plan_area
from tests.unit.maps.tile_server import SIDE_PX, Silent, colours_of, drawn, write_tile

BOX = read_area(bbox="-5.47,36.11,-5.40,36.15")


def folder_plan(area: Area, zoom: int, root: Path, keep: Callable[[Tile], bool] = lambda tile: True) -> AreaPlan:
    """A plan whose tiles were drawn into a folder, but for those not kept."""
    write_tile(root, Tile(0, 0, zoom))
    plan = plan_area(area, zoom, open_folder(root))
    for tile in filter(keep, plan.tiles()):
        write_tile(root, tile)
    return plan


def stitched(plan: AreaPlan, tmp_path: Path) -> tuple[Mosaic, NDArray[np.uint8], NDArray[np.uint8]]:
    """The mosaic, (h, w, 3) colours and (h, w) alpha."""
    mosaic = write_mosaic(plan, tmp_path / "cache", tmp_path / "out" / "area.tif", Silent())
    with rasterio.open(mosaic.path) as dataset:
        pixels = dataset.read()
    return mosaic, np.moveaxis(pixels[:3], 0, -1), pixels[3]


def expected(plan: AreaPlan) -> NDArray[np.uint8]:
    """What the tiles show, by each pixel's place on the whole map."""
    side = SIDE_PX * 2**plan.zoom
    columns = (plan.left_px + np.arange(plan.width_px)) % side
    rows = plan.top_px + np.arange(plan.height_px)
    return colours_of(columns[None, :], rows[:, None])


@pytest.mark.parametrize(
    "bbox", ["-5.47,36.11,-5.40,36.15", "179.97,-17,-179.97,-16.97", "10.001,50.001,10.002,50.002"]
)
def test_every_pixel_is_there_once_and_in_its_place(bbox: str, tmp_path: Path) -> None:
    plan = folder_plan(read_area(bbox=bbox), 15, tmp_path / "tiles")
    mosaic, colours, alpha = stitched(plan, tmp_path)
    np.testing.assert_array_equal(colours, expected(plan))
    assert (alpha == 255).all()
    assert mosaic.missing == ()
    assert mosaic.covered == 1


def test_it_is_a_cloud_optimised_geotiff_with_its_place_and_its_credit(tmp_path: Path) -> None:
    plan = folder_plan(BOX, 17, tmp_path / "tiles")
    mosaic, _, _ = stitched(plan, tmp_path)
    with rasterio.open(mosaic.path) as dataset:
        assert dataset.crs.to_epsg() == 3857
        assert dataset.block_shapes[0] == (512, 512)
        assert dataset.overviews(1) == [2, 4]
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.tags()["TIFFTAG_COPYRIGHT"] == plan.provider.attribution
        left, bottom, right, top = dataset.bounds
        found = Georeference(dataset.crs.to_string(), tuple(dataset.transform[:6]), dataset.width, dataset.height)
    assert found == plan.georeference == mosaic.georeference
    wanted = BOX.bounds_m
    for found, asked, outwards in zip((left, bottom, right, top), wanted, (-1, -1, 1, 1), strict=True):
        assert -0.01 < (found - asked) * outwards < plan.pixel_m
    assert sorted(path.name for path in mosaic.path.parent.iterdir()) == ["area.tif"]


def test_outside_the_outline_there_is_nothing(tmp_path: Path) -> None:
    triangle = read_area(wkt="POLYGON ((-5.47 36.11, -5.40 36.11, -5.47 36.15, -5.47 36.11))")
    plan = folder_plan(triangle, 15, tmp_path / "tiles")
    mosaic, colours, alpha = stitched(plan, tmp_path)
    x, y = np.meshgrid(np.arange(plan.width_px) + 0.5, np.arange(plan.height_px) + 0.5)
    longitudes, latitudes = plan.georeference.lonlat(x, y)
    side = (longitudes + 5.47) / 0.07 + (latitudes - 36.11) / 0.04  # 1 on the long edge
    pixel = 2 * (plan.pixel_m / 111_320) / 0.04
    assert (alpha[side < 1 - pixel] == 255).all()
    assert (alpha[side > 1 + pixel] == 0).all()
    np.testing.assert_array_equal(colours[alpha == 0], 0)
    np.testing.assert_array_equal(colours[alpha > 0], expected(plan)[alpha > 0])
    assert mosaic.covered == 1


def test_missing_tiles_are_masked_and_listed(tmp_path: Path) -> None:
    whole = plan_area(BOX, 15, folder_plan(BOX, 15, tmp_path / "whole").provider)
    gone = [tile for number, tile in enumerate(whole.tiles()) if number in (2, 9)]
    plan = folder_plan(BOX, 15, tmp_path / "tiles", lambda tile: tile not in gone)
    mosaic, colours, alpha = stitched(plan, tmp_path)
    assert [one.tile for one in mosaic.missing] == gone
    right = expected(plan)
    columns = (plan.left_px + np.arange(plan.width_px)) // SIDE_PX
    rows = (plan.top_px + np.arange(plan.height_px)) // SIDE_PX
    hole = sum(((rows[:, None] == tile.y) & (columns[None, :] == tile.x)).astype(int) for tile in gone) > 0
    np.testing.assert_array_equal(alpha == 0, hole)
    np.testing.assert_array_equal(colours[~hole], right[~hole])
    assert mosaic.covered == pytest.approx(1 - hole.mean())
    fetched = fetch(plan, tmp_path, Silent())
    missing = write_mosaic(plan, tmp_path / "cache", mosaic.path, Silent(), fetched).missing
    assert missing == fetched.missing == tuple(Missing(tile, "there is no such file") for tile in gone)


def test_what_a_tile_leaves_empty_is_masked(tmp_path: Path) -> None:
    plan = folder_plan(BOX, 15, tmp_path / "tiles")
    tile = list(plan.tiles())[24]
    pixels = np.dstack([drawn(tile), np.full((SIDE_PX, SIDE_PX), 255, np.uint8)])
    pixels[: SIDE_PX // 2, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "tiles" / str(tile.z) / str(tile.x) / f"{tile.y}.png")
    mosaic, colours, alpha = stitched(plan, tmp_path)
    assert (alpha == 0).sum() == SIDE_PX * SIDE_PX // 2
    np.testing.assert_array_equal(colours[alpha == 0], 0)
    np.testing.assert_array_equal(colours[alpha > 0], expected(plan)[alpha > 0])
    assert mosaic.missing == ()


def test_broken_tiles_of_a_folder_are_listed_and_left_alone(tmp_path: Path) -> None:
    plan = folder_plan(BOX, 15, tmp_path / "tiles")
    tile = next(plan.tiles())
    file = tmp_path / "tiles" / str(tile.z) / str(tile.x) / f"{tile.y}.png"
    file.write_bytes(b"no picture")
    mosaic, _, _ = stitched(plan, tmp_path)
    assert mosaic.missing == (Missing(tile, "the content is neither JPEG nor PNG"),)
    assert file.exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    plan = folder_plan(BOX, 15, tmp_path / "tiles")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BackendError, match="cannot be written"):
        write_mosaic(plan, tmp_path, tmp_path / "file" / "area.tif", Silent())


LIMITED = """
import resource, sys, types
from pathlib import Path
from sightline.errors import BackendError
from sightline.maps.area import read_area
from sightline.maps.mosaic import write_mosaic
from sightline.maps.providers import open_folder
from sightline.maps.tiles import plan_area
import rasterio.shutil, rasterio.features

plan = plan_area(read_area(bbox="-5.47,36.11,-5.40,36.15"), 18, open_folder(Path(sys.argv[1])))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    write_mosaic(plan, Path("."), Path(sys.argv[2]), types.SimpleNamespace(advance=lambda *_: None))
except BackendError as error:
    print("refused:", error)
else:
    print("written")
"""


def test_a_disk_that_fills_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    plan = folder_plan(BOX, 18, tmp_path / "tiles")
    target = tmp_path / "out" / "area.tif"
    whole = write_mosaic(plan, tmp_path, target, Silent()).path.stat().st_size
    target.write_bytes(b"the old one")
    outcomes = []
    for limit in (whole // 50, whole // 4, whole // 2, whole - 4096, whole - 10):
        command = [sys.executable, "-c", LIMITED, str(tmp_path / "tiles"), str(target), str(limit)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        outcomes.append(run.stdout.split(":")[0].strip())
        assert "refused" in run.stdout, f"{limit} of {whole} bytes: {run.stdout}"
        assert target.read_bytes() == b"the old one"
        assert [path.name for path in target.parent.iterdir()] == ["area.tif"]
    assert outcomes == ["refused"] * 5
