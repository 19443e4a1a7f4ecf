"""The synthetic set: layout, labels that fit the pixels, determinism, and the shares it promises."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError
from scipy.ndimage import binary_erosion

from sightline.geometry import clip_polygon, polygon_area
from sightline.limits import Limits
from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.synthetic.sample import write_sample
from sightline.tasks.pv_hotspots.thermogram import Thermogram, read_thermogram
from tests.parameters import changed, params_of


class Progress:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int, str]] = []

    def advance(self, done: int, total: int, what: str) -> None:
        self.calls.append((done, total, what))

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        raise AssertionError("a sample has no metrics")


SAMPLE = changed(params_of("pv_hotspots", Params).sample, defect_boost=1.0)
SMALL = changed(
    SAMPLE,
    camera={"width_px": 320, "height_px": 256, "focal_px": 264.5},
    site={"tables_across": 2, "tables_along": 3},
)
WIDTH, HEIGHT = 320, 256


def written(root: Path, **fields: Any) -> Path:
    """A set of quarter-size frames of small sites."""
    write_sample(root, changed(SMALL, **fields), Progress())
    return root


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def instances(root: Path, stem: str) -> list[dict[str, Any]]:
    document = json.loads((root / "dataset_1" / "annotations" / f"{stem}.json").read_text())
    return list(document["instances"])


def quad(instance: dict[str, Any]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([[corner["x"], corner["y"]] for corner in instance["corners"]])


def inside(polygon: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Pixels 2 px or more inside a polygon."""
    mask = Image.new("1", shape[::-1])
    ImageDraw.Draw(mask).polygon([tuple(corner) for corner in polygon], fill=1)
    return np.asarray(binary_erosion(np.asarray(mask), np.ones((5, 5)), border_value=1))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two flights of two frames, with many faults."""
    return written(tmp_path_factory.mktemp("sample"), flights=2, frames_per_flight=2, defect_boost=6.0, seed=5)


STEMS = ["20190105_101500", "20190105_101506", "20190105_102500", "20190105_102506"]


def frame(root: Path, stem: str) -> Thermogram:
    return read_thermogram(root / "dataset_1" / "images" / f"{stem}.jpg", Limits())


def test_layout_is_the_upstreams(sample: Path) -> None:
    images = [f"dataset_1/images/{stem}.jpg" for stem in STEMS]
    labels = [f"dataset_1/annotations/{stem}.json" for stem in STEMS]
    assert sorted(digests(sample)) == sorted(images + labels)
    for instance in instances(sample, STEMS[0]):
        assert set(instance) == {"corners", "center", "defected_module"}
        assert len(instance["corners"]) == 4
        assert quad(instance).mean(axis=0) == pytest.approx([instance["center"]["x"], instance["center"]["y"]])


def test_frames_are_like_the_real_ones(tmp_path: Path) -> None:
    write_sample(tmp_path, changed(SAMPLE, flights=1, frames_per_flight=1), Progress())
    thermogram = frame(tmp_path, STEMS[0])
    assert thermogram.radiometric
    assert thermogram.palette == "iron"
    assert thermogram.level.shape == (512, 640)
    assert 7500 < thermogram.statistics["level_median"] < 9200
    assert 200 < thermogram.statistics["level_spread"] < 600
    assert 35 <= len(instances(tmp_path, STEMS[0])) <= 110


def test_the_same_seed_gives_the_same_bits(sample: Path, tmp_path: Path) -> None:
    progress = Progress()
    fields = {"flights": 2, "frames_per_flight": 2, "defect_boost": 6.0, "seed": 5}
    write_sample(tmp_path / "again", changed(SMALL, **fields), progress)
    first = digests(sample)
    assert first == digests(tmp_path / "again")
    assert progress.calls == [(k, 4, f"frame {k}/4") for k in (1, 2, 3, 4)]
    other = digests(written(tmp_path / "other", flights=1, frames_per_flight=1, seed=8))
    assert not set(first.values()) & set(other.values())


def test_a_frame_does_not_depend_on_how_many_follow(sample: Path, tmp_path: Path) -> None:
    short = digests(written(tmp_path, flights=2, frames_per_flight=1, defect_boost=6.0, seed=5))
    whole = digests(sample)
    assert all(whole[name] == digest for name, digest in short.items())


def test_labels_fit_the_pixels(sample: Path) -> None:
    """Inside a quadrangle is a module: warmer than what surrounds it, and even."""
    for stem in STEMS[::2]:
        level = frame(sample, stem).level
        cores = [inside(quad(i), level.shape) for i in instances(sample, stem) if not i["defected_module"]]
        medians = np.array([np.median(level[core]) for core in cores if core.sum() > 60])
        spreads = np.array([level[core].std() for core in cores if core.sum() > 60])
        ground = ~np.any([inside(quad(i), level.shape) for i in instances(sample, stem)], axis=0)
        assert medians.min() > np.median(level[ground]) + 50
        assert np.median(spreads) < 40


def test_faults_show_and_healthy_modules_do_not(sample: Path) -> None:
    rises: dict[bool, list[float]] = {False: [], True: []}
    for stem in STEMS:
        level = frame(sample, stem).level
        for instance in instances(sample, stem):
            core = inside(quad(instance), level.shape)
            if core.sum() >= 60:
                rises[instance["defected_module"]].append(float(np.ptp(level[core])))
    assert len(rises[True]) > 10
    assert np.median(rises[True]) > 2.5 * np.median(rises[False])


def test_flights_overlap_and_show_the_same_faults(sample: Path) -> None:
    """Frames of one flight have more modules in common places than frames of two flights; all labels are visible."""
    for stem in STEMS:
        for instance in instances(sample, stem):
            corners = quad(instance)
            assert polygon_area(clip_polygon(corners, WIDTH, HEIGHT)) >= 0.1 * polygon_area(corners)
    sizes = [np.median([polygon_area(quad(i)) for i in instances(sample, stem)]) for stem in STEMS]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.15)
    assert sizes[2] == pytest.approx(sizes[3], rel=0.15)


def test_shares_are_those_asked_for(tmp_path: Path) -> None:
    none = written(tmp_path / "none", flights=1, frames_per_flight=1, defective_share=0.0)
    assert not any(i["defected_module"] for i in instances(none, STEMS[0]))
    every = written(tmp_path / "all", flights=1, frames_per_flight=1, defective_share=1.0, affected_share=1.0)
    assert all(i["defected_module"] for i in instances(every, STEMS[0]))


def test_params_refuse_what_they_do_not_know() -> None:
    with pytest.raises(ValidationError, match="flight"):
        changed(SAMPLE, flight=3)
    with pytest.raises(ValidationError, match="netd"):
        changed(SAMPLE, camera={"netd": 1})
