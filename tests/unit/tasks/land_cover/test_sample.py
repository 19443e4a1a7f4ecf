"""The synthetic set: layout, labels that fit the pixels, determinism, and the shares it promises."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from pydantic import ValidationError
from scipy.ndimage import binary_erosion

from sightline.limits import Limits
from sightline.task import Manifest, Sample
from sightline.tasks.land_cover.bands import index_channels
from sightline.tasks.land_cover.data import load_manifest, read_mask
from sightline.tasks.land_cover.params import Params
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.synthetic.sample import write_sample
from sightline.tasks.land_cover.tile import read_tile
from tests.parameters import changed, params_of

SAMPLE = params_of("land_cover", Params).sample
SMALL = changed(SAMPLE, regions=4, scenes_per_region=2, width_m=130.0, height_m=120.0, seed=5)
REAL_SHARES = {
    **{"buildings": 0.033, "misc_structures": 0.0071, "roads": 0.0081, "tracks": 0.030, "trees": 0.102},
    **{"crops": 0.275, "waterways": 0.0050, "standing_water": 0.0017},
    **{"large_vehicles": 0.00004, "small_vehicles": 0.00015},
}
"""Means over the 25 labelled tiles of the competition."""


class Progress:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, str]] = []

    def advance(self, done: int, total: int, what: str) -> None:
        self.calls.append((done, total, what))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        raise AssertionError("a sample has no metrics")


def written(root: Path, **fields: Any) -> Path:
    write_sample(root, changed(SMALL, **fields), Progress())
    return root


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The default set."""
    root = tmp_path_factory.mktemp("land") / "sample"
    write_sample(root, SAMPLE, Progress())
    return load_manifest(root)


def views(manifest: Manifest, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """(bands, mask) of a sample."""
    bands = read_tile(manifest.path(sample), Limits()).bands
    return bands, read_mask(manifest, sample, (bands.shape[1], bands.shape[2]))


def test_layout_is_the_upstreams(tmp_path: Path) -> None:
    root = written(tmp_path / "sample", regions=1)
    names = ["sixteen_band/6010_0_0_M.tif", "sixteen_band/6010_0_1_M.tif"]
    assert sorted(digests(root)) == sorted([*names, "grid_sizes.csv", "train_wkt_v4.csv"])
    assert (root / "grid_sizes.csv").read_text().startswith(",Xmax,Ymin\n6010_0_0,0.00")
    assert (root / "train_wkt_v4.csv").read_text().startswith("ImageId,ClassType,MultipolygonWKT\n6010_0_0,1,")
    with tifffile.TiffFile(root / names[0]) as tiff:
        assert (tiff.pages[0].samplesperpixel, tiff.pages[0].dtype) == (8, np.uint16)
        assert tiff.pages[0].shape == (8, 97, 105)
        assert "DateTime" not in tiff.pages[0].tags


def test_every_sample_can_be_used(default: Manifest) -> None:
    assert len(default) == 20
    assert len({sample.group for sample in default.samples}) == 10
    assert {sample.stratum for sample in default.samples} == {"open", "settled", "waterway"}
    for sample in default.samples:
        assert sample.problem == ""
        assert sample.figures["overhang"] < 1e-6
        assert sample.figures["repaired"] == 0


def test_shares_are_near_the_real_ones(default: Manifest) -> None:
    for name, real in REAL_SHARES.items():
        shares = [sample.figures[f"share_{name}"] for sample in default.samples]
        assert 0.5 * real < np.mean(shares) < 2 * real, f"{name}: {np.mean(shares):.5f}, not {real}"


def test_every_class_is_in_two_regions_or_more(default: Manifest) -> None:
    """Else it could not be both trained on and tested."""
    for name in CLASSES:
        assert len({s.group for s in default.samples if s.figures[f"share_{name}"] > 0}) >= 2, name


def test_counts_are_those_of_the_satellite(default: Manifest) -> None:
    """Dark water, dark plants in red and bright ones in infrared, and the sensor is not saturated."""
    for sample in default.samples[:6]:
        counts = tifffile.imread(default.path(sample))
        assert counts.max() <= 2047
        assert (counts == 2047).mean() < 0.01
        assert 100 < counts[0].mean() < 500
        assert 250 < counts[6].mean() < 1300


def test_labels_fit_the_pixels(default: Manifest) -> None:
    """Inside each class the indices are what the surface has; 1 px off, narrow classes would lose it."""
    values: dict[str, list[tuple[float, float]]] = {}
    for sample in default.samples:
        bands, masks = views(default, sample)
        ndwi, ndvi = index_channels(bands)[:2]
        for name, mask in zip(CLASSES, masks, strict=True):
            covered = mask & ~masks[CLASSES.index("trees")] if name != "trees" else mask
            core = binary_erosion(covered) if name not in ("misc_structures", "small_vehicles") else covered
            if core.sum() >= 12:
                values.setdefault(name, []).append((float(np.median(ndwi[core])), float(np.median(ndvi[core]))))
    ndwi_of = {name: np.median([ndwi for ndwi, _ in pairs]) for name, pairs in values.items()}
    ndvi_of = {name: np.median([ndvi for _, ndvi in pairs]) for name, pairs in values.items()}
    dry = ("buildings", "roads", "tracks", "trees", "crops")
    assert min(ndwi_of["waterways"], ndwi_of["standing_water"]) > 0.1 + max(ndwi_of[name] for name in dry)
    assert min(ndvi_of["trees"], ndvi_of["crops"]) > 1.5 * max(ndvi_of[n] for n in ("buildings", "roads", "tracks"))


def test_a_shift_of_the_labels_would_show(default: Manifest) -> None:
    """Waterways are darkest in infrared where the labels say, not two pixels beside it."""
    checked = 0
    for sample in default.samples:
        bands, masks = views(default, sample)
        river = masks[CLASSES.index("waterways")] & ~masks[CLASSES.index("trees")]
        if river.sum() < 100:
            continue
        here = bands[7][river].mean()
        shifted = [bands[7][np.roll(river, step, axis)].mean() for axis in (0, 1) for step in (-2, 2)]
        assert here < min(shifted)
        checked += 1
    assert checked >= 4


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    progress = Progress()
    write_sample(tmp_path / "one", SMALL, progress)
    assert progress.calls == [(k, 8, f"scene {k}/8") for k in range(1, 9)]
    first = digests(tmp_path / "one")
    assert first == digests(written(tmp_path / "two"))
    other = digests(written(tmp_path / "other", seed=6))
    assert not {first[name] for name in first if "grid" not in name} & set(other.values())


def test_a_scene_does_not_depend_on_how_many_follow(tmp_path: Path) -> None:
    long, short = digests(written(tmp_path / "long")), digests(written(tmp_path / "short", scenes_per_region=1))
    tiles = [name for name in short if name.endswith("_M.tif")]
    assert len(tiles) == 4
    assert all(long[name] == short[name] for name in tiles)


def test_scenes_of_a_region_share_their_light(default: Manifest) -> None:
    """The level of open ground differs more between regions than within one."""
    levels: dict[str, list[float]] = {}
    for sample in default.samples:
        bands, masks = views(default, sample)
        levels.setdefault(sample.group, []).append(float(np.median(bands[0][~masks.any(axis=0)])))
    within = np.mean([abs(a - b) for a, b in levels.values()])
    between = np.std([np.mean(pair) for pair in levels.values()])
    assert between > 3 * within


def test_other_products_are_written_if_asked_for(tmp_path: Path) -> None:
    root = written(tmp_path / "sample", regions=1, scenes_per_region=1, products=("M", "A", "P", "three_band"))
    shapes = {path.relative_to(root).as_posix(): tifffile.imread(path).shape for path in root.rglob("*.tif")}
    assert shapes == {
        "sixteen_band/6010_0_0_M.tif": (8, 97, 105),
        "sixteen_band/6010_0_0_A.tif": (8, 16, 17),
        "sixteen_band/6010_0_0_P.tif": (388, 420),
        "three_band/6010_0_0.tif": (3, 388, 420),
    }
    alone = written(tmp_path / "alone", regions=1, scenes_per_region=1)
    name = "sixteen_band/6010_0_0_M.tif"
    assert digests(root)[name] == digests(alone)[name]


def test_p_is_shifted_against_m_by_one_or_two_pixels(tmp_path: Path) -> None:
    root = written(tmp_path / "sample", regions=1, scenes_per_region=1, products=("M", "P"))
    multi = tifffile.imread(root / "sixteen_band/6010_0_0_M.tif")[1:6].mean(axis=0)
    pan = tifffile.imread(root / "sixteen_band/6010_0_0_P.tif").astype(float)
    coarse = pan.reshape(multi.shape[0], 4, multi.shape[1], 4).mean(axis=(1, 3))
    offset, _ = cv2.phaseCorrelate(multi, coarse)
    assert 0.7 <= np.hypot(*offset) <= 2.3


def test_params_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="scenes"):
        changed(SAMPLE, scenes=3)
    with pytest.raises(ValidationError, match="gain"):
        changed(SAMPLE, sensor={"gain": [1, 2]})
    with pytest.raises(ValidationError, match="products"):
        changed(SAMPLE, products=["X"])
