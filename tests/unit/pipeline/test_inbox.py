"""The inbox: what is taken, what waits, what is refused and why."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sightline.limits import USUAL, Limits
from sightline.pipeline.inbox import REFUSED, list_refused, read_inbox
from sightline.pipeline.project import Project
from sightline.task import Manifest, Sample
from tests.toy import ToyTask, toy_project, write_set


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return toy_project(tmp_path, "real")


@pytest.fixture
def inbox(project: Project) -> Path:
    folder = project.settings.inbox / "toy"
    write_set(folder, groups=2, frames=2, seed=9)
    return folder


def ids(samples: Sequence[Sample]) -> list[str]:
    return sorted(sample.id for sample in samples)


def test_without_an_inbox_there_is_nothing(project: Project) -> None:
    assert read_inbox(project, "real", 0).is_empty
    (project.settings.inbox / "toy" / "empty" / "folders").mkdir(parents=True)
    assert read_inbox(project, "real", 0).is_empty


def test_good_pairs_are_ready(project: Project, inbox: Path) -> None:
    box = read_inbox(project, "real", 0)
    assert ids(box.ready) == ids(box.plan.fresh) == ["g9x0-0", "g9x0-1", "g9x1-0", "g9x1-1"]
    assert (box.waiting, box.refused, box.is_empty) == ((), {}, False)


def test_files_that_were_just_written_wait(project: Project, inbox: Path) -> None:
    box = read_inbox(project, "real", 3600)
    assert (box.ready, len(box.waiting), box.refused) == ((), 4, {})
    assert not box.is_empty


def test_what_cannot_be_used_is_refused_and_the_rest_is_not(project: Project, inbox: Path) -> None:
    (inbox / "g9x0-1.txt").unlink()
    known = sorted((project.data / "real").glob("*.png"))[0]
    shutil.copy(known, inbox / "again.png")
    (inbox / "again.txt").write_text(str(1 - int(known.with_suffix(".txt").read_text())))
    box = read_inbox(project, "real", 0)
    assert ids(box.ready) == ["g9x0-0", "g9x1-0", "g9x1-1"]
    assert box.refused == {
        "g9x0-1.png": "g9x0-1.txt is missing",
        "again.png": "again.png is in the set with other labels; `sightline data add --correct` takes the new ones",
    }
    list_refused(box)
    assert (inbox / REFUSED).read_text().splitlines() == [f"{file}: {why}" for file, why in box.refused.items()]


def test_the_list_goes_when_nothing_is_refused_any_more(project: Project, inbox: Path) -> None:
    (inbox / "g9x0-1.txt").unlink()
    list_refused(read_inbox(project, "real", 0))
    shutil.rmtree(inbox)
    inbox.mkdir()
    (inbox / REFUSED).write_text("old")
    box = read_inbox(project, "real", 0)
    assert not box.is_empty, "the list itself is to be seen to"
    list_refused(box)
    assert list(inbox.iterdir()) == []


def test_a_layout_that_is_not_found_is_refused_as_a_whole(project: Project) -> None:
    folder = project.settings.inbox / "toy"
    folder.mkdir(parents=True)
    (folder / "photo.heic").write_bytes(b"?")
    box = read_inbox(project, "real", 0)
    assert box.refused == {".": "no *.png is here. "}
    list_refused(box)
    assert (folder / "photo.heic").exists()


def test_samples_that_are_in_the_set_already_are_ready_but_not_fresh(project: Project, inbox: Path) -> None:
    shutil.copytree(inbox, project.data / "real", dirs_exist_ok=True)
    box = read_inbox(project, "real", 0)
    assert (len(box.ready), box.plan.fresh) == (4, ())


def test_clearing_leaves_what_was_not_taken_or_changed_since(project: Project, inbox: Path) -> None:
    (inbox / "notes.md").write_text("mine")
    (inbox / "g9x0-1.txt").unlink()
    nested = inbox / "deeper" / "still"
    nested.mkdir(parents=True)
    box = read_inbox(project, "real", 0)
    (inbox / "g9x1-0.txt").write_text("1, saved again while it was taken in")
    box.clear()
    left = sorted(path.name for path in inbox.iterdir())
    assert left == ["g9x0-1.png", "g9x1-0.txt", "notes.md"]


def test_an_inbox_may_be_a_link_and_hold_pipes(project: Project, inbox: Path, tmp_path: Path) -> None:
    inbox.rename(tmp_path / "elsewhere")
    inbox.symlink_to(tmp_path / "elsewhere")
    os.mkfifo(inbox / "pipe")
    (inbox / "link").symlink_to(tmp_path / "elsewhere")
    box = read_inbox(project, "real", 0)
    assert len(box.ready) == 4
    box.clear()
    assert sorted(path.name for path in inbox.iterdir()) == ["link", "pipe"]


class CommonLabels(ToyTask):
    """The labels of all samples lie in one file."""

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        found = super().load(root, limits)
        common = hashlib.sha256(b"all").hexdigest()
        samples = [
            replace(s, files={"image": s.files["image"], "labels": "labels.json"}, labels_sha256=common)
            for s in found.samples
        ]
        return Manifest(found.root, tuple(samples), limits)


def test_a_common_label_file_is_taken_only_as_a_whole(project: Project, inbox: Path) -> None:
    (inbox / "labels.json").write_text("all")
    shared = Project(project.settings, project.params, CommonLabels())
    assert len(read_inbox(shared, "new", 0).ready) == 4
    (inbox / "g9x0-1.txt").unlink()
    box = read_inbox(shared, "new", 0)
    assert box.ready == ()
    assert (len(box.waiting), len(box.refused)) == (3, 1)
