"""The inbox of new labels: what lies in `inbox/<task>/`, in the upstream layout, and may be taken in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from sightline.errors import DataError
from sightline.files import write_text
from sightline.pipeline.project import Project
from sightline.pipeline.sets import load_given, name_of, plan_merge
from sightline.task import Manifest, Sample

SETTLED_S = 2.0
"""Files that changed later than this many seconds ago may still be being written."""

REFUSED = "refused.txt"


class Stamp(NamedTuple):
    """Whether a file is still the one that was looked at."""

    size: int
    written_ns: int
    changed_s: float  # of its status too: copies that keep the time of writing cannot keep this one


@dataclass(frozen=True)
class Inbox:
    """What lies in the inbox.

    Attributes:
        given: all samples that were found.
        ready: those that can be taken.
        fresh: those of the ready ones that the set does not have yet.
        waiting: files that are still being written, or share a file with a sample that stays.
        refused: file -> why it is not taken.
    """

    root: Path
    given: Manifest
    ready: tuple[Sample, ...] = ()
    fresh: tuple[Sample, ...] = ()
    waiting: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to take or to tell of."""
        return not (self.ready or self.waiting or self.refused) and not (self.root / REFUSED).exists()

    def clear(self) -> None:
        """Remove the files of the ready samples, unless they changed since; then the folders they leave empty."""
        for sample in self.ready:
            for role in sample.files:
                path = self.given.path(sample, role)
                if _stamp(path) == self.stamps.get(path):
                    path.unlink(missing_ok=True)
        for folder in sorted((path for path in self.root.rglob("*") if path.is_dir()), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime)


def look(project: Project, set_name: str, settled_s: float = SETTLED_S) -> Inbox:
    """Sort what lies in the inbox; changes nothing."""
    root = project.settings.inbox / project.name
    nothing = Inbox(root, Manifest(root, ()))
    files = [path for path in root.rglob("*") if path.is_file() and path.name != REFUSED] if root.is_dir() else []
    if not files:
        return nothing
    try:
        given = load_given(project.task, root)
    except DataError as error:
        return replace(nothing, refused={".": f"{error.what}. {error.way_out}"})
    stamps = {path: stamp for s in given.samples for role in s.files if (stamp := _stamp(path := given.path(s, role)))}
    young = {path for path, stamp in stamps.items() if time.time() - stamp.changed_s < settled_s}
    good, waiting, refused = [], [], {}
    for sample in given.samples:
        if any(given.path(sample, role) in young for role in sample.files):
            waiting.append(sample)
        elif sample.problem:
            refused[name_of(sample)] = sample.problem
        else:
            good.append(sample)
    merge = plan_merge(project, replace(given, samples=tuple(good)), set_name)
    refused |= {name_of(s): merge.clashes[s.key] for s in good if s.key in merge.clashes}
    usable = (*merge.fresh, *merge.known)
    keys = _unshared(given, {sample.key for sample in usable})
    waiting += [sample for sample in usable if sample.key not in keys]
    ready = tuple(sample for sample in usable if sample.key in keys)
    fresh = tuple(sample for sample in merge.fresh if sample.key in keys)
    return Inbox(root, given, ready, fresh, tuple(name_of(s) for s in waiting), refused, stamps)


def _unshared(given: Manifest, good: set[str]) -> set[str]:
    """Those of the good samples that share no file with one that stays: a common label file goes as a whole."""
    while True:
        staying = {name for sample in given.samples if sample.key not in good for name in sample.files.values()}
        left = {s.key for s in given.samples if s.key in good and staying.isdisjoint(s.files.values())}
        if left == good:
            return good
        good = left


def list_refused(box: Inbox) -> None:
    """Leave the list of what is refused beside the files, for the person who put them there."""
    path = box.root / REFUSED
    if box.refused:
        write_text(path, "".join(f"{file}: {why}\n" for file, why in box.refused.items()))
    else:
        path.unlink(missing_ok=True)
