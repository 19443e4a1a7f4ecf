"""Unpacking archives from outside: nothing leaves the folder, no links, no more than is allowed."""

from __future__ import annotations

import errno
import gzip
import lzma
import posixpath
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from sightline.errors import BackendError, DataRejected
from sightline.runtime.disk import way_out_of

_PIECE = 2**20
_DEPTH = 2
_SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_DAMAGED = (
    *(zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, UnicodeError),
)
_UNNAMEABLE = {
    errno.EEXIST: "the name {name} occurs twice",
    errno.ENOTDIR: "the name {name} occurs as a file and as a folder",
    errno.EISDIR: "the name {name} occurs as a file and as a folder",
    errno.ENAMETOOLONG: "the name {name} is too long for this disk",
    errno.EINVAL: "this disk does not allow the name {name}",
    errno.EILSEQ: "this disk does not allow the name {name}",
}
"""What writing a member may fail by that has nothing to do with room or rights."""

_OWN_PROGRAM = "Unpack it with its own program, then use `sightline data add`."


@dataclass(frozen=True)
class Allowed:
    """What an archive may hold."""

    bytes: int = 64 * 2**30
    files: int = 1_000_000
    ratio: int = 1000  # unpacked to packed, beyond 64 MB: photographs have 1, text has 20, bombs have 1000 and more


def is_archive(path: Path) -> bool:
    """Whether `unpack` takes this file: zip, or tar with any of its compressions."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(archive: Path, folder: Path, allowed: Allowed | None = None) -> None:
    """Unpack an archive into a new `folder`, whole or not at all.

    Raises:
        DataRejected: it is no archive, is damaged or encrypted, holds a link or a path that leaves the folder, or
            unpacks to more than is allowed.
        BackendError: the disk is full.
    """
    limits = allowed or Allowed()
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        with _opened(archive) as members:
            _write_members(members, partial, archive, limits)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        raise BackendError(
            f"the archive cannot be unpacked ({error.strerror})",
            where=folder,
            way_out=way_out_of(error),
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def unpack_nested(archive: Path, folder: Path, allowed: Allowed | None = None) -> None:
    """Unpack an archive into a new `folder`, whole or not at all, and the archives in it beside where they lay.

    Raises:
        DataRejected, BackendError: as `unpack`; also where it holds 7z or RAR archives, or archives three levels deep.
    """
    limits = allowed or Allowed()
    unpack(archive, folder, limits)
    try:
        for _ in range(_DEPTH):
            for inner in _archives_in(folder):
                left = limits.bytes - sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                unpack(inner, _beside(inner), replace(limits, bytes=max(left, 0)))
                inner.unlink()
        if _archives_in(folder):
            raise _refused(archive, "archives are nested more than two levels deep")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _beside(archive: Path) -> Path:
    """Where an inner archive is unpacked: a folder with its name, less the suffixes where nothing has that name."""
    place = archive.with_name(archive.name.partition(".")[0])
    return archive.with_name(f"{archive.name}.unpacked") if place.exists() else place


def _archives_in(folder: Path) -> list[Path]:
    """Archives below a folder, by their suffix; what macOS adds to archives is none of them."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("._")]
    for path in files:
        if path.suffix.lower() in (".7z", ".rar"):
            raise DataRejected(
                "this kind of archive is not supported",
                where=path,
                way_out=_OWN_PROGRAM,
            )
    return [path for path in files if path.name.lower().endswith(_SUFFIXES)]


Member = tuple[str, IO[bytes]]


@contextmanager
def _opened(archive: Path) -> Iterator[Iterator[Member]]:
    """The files of an archive, one after the other."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                yield _zip_members(opened, archive)
        else:
            with tarfile.open(archive) as tar:
                yield _tar_members(tar, archive)
    except NotImplementedError as error:  # of zipfile
        raise DataRejected(
            f"the compression of the archive is not supported ({error})", where=archive, way_out=_OWN_PROGRAM
        ) from error
    except _DAMAGED as error:
        raise DataRejected(
            f"the archive is damaged ({error})", where=archive, way_out="Remove the file and download it again."
        ) from error


def _zip_members(opened: zipfile.ZipFile, archive: Path) -> Iterator[Member]:
    for member in opened.infolist():
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _refused(archive, f"{member.filename} is a link")
        if member.flag_bits & 1:
            raise DataRejected("the archive is encrypted", where=archive, way_out=_OWN_PROGRAM)
        if not member.is_dir():
            with opened.open(member) as content:
                yield member.filename, content


def _tar_members(tar: tarfile.TarFile, archive: Path) -> Iterator[Member]:
    for member in tar:
        if member.isdir():
            continue
        content = tar.extractfile(member) if member.isreg() else None
        if content is None:
            raise _refused(archive, f"{member.name} is a link or a device")
        with content:
            yield member.name, content
    _read_padding(tar, archive)


def _read_padding(tar: tarfile.TarFile, archive: Path) -> None:
    """Read to the end: only there a compressed stream shows by its checksum that it is whole."""
    assert tar.fileobj is not None
    for _ in range(64):
        if not tar.fileobj.read(_PIECE):
            return
    raise _refused(archive, "too many bytes follow its last file")


def _write_members(members: Iterator[Member], folder: Path, archive: Path, allowed: Allowed) -> None:
    packed = archive.stat().st_size
    left = min(allowed.bytes, max(allowed.ratio * packed, 64 * 2**20))
    for number, (name, content) in enumerate(members, start=1):
        if number > allowed.files:
            raise _refused(archive, f"it holds more than {allowed.files} files")
        with _created(folder / _safe(name, archive), name, archive) as out:
            while piece := content.read(_PIECE):  # the sizes that the archive states may be lies
                left -= len(piece)
                if left < 0:
                    raise _refused(archive, "its content is too large for its size")
                out.write(piece)


@contextmanager
def _created(path: Path, name: str, archive: Path) -> Iterator[IO[bytes]]:
    """A new file for a member; what its name may be wrong by is said of the archive, not of the disk."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        out = path.open("xb")
    except OSError as error:
        meaning = _UNNAMEABLE.get(error.errno or 0)
        if meaning is None:
            raise
        if error.errno == errno.EEXIST and not path.exists():  # what should be its folder is a file
            meaning = _UNNAMEABLE[errno.ENOTDIR]
        shown = repr(name if len(name) <= 80 else f"{name[:77]}...")
        raise _refused(archive, meaning.format(name=shown)) from error
    with out:
        yield out


def _safe(name: str, archive: Path) -> str:
    """The member's name, if it stays inside."""
    clean = posixpath.normpath(name.replace("\\", "/"))
    if clean in (".", "..") or clean.startswith(("/", "../")) or ":" in clean.partition("/")[0] or "\0" in clean:
        raise _refused(archive, f"the name {name!r} leads out of the folder")
    return clean


def _refused(archive: Path, why: str) -> DataRejected:
    return DataRejected(
        f"the archive is refused: {why}",
        where=archive,
        way_out="If you trust it, unpack it yourself and use `sightline data add`.",
    )
