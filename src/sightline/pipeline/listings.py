"""Listings of sets, kept in `build/listings`: a set is read through once, not by each command and each stage."""

from __future__ import annotations

import hashlib
import json
import sys
import sysconfig
import time
from functools import cache
from pathlib import Path

import sightline
from sightline.errors import BackendError
from sightline.files import write_text
from sightline.limits import USUAL, Limits
from sightline.params import TaskParams
from sightline.stamps import SETTLED_NS, Stamp, is_settled, stamp_of, stamps
from sightline.task import Manifest, Sample, Task


def list_set(
    task: Task,
    params: TaskParams,
    folder: Path,
    kept: Path,
    limits: Limits = USUAL,
    settled_ns: int = SETTLED_NS,
) -> Manifest:
    """`task.load(folder, limits)`, from the file `kept` where that holds the same.

    The same are: names, sizes and times of all files of the set, the parameters, the limits, the code and the installed
    packages.
    A set of which a file was written less than `settled_ns` ago is listed, but not kept.

    Raises:
        DataMissing: the layout is not found at all; see `Task.load`.
    """
    before = _stamps(folder)
    key = _key(params, limits, folder, before) if before is not None else ""
    found = _read(kept, key) if key else None
    if found is not None:
        return Manifest(folder.parent, found, limits)
    started_ns = time.time_ns()
    made = task.load(folder, limits)
    settled = before is not None and all(is_settled(one, started_ns, settled_ns) for one in before.values())
    if settled and _stamps(folder) == before:
        _write(kept, key, made)
    return made


def _stamps(folder: Path) -> dict[str, Stamp] | None:
    try:
        return stamps(folder)
    except OSError:
        return None  # not there, or in motion: the task says what is wrong


@cache
def _program() -> tuple[str, Stamp, dict[str, Stamp]]:
    """What lists: Python, the installed packages and this code, as they were when it began."""
    packages = stamp_of(Path(sysconfig.get_path("purelib")))  # changes with everything that is installed or removed
    return sys.version, packages, stamps(Path(sightline.__file__).parent)


def _key(params: TaskParams, limits: Limits, folder: Path, found: dict[str, Stamp]) -> str:
    made_of = [*_program(), params.model_dump_json(), vars(limits), str(folder), found]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()


def _read(kept: Path, key: str) -> tuple[Sample, ...] | None:
    try:
        document = json.loads(kept.read_text(encoding="utf-8"))
        if document["key"] != key:
            return None
        return tuple(Sample(**values) for values in document["samples"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # none was kept, or another version of Sightline did


def _write(kept: Path, key: str, made: Manifest) -> None:
    document = {"key": key, "samples": [vars(sample) for sample in made.samples]}
    try:
        write_text(kept, json.dumps(document))  # unsorted: the first of a sample's files is its input
    except BackendError:
        return  # a disk that is full or read-only: the next one lists again
