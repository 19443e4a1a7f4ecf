"""The inbox of new labels: what lies in `inbox/<task>/`, in the upstream layout, and may be taken in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from sightline.errors import DataError
from sightline.files import replace_bytes, write_text
from sightline.pipeline.deliveries import Files, Merge, files_of, plan_merge
from sightline.pipeline.project import Project
from sightline.pipeline.sets import load_given, name_of, unlabelled
from sightline.task import Manifest, Sample

SETTLED_S = 2.0
"""Files that changed later than this many seconds ago may still be being written."""

REFUSED = "refused.txt"

_NOTHING = Merge((), (), {})


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
        plan: how those that can be used go into the set.
        waiting: files that are still being written, or share a file with a sample that stays.
        refused: file -> why it is not taken.
        files: of the samples that were found.
    """

    root: Path
    given: Manifest
    plan: Merge = _NOTHING
    waiting: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    stamps: Mapping[Path, Stamp] = field(default_factory=dict)
    files: Files | None = None

    @property
    def ready(self) -> tuple[Sample, ...]:
        """Those that can be taken: what the set does not have, and what it has already."""
        return (*self.plan.fresh, *self.plan.known)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there to take or to tell of."""
        return not (self.ready or self.waiting or self.refused) and not (self.root / REFUSED).exists()

    def clear(self) -> None:
        """Remove the files of the ready samples, unless they changed since; then the folders they leave empty.

        Of a document that speaks of others too, what it says of those stays.
        """
        if self.files is None:
            return
        going = {sample.key for sample in self.ready}
        left = [(self.files.path(file), self._rest(file, going)) for file in files_of(self.ready)]
        for path, rest in left:
            if _stamp(path) != self.stamps.get(path):
                continue
            if rest:
                replace_bytes(path, rest)
            else:
                path.unlink(missing_ok=True)
        for folder in sorted((path for path in self.root.rglob("*") if _is_folder(path)), reverse=True):
            if not any(folder.iterdir()):
                folder.rmdir()

    def _rest(self, file: str, going: set[str]) -> bytes | None:
        assert self.files is not None
        mine = [sample for sample in self.files.users[file] if sample.key in going]
        return self.files.excerpt(file, mine, rest=True) if self.files.staying(file, going) else None


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:  # not there, or a link to nothing
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime)


def look(project: Project, set_name: str, settled_s: float = SETTLED_S) -> Inbox:
    """Sort what lies in the inbox; changes nothing."""
    root = project.settings.inbox / project.name
    nothing = Inbox(root, Manifest(root, ()))
    if not root.is_dir() or not any(not path.is_dir() and path.name != REFUSED for path in root.rglob("*")):
        return nothing
    try:
        given = load_given(project.task, root)
    except DataError as error:
        return replace(nothing, refused={".": f"{error.what}. {error.way_out}"})
    stamps = {path: stamp for s in given.samples for role in s.files if (stamp := _stamp(path := given.path(s, role)))}
    young = {path for path, stamp in stamps.items() if time.time() - stamp.changed_s < settled_s}
    waiting = {s.key: s for s in given.samples if any(given.path(s, role) in young for role in s.files)}
    plan = plan_merge(project, given, set_name, waiting=waiting.keys())
    refused = {
        name_of(sample): sample.problem or plan.clashes[sample.key]
        for sample in given.samples
        if (sample.problem or sample.key in plan.clashes) and sample.key not in waiting
    }
    inner = given.root / given.samples[0].set if given.samples else root
    refused |= dict.fromkeys(unlabelled(given, inner), "there are no labels of it. Put them beside it, or remove it.")
    names = tuple(name_of(sample) for sample in (*waiting.values(), *plan.held))
    return Inbox(root, given, plan, names, refused, stamps, Files(project.task, given))


def list_refused(box: Inbox) -> None:
    """Leave the list of what is refused beside the files, for the person who put them there."""
    path = box.root / REFUSED
    if box.refused:
        write_text(path, "".join(f"{file}: {why}\n" for file, why in box.refused.items()))
    else:
        path.unlink(missing_ok=True)
