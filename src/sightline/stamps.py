"""What tells, without reading it, that a file is still the one that was read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

Stamp = tuple[int, int, int, int]
"""Size, time of the last write and of the last change (ns), inode. Programs can set the second, none the third."""

SETTLED_NS = 2 * 10**9
"""Clocks of file systems tick in steps of up to 2 s (FAT): a younger file may be written again under the same stamp."""


def stamp_of(path: Path) -> Stamp:
    """The stamp of a file, or of what a link leads to; of a link to nothing its own. Raises OSError where none is."""
    try:
        found = path.stat()
    except FileNotFoundError:
        found = path.lstat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def stamps(folder: Path) -> dict[str, Stamp]:
    """Path below `folder` (POSIX) -> stamp, of all that is no folder, in the order of the paths.

    Links to folders are followed, each folder once; `__pycache__` is left out. Raises OSError where something vanishes
    meanwhile or cannot be looked at.
    """
    return dict(sorted((path.relative_to(folder).as_posix(), stamp_of(path)) for path in _files(folder, set())))


def _files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    here = folder.stat()
    if (here.st_dev, here.st_ino) in seen:
        return
    seen.add((here.st_dev, here.st_ino))
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir():
                yield Path(entry.path)
            elif entry.name != "__pycache__":
                yield from _files(Path(entry.path), seen)


def is_settled(stamp: Stamp, at_ns: int, settled_ns: int = SETTLED_NS) -> bool:
    """Whether the file was last written so long before `at_ns` that another write would have left another stamp."""
    _, written_ns, changed_ns, _ = stamp
    return max(written_ns, changed_ns) + settled_ns < at_ns
