"""Files, folders and globs on the command line, as a list of inputs with names for their answers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from sightline.errors import DataMissing

_SUFFIXES = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png",),
    "image/tiff": (".tif", ".tiff"),
}
"""Of the media types that cards name: what is looked for in a folder. A file that is named itself is always tried."""


@dataclass(frozen=True)
class InputFile:
    """One file to answer.

    Attributes:
        path: as it was given or found.
        name: of its answer, relative to the folder of answers and without a suffix; no two files share one.
    """

    path: Path
    name: str


def find_inputs(paths: Sequence[Path], formats: Sequence[str], out: Path | None) -> list[InputFile]:
    """The files that these words mean, each once, in the order of the words and by name within a folder.

    Hidden files, and the folder of answers where it lies within one of the inputs', are left out.

    Args:
        paths: files, folders (with all below them) and globs.
        formats: media types that the model reads.
        out: the folder of answers.

    Raises:
        DataMissing: a folder or a glob holds no such file.
    """
    suffixes = tuple(suffix for one in formats for suffix in _SUFFIXES.get(one, ()))
    avoided = None if out is None else out.resolve()
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _files_of(path, suffixes, avoided):
            found.setdefault(_resolved(file), file)
    return _named(list(found.values()))


def _files_of(path: Path, suffixes: tuple[str, ...], avoided: Path | None) -> list[Path]:
    if has_magic(str(path)) and not path.exists():
        matched = [Path(one) for one in sorted(glob(str(path), recursive=True))]  # noqa: PTH207 (the pattern holds its folder)
        files = [file for one in matched for file in ([one] if not one.is_dir() else _below(one, suffixes, avoided))]
        if not files:
            raise DataMissing("no file matches", where=path, way_out="Check the pattern and the folder.")
        return files
    if path.is_dir():
        files = list(_below(path, suffixes, avoided))
        if not files:
            raise DataMissing(
                f"the folder holds no {', '.join(suffixes)}", where=path, way_out="Give the folder of the pictures."
            )
        return files
    return [path]


def _below(folder: Path, suffixes: tuple[str, ...], avoided: Path | None) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        here = Path(place)
        folders[:] = sorted(n for n in folders if not n.startswith(".") and (here / n).resolve() != avoided)
        yield from (here / n for n in sorted(names) if n.lower().endswith(suffixes) and not n.startswith("."))


def _resolved(file: Path) -> Path:
    try:
        return file.resolve()
    except (OSError, RuntimeError):  # a circle of links; reading it will say so
        return file.absolute()


def _named(files: Sequence[Path]) -> list[InputFile]:
    """Names relative to the folder that all have in common: with the suffix only where the stem is not enough."""
    absolute = [file.absolute() for file in files]
    common = Path(os.path.commonpath([file.parent for file in absolute])) if files else Path()
    relative = [file.relative_to(common) for file in absolute]
    stems = Counter(str(one.with_suffix("")).casefold() for one in relative)
    return [
        InputFile(file, (one if stems[str(one.with_suffix("")).casefold()] > 1 else one.with_suffix("")).as_posix())
        for file, one in zip(files, relative, strict=True)
    ]
