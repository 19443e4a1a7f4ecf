"""Files, folders and globs on the command line, as a list of inputs with names for their answers."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from sightline.capabilities import FOLDER
from sightline.errors import DataMissing, ParamsError, printable

_PICTURES = {
    "image/jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "image/png": (".png",),
    "image/tiff": (".tif", ".tiff"),
}
_SUFFIXES = {
    **_PICTURES,
    "video/mp4": (".mp4", ".m4v"),
    "video/quicktime": (".mov",),
    "video/x-matroska": (".mkv",),
    "video/x-msvideo": (".avi",),
    "application/zip": (".zip",),
}
"""Of the media types that cards name: what is looked for in a folder. A file that is named itself is always tried."""

_OF_PICTURES = tuple(suffix for suffixes in _PICTURES.values() for suffix in suffixes)

_LONGEST_NAME_BYTES = 180


@dataclass(frozen=True)
class InputFile:
    """One file to answer, or one folder of pictures where these are what a model answers as one.

    Attributes:
        path: as it was given or found.
        name: of its answer, relative to the folder of answers and without a suffix; no two files share one.
    """

    path: Path
    name: str

    @property
    def said(self) -> str:
        """The path as text that tables and databases take, see `printable`."""
        return printable(str(self.path))


def find_inputs(paths: Sequence[Path], formats: Sequence[str], out: Path | None) -> list[InputFile]:
    """The files that these words mean, each once, in the order of the words and by name within a folder.

    Links to folders are followed. Hidden files, and the folder of answers where it lies within one of the inputs', are
    left out. A folder that may not be listed is in: answering it says why it could not be. Where a folder of pictures
    is one input (`capabilities.FOLDER`), each folder that has pictures in it is in, and they are not.

    Args:
        paths: files, folders (with all below them) and globs.
        formats: media types that the model reads.
        out: the folder of answers.

    Raises:
        DataMissing: a folder or a glob holds no such file.
        ParamsError: the folder of answers is one of the inputs'.
    """
    wanted = _Wanted(tuple(suffix for one in formats for suffix in _SUFFIXES.get(one, ())), FOLDER in formats)
    avoided = None if out is None else out.resolve()
    found: dict[Path, Path] = {}
    for path in paths:
        for file in _files_of(path, wanted, avoided):
            found.setdefault(_resolved(file), file)
    return _named(list(found.values()))


@dataclass(frozen=True)
class _Wanted:
    """What of a folder is an input: files by their suffixes and, with `folders`, folders that have pictures in them."""

    suffixes: tuple[str, ...]
    folders: bool

    def __str__(self) -> str:
        return ", ".join([*self.suffixes, *(["folder of pictures"] if self.folders else [])])

    def of(self, folder: Path, names: Sequence[str]) -> Iterator[Path]:
        """The inputs among the files of a folder, by name."""
        seen = sorted(name for name in names if not name.startswith("."))
        if self.folders and any(name.lower().endswith(_OF_PICTURES) for name in seen):
            yield folder
        yield from (folder / name for name in seen if name.lower().endswith(self.suffixes))


def _files_of(path: Path, wanted: _Wanted, avoided: Path | None) -> list[Path]:
    if has_magic(str(path)) and not os.path.lexists(path):
        return _matching(path, wanted, avoided)
    if _is_folder(path):
        if path.resolve() == avoided:
            raise _among_the_pictures(path)
        files = list(_below(path, wanted, avoided))
        if not files:
            raise DataMissing(
                f"the folder holds no {wanted}", where=path, way_out="Give the folder that holds the pictures."
            )
        return files
    return [path]


def _matching(pattern: Path, wanted: _Wanted, avoided: Path | None) -> list[Path]:
    """What a glob matches, without the answers of an earlier call."""
    matched = list(map(Path, sorted(glob(str(pattern), recursive=True))))  # noqa: PTH207 (the pattern holds its folder)
    folder = next(one for one in pattern.parents if not has_magic(str(one)))
    if avoided in folder.resolve().parents:  # a folder of pictures within that of the answers, and named as such
        avoided = None
    files = [file for one in matched if not _lies_in(one, avoided) for file in _expanded(one, wanted, avoided)]
    if files:
        return files
    if matched and folder.resolve() == avoided:
        raise _among_the_pictures(folder)
    raise DataMissing("no file matches", where=pattern, way_out="Correct the pattern or the folder.")


def _expanded(path: Path, wanted: _Wanted, avoided: Path | None) -> Iterable[Path]:
    """A file, or what is in a folder."""
    return _below(path, wanted, avoided) if path.is_dir() else [path]


def _lies_in(path: Path, folder: Path | None) -> bool:
    """Whether a path is a folder, or leads into it."""
    return folder is not None and folder in (here := path.resolve(), *here.parents)


def _among_the_pictures(folder: Path) -> ParamsError:
    return ParamsError(
        "the results would lie among the pictures, and the next call would take them for pictures",
        where=folder,
        way_out=f"Give --out another folder, for example {folder / 'answers'}.",
    )


def _below(folder: Path, wanted: _Wanted, avoided: Path | None) -> Iterator[Path]:
    seen = {folder.resolve()}
    closed: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True, onerror=lambda e: closed.append(Path(e.filename))):
        here = Path(place)
        inner = {n: (here / n).resolve() for n in sorted(folders) if not n.startswith(".")}
        folders[:] = [n for n, real in inner.items() if real != avoided and real not in seen]  # links may go in circles
        seen.update(inner[n] for n in folders)
        yield from wanted.of(here, names)
    yield from closed


def _resolved(file: Path) -> Path:
    try:
        return file.resolve()
    except (OSError, RuntimeError):  # a circle of links; reading it will say so
        return file.absolute()


def _named(files: Sequence[Path]) -> list[InputFile]:
    """Names relative to the folder that all have in common: with the suffix only where the stem is not enough.

    It is not enough either for `a.jpg` beside `a.mask.png`: an answer of the one may be called as one of the other.
    """
    absolute = [_straight(file) for file in files]
    common = Path(os.path.commonpath([file.parent for file in absolute])) if files else Path()
    relative = [file.relative_to(common) for file in absolute]
    unclear = _unclear(Counter(_stem(one) for one in relative))
    return [
        InputFile(file, _short(one if _stem(one) in unclear or _is_folder(file) else one.with_suffix("")).as_posix())
        for file, one in zip(files, relative, strict=True)
    ]


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (says no where a path may not be looked at; Path.is_dir raises)


def _unclear(stems: Mapping[str, int]) -> set[str]:
    """Stems that several files have, or of which one begins another."""
    unclear = {stem for stem, count in stems.items() if count > 1}
    for stem in stems:
        shorter = {other for other in _beginnings(stem) if other in stems}
        if shorter:
            unclear |= shorter | {stem}
    return unclear


def _straight(file: Path) -> Path:
    """The absolute path without `..`, which would lead an answer out of its folder, onto the file itself at worst.

    Links stay as they are called, but for those before a `..`: it leads to the parent of where they point to.
    """
    return _resolved(file.parent) / file.name if ".." in file.parts else file.absolute()


def _short(relative: Path) -> Path:
    """The path with room for an answer's suffixes; file systems take names of 255 bytes."""
    name = os.fsencode(relative.name)
    if len(name) <= _LONGEST_NAME_BYTES:
        return relative
    digest = hashlib.sha256(name).hexdigest()[:12]
    return relative.with_name(f"{name[:_LONGEST_NAME_BYTES].decode(errors='ignore')}-{digest}")


def _stem(relative: Path) -> str:
    return str(relative.with_suffix("")).casefold()


def _beginnings(stem: str) -> Iterator[str]:
    """`d/a` and `d/a.b` of `d/a.b.c`."""
    name = stem.rpartition("/")[2]
    return (stem[: len(stem) - len(name) + at] for at, letter in enumerate(name) if letter == "." and at)
