"""How given samples go into a set: what is new, what is known, what contradicts, and under which names files go in.

A set takes any number of deliveries, and nothing in it is overwritten. A document that speaks of several samples (see
`sightline.capabilities.Excerpting`) goes in with what it says of the new ones alone; where its name is taken, a part of
its digest is added (`_annotations-1f2e3d4c.coco.json`), and the tasks read all such documents of a set. Where labels
are to be corrected, the old ones leave the set: an earlier data version keeps them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.capabilities import Excerpting
from sightline.errors import BackendError
from sightline.files import sha256_file
from sightline.pipeline.project import Project
from sightline.pipeline.sets import name_of, replace_set
from sightline.task import CONTEXT, Manifest, Sample, Task


@dataclass(frozen=True)
class Merge:
    """What joining given samples to a set will do.

    Attributes:
        fresh: those that the set does not have, and those whose labels are corrected.
        known: those that it has, with the same labels.
        clashes: sample key -> why it must not go in.
        held: those that share a file, which cannot be divided, with a sample that stays behind.
        outdated: samples of the set whose labels the fresh ones correct; they leave it.
    """

    fresh: tuple[Sample, ...]
    known: tuple[Sample, ...]
    clashes: Mapping[str, str]
    held: tuple[Sample, ...] = ()
    outdated: tuple[Sample, ...] = ()


class Files:
    """The files of listed samples, which of them share one, and which of those can be divided."""

    def __init__(self, task: Task, manifest: Manifest) -> None:
        self._task = task
        self._manifest = manifest
        self._divisible: dict[str, bool] = {}
        self.users: dict[str, list[Sample]] = {}
        for sample in manifest.samples:
            for file in dict.fromkeys(sample.files.values()):
                self.users.setdefault(file, []).append(sample)

    def path(self, file: str) -> Path:
        """Absolute path of a file."""
        return self._manifest.root / self.users[file][0].set / file

    def is_divisible(self, file: str) -> bool:
        """Whether a part of it can be written."""
        if file not in self._divisible:
            self._divisible[file] = self.excerpt(file, self.users[file][:1]) is not None
        return self._divisible[file]

    def excerpt(self, file: str, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
        """See `sightline.capabilities.Excerpting`."""
        if not isinstance(self._task, Excerpting):
            return None
        return self._task.excerpt(self.path(file), samples, rest)

    def staying(self, file: str, leaving: AbstractSet[str]) -> list[Sample]:
        """Its users whose keys are not among the leaving ones."""
        return [sample for sample in self.users[file] if sample.key not in leaving]


# ------------------------------------------------------------------------------------------------------ planning


def plan_merge(
    project: Project, given: Manifest, name: str, correct: bool = False, waiting: AbstractSet[str] = frozenset()
) -> Merge:
    """Compare given samples with those of the set; those with a problem stay behind.

    Args:
        project: its task lists the set.
        given: a person's own samples.
        name: of the set.
        correct: where the set has a sample with other labels, the given ones count.
        waiting: keys of given samples that stay behind as yet.
    """
    there = _listed(project, name)
    usable = [sample for sample in given.samples if not sample.problem and sample.key not in waiting]
    plan = _compared(usable, there, correct)
    files, old = Files(project.task, given), Files(project.task, there)
    clashes = {**plan.clashes, **_taken(files, old, plan, project.data / name)}
    return _with_held(replace(plan, clashes=clashes), files)


def _with_held(plan: Merge, files: Files) -> Merge:
    """The plan without what clashes, and without what is held by a file that it shares with a sample that stays."""
    welcome = [sample for sample in plan.fresh if sample.key not in plan.clashes]
    going = _unheld(files, {sample.key for sample in (*welcome, *plan.known)})
    held = tuple(sample for sample in (*welcome, *plan.known) if sample.key not in going)
    fresh, known = _among(welcome, going), _among(plan.known, going)
    corrected = {sample.sha256 for sample in fresh}
    outdated = tuple(sample for sample in plan.outdated if sample.sha256 in corrected)
    return replace(plan, fresh=fresh, known=known, held=held, outdated=outdated)


def _among(samples: Sequence[Sample], keys: AbstractSet[str]) -> tuple[Sample, ...]:
    return tuple(sample for sample in samples if sample.key in keys)


def _listed(project: Project, name: str) -> Manifest:
    place = project.data / name
    return Manifest(project.data, project.listing(name).samples if place.is_dir() else ())


def _compared(usable: Sequence[Sample], there: Manifest, correct: bool) -> Merge:
    """By content: what is new, known, or said otherwise."""
    labels: dict[str, set[str]] = {}
    for sample in usable:
        labels.setdefault(sample.sha256, set()).add(sample.labels_sha256)
    old: dict[str, list[Sample]] = {}
    for sample in there.samples:
        old.setdefault(sample.sha256, []).append(sample)
    fresh, known, clashes = [], [], {}
    outdated: dict[str, Sample] = {}
    for sample in usable:
        same = old.get(sample.sha256, [])
        if any(one.labels_sha256 == sample.labels_sha256 for one in same):
            known.append(sample)
        elif len(labels[sample.sha256]) > 1:
            clashes[sample.key] = f"{name_of(sample)} occurs twice with different labels"
        elif same and not correct:
            clashes[sample.key] = (
                f"{name_of(sample)} is in the set with other labels; `sightline data add --correct` takes the new ones"
            )
        else:
            fresh.append(sample)
            outdated |= {one.key: one for one in same}
    return Merge(tuple(fresh), tuple(known), clashes, outdated=tuple(outdated.values()))


def _taken(files: Files, old: Files, plan: Merge, place: Path) -> dict[str, str]:
    """Fresh samples that need a name which the set has with other content, or an outdated one that cannot leave."""
    leaving = {sample.key for sample in plan.outdated}
    clashes: dict[str, str] = {}
    for file in files_of(plan.fresh):
        is_free = not os.path.lexists(place / file) or (file in old.users and not old.staying(file, leaving))
        if is_free or files.is_divisible(file) or _same(place / file, files.path(file)):
            continue
        clashes |= {sample.key: f"{file} is in the set with other content" for sample in files.users[file]}
    return clashes | _stuck(old, plan, leaving)


def _stuck(old: Files, plan: Merge, leaving: AbstractSet[str]) -> dict[str, str]:
    """Fresh samples in place of an outdated one whose labels stand in a file that others need."""
    clashes: dict[str, str] = {}
    for sample in plan.outdated:
        stuck = [file for file in sample.files.values() if old.staying(file, leaving) and not old.is_divisible(file)]
        if stuck:
            why = f"{stuck[0]} in the set holds its old labels and cannot be divided"
            clashes |= {one.key: f"{name_of(one)}: {why}" for one in plan.fresh if one.sha256 == sample.sha256}
    return clashes


def _same(there: Path, given: Path) -> bool:
    return there.is_file() and sha256_file(there) == sha256_file(given)


def _unheld(files: Files, going: set[str]) -> set[str]:
    """Those that share no file with one that stays, unless it can be divided: such a file goes as a whole."""
    while True:
        left = set(going)
        for file, users in files.users.items():
            mine = {sample.key for sample in users}
            if mine & left and not mine <= left and not files.is_divisible(file):
                left -= mine
        if left == going:
            return going
        going = left


# ------------------------------------------------------------------------------------------------------- merging


def merge(project: Project, given: Manifest, plan: Merge, name: str) -> None:
    """Copy the fresh ones of the given samples into the set; outdated ones leave it.

    Raises:
        DataRejected: the set would not show them: the folders lie at another depth, or were changed meanwhile.
        BackendError: the disk has no room.
    """
    place = project.data / name
    files, old = Files(project.task, given), Files(project.task, _listed(project, name))
    _require_room([files.path(file) for file in files_of(plan.fresh)], project.data)

    def fill(folder: Path) -> None:
        if place.is_dir():
            shutil.copytree(place, folder, copy_function=_link, dirs_exist_ok=True)
        _remove(old, plan.outdated, folder)
        _copy(files, plan.fresh, folder)

    replace_set(project, name, fill, expected=plan.fresh)


def files_of(samples: Iterable[Sample]) -> list[str]:
    """The files of the samples, each once."""
    return list(dict.fromkeys(file for sample in samples for file in sample.files.values()))


def _contexts(samples: Iterable[Sample]) -> set[str]:
    return {sample.files[CONTEXT] for sample in samples if CONTEXT in sample.files}


def _remove(old: Files, outdated: Sequence[Sample], folder: Path) -> None:
    """Take the outdated samples out of the copy of the set; a common document keeps the others."""
    leaving = {sample.key for sample in outdated}
    context = _contexts(outdated)
    for file in files_of(outdated):
        rest: bytes | None = b""
        if file in context:  # no label, so still right: all of it stays
            rest = old.excerpt(file, old.users[file])
        elif old.staying(file, leaving):
            rest = old.excerpt(file, outdated, rest=True)
        (folder / file).unlink()  # a link to the set's own file: never written into
        if rest:
            (folder / file).write_bytes(rest)


def _copy(files: Files, fresh: Sequence[Sample], folder: Path) -> None:
    going = {sample.key for sample in fresh}
    context = _contexts(fresh)
    for file in files_of(fresh):
        path, target = files.path(file), folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        if _same(target, path):
            continue
        shared = file in context or files.staying(file, going) or target.exists()
        part = files.excerpt(file, _among(files.users[file], going)) if shared else None
        if part is None:
            shutil.copyfile(path, target)
        elif target.exists():
            _with_digest(target, part).write_bytes(part)
        else:
            target.write_bytes(part)


def _with_digest(path: Path, content: bytes) -> Path:
    """`labels.json` -> `labels-1f2e3d4c.json`: another delivery has another name, the same one the same."""
    stem, dot, suffixes = path.name.partition(".")
    return path.with_name(f"{stem}-{hashlib.sha256(content).hexdigest()[:8]}{dot}{suffixes}")


def _link(source: str, target: str) -> None:
    """The files that stay are not copied: nobody writes into a file of a set."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _require_room(paths: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    needed, free = 2 * sum(path.stat().st_size for path in paths), shutil.disk_usage(folder).free
    if needed > free:
        raise BackendError(
            (
                f"the disk has too little free space: {needed / 2**20:.0f} MB are needed with DVC's copy,"
                f" {free / 2**20:.0f} MB are free"
            ),
            where=folder,
            way_out="Free some space on the disk and try again; nothing has changed.",
        )
