"""How a set of samples changes: whole or not at all, and no sample ever moves between splits.

A change is prepared and checked in `data/<task>/.incoming.partial/` (DVC ignores `*.partial`) and put in place by two
renames; then it is pinned. Killed between any two steps, the next change first puts right what was left.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from sightline import versions
from sightline.errors import BackendError, DataError, DataMissing, DataRejected
from sightline.files import sha256_file
from sightline.pipeline.project import Project
from sightline.splits import SPLITS, Assignment, assign, read_splits, write_splits
from sightline.task import Manifest, Sample, Task

_NAMED = 20
"""Most bad files that an error lists; the others are counted."""


@contextmanager
def changing(project: Project, patience_s: float = 10.0) -> Iterator[None]:
    """While data change: nobody else changes them, and no stage reads them.

    Raises:
        BackendError: somebody does.
    """
    path = project.settings.state / "data.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=patience_s):
            versions.require_idle(project.settings)
            _put_right(project)
            yield
    except Timeout as error:
        raise BackendError(
            "another command is changing the data", where=project.settings.data, way_out="Try again when it has ended."
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise BackendError(
            f"the data cannot be written ({error.strerror}); nothing has changed",
            where=error.filename or project.data,
            way_out="Make room on the disk and try again." if full else "Check the rights on this folder.",
        ) from error


def _incoming(project: Project) -> Path:
    return project.data / ".incoming.partial"


def _put_right(project: Project) -> None:
    """Undo what a killed change left: a set between its two renames gets its place back."""
    shutil.rmtree(_incoming(project), ignore_errors=True)
    for old in project.data.glob(".*.old.partial"):
        place = project.data / old.name.removeprefix(".").removesuffix(".old.partial")
        if place.exists():
            shutil.rmtree(old)
        else:
            old.rename(place)


def replace(project: Project, name: str, fill: Callable[[Path], None], expected: tuple[Sample, ...] = ()) -> Manifest:
    """Make the set `name` anew: `fill` writes it into an empty folder; its samples, once in place.

    Raises:
        DataRejected: a sample in it is not usable, or an expected one is not found there; nothing has changed.
    """
    folder = _incoming(project) / name
    try:
        folder.mkdir(parents=True)
        fill(folder)
        new = project.task.load(folder)
        refuse_problems(new, folder)
        _refuse_lost(new, expected)
        place = project.data / name
        known = _with_inherited(project, place, new)
        write_splits(project.data / "splits.csv", assign(new.samples, project.params.data, known))
        _swap(folder, place)
    finally:
        shutil.rmtree(_incoming(project), ignore_errors=True)
    return Manifest(project.data, new.samples)


def _refuse_lost(new: Manifest, expected: tuple[Sample, ...]) -> None:
    """A copy that the set does not show would be there for nothing."""
    seen = {(sample.sha256, sample.labels_sha256) for sample in new.samples}
    lost = [name_of(sample) for sample in expected if (sample.sha256, sample.labels_sha256) not in seen]
    if lost:
        raise DataRejected(
            f"{len(lost)} samples would not be found in the set, {lost[0]} for one",
            where=new.root,
            way_out="They changed while they were copied, or lie deeper than the set's own: give an inner folder.",
        )


def _swap(folder: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}.old.partial")
    if place.exists():
        place.rename(old)
    folder.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _with_inherited(project: Project, place: Path, new: Manifest) -> Assignment:
    """The known places, and those of groups that are new by name only.

    A flight gets another name, or joins with the next one, when more of its frames arrive. Its samples stay where
    they were; where groups of different splits join, training wins, so that no test sample was ever trained on.
    """
    known = read_splits(project.data / "splits.csv")
    old = project.task.load(place).samples if place.is_dir() else ()
    places = {s.sha256: known[s.set, s.group] for s in old if (s.set, s.group) in known}
    inherited: Assignment = {}
    for sample in new.samples:
        key, at = (sample.set, sample.group), places.get(sample.sha256)
        if key in known or at is None:
            continue
        if key not in inherited or SPLITS.index(at.split) < SPLITS.index(inherited[key].split):
            inherited[key] = at
    return known | inherited


def refuse_problems(manifest: Manifest, where: Path) -> None:
    """Raise DataRejected, listing the files, where a sample has a problem."""
    bad = [_problem(sample) for sample in manifest.samples if sample.problem]
    if bad:
        more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise DataRejected(
            f"{len(bad)} of {len(manifest)} samples cannot be used: {'; '.join(bad[:_NAMED])}{more}",
            where=where,
            way_out="Mend or remove them; nothing has changed.",
        )


def _problem(sample: Sample) -> str:
    name = name_of(sample)
    return sample.problem if sample.problem.startswith(name) else f"{name}: {sample.problem}"


def name_of(sample: Sample) -> str:
    """The file that a person looks for."""
    return sample.input_file if sample.files else sample.id


# ------------------------------------------------------------------------------------------------------- merging


@dataclass(frozen=True)
class Merge:
    """How given samples go into a set.

    Attributes:
        fresh: those that the set does not have.
        known: those that it has, with the same labels.
        clashes: sample key -> why it must not go in.
    """

    fresh: tuple[Sample, ...]
    known: tuple[Sample, ...]
    clashes: Mapping[str, str]


def plan_merge(project: Project, given: Manifest, name: str) -> Merge:
    """Compare given samples, all usable, with those of the set."""
    place = project.data / name
    there = project.task.load(place).samples if place.is_dir() else ()
    labels = {sample.sha256: sample.labels_sha256 for sample in there}
    contents = {(sample.sha256, sample.labels_sha256) for sample in there}
    fresh, known, clashes = [], [], {}
    for sample in given.samples:
        if (sample.sha256, sample.labels_sha256) in contents:
            known.append(sample)
        elif sample.sha256 in labels:
            clashes[sample.key] = f"{name_of(sample)} is in the set with other labels"
        elif taken := _taken(given, sample, place):
            clashes[sample.key] = f"{taken} is in the set with other content"
        else:
            fresh.append(sample)
    return Merge(tuple(fresh), tuple(known), clashes)


def _taken(given: Manifest, sample: Sample, place: Path) -> str:
    """The first of the sample's files whose name the set has with other content; empty if none."""
    for role, name in sample.files.items():
        if (place / name).is_file() and sha256_file(place / name) != sha256_file(given.path(sample, role)):
            return name
    return ""


def merge(project: Project, given: Manifest, fresh: tuple[Sample, ...], name: str) -> None:
    """Copy the fresh ones of the given samples into the set.

    Raises:
        DataRejected: the set would not show them: the folders lie at another depth, or were changed meanwhile.
        BackendError: the disk has no room.
    """
    place = project.data / name
    _require_room(given, fresh, project.data)

    def fill(folder: Path) -> None:
        if place.is_dir():
            shutil.copytree(place, folder, copy_function=_link, dirs_exist_ok=True)
        for sample in fresh:
            for role, file in sample.files.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(given.path(sample, role), folder / file)

    replace(project, name, fill, expected=fresh)


def _link(source: str, target: str) -> None:
    """The files that stay are not copied: nobody writes into a file of a set."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _require_room(given: Manifest, fresh: tuple[Sample, ...], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    files = {given.path(sample, role) for sample in fresh for role in sample.files}
    needed, free = 2 * sum(path.stat().st_size for path in files), shutil.disk_usage(folder).free
    if needed > free:
        raise BackendError(
            f"the disk has no room: {needed / 2**20:.0f} MB are needed with DVC's copy, {free / 2**20:.0f} MB are free",
            where=folder,
            way_out="Make room and try again; nothing has changed.",
        )


def load_given(task: Task, path: Path) -> Manifest:
    """List a person's own folder, from where its layout begins: mirrors like to nest everything one folder deeper.

    Raises:
        DataMissing: the folder is not there, or the layout is nowhere in it.
    """
    if not path.is_dir():
        raise DataMissing("there is no such folder", where=path, way_out="Give the folder that holds your copy.")
    path, manifest = _outermost(task, path)
    first = {file.partition("/")[0] for sample in manifest.samples for file in sample.files.values()}
    while len(first) == 1 and (path / next(iter(first))).is_dir():
        path = path / first.pop()
        try:
            inner = task.load(path)
        except DataError:
            break  # this folder is part of the layout
        if len(inner) < len(manifest):
            break
        manifest = inner
        first = {file.partition("/")[0] for sample in manifest.samples for file in sample.files.values()}
    return manifest


def _outermost(task: Task, path: Path) -> tuple[Path, Manifest]:
    """The first folder that has the layout, going down while there is only one way."""
    try:
        return path, task.load(path)
    except DataMissing:
        inner = [folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith((".", "__"))]
        if len(inner) != 1:
            raise
        try:
            return _outermost(task, inner[0])
        except DataMissing:
            pass
        raise  # of the folder that was given
