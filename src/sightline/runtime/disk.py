"""A full disk: found before work begins, and named when it is what an error comes from.

sqlite, MLflow, Prefect and DVC each tell of it in words of their own, often far from the cause.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from sightline.errors import BackendError

_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
_WORDS = ("No space left on device", "database or disk is full", "Disk quota exceeded", "the disk is full")
_NOTHING = 2**20
"""Bytes: with less than that free, nothing that writes goes on."""


class Space(Protocol):
    """What a disk holds."""

    @property
    def free(self) -> int:
        """Bytes."""
        ...


Usage = Callable[[Path], Space]
"""As `shutil.disk_usage`."""


def require_room(folders: Iterable[Path], needed: int, usage: Usage = shutil.disk_usage) -> None:
    """See that each folder's disk has so many bytes free.

    Raises:
        BackendError: one has less; it names the folder.
    """
    for folder, free in _free(folders, usage):
        if free < needed:
            raise BackendError(
                f"the disk is full: {free / 2**20:.0f} MB are free, {needed / 2**20:.0f} MB are needed to begin",
                where=folder,
                way_out="Free some space on the disk and run the command again.",
            )


def way_out_of(error: OSError) -> str:
    """What a person can do where a folder could not be written; a file may also be larger than its disk takes."""
    full = error.errno in (*_NUMBERS, errno.EFBIG)
    return "Free some space on the disk and try again." if full else "Check the rights on this folder."


def full_folder(folders: Iterable[Path], usage: Usage = shutil.disk_usage) -> Path | None:
    """The first of the folders whose disk has next to nothing left; None where all have."""
    return next((folder for folder, free in _free(folders, usage) if free < _NOTHING), None)


def explain(error: BaseException, folders: Iterable[Path], usage: Usage = shutil.disk_usage) -> BackendError | None:
    """What to say in place of an error that comes from a full disk; None where it comes from something else."""
    full = full_folder(folders, usage)
    if full is None and not tells_of_full_disk(error):
        return None
    named = (one.filename for one in _chain(error) if isinstance(one, OSError) and _is_full(one) and one.filename)
    place: object = full or next(named, "")
    where = place or getattr(error, "where", "")
    return BackendError(
        "the disk is full",
        where=where,
        way_out="Free some space on the disk and run the command again: it continues where it stopped.",
    )


def tells_of_full_disk(error: BaseException) -> bool:
    """Whether an error, or one that it comes from, says that a disk has no room."""
    return any(_is_full(one) or any(word in str(one) for word in _WORDS) for one in _chain(error))


def _is_full(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _NUMBERS


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _free(folders: Iterable[Path], usage: Usage) -> Iterator[tuple[Path, int]]:
    """Each folder with the bytes free where it is, or will be."""
    for folder in folders:
        there = next((one for one in (folder, *folder.parents) if one.exists()), None)
        if there is not None:
            yield folder, int(usage(there).free)
