"""What lies in a folder that a person filled: which entries count, by which names, and what of it can be read.

Other programs leave files beside images and labels: `.DS_Store`, `._NAME` (macOS), `NAME.tif.aux.xml`, `NAME.tif.ovr`
(GDAL, ArcGIS), `Thumbs.db`, `desktop.ini` (Windows). None of them is a sample. Suffixes count in any case.
"""

from __future__ import annotations

import json
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from sightline.errors import DataError, DataRejected
from sightline.files import kind_of, sha256_file
from sightline.task import Json, Sample

_DRIVE = re.compile(r"[A-Za-z]:")
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))  # PowerShell's `>` writes it


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is none of the person's own: `.name`, `__MACOSX`, a disk's `lost+found`."""
    return name.startswith((".", "__")) or name == "lost+found"


def find_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """Entries of a folder whose names end in one of the suffixes (lower case), in the order of their names.

    Hidden entries and folders are left out; pipes, devices and links that lead nowhere are in, since a person should be
    told of them (`check_file`). Empty where there is no such folder, or it may not be listed (`closed_folders`).
    """
    ends = tuple(suffixes)
    names = [name for name in _names(folder) if name.lower().endswith(ends) and not name.startswith(".")]
    return sorted(path for name in names if not is_folder(path := folder / name))


def walk_folders(root: Path, depth: int) -> Iterator[Path]:
    """`root` and the folders below it, `depth` levels deep at most, hidden ones left out; a folder before its own."""
    if not is_folder(root):
        return
    yield root
    if depth > 0:
        inner = sorted(root / name for name in _names(root) if not is_hidden(name))
        for folder in inner:
            yield from walk_folders(folder, depth - 1)


def is_folder(path: Path) -> bool:
    """Whether this is a folder; not where nobody may look, where `Path.is_dir` raises PermissionError."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:  # not there, no folder, or a closed one
        return []


def closed_folders(root: Path, depth: int) -> list[Sample]:
    """A sample with a problem for each folder of a set that may not be listed: what is in it would be passed over.

    Args:
        root: the set's folder.
        depth: of `walk_folders`.

    Raises:
        DataRejected: the set's own folder may not be listed.
    """
    found = []
    for folder in walk_folders(root, depth):
        reason = _refusal(folder)
        if reason:
            file = folder.relative_to(root).as_posix()
            what = f"the folder cannot be listed ({reason})"
            if folder == root:
                raise DataRejected(what, where=root, way_out=_OPEN)
            problem = str(DataRejected(what, where=file, way_out=_OPEN))
            found.append(Sample(file.replace("/", "-"), root.name, {"folder": file}, "", "", file, "", problem))
    return found


_OPEN = "Allow yourself to read it (chmod -R u+rX), or remove it."


def _refusal(folder: Path) -> str:
    """Why a folder may not be listed, or what is in it not looked at; empty where both may be."""
    try:
        with os.scandir(folder):
            os.stat(f"{folder}/.")  # noqa: PTH116  # a Path leaves the dot out
    except OSError as error:
        return error.strerror or str(error)
    return ""


def digest_of(path: Path) -> str:
    """SHA-256 of a file's bytes; empty where it cannot be read, which whoever reads it tells."""
    try:
        return sha256_file(path)
    except DataError:
        return ""


def check_file(path: Path) -> None:
    """Raise DataRejected where a path is no file that can be read to its end: opening a pipe would wait for ever."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        broken = path.is_symlink()
        what = "this link leads to no file" if broken else "there is no such file"
        raise DataRejected(what, where=path, way_out="Copy the file itself here, or remove it.") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(mode):
        raise DataRejected(
            f"this is {kind_of(mode)}, not a file", where=path, way_out="Replace it by a regular file, or remove it."
        )


def _unreadable(path: Path, error: OSError) -> DataRejected:
    return DataRejected(
        f"the file cannot be read ({error.strerror})",
        where=path,
        way_out="Allow yourself to read it (chmod u+r), or remove it.",
    )


def read_text(path: Path, most_bytes: int) -> str:
    """The text of a file as UTF-8, or as UTF-16 where it begins with such a mark; without the mark.

    Raises:
        DataRejected: it is no file, larger than `most_bytes`, or no text.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if len(content) > most_bytes:
        raise DataRejected(
            f"the file is larger than {most_bytes:,} bytes", where=path, way_out="Split the export into smaller files."
        )
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataRejected("the text is not UTF-8", where=path, way_out="Save the file again as UTF-8.") from error


def read_json(path: Path, most_bytes: int, way_out: str) -> Json:
    """The content of a file of JSON; `way_out` is what to do where it is none.

    Raises:
        DataRejected: as `read_text`, or it is not JSON.
    """
    try:
        document: Json = json.loads(read_text(path, most_bytes))
    except (ValueError, RecursionError) as error:
        raise DataRejected("the file is not valid JSON", where=path, way_out=way_out) from error
    return document


def by_stem(folders: Iterable[Path], suffixes: Sequence[str]) -> dict[str, list[Path]]:
    """Name without its suffix -> the `find_files` of these folders that are called so."""
    found: dict[str, list[Path]] = {}
    for path in (path for folder in folders for path in find_files(folder, suffixes)):
        found.setdefault(path.stem, []).append(path)
    return found


def odd_document(path: Path, problem: str, root: Path, role: str, stratum: str) -> Sample:
    """A document of the set in `root` that cannot be read, as a sample of its own, so that a person is told of it."""
    file = path.relative_to(root).as_posix()
    said = problem.replace(f"{root}/", "")
    return Sample(file.replace("/", "-"), root.name, {role: file}, "", "", file, stratum, said)


def plain_name(stated: str) -> str:
    """A path as a document states it, made comparable: `images\\a.jpg` and `./images/a.jpg` become `images/a.jpg`.

    Composed and decomposed letters (NFC, and NFD as macOS writes it) become the same. Empty where it leads outside the
    folder that it is relative to.
    """
    if "\0" in stated or not is_printable(stated):
        return ""
    parts = PurePosixPath(stated.replace("\\", "/"))
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or _DRIVE.match(parts.parts[0]):
        return ""
    return unicodedata.normalize("NFC", str(parts))


def is_printable(name: str) -> bool:
    """Whether a name can be written as UTF-8: Linux takes any bytes, and Python hands on what is none as surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class Names:
    """Finds files below a folder by their `plain_name`, whichever way their letters are composed on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, dict[str, str]] = {}

    def find(self, plain: str) -> str | None:
        """The path as it is on the disk, relative to the folder, POSIX separators; None where there is none.

        Links to nothing, pipes and devices are found too; folders are not.
        """
        at = ""
        for part in PurePosixPath(plain).parts:
            name = self._list(at).get(part)
            if name is None:
                return None
            at = f"{at}/{name}" if at else name
        return at if at and not is_folder(self._folder / at) else None

    def _list(self, at: str) -> dict[str, str]:
        """Plain name -> name of the entries of an inner folder."""
        if at not in self._entries:
            names = sorted(_names(self._folder / at))
            self._entries[at] = {unicodedata.normalize("NFC", name): name for name in names}
        return self._entries[at]
