"""What an answer is made of besides the bytes of its file: what lies beside that, and this program."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from pathlib import Path

from sightline.imports import digest
from sightline.listing import digest_of
from sightline.maps.placement import names_beside, names_in


@cache
def code_of_answers() -> str:
    """SHA-256 over the source of what makes answers, whatever the task."""
    return digest(["sightline.pipeline.batch"])


class Surroundings:
    """World files, masks and the like beside files. A folder is listed once, as long as its files come together."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._names: dict[str, list[str]] = defaultdict(list)

    def digests(self, path: Path) -> list[tuple[str, str]]:
        """Name and SHA-256 of what lies beside a file and may tell of it; of what cannot be read, no SHA-256."""
        if self._folder != path.parent:
            self._folder, self._names = path.parent, defaultdict(list)
            for lower, name in names_in(path.parent):  # on some disks two names differ in case alone
                self._names[lower].append(name)
        names = [name for lower in dict.fromkeys(names_beside(path)) for name in self._names.get(lower, ())]
        return [(name, digest_of(path.parent / name)) for name in names]
