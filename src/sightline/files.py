"""Files written whole or not at all, and digests of what is on disk."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError

if TYPE_CHECKING:
    from sightline.task import Json


def write_text(path: Path, text: str) -> None:
    """Write a text file under a temporary name, then rename it into place.

    Raises:
        BackendError: the disk is full or the folder cannot be written; the old file is kept.
    """
    replace_bytes(path, text.encode("utf-8"))


def replace_bytes(path: Path, content: bytes) -> None:
    """`write_text` of bytes."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write a file under; what is there at the end takes the place of `path`.

    Raises:
        BackendError: the disk is full or the folder cannot be written; the old file is kept.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise BackendError(
            f"the file cannot be written ({error.strerror or error})",
            where=path,
            way_out="Check the disk's free space and your write permission.",
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be the trouble
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(
    folder: Path, what: str, way_out: str = "Check the disk's free space and your write permission."
) -> Iterator[Path]:
    """A new folder beside `folder` to write into; at the end it takes the place of `folder`, whole or not at all.

    Args:
        folder: what is replaced; it need not be there.
        what: it is, for the error: "the evaluation".
        way_out: of that error.

    Raises:
        BackendError: the disk is full or the folder cannot be written; the old one is kept.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a kill
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        raise BackendError(
            f"{what} cannot be written ({error.strerror or error})", where=folder, way_out=way_out
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file, if it is there.

    Raises:
        BackendError: it may not be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise BackendError(
            f"the file cannot be removed ({error.strerror or error})",
            where=path,
            way_out="Get write permission for the folder.",
        ) from error


def write_json(path: Path, document: Json) -> None:
    """Write JSON with sorted keys: the same document gives the same bytes. NaN and infinity become null."""
    text = json.dumps(finite(document), indent=2, sort_keys=True, allow_nan=False)
    write_text(path, text + "\n")


def finite(document: Json) -> Json:
    """The document with null in place of what JSON has no word for."""
    if isinstance(document, float):
        return document if math.isfinite(document) else None
    if isinstance(document, dict):
        return {key: finite(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [finite(value) for value in document]
    return document


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of(mode: int) -> str:
    """What stands in a file's place, by its mode: "a folder", "a named pipe" ..."""
    return next((name for fits, name in _KINDS if fits(mode)), "something else")


def open_file(path: Path, where: str = "") -> BufferedReader:
    """A file opened for reading. A pipe that nobody writes to, or a device without an end, is refused at once.

    Raises:
        DataMissing: there is no such file, or the link leads to no file.
        DataRejected: it is no file but a folder, a pipe, a socket or a device, or may not be read.
    """
    where = where or str(path)
    try:
        # Without O_NONBLOCK the opening of a pipe waits for a writer, for ever where there is none.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        if path.is_symlink():
            raise DataMissing(
                "the link leads to no file", where=where, way_out="Give the path of an existing file."
            ) from error
        raise DataMissing(
            "there is no such file", where=where, way_out="Check the path for a spelling mistake."
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENXIO:
            raise DataRejected(
                "it is not a file but a socket",
                where=where,
                way_out=("Give the path of a regular file that you may read."),
            ) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise DataRejected(
            f"the file cannot be read: {reason}",
            where=where,
            way_out=("Give the path of a regular file that you may read."),
        ) from error
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise DataRejected(f"it is not a file but {kind_of(mode)}", where=where, way_out="Give the path of one file.")
    return os.fdopen(descriptor, "rb")


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces. Raises as `open_file` does, also where reading fails half way."""
    with open_file(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise DataRejected(
                f"the file cannot be read: {error.strerror}",
                where=path,
                way_out="Copy the file again from the original.",
            ) from error


PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".jpe")
"""How the names of pictures end, of which a folder may be one input."""


def sha256_input(path: Path) -> str:
    """SHA-256 of one input: of a file's bytes, or of the names and contents of the pictures that lie in a folder.

    What other programs leave beside them does not count. Raises as `open_file` does.
    """
    if not os.path.isdir(path):  # noqa: PTH112 (Path.is_dir raises where a name is too long)
        return sha256_file(path)
    shown = (file for file in path.iterdir() if file.name.lower().endswith(PICTURES) and not file.name.startswith("."))
    return sha256_files((file for file in shown if file.is_file()), path)


def require_weights(path: Path, sha256: str, where: str) -> None:
    """Whether the weights that params.yaml names are there and the ones that were meant.

    Raises:
        ParamsError: they are not.
    """
    if not path.is_file():
        raise ParamsError(
            "there is no such file", where=where, way_out="Put the weights there, or remove them from params.yaml."
        )
    found = sha256_file(path)
    if found != sha256:
        raise ParamsError(
            f"its SHA-256 is {found}, not {sha256}",
            where=where,
            way_out="Download the file again. If this is the file you want, write its SHA-256 into params.yaml.",
        )


def sha256_files(files: Iterable[Path], relative_to: Path) -> str:
    """One SHA-256 over several files' names and contents, whatever order they come in."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(f"{file.relative_to(relative_to).as_posix()} {sha256_file(file)}\n".encode())
    return digest.hexdigest()
