"""What a raster costs at the network's scale is bounded before it is decoded, whoever says how large its pixels are."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio import Affine

from sightline.errors import DataRejected, RequestError, SightlineError
from sightline.limits import Limits
from tests.unit.tasks.ships.networks import blob_model, network_model, png, scene, sea

MODELS = [network_model, blob_model]


def geotiff(path, pixels, pixel, crs="EPSG:32633", at=(400_000, 5_500_000)):
    height, width, count = pixels.shape
    profile = {"count": count, "height": height, "width": width, "dtype": pixels.dtype, "crs": crs}
    transform = Affine(pixel, 0, at[0], 0, -pixel, at[1])
    with rasterio.open(path, "w", driver="GTiff", transform=transform, compress="deflate", **profile) as file:
        file.write(np.moveaxis(pixels, -1, 0))
    return path


def flat_png(side):
    file = io.BytesIO()
    Image.new("RGB", (side, side), (30, 50, 55)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    ("crs", "pixel", "at", "named"),
    [
        ("EPSG:32633", 300.0, (400_000, 5_500_000), "300 m"),
        (
            "EPSG:32633",
            100_000.0,
            (400_000, 5_500_000),
            " m is not a possible pixel size|pixels cover|outside the area of the reference",
        ),
        ("EPSG:32633", 1e-9, (400_000, 5_500_000), "not a possible pixel size of such an image|no size|pixels cover"),
        ("EPSG:4326", 0.01, (15.0, 0.2), r"1110 m"),
        ("EPSG:2263", 3_000.0, (980_000, 200_000), "91. m"),
    ],
)
def test_pixels_that_show_no_ship_are_refused_before_anything_is_enlarged(tmp_path, make, crs, pixel, at, named):
    path = geotiff(tmp_path / "coarse.tif", sea(64, 64), pixel, crs, at)
    for source in (path, path.read_bytes()):
        with pytest.raises(DataRejected, match=named):
            make().read(source, Limits())
        with pytest.raises(DataRejected, match=named):
            make().weigh(source, Limits(), {})


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("gsd_m", [31.0, 1e5, 1e-9, 0.0, -3.0, math.nan, math.inf])
def test_the_user_cannot_tell_such_a_pixel_either(make, gsd_m):
    with pytest.raises(
        RequestError,
        match=r"gsd_m: .* is not a possible pixel size of such an image\. Give 0\.1 to 30 metres a pixel\.",
    ):
        make().under(make().read(png(sea(64, 64)), Limits()), {"gsd_m": gsd_m})
    with pytest.raises(
        RequestError,
        match=r"gsd_m: .* is not a possible pixel size of such an image\. Give 0\.1 to 30 metres a pixel\.",
    ):
        make().weigh(png(sea(64, 64)), Limits(), {"gsd_m": gsd_m})


@pytest.mark.parametrize("make", MODELS)
def test_a_small_file_that_becomes_large_is_refused_whoever_says_so(tmp_path, make):
    """Some kilobytes of one colour, enlarged a hundredfold."""
    model, data = make(), flat_png(2000)
    assert len(data) < 20_000
    with pytest.raises(DataRejected, match=r"20,000 x 20,000 pixels; at most 268,435,456 .* SIGHTLINE_MAX_WORK_PIXELS"):
        model.under(model.read(data, Limits()), {"gsd_m": 30.0})
    with pytest.raises(DataRejected, match="20,000 x 20,000"):
        model.weigh(data, Limits(), {"gsd_m": 30.0})
    path = geotiff(tmp_path / "coarse.tif", np.full((2000, 2000, 3), 40, np.uint8), 30.0)
    with pytest.raises(DataRejected, match="pixels; at most 268,435,456"):
        model.read(path.read_bytes(), Limits())
    assert model.read(path, Limits()).gsd_m == pytest.approx(30, rel=0.01)  # on one's own machine one may wait
    with pytest.raises(DataRejected, match="are allowed"):
        model.read(path, Limits(work_pixels=2**20))


@pytest.mark.parametrize("make", MODELS)
def test_the_bound_holds_before_decoding(make):
    """The pixels cannot be decoded: only the head can have been looked at."""
    whole = png(sea(400, 400))
    damaged = whole[:1000] + b"\xff" * 2000 + whole[3000:]
    with pytest.raises(DataRejected, match="broken"):
        make().read(damaged, Limits())
    with pytest.raises(DataRejected, match="are allowed"):
        make().read(damaged, Limits(work_pixels=100_000))


def test_the_cost_is_known_from_the_head(tmp_path):
    model, pixels = network_model(), scene()[0]
    native, enlarged = (model.weigh(png(pixels), Limits(), conditions).seen_px for conditions in ({}, {"gsd_m": 6.0}))
    assert 300 * 400 <= native < 4 * 300 * 400 <= enlarged  # with the overlaps of tiles
    path = geotiff(tmp_path / "scene.tif", pixels, 6.0)
    for source in (path, path.read_bytes()):
        cost = model.weigh(source, Limits(), {"gsd_m": 3.0})  # the file knows better
        assert cost.seen_px == enlarged
        assert cost.decoded_px == 300 * 400
        assert 300 * 400 * 6 <= cost.held_bytes < 10**8
    assert model.weigh(path, Limits(pixels=1000), {}).held_bytes > 10**8  # left on disk, whatever its size


@pytest.mark.parametrize("make", MODELS)
def test_a_long_survey_can_be_ended_on_the_way(make):
    model = make()
    source = model.under(model.read(png(scene(300, 400)[0]), Limits()), {"gsd_m": 10.0})
    heard = []

    def on_progress(done, total):
        heard.append((done, total))
        raise SightlineError("enough")

    with pytest.raises(SightlineError, match="enough"):
        model.survey(source, on_progress)
    ((done, total),) = heard
    assert done == 1
    assert total > 3
