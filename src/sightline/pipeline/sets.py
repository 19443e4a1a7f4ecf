"""How a set of samples changes: whole or not at all, and no sample ever moves between splits.

A change is prepared and checked in `data/<task>/.incoming.partial/` (DVC ignores `*.partial`) and put in place by two
renames; then it is pinned. Killed between any two steps, the next change first puts right what was left.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from sightline import versions
from sightline.errors import BackendError, DataError, DataMissing, DataRejected, printable
from sightline.limits import USUAL, Limits
from sightline.listing import find_files, is_printable, walk_folders
from sightline.pipeline.project import Project
from sightline.runtime.disk import way_out_of
from sightline.splits import SPLITS, Assignment, assign, read_splits, write_splits
from sightline.task import Manifest, Sample, Task

_NAMED = 20
"""Most bad files that an error lists; the others are counted."""

_DEPTH = 6
"""How deep pictures without labels are looked for."""


@contextmanager
def changing(project: Project, patience_s: float = 10.0) -> Iterator[None]:
    """While data change: nobody else changes them, and no stage reads them.

    Raises:
        DataRejected: data/, or a part of it, is a symbolic link.
        BackendError: somebody does.
    """
    _refuse_links(project)
    path = project.settings.state / "data.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=patience_s):
            versions.require_idle(project.settings)
            _put_right(project)
            yield
    except Timeout as error:
        raise BackendError(
            "another command is changing the data",
            where=project.settings.data,
            way_out="Run the command again when the other one has ended.",
        ) from error
    except OSError as error:
        raise BackendError(
            f"the data cannot be written ({error.strerror}); nothing has changed",
            where=error.filename or project.data,
            way_out=way_out_of(error),
        ) from error


def _refuse_links(project: Project) -> None:
    """DVC pins nothing that lies behind a symbolic link, and would say so only once all is copied."""
    sets = project.data.iterdir() if project.data.is_dir() else ()
    for path in (project.settings.data, project.data, *sets):
        if path.is_symlink():
            raise DataRejected(
                "this is a symbolic link, and DVC does not version the files behind a symbolic link",
                where=path,
                way_out="Put the whole project folder on that disk, or mount its folder here (`mount --bind`).",
            )


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


def replace_set(
    project: Project, name: str, fill: Callable[[Path], None], expected: tuple[Sample, ...] = ()
) -> Manifest:
    """Make the set `name` anew: `fill` writes it into an empty folder; its samples, once in place.

    Raises:
        DataRejected: a sample in it is not usable, or an expected one is not found there; nothing has changed.
    """
    folder = _incoming(project) / name
    try:
        folder.mkdir(parents=True)
        fill(folder)
        new = project.task.load(folder, project.settings.limits)
        place = project.data / name
        old = project.listing(name).samples if place.is_dir() else ()
        _refuse_new_problems(new, old)
        _refuse_lost(new, expected)
        known = _with_inherited(project, old, new)
        write_splits(project.data / "splits.csv", assign(new.samples, project.params.data, known))
        _swap(folder, place)
    finally:
        shutil.rmtree(_incoming(project), ignore_errors=True)
    return Manifest(project.data, new.samples)


def _refuse_lost(new: Manifest, expected: tuple[Sample, ...]) -> None:
    """A copy that the set does not show would be there for nothing.

    A row of a document may be there as a file of its own already: then the set shows its name with the same labels.
    """
    seen = {(sample.sha256, sample.labels_sha256) for sample in new.samples}
    named = {(sample.id, sample.labels_sha256) for sample in new.samples}
    times = Counter(sample.input_file for sample in expected)
    lost = [
        name_of(sample)
        for sample in expected
        if (sample.sha256, sample.labels_sha256) not in seen
        and (times[sample.input_file] == 1 or (sample.id, sample.labels_sha256) not in named)
    ]
    if lost:
        raise DataRejected(
            f"{len(lost)} samples would not be found in the set, for example {lost[0]}",
            where=new.root,
            way_out="Give the folder that holds the files themselves, and do not change files during the copy.",
        )


def _swap(folder: Path, place: Path) -> None:
    old = place.with_name(f".{place.name}.old.partial")
    if place.exists():
        place.rename(old)
    folder.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def _with_inherited(project: Project, old: Iterable[Sample], new: Manifest) -> Assignment:
    """The known places, and those of groups that are new by name only.

    A flight gets another name, or joins with the next one, when more of its frames arrive. Its samples stay where
    they were; where groups of different splits join, training wins, so that no test sample was ever trained on.
    """
    known = read_splits(project.data / "splits.csv")
    places = {s.sha256: known[s.set, s.group] for s in old if (s.set, s.group) in known}
    inherited: Assignment = {}
    for sample in new.samples:
        key, at = (sample.set, sample.group), places.get(sample.sha256)
        if key in known or at is None:
            continue
        if key not in inherited or SPLITS.index(at.split) < SPLITS.index(inherited[key].split):
            inherited[key] = at
    return known | inherited


def _refuse_new_problems(new: Manifest, old: Iterable[Sample]) -> None:
    """Raise DataRejected, listing the files, where a sample has a problem that the set did not have before."""
    before = {_problem(sample) for sample in old if sample.problem}
    bad = [said for sample in new.samples if sample.problem and (said := _problem(sample)) not in before]
    if bad:
        raise DataRejected(
            f"{len(bad)} of {len(new)} samples could not be used in the set: {some(bad)}",
            where=new.root,
            way_out="Correct or remove them. Nothing has changed.",
        )


def problems_of(manifest: Manifest) -> list[str]:
    """A line for each sample that cannot be used: the file, what is wrong, and the way out."""
    return [_problem(sample) for sample in manifest.samples if sample.problem]


def some(lines: Sequence[str]) -> str:
    """The first of many lines in one, and how many more there are."""
    more = f"; and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return "; ".join(lines[:_NAMED]) + more


def _problem(sample: Sample) -> str:
    name = name_of(sample)
    return sample.problem if sample.problem.startswith(name) else f"{name}: {sample.problem}"


def name_of(sample: Sample) -> str:
    """The file that a person looks for."""
    return sample.input_file if sample.files else sample.id


# --------------------------------------------------------------------------------------------------------- given


def load_given(task: Task, path: Path, limits: Limits = USUAL) -> Manifest:
    """List a person's own folder, from where its layout begins: mirrors like to nest everything one folder deeper.

    Raises:
        DataMissing: the folder is not there, or the layout is nowhere in it.
    """
    if not path.is_dir():
        raise DataMissing("there is no such folder", where=path, way_out="Give the folder that holds your data.")
    path, manifest = _outermost(task, path, limits)
    first = _first_folders(manifest)
    while len(first) == 1 and (path / next(iter(first))).is_dir():
        path = path / first.pop()
        try:
            inner = task.load(path, limits)
        except DataError:
            break  # this folder is part of the layout
        if len(inner) < len(manifest):
            break
        manifest = inner
        first = _first_folders(manifest)
    return replace(manifest, samples=tuple(_with_plain_name(sample) for sample in manifest.samples))


def _first_folders(manifest: Manifest) -> set[str]:
    return {file.partition("/")[0] for sample in manifest.samples for file in sample.files.values()}


def _with_plain_name(sample: Sample) -> Sample:
    """A name that is not UTF-8 can be neither written into a table nor pinned by DVC."""
    odd = [name for name in (*sample.files.values(), sample.id, sample.group) if not is_printable(name)]
    if not odd:
        return sample
    id_, group = printable(sample.id), printable(sample.group)
    problem = f"{printable(odd[0])}: the name is not UTF-8. Rename the file."
    return replace(sample, id=id_, group=group, files={}, problem=problem)


PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


def unlabelled(manifest: Manifest, root: Path) -> list[str]:
    """Pictures below the folder that belong to no listed sample: no labels of them were found."""
    listed = {manifest.path(sample, role) for sample in manifest.samples for role in sample.files}
    found = [path for folder in walk_folders(root, _DEPTH) for path in find_files(folder, PICTURES)]
    names = [path.relative_to(root).as_posix() for path in found if path not in listed]
    return [name for name in names if is_printable(name)]  # others are told of as samples


def _outermost(task: Task, path: Path, limits: Limits) -> tuple[Path, Manifest]:
    """The first folder that has the layout, going down while there is only one way."""
    try:
        return path, task.load(path, limits)
    except DataMissing:
        inner = [folder for folder in walk_folders(path, 1) if folder != path]
        if len(inner) != 1:
            raise
        try:
            return _outermost(task, inner[0], limits)
        except DataMissing:
            pass
        raise  # of the folder that was given
