"""Where a raster lies, by all that says so; and what was found and not used is named."""

from __future__ import annotations

import math
import os
import warnings

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS

from sightline.errors import DataRejected
from sightline.maps.colours import opened_tiff
from sightline.maps.placement import names_in, placement_of

UTM = CRS.from_epsg(32633)
AT = (500_000.0, 5_500_000.0)
PIXEL = Affine(1.5, 0, AT[0], 0, -1.5, AT[1])
SIZE = (40, 60)
WORLD = "1.5\n0\n0\n-1.5\n500000.75\n5499999.25\n"
ESRI = (
    'PROJCS["WGS_1984_UTM_Zone_33N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,'
    '298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
    'PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",15.0],'
    'PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
)


def raster(path, **options):
    """A picture of SIZE; a TIFF with these options."""
    pixels = np.full((*SIZE, 3), 60, np.uint8)
    if path.suffix != ".tif":
        Image.fromarray(pixels).save(path)
        return path
    gcps = options.pop("gcps", None)
    rpcs = options.pop("rpcs", None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        profile = {"driver": "GTiff", "count": 3, "height": SIZE[0], "width": SIZE[1], "dtype": "uint8"}
        with rasterio.open(path, "w", **profile, **options) as file:
            file.write(np.moveaxis(pixels, -1, 0))
            if gcps:
                file.gcps = gcps
            if rpcs:
                file.rpcs = rpcs
    return path


def found(path, beside=True):
    if path.suffix != ".tif":
        return placement_of(SIZE, str(path), path if beside else None)
    with opened_tiff(path, str(path)) as dataset:
        return placement_of(SIZE, str(path), path if beside else None, dataset)


def aux(path, inner):
    path.with_name(path.name + ".aux.xml").write_text(f"<PAMDataset>{inner}</PAMDataset>")


@pytest.mark.parametrize(
    ("name", "world"),
    [("a.tif", "a.tfw"), ("a.tif", "A.TFW"), ("a.tif", "a.tifw"), ("a.png", "a.pgw"), ("a.jpg", "a.jgw"),
     ("a.jpg", "a.wld"), ("b.c.jpg", "b.c.jgw")],
)  # fmt: skip
@pytest.mark.parametrize("system", [UTM.to_wkt(), ESRI])
def test_a_world_file_with_a_system_beside_it_is_used(tmp_path, name, world, system):
    path = raster(tmp_path / name)
    (tmp_path / world).write_text(WORLD)
    path.with_suffix(".prj").write_text(system)
    place = found(path)
    assert place.gsd_m == pytest.approx(1.5, rel=0.002)
    lon, lat = place.place.lonlat(30, 20)
    assert (float(lon), float(lat)) == pytest.approx((15.0006, 49.6525), abs=2e-3)
    assert world in place.said
    assert ".prj" in place.said
    assert found(path, beside=False).gsd_m is None  # as the bytes of an upload


def test_the_first_pixel_of_a_world_file_is_told_by_its_middle(tmp_path):
    path = raster(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text(WORLD)
    (tmp_path / "a.prj").write_text(UTM.to_wkt())
    assert found(path).transform == PIXEL


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.tfw": WORLD}, "a.tfw is not used: nothing names its coordinate system (a.prj would)"),
        ({"a.tfw": WORLD, "a.prj": "Projection UTM\nZone 33"}, "a.prj is not well-known text"),
        ({"a.tfw": "1.5 0 0", "a.prj": UTM.to_wkt()}, "a.tfw is not used: it does not hold the six numbers"),
        ({"a.tfw": "0\n0\n0\n0\n5\n5\n", "a.prj": UTM.to_wkt()}, "a.tfw is not used"),
        ({"a.tif.aux.xml": "<PAMDataset><SRS>EPSG"}, "the place in a.tif.aux.xml cannot be read"),
        ({"a.tab": "!table"}, "a.tab is not read"),
        ({"a.points": "mapX,mapY"}, "a.points is not read"),
        ({"a_RPC.TXT": "LINE_OFF: 3"}, "a_RPC.TXT is not read"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, files, said):
    path = raster(tmp_path / "a.tif")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    place = found(path)
    assert (place.place, place.gsd_m) == (None, None)
    assert said in place.said


def test_the_names_in_a_folder_are_kept_until_it_changes(tmp_path):
    def written(*names):
        for name in names:
            (tmp_path / name).touch()
        os.utime(tmp_path, (0, len(names)))  # of another time than before, however coarse the clock

    written("b.PGW", "a.png")
    names = names_in(tmp_path, settled_ns=-(10**9))
    assert names == [("a.png", "a.png"), ("b.pgw", "b.PGW")]
    assert names_in(tmp_path) is names
    written("a.pgw")
    assert ("a.pgw", "a.pgw") in names_in(tmp_path)
    assert names_in(tmp_path / "nowhere") == []


def test_a_folder_that_has_just_changed_is_listed_anew(tmp_path):
    assert names_in(tmp_path) is not names_in(tmp_path)


def test_what_belongs_to_another_file_is_not_taken(tmp_path):
    path = raster(tmp_path / "a.png")
    (tmp_path / "a.jgw").write_text(WORLD)
    (tmp_path / "ab.pgw").write_text(WORLD)
    (tmp_path / "a.prj").write_text(UTM.to_wkt())
    assert found(path).said == "none"


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
def test_what_gdal_wrote_beside_a_raster_is_used(tmp_path, name):
    path = raster(tmp_path / name)
    numbers = ", ".join(str(value) for value in PIXEL.to_gdal())
    aux(path, f"<SRS>{UTM.to_wkt()}</SRS><GeoTransform>{numbers}</GeoTransform>")
    assert found(path).gsd_m == pytest.approx(1.5, rel=0.002)
    assert found(path).said == f"{name}.aux.xml"


def test_a_system_and_a_transform_may_come_from_two_files(tmp_path):
    path = raster(tmp_path / "a.png")
    aux(path, f"<SRS>{UTM.to_wkt()}</SRS>")
    (tmp_path / "a.pgw").write_text(WORLD)
    assert found(path).said == "a.png.aux.xml and a.pgw"
    assert found(path).gsd_m == pytest.approx(1.5, rel=0.002)


def test_statistics_beside_a_georeferenced_file_change_nothing(tmp_path):
    path = raster(tmp_path / "a.tif", crs=UTM, transform=PIXEL)
    aux(path, '<PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">5</MDI></Metadata></PAMRasterBand>')
    assert found(path).said == "the file itself"


def points(transform, bend=0.0):
    corners = [(0, 0), (60, 0), (0, 40), (60, 40), (30, 20)]
    places = [transform @ (x + bend * math.sin(y + x), y) for x, y in corners]
    return [GroundControlPoint(y, x, *at) for (x, y), at in zip(corners, places, strict=True)]


def test_ground_control_points_on_a_plane_are_used(tmp_path):
    turned = PIXEL @ Affine.rotation(30)
    place = found(raster(tmp_path / "a.tif", gcps=(points(turned), UTM)))
    assert place.gsd_m == pytest.approx(1.5, rel=0.002)
    assert place.said == "ground control points of the file itself"
    lon, lat = place.place.lonlat(60, 0)
    assert place.place.pixels(float(lon), float(lat))[0] == pytest.approx(60, abs=0.01)


def test_ground_control_points_that_fit_no_plane_are_named(tmp_path):
    assert "off a plane by" in found(raster(tmp_path / "a.tif", gcps=(points(PIXEL, bend=20), UTM))).said
    assert "2 are too few" in found(raster(tmp_path / "b.tif", gcps=(points(PIXEL)[:2], UTM))).said


def test_rational_polynomials_are_named(tmp_path):
    numbers = [0.0] * 20
    scales = {"height_scale": 1.0, "lat_scale": 1.0, "long_scale": 1.0, "line_scale": 20.0, "samp_scale": 30.0}
    offsets = {"height_off": 0.0, "lat_off": 49.0, "long_off": 15.0, "line_off": 20.0, "samp_off": 30.0}
    one = [1.0, *numbers[1:]]
    parts = {"line_den_coeff": one, "samp_den_coeff": one, "line_num_coeff": numbers, "samp_num_coeff": numbers}
    rpcs = rasterio.rpc.RPC(**scales, **offsets, **parts, err_bias=0.0, err_rand=0.0)
    assert "RPC" in found(raster(tmp_path / "a.tif", rpcs=rpcs)).said


@pytest.mark.parametrize(
    ("crs", "transform", "gsd_m"),
    [
        (UTM, PIXEL @ Affine.rotation(40), 1.5),
        (UTM, Affine(1.5, 0, AT[0], 0, 1.5, AT[1]), 1.5),  # south up
        (CRS.from_epsg(2263), Affine(10, 0, 980_000, 0, -10, 200_000), 3.048),  # feet
        (CRS.from_epsg(4326), Affine(1e-5, 0, 15, 0, -1e-5, 0.1), 1.11),  # degrees
        (CRS.from_epsg(3857), Affine(3, 0, 1.6e6, 0, -3, 8_399_738), 1.5),  # stretched by 1 / cos(latitude)
    ],
)
def test_any_transform_and_unit_gives_metres(tmp_path, crs, transform, gsd_m):
    assert found(raster(tmp_path / "a.tif", crs=crs, transform=transform)).gsd_m == pytest.approx(gsd_m, rel=0.02)


def test_local_coordinates_tell_lengths_and_no_place(tmp_path):
    local = CRS.from_wkt('LOCAL_CS["site",UNIT["US survey foot",0.304800609601219]]')
    place = found(raster(tmp_path / "a.tif", crs=local, transform=Affine(5, 0, 10, 0, -5, 10)))
    assert place.place is None
    assert place.gsd_m == pytest.approx(1.524, rel=1e-3)
    assert "local coordinates" in place.said


def test_a_transform_without_a_system_is_named(tmp_path):
    assert "names no coordinate system" in found(raster(tmp_path / "a.tif", transform=PIXEL)).said


def test_pixels_that_are_not_square_are_refused_whoever_says_so(tmp_path):
    path = raster(tmp_path / "a.png")
    (tmp_path / "a.pgw").write_text(WORLD.replace("-1.5", "-3"))
    (tmp_path / "a.prj").write_text(UTM.to_wkt())
    with pytest.raises(DataRejected, match=r"1\.5 x 3 m.*gdalwarp"):
        found(path)


def test_what_is_no_file_or_too_long_beside_a_raster_is_not_read(tmp_path):
    import os

    path = raster(tmp_path / "a.png")
    os.mkfifo(tmp_path / "a.pgw")  # would never end
    (tmp_path / "a.png.aux.xml").write_text(" " * (2**20 + 1))
    assert "a.pgw is not used" in found(path).said
    assert "a.png.aux.xml cannot be read" in found(path).said


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (WORLD, "the file itself"),
        (WORLD.replace("500000.75", "500100.75"), "the file itself; a.tfw tells another place and is not used"),
        (WORLD.replace("1.5", "3.0"), "the file itself; a.tfw tells another place and is not used"),
    ],
)
def test_a_file_and_its_neighbour_that_disagree_are_told(tmp_path, world, said):
    path = raster(tmp_path / "a.tif", crs=UTM, transform=PIXEL)
    (tmp_path / "a.tfw").write_text(world)
    placement = found(path)
    assert placement.said == said
    assert placement.gsd_m == pytest.approx(1.5, rel=1e-3)
    (tmp_path / "a.prj").write_text(ESRI)  # in a system of its own a world file cannot be compared
    assert found(path).said == "the file itself"
