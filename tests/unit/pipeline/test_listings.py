"""A set is read through once, and again as soon as anything that its listing is made of has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import DataMissing
from sightline.limits import USUAL, Limits
from sightline.pipeline.listings import list_set
from sightline.task import Manifest
from tests.toy import PARAMS, ToyTask, write_set


class Counting(ToyTask):
    """The toy's task; counts how often a set was read through."""

    def __init__(self) -> None:
        super().__init__(PARAMS)
        self.times = 0

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        self.times += 1
        return super().load(root, limits)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_set(tmp_path / "real", groups=2, frames=2, seed=3)
    return tmp_path / "real"


def rewrite(path: Path) -> None:
    """Other bytes, as many, at the same time: what `rsync --times` or a restored backup may leave."""
    before = path.stat()
    path.write_text(str(1 - int(path.read_text())))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def listed(task: Counting, folder: Path, kept: Path, settled_ns: int = 0) -> Manifest:
    return list_set(task, PARAMS, folder, kept, settled_ns=settled_ns)


def test_a_set_that_has_not_changed_is_read_through_once(folder: Path, tmp_path: Path) -> None:
    task = Counting()
    first = listed(task, folder, tmp_path / "kept")
    assert listed(task, folder, tmp_path / "kept") == first == ToyTask(PARAMS).load(folder)
    assert task.times == 1


CHANGES: dict[str, Callable[[Path], object]] = {
    "other bytes under the same size and time": lambda folder: rewrite(next(iter(sorted(folder.glob("*.txt"))))),
    "a file more": lambda folder: (folder / "new.png").write_bytes(b"no picture"),
    "a file less": lambda folder: next(iter(sorted(folder.glob("*.txt")))).unlink(),
    "a file renamed": lambda folder: next(iter(sorted(folder.glob("*.txt")))).rename(folder / "other.txt"),
    "leads to no file": lambda folder: (folder / "odd").symlink_to("nothing"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_set_that_has_changed_is_read_through_again(folder: Path, tmp_path: Path, change: str) -> None:
    task = Counting()
    listed(task, folder, tmp_path / "kept")
    CHANGES[change](folder)
    assert listed(task, folder, tmp_path / "kept") == ToyTask(PARAMS).load(folder)
    assert task.times == 2


def test_other_parameters_read_it_through_again(folder: Path, tmp_path: Path) -> None:
    task = Counting()
    listed(task, folder, tmp_path / "kept")
    list_set(task, PARAMS.model_copy(update={"seed": 2}), folder, tmp_path / "kept", settled_ns=0)
    assert task.times == 2


def test_another_set_of_that_name_is_read_through(folder: Path, tmp_path: Path) -> None:
    task = Counting()
    listed(task, folder, tmp_path / "kept")
    write_set(tmp_path / "other" / "real", groups=2, frames=2, seed=5)
    other = tmp_path / "other" / "real"
    assert listed(task, other, tmp_path / "kept") == ToyTask(PARAMS).load(other)


def test_what_was_written_just_now_may_be_written_again_unseen_and_is_not_kept(folder: Path, tmp_path: Path) -> None:
    task = Counting()
    listed(task, folder, tmp_path / "kept", settled_ns=10**12)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', '{"key": "", "samples": [{}]}'])
def test_a_kept_listing_that_is_damaged_is_made_again(folder: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").write_text(text)
    task = Counting()
    assert listed(task, folder, tmp_path / "kept") == listed(task, folder, tmp_path / "kept")
    assert task.times == 1


def test_a_listing_that_cannot_be_kept_is_a_listing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    task = Counting()
    assert listed(task, folder, tmp_path / "file" / "kept") == listed(task, folder, tmp_path / "file" / "kept")
    assert task.times == 2


def test_a_loop_of_links_ends(folder: Path, tmp_path: Path) -> None:
    (folder / "again").symlink_to(folder)
    task = Counting()
    assert listed(task, folder, tmp_path / "kept") == listed(task, folder, tmp_path / "kept")
    assert task.times == 1


def test_a_set_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataMissing):
        listed(Counting(), tmp_path / "none", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
