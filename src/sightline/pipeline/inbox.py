"""The inbox of new labels: what lies in `inbox/<task>/`, in the upstream layout, and may be taken in."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from sightline.errors import DataError
from sightline.files import replace_bytes, write_json, write_text
from sightline.pipeline.deliveries import Files, Merge, files_of, plan_merge
from sightline.pipeline.project import Project
from sightline.pipeline.sets import load_given, name_of, unlabelled
from sightline.task import Json, Manifest, Sample

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
        note: where it is noted what is cleared, while it is.
        given: all samples that were found.
        plan: how those that can be used go into the set.
        waiting: files that are still being written, or share a file with a sample that stays.
        refused: file -> why it is not taken.
        files: of the samples that were found.
    """

    root: Path
    note: Path
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
        """Whether there is nothing to take in, and nothing to report."""
        return not (self.ready or self.waiting or self.refused) and not (self.root / REFUSED).exists()

    def clear(self) -> None:
        """Remove the files of the ready samples, unless they changed since; then the folders they leave empty.

        Of a document that speaks of others too, what it says of those stays. What is to be done is noted before it is
        begun: a picture whose labels are gone already would be refused for ever.
        """
        if self.files is None:
            return
        going = {sample.key for sample in self.ready}
        steps: list[dict[str, Json]] = []
        for file in files_of(self.ready):
            path, rest = self.files.path(file), self._rest(file, going)
            if rest:
                replace_bytes(_beside(path), rest)
            steps.append({"path": str(path), "stamp": self.stamps.get(path), "divided": bool(rest)})
        write_json(self.note, {"steps": steps})
        _clear_noted(self.root, self.note)

    def _rest(self, file: str, going: set[str]) -> bytes | None:
        assert self.files is not None
        mine = [sample for sample in self.files.users[file] if sample.key in going]
        return self.files.excerpt(file, mine, rest=True) if self.files.staying(file, going) else None


def _note(project: Project) -> Path:
    return project.settings.state / "intake" / f"{project.name}.json"


def _beside(path: Path) -> Path:
    """Where the rest of a document waits until it takes the document's place; hidden, so no sample."""
    return path.with_name(f".{path.name}.rest")


def is_half_cleared(project: Project) -> bool:
    """Whether the last clearing was killed."""
    return _note(project).exists()


def finish_clearing(project: Project) -> None:
    """Go on with a clearing that was killed; a file that was replaced since is left alone."""
    if is_half_cleared(project):
        _clear_noted(project.settings.inbox / project.name, _note(project))


def _clear_noted(root: Path, note: Path) -> None:
    for step in json.loads(note.read_text(encoding="utf-8"))["steps"]:
        path = Path(step["path"])
        found = _stamp(path)
        if found is None or list(found) != step["stamp"]:  # done already, or no longer the file that was taken
            continue
        if step["divided"]:
            _beside(path).replace(path)
        else:
            path.unlink()
    for left in (*root.rglob(".*.rest"), *root.rglob(".*.rest.partial")):
        left.unlink()
    for folder in sorted((path for path in root.rglob("*") if _is_folder(path)), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    note.unlink()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:  # not there, or a link to nothing
        return None
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime)


def _is_given(path: Path) -> bool:
    return not path.is_dir() and path.name != REFUSED and not path.name.startswith(".")


def read_inbox(project: Project, set_name: str, settled_s: float = SETTLED_S) -> Inbox:
    """Sort what lies in the inbox; changes nothing."""
    root = project.settings.inbox / project.name
    nothing = Inbox(root, _note(project), Manifest(root, ()))
    if not root.is_dir() or not any(_is_given(path) for path in root.rglob("*")):
        return nothing
    try:
        given = load_given(project.task, root, project.settings.limits)
    except DataError as error:
        return replace(nothing, refused={".": f"{error.what}. {error.way_out}"})
    stamps = _stamps(given)
    waiting = _unsettled(given, stamps, settled_s)
    plan = plan_merge(project, given, set_name, waiting=waiting.keys())
    refused = _refused(given, plan, waiting.keys())
    names = tuple(name_of(sample) for sample in (*waiting.values(), *plan.held))
    return Inbox(root, _note(project), given, plan, names, refused, stamps, Files(project.task, given))


def _unsettled(given: Manifest, stamps: Mapping[Path, Stamp], settled_s: float) -> dict[str, Sample]:
    """Key -> sample, of those with a file that was changed just now: somebody may still be writing it."""
    young = {path for path, stamp in stamps.items() if time.time() - stamp.changed_s < settled_s}
    return {s.key: s for s in given.samples if any(given.path(s, role) in young for role in s.files)}


def _stamps(given: Manifest) -> dict[Path, Stamp]:
    """File -> its size and time, of those that are there."""
    paths = [given.path(sample, role) for sample in given.samples for role in sample.files]
    return {path: stamp for path in paths if (stamp := _stamp(path))}


def _refused(given: Manifest, plan: Merge, waiting: AbstractSet[str]) -> dict[str, str]:
    """Name -> why it cannot be taken in."""
    refused = {}
    for sample in given.samples:
        why = sample.problem or plan.clashes.get(sample.key)
        if why and sample.key not in waiting:
            refused[name_of(sample)] = why
    inner = given.root / given.samples[0].set if given.samples else given.root
    return refused | dict.fromkeys(
        unlabelled(given, inner), "it has no labels. Put the labels beside it, or remove it."
    )


def list_refused(box: Inbox) -> None:
    """Leave the list of what is refused beside the files, for the person who put them there."""
    path = box.root / REFUSED
    if box.refused:
        write_text(path, "".join(f"{file}: {why}\n" for file, why in box.refused.items()))
    else:
        path.unlink(missing_ok=True)
