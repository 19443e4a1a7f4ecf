"""One raster read as its file says: the same at any size, by its tags, with its masks, at its place."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.enums import ColorInterp

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images.orientation import as_stored
from tests.unit.tasks.ships.networks import SHIPS, blob_model, network_model, png, scene, sea

SMALL = Limits(pixels=10_000)
"""Of what is decoded at once, so that the scenes of these tests are beyond it."""
MODELS = [network_model, blob_model]
PLAIN = Affine(3, 0, 500_000, 0, -3, 5_500_000)
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def geotiff(path, bands, kinds=(), mask=None, scales=None, names=(), **options):
    """(bands, h, w) with tags of these kinds."""
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": bands.dtype}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=mask is not None and mask[1]):
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile, **options) as file:
            if kinds:
                file.colorinterp = kinds
            file.write(bands)
            for band, name in enumerate(names, start=1):
                file.set_band_description(band, name)
            if scales:
                file.scales, file.offsets = ([one] * count for one in scales)
            if mask is not None:
                file.write_mask(mask[0])
    return path


def planes(pixels):
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def answers(model, path, names=True):
    """Of a file at any size, and of its bytes."""
    for source, limits in ((path, Limits()), (path, SMALL), (path.read_bytes(), Limits())):
        yield model.predict([model.read(source, limits)])[0].document


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("kind", [ColorInterp.undefined, ColorInterp.gray, None])
def test_near_infrared_is_no_opacity(tmp_path, make, kind):
    """Water is black in near infrared: taken for opacity, it would hide most ships."""
    pixels, boxes = scene()
    infrared = np.where(pixels[..., :1] > 100, 180, 0).astype(np.uint8)
    infrared[150:] = 0
    bands = planes(np.concatenate([pixels, infrared], axis=2))
    path = geotiff(
        tmp_path / "nir.tif", bands, (*RGB, kind) if kind else (), photometric="rgb" if kind else "minisblack"
    )
    for answer in answers(make(), path):
        assert answer["count"] == len(boxes)


@pytest.mark.parametrize("make", MODELS)
def test_a_band_is_opacity_where_it_is_tagged_so(tmp_path, make):
    pixels, _ = scene()
    opacity = np.full((1, 300, 400), 255, np.uint8)
    opacity[:, :, 200:] = 0
    path = geotiff(tmp_path / "a.tif", np.concatenate([planes(pixels), opacity]), (*RGB, ColorInterp.alpha))
    for answer in answers(make(), path):
        assert sorted(round(one["center"][0], -1) for one in answer["ships"]) == [80, 180]


def hidden_scene(tmp_path, how):
    """A bright sea without ships; its right half, hidden, would be full of them."""
    pixels = sea(300, 400) + np.uint8(60)
    shown = np.ones((300, 400), dtype=bool)
    shown[:, 150:] = False
    at = np.random.default_rng(1).integers((20, 170), (280, 390), (12, 2))
    for y, x in at:
        pixels[y - 4 : y + 4, x - 20 : x + 20] = 220
    if how == "opacity":
        opacity = np.where(shown, 255, 0).astype(np.uint8)
        return geotiff(tmp_path / "a.tif", np.concatenate([planes(pixels), opacity[None]]), (*RGB, ColorInterp.alpha))
    if how == "no data":
        pixels[~shown] = 255
        return geotiff(tmp_path / "a.tif", planes(pixels), nodata=255)
    if how == "png":
        opacity = np.where(shown, 255, 0).astype(np.uint8)
        Image.fromarray(np.dstack([pixels, opacity])).save(tmp_path / "a.png")
        return tmp_path / "a.png"
    mask = np.where(shown, 255, 0).astype(np.uint8)
    path = geotiff(tmp_path / "a.tif", planes(pixels), mask=(mask, how == "inner mask"))
    assert (tmp_path / "a.tif.msk").exists() == (how == "mask file beside it")
    return path


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("how", ["opacity", "no data", "inner mask", "mask file beside it", "png"])
def test_nothing_is_found_where_nothing_is_shown(tmp_path, make, how):
    path, model = hidden_scene(tmp_path, how), make()
    for limits in (Limits(), SMALL):
        if how == "png" and limits is SMALL:
            continue
        assert model.predict([model.read(path, limits)])[0].document["ships"] == []


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("fill", [0, 255])
def test_what_is_hidden_is_no_water(tmp_path, make, fill):
    """A ship beside an edge, and most around it without data: as long as with the whole sea around it."""
    pixels, _ = scene(ships=((90.0, 150.0, 0.0),))
    whole = make().predict([make().read(geotiff(tmp_path / "whole.tif", planes(pixels)), Limits())])[0].document
    pixels[:, 125:] = fill
    pixels[:130], pixels[170:] = fill, fill
    path = geotiff(tmp_path / "part.tif", planes(pixels), nodata=fill)
    for answer in answers(make(), path):
        (ship,) = answer["ships"]
        assert ship["length_m"] == pytest.approx(whole["ships"][0]["length_m"], abs=9)
        assert ship["center"] == pytest.approx(whole["ships"][0]["center"], abs=4)


def test_colours_are_found_by_their_names(tmp_path):
    """Four bands from blue to near infrared, as many satellites deliver them."""
    pixels, boxes = scene()
    pixels[..., 2] = 20  # ships are bright in red and green alone
    bands = np.stack([pixels[..., 2], pixels[..., 1], pixels[..., 0], np.zeros((300, 400), np.uint8)])
    tagged = geotiff(tmp_path / "a.tif", bands, photometric="minisblack", names=("blue", "green", "red", "nir"))
    model = network_model()
    for limits in (Limits(), SMALL):
        with model.read(tagged, limits).opened() as opened:
            np.testing.assert_array_equal(opened.read(0, 0, 300, 400), pixels)
    assert boxes


@pytest.mark.parametrize(
    ("kind", "scale", "offset"),
    [("uint16", 0.01, 0.0), ("int16", 0.02, -40.0), ("float32", 0.5, 0.0), ("uint8", 1 / 255, 0.0)],
)
def test_scale_and_offset_are_applied(tmp_path, kind, scale, offset):
    pixels, boxes = scene()
    levels = pixels / 255 if kind == "uint8" else pixels
    stored = np.round((planes(levels) - offset) / scale).astype(kind)
    path = geotiff(tmp_path / "a.tif", stored, scales=(scale, offset))
    for answer in answers(network_model(), path):
        assert answer["count"] == len(boxes)
    with network_model().read(path, SMALL).opened() as opened:
        assert np.abs(opened.read(0, 0, 300, 400).astype(int) - pixels).max() <= 1


def test_reflectances_are_refused_and_not_stretched_by_guess(tmp_path):
    counts = (planes(scene()[0]).astype(np.uint16) * 20) + np.uint16(1000)
    path = geotiff(tmp_path / "a.tif", counts, scales=(1e-4, -0.1))
    for source, limits in ((path, Limits()), (path, SMALL), (path.read_bytes(), Limits())):
        with pytest.raises(DataRejected, match=r"values of .* to .*, not grey levels.*-scale"):
            network_model().read(source, limits)


@pytest.mark.parametrize("make", MODELS)
def test_jpeg_in_tiff_is_read_at_any_size(tmp_path, make):
    pixels, boxes = scene()
    tiled = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    path = geotiff(tmp_path / "a.tif", planes(pixels), compress="jpeg", photometric="ycbcr", JPEG_QUALITY=95, **tiled)
    found = list(answers(make(), path))
    assert [one["count"] for one in found] == [len(boxes)] * 3
    assert found[0]["ships"] == found[1]["ships"] == found[2]["ships"]


def test_a_raster_says_who_told_its_pixels(tmp_path):
    model, pixels = network_model(), scene()[0]
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assumed = model.predict([model.read(tmp_path / "a.png", Limits())])[0]
    assert (assumed.document["gsd_m"], assumed.document["gsd_from"], assumed.document["georeference"]) == (
        3.0,
        "assumed",
        "none",
    )
    assert "3 m a pixel assumed" in assumed.found
    given = model.predict([model.under(model.read(tmp_path / "a.png", Limits()), {"gsd_m": 1.5})])[0]
    assert (given.document["gsd_from"], "assumed" in given.found) == ("user", False)
    (tmp_path / "a.pgw").write_text("4\n0\n0\n-4\n500000\n5500000\n")
    alone = model.predict([model.read(tmp_path / "a.png", Limits())])[0].document
    assert alone["gsd_from"] == "assumed"
    assert "a.pgw is not used" in alone["georeference"]
    (tmp_path / "a.prj").write_text(CRS.from_epsg(32633).to_wkt())
    placed = model.predict([model.read(tmp_path / "a.png", Limits())])[0]
    assert placed.document["gsd_from"] == "file"
    assert placed.document["georeference"] == "a.prj and a.pgw"
    longest = max(ship["length_m"] for ship in placed.document["ships"])
    assert longest == pytest.approx(240, abs=12)  # 60 px of 4 m, not 180 m
    (feature, *_) = placed.exports["geojson"]["features"]
    assert np.array(feature["geometry"]["coordinates"][0])[:, 0] == pytest.approx(15.0, abs=0.02)
    assert set(assumed.exports) == {"pixels.json"}


def test_features_in_pixels_name_a_system_of_their_own():
    """GDAL heeds it: without it, it takes pixels for degrees."""
    model = network_model()
    said = model.predict([model.read(png(scene()[0]), Limits())])[0].exports["pixels.json"]
    system = CRS.from_wkt(said["crs"]["properties"]["name"])
    assert not system.is_geographic
    assert not system.is_projected
    assert len(said["features"]) == len(SHIPS)


def test_a_photograph_stored_turned_is_not_placed(tmp_path):
    pixels, _ = scene()
    exif = Image.Exif()
    exif[274] = 6  # shown a quarter turn clockwise
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(pixels))).save(file, "PNG", exif=exif)
    (tmp_path / "a.png").write_bytes(file.getvalue())
    (tmp_path / "a.pgw").write_text("1.5\n0\n0\n-1.5\n500000\n5500000\n")
    (tmp_path / "a.prj").write_text(CRS.from_epsg(32633).to_wkt())
    raster = network_model().read(tmp_path / "a.png", Limits())
    assert raster.size == raster.pixels.shape[:2]
    assert raster.gsd_from == "assumed"
    assert "is not used: the picture is stored rotated" in raster.placement.said


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_tiff_stored_turned_is_answered_upright_at_any_size(tmp_path, orientation):

    pixels = scene()[0]
    stored = np.ascontiguousarray(as_stored(pixels, orientation))
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extratags=tags, tile=(64, 64))
    for source, limits in (
        ((tmp_path / "a.tif"), Limits()),
        ((tmp_path / "a.tif"), SMALL),
        ((tmp_path / "a.tif").read_bytes(), Limits()),
    ):
        raster = network_model().read(source, limits)
        assert raster.size == (300, 400)
        with raster.opened() as opened:
            np.testing.assert_array_equal(opened.read(10, 20, 50, 70), pixels[10:60, 20:90])
