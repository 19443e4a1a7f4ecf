"""Deliveries of a labelling tool: the same names week after week, corrections, one bad photograph among good ones."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.pipeline.deliveries import Merge, merge, plan_merge
from sightline.pipeline.inbox import finish_clearing, read_inbox
from sightline.pipeline.project import Project
from sightline.pipeline.sets import changing, load_given
from sightline.settings import Settings
from sightline.splits import read_splits
from sightline.task import Manifest
from sightline.tasks.panel_defects.data import read_labels
from tests.contract.subjects import tiny_params, tiny_task

WEEK = "_annotations.coco.json"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(Settings(root=tmp_path / "project"), tiny_params("panel_defects", 7), tiny_task("panel_defects"))


def deliver(folder: Path, week: int, kinds: Sequence[str] = ("bird-drop",) * 3, **change: Any) -> Path:
    """A week's export, its ids from 0 on: a photograph for each kind, with a square of it; `change` replaces an image's
    annotation by its number."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    categories = [{"id": n, "name": name} for n, name in enumerate(sorted(set(kinds)))]
    images, notes = [], []
    for number, kind in enumerate(kinds):
        rng = np.random.default_rng(100 * week + number)
        pixels = np.kron(rng.integers(60, 220, (8, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
        name = f"Photo-{week}-{number}.png"
        Image.fromarray(pixels).save(folder / "images" / name)
        images.append({"id": number, "file_name": name, "width": 64, "height": 64})
        category = next(c["id"] for c in categories if c["name"] == kind)
        note = {
            "id": number,
            "image_id": number,
            "category_id": category,
            "segmentation": [[8, 8, 40, 8, 40, 40, 8, 40]],
        }
        notes.append({**note, **change.get(f"photo_{number}", {})})
    document = {"categories": categories, "images": images, "annotations": notes}
    (folder / WEEK).write_text(json.dumps(document))
    return folder


def take(project: Project, folder: Path, correct: bool = False) -> Merge:
    with changing(project):
        given = load_given(project.task, folder)
        plan = plan_merge(project, given, "real", correct)
        if plan.fresh:
            merge(project, given, plan, "real")
    return plan


def listed(project: Project) -> Manifest:
    manifest = project.task.load(project.data / "real")
    assert [sample.problem for sample in manifest.samples] == [""] * len(manifest)
    return manifest


def classes(project: Project) -> dict[str, int]:
    manifest = listed(project)
    return {sample.id: int(read_labels(manifest, sample).max()) for sample in manifest.samples}


def test_a_second_export_under_the_same_name_joins_the_first(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "week1", 1))
    places, before = read_splits(project.data / "splits.csv"), (project.data / "real" / WEEK).read_bytes()
    take(project, deliver(tmp_path / "week2", 2, ("dusty",) * 3))
    assert classes(project) == {f"Photo-{w}-{n}": w for w in (1, 2) for n in range(3)}
    assert (project.data / "real" / WEEK).read_bytes() == before, "nothing is overwritten"
    after = read_splits(project.data / "splits.csv")
    assert {key: after[key] for key in places} == places


def test_the_same_delivery_again_changes_nothing(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "week1", 1))
    take(project, deliver(tmp_path / "week2", 2))
    names = sorted(path.name for path in project.data.rglob("*"))
    for week in ("week1", "week2"):
        plan = take(project, tmp_path / week)
        assert (len(plan.fresh), len(plan.known), plan.clashes) == (0, 3, {})
    assert sorted(path.name for path in project.data.rglob("*")) == names


def test_an_export_of_all_weeks_adds_what_is_new(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "first", 1))
    deliver(tmp_path / "all", 1, ("bird-drop",) * 5)
    plan = take(project, tmp_path / "all")
    assert (len(plan.fresh), len(plan.known)) == (2, 3)
    assert len(listed(project)) == 5


def test_other_labels_of_a_photograph_are_named_and_do_not_count(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "week1", 1))
    plan = take(project, deliver(tmp_path / "again", 1, ("dusty", "bird-drop", "bird-drop")))
    assert list(plan.clashes) == ["again/Photo-1-0"]
    assert "--correct" in plan.clashes["again/Photo-1-0"]
    assert set(classes(project).values()) == {1}


def test_a_correction_replaces_the_labels_and_nothing_else(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "week1", 1))
    take(project, deliver(tmp_path / "week2", 2))
    places = read_splits(project.data / "splits.csv")
    held = {path: path.read_bytes() for path in (tmp_path / "week1").rglob("*") if path.is_file()}
    plan = take(project, deliver(tmp_path / "again", 1, ("dusty", "bird-drop", "bird-drop")), correct=True)
    assert [sample.id for sample in plan.outdated] == ["Photo-1-0"]
    assert classes(project) == {f"Photo-{w}-{n}": 2 if (w, n) == (1, 0) else 1 for w in (1, 2) for n in range(3)}
    assert read_splits(project.data / "splits.csv") == places
    assert all(path.read_bytes() == content for path, content in held.items())
    assert take(project, tmp_path / "again", correct=True).fresh == ()


def test_one_bad_photograph_keeps_no_other_out(project: Project, tmp_path: Path) -> None:
    box = {"segmentation": [], "bbox": [8, 8, 32, 32]}
    folder = deliver(tmp_path / "mine", 1, photo_1=box)
    (folder / "images" / "Photo-1-9.png").write_bytes(b"no picture")
    take(project, folder)
    assert list(classes(project)) == ["Photo-1-0", "Photo-1-2"]


def test_the_inbox_keeps_what_is_bad_and_what_its_document_says_of_it(project: Project, tmp_path: Path) -> None:
    take(project, deliver(tmp_path / "week1", 1))
    inbox = project.settings.inbox / "panel_defects"
    deliver(inbox, 2, photo_1={"segmentation": [], "bbox": [8, 8, 32, 32]})
    box = read_inbox(project, "real", 0)
    assert [sample.id for sample in box.plan.fresh] == ["Photo-2-0", "Photo-2-2"]
    assert "only a box" in box.refused["images/Photo-2-1.png"]
    with changing(project):
        merge(project, box.given, box.plan, "real")
    box.clear()
    assert sorted(path.name for path in inbox.rglob("*.*")) == ["Photo-2-1.png", WEEK]
    document = json.loads((inbox / WEEK).read_text())
    assert [image["file_name"] for image in document["images"]] == ["Photo-2-1.png"]
    assert len(listed(project)) == 5
    deliver(inbox, 2)
    box = read_inbox(project, "real", 0)
    assert [sample.id for sample in box.plan.fresh] == ["Photo-2-1"], "once it has an outline"
    assert len(box.plan.known) == 2


def test_photographs_without_labels_in_the_inbox_are_named(project: Project) -> None:
    inbox = project.settings.inbox / "panel_defects"
    deliver(inbox, 1)
    (inbox / "more").mkdir()
    shutil.copy(inbox / "images" / "Photo-1-0.png", inbox / "more" / "new.png")
    assert read_inbox(project, "real", 0).refused == {
        "more/new.png": "it has no labels. Put the labels beside it, or remove it."
    }


def test_one_photograph_with_two_labels_in_one_delivery_is_named(project: Project, tmp_path: Path) -> None:
    for folder, kind in (("a", "dusty"), ("b", "bird-drop")):
        deliver(tmp_path / "mine" / folder, 1, (kind,) * 2)
    plan = take(project, tmp_path / "mine")
    assert plan.fresh == ()
    assert len(plan.clashes) == 4
    assert all("occurs twice" in why for why in plan.clashes.values())


class Killed(BaseException):
    """The process is gone: nothing of it may act any more."""


class Countdown:
    """Stops the process, as far as it can tell, before its n-th change of a file below a folder."""

    def __init__(self) -> None:
        self.folder, self.steps = "", 0
        sys.addaudithook(self)  # stays for good, so it must cost nothing

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.steps or event not in ("os.remove", "os.rename", "os.rmdir", "open"):
            return
        changes = event != "open" or "w" in str(arguments[1])
        if changes and str(arguments[0]).startswith(self.folder):
            self.steps -= 1
            if self.steps == 0:
                raise Killed


@pytest.fixture(scope="module")
def countdown() -> Countdown:
    return Countdown()


def intake(project: Project, before_clearing: Callable[[], None] = lambda: None) -> Merge:
    with changing(project):
        finish_clearing(project)
        box = read_inbox(project, "real", 0)
        if box.plan.fresh:
            merge(project, box.given, box.plan, "real")
        before_clearing()
        if box.ready:
            box.clear()
    return box.plan


@pytest.mark.parametrize("steps", range(1, 9))
def test_a_clearing_that_is_killed_goes_on(project: Project, countdown: Countdown, steps: int) -> None:
    inbox = deliver(project.settings.inbox / "panel_defects", 1, photo_1={"category_id": 99})
    countdown.folder = str(project.settings.root)

    def arm() -> None:
        countdown.steps = steps

    try:
        with pytest.raises(Killed):
            intake(project, arm)
    finally:
        countdown.steps = 0
    plan = intake(project)
    assert plan.fresh == (), "nothing is taken twice"
    assert sorted(classes(project)) == ["Photo-1-0", "Photo-1-2"]
    left = sorted(path.relative_to(inbox).as_posix() for path in inbox.rglob("*") if path.is_file())
    assert left == [WEEK, "images/Photo-1-1.png"]
    assert [image["file_name"] for image in json.loads((inbox / WEEK).read_text())["images"]] == ["Photo-1-1.png"]
    box = read_inbox(project, "real", 0)
    assert (box.ready, list(box.refused)) == ((), ["images/Photo-1-1.png"])


def test_what_is_put_in_the_place_of_a_taken_file_is_not_cleared(project: Project, countdown: Countdown) -> None:
    inbox = deliver(project.settings.inbox / "panel_defects", 1)
    countdown.folder = str(inbox)

    def arm() -> None:
        countdown.steps = 2

    with pytest.raises(Killed):
        intake(project, arm)
    shutil.rmtree(inbox)
    deliver(inbox, 2)
    plan = intake(project)
    assert len(plan.fresh) == 3
    assert not inbox.exists() or not any(inbox.iterdir())
    assert len(classes(project)) == 6
