"""Coordinates of chips go into a set with them: without, chips of one place could land on both sides of a split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sightline.pipeline.deliveries import Merge, merge, plan_merge
from sightline.pipeline.inbox import read_inbox
from sightline.pipeline.project import Project
from sightline.pipeline.sets import changing, load_given
from sightline.settings import Settings
from sightline.task import Sample
from tests.contract.subjects import tiny_params, tiny_task

SIDE = 64
HERE, ELSEWHERE, FAR = [-120.0, 36.0], [-90.0, 40.0], [10.0, 50.0]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(Settings(root=tmp_path / "project"), tiny_params("solar_farms", 7), tiny_task("solar_farms"))


def deliver(folder: Path, name: str, points: Sequence[list[float] | None], seed: int, share: int = 0) -> Path:
    """Chips of empty land, which nothing but their coordinates links; `share` pixels are said to be a farm."""
    for inner in ("input", "label", "data_coordinates"):
        (folder / inner).mkdir(parents=True, exist_ok=True)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[0, :share] = 1
    for number in range(len(points)):
        bands = np.random.default_rng([seed, number]).integers(200, 4000, (SIDE, SIDE, 13)).astype(np.float32)
        tifffile.imwrite(folder / "input" / f"{name}_{number:05d}.tif", bands, compression="lzw")
        Image.fromarray(mask).save(folder / "label" / f"{name}_{number:05d}.png")
    (folder / "data_coordinates" / f"{name}.json").write_text(json.dumps(points))
    return folder


def take(project: Project, folder: Path, correct: bool = False) -> Merge:
    with changing(project):
        given = load_given(project.task, folder)
        plan = plan_merge(project, given, "real", correct)
        merge(project, given, plan, "real")
    return plan


def groups(project: Project) -> list[list[str]]:
    """The samples of the set by their groups, of groups that have several."""
    found: dict[str, list[str]] = {}
    for sample in samples(project):
        found.setdefault(sample.group, []).append(sample.id)
    return sorted(sorted(ids) for ids in found.values() if len(ids) > 1)


def samples(project: Project) -> tuple[Sample, ...]:
    listed = project.task.load(project.data / "real").samples
    assert [sample.problem for sample in listed] == [""] * len(listed)
    return listed


def test_chips_of_two_deliveries_are_linked_by_their_coordinates(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "first", "2022_us", [HERE, ELSEWHERE], seed=1))
    take(project, deliver(tmp_path / "second", "2023_us", [FAR, HERE], seed=2))
    assert groups(project) == [["2022_us_00000", "2023_us_00001"]]


def test_a_second_list_of_the_same_name_joins_the_first(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "first", "us", [HERE, ELSEWHERE], seed=1))
    later = deliver(tmp_path / "later", "us", [None, None, FAR, HERE], seed=2)
    for number in range(2):
        (later / "input" / f"us_{number:05d}.tif").unlink()
        (later / "label" / f"us_{number:05d}.png").unlink()
    take(project, later)
    assert groups(project) == [["us_00000", "us_00003"]]


def test_a_correction_that_brings_no_coordinates_keeps_them(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "first", "us", [HERE, ELSEWHERE, HERE], seed=1))
    mended = deliver(tmp_path / "mended", "us", [HERE], seed=1, share=9)
    (mended / "data_coordinates" / "us.json").unlink()
    plan = take(project, mended, correct=True)
    assert len(plan.outdated) == len(plan.fresh) == 1
    assert groups(project) == [["us_00000", "us_00002"]]


def test_a_chip_that_stays_in_the_inbox_keeps_its_place(project: Project) -> None:
    inbox = deliver(project.settings.inbox / "solar_farms", "us", [ELSEWHERE, HERE, HERE], seed=1)
    image = inbox / "input" / "us_00002.tif"
    content = image.read_bytes()
    image.write_bytes(b"broken")
    for mend in (False, True):
        if mend:
            image.write_bytes(content)
        box = read_inbox(project, "real", 0)
        with changing(project):
            merge(project, box.given, box.plan, "real")
        box.clear()
    assert [path for path in inbox.rglob("*") if path.is_file()] == []
    assert groups(project) == [["us_00001", "us_00002"]]


def test_chips_of_unknown_place_go_in_with_the_others(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "first", "us", [None, HERE, None, HERE], seed=1))
    take(project, deliver(tmp_path / "none", "eu", [None, None], seed=2))
    take(project, deliver(tmp_path / "again", "af", [HERE, None], seed=3))
    assert groups(project) == [["af_00000", "us_00001", "us_00003"]]
    assert len(samples(project)) == 8


def test_a_wrong_entry_keeps_its_own_chip_out_alone(project: Project, tmp_path: Path) -> None:
    given = deliver(tmp_path / "given", "us", [HERE, [200.0, 0.0], HERE], seed=1)
    take(project, given)
    assert groups(project) == [["us_00000", "us_00002"]]
    assert len(samples(project)) == 2
