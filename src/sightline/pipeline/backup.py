"""Backup and restore of what cannot be made again: ledger, registry, Prefect's database, and what pins the data.

A backup is a folder with the files as they lie in the project, and `backup.json`: the SHA-256 of each. It may be made
while everything runs: databases are copied by sqlite's own online backup (https://www.sqlite.org/backup.html), and
before the files that they name, which are written earlier and never changed.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sightline import versions
from sightline.errors import BackendError, DataMissing, DataRejected
from sightline.files import sha256_file, write_json
from sightline.runtime.disk import require_room
from sightline.runtime.processes import running

if TYPE_CHECKING:
    from sightline.settings import Settings
    from sightline.task import Json, Progress

T = TypeVar("T")

MANIFEST = "backup.json"
_FORMAT = 1
_DATABASES = ("mlruns/mlflow.db", "state/ledger.sqlite", "state/prefect/prefect.db")
"""In this order: an alias is moved after the ledger has its row, so the ledger is never behind the registry."""

_PINS = ("params.yaml", "data.dvc", "dvc.lock", "dvc.yaml")
_NOT_KEPT = (".lock", "-wal", "-shm", "-journal", ".partial", ".tmp")
_VERSION_STEP = 1_000
"""Numbers of model versions go on at the next multiple of it after a restore; the ledger's ids need no such step."""


@dataclass(frozen=True)
class Kept:
    """A backup: its files with their SHA-256, when it was made (Unix time), and of which commit."""

    folder: Path
    files: Mapping[str, str]
    made_s: float
    commit: str

    @property
    def bytes(self) -> int:
        """Bytes of all its files."""
        return sum((self.folder / name).stat().st_size for name in self.files)


def back_up(settings: Settings, folder: Path, progress: Progress) -> Kept:
    """Write a backup of the project into a folder that is new or empty.

    Raises:
        DataRejected: the folder has something in it.
        DataMissing: the project has nothing to back up yet.
        BackendError: it cannot be written, or a database cannot be read.
    """
    names = list(_names(settings))
    if not any(name in _DATABASES for name in names):
        raise DataMissing(
            "the project has nothing to back up yet", where=settings.root, way_out="Run `sightline run TASK` first."
        )
    _require_empty(folder)
    require_room([folder], sum((settings.root / name).stat().st_size for name in names))
    digests: dict[str, str] = {}
    try:
        for name in _told(progress, "copying", names):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if name in _DATABASES:
                _copy_database(settings.root / name, target)
                digests[name] = sha256_file(target)
            else:
                digests[name] = sha256_file(settings.root / name)  # `check` then compares the copy with it
                shutil.copy2(settings.root / name, target)
    except OSError as error:
        raise BackendError(f"the backup cannot be written ({error.strerror})", where=folder, way_out=_ROOM) from error
    made: dict[str, Json] = {
        "format": _FORMAT,
        "made_s": time.time(),
        "commit": versions.commit(settings),
        "files": digests,
    }
    write_json(folder / MANIFEST, made)  # last: without it a folder is no backup
    return read_backup(folder)


_ROOM = "Check the disk's free space and your write permission, remove the folder, and try again."


def read_backup(folder: Path) -> Kept:
    """Read the manifest of a backup; its files are not checked yet.

    Raises:
        DataMissing: it is no whole backup.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in manifest["files"].items()}
        if manifest["format"] != _FORMAT or any(_leaves(name) for name in files):
            raise ValueError("format")
        return Kept(folder, files, float(manifest["made_s"]), str(manifest["commit"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        way_out = f"Give a folder that `sightline backup` has completed: it holds {MANIFEST}."
        raise DataMissing("this is not a complete backup", where=folder, way_out=way_out) from error


def check(kept: Kept, progress: Progress) -> None:
    """Compare every file with its digest, and let sqlite look at the databases.

    Raises:
        DataRejected: a file lacks or differs, or a database is damaged; names it.
    """
    for name, digest in _told(progress, "checking", list(kept.files.items())):
        path = kept.folder / name
        if not path.is_file() or sha256_file(path) != digest:
            raise DataRejected("this file of the backup is missing or was changed", where=path, way_out=_ANOTHER)
        if name in _DATABASES and not _is_sound(path):
            raise DataRejected("this database is damaged", where=path, way_out=_ANOTHER)


_ANOTHER = "Use another backup."


def restore_backup(settings: Settings, folder: Path, progress: Progress) -> Kept:
    """Bring a backup into the project folder; versions go on where nobody can have got a number since.

    What is there and differs is kept beside it as `NAME.before-restore`; a ledger or registry must not be there.

    Raises:
        DataMissing: the folder is no whole backup.
        DataRejected: a file of it was changed, or the project has a ledger or a registry.
        BackendError: a server of this project runs, or the disk is full.
    """
    kept = read_backup(folder)
    _require_free(settings, kept)
    check(kept, progress)
    require_room([settings.root], kept.bytes)
    try:
        for name in _told(progress, "restoring", [name for name in kept.files if name not in _DATABASES]):
            _place(folder / name, settings.root / name, kept.files[name])
        ready = {name: _prepare(folder / name, settings.root / name) for name in _DATABASES if name in kept.files}
        for name, temporary in ready.items():
            temporary.replace(settings.root / name)
        if "state/ledger.sqlite" in ready:
            _tell_ledger(settings)
    except OSError as error:
        raise BackendError(f"it cannot be restored ({error.strerror})", where=settings.root, way_out=_ROOM) from error
    return kept


def _told(progress: Progress, what: str, items: Sequence[T]) -> Iterator[T]:
    """The items, with the progress through them."""
    for number, item in enumerate(items):
        progress.advance(number, len(items), what)
        yield item
    progress.advance(len(items), len(items), what)


# ------------------------------------------------------------------------------------------------- what is kept


def _names(settings: Settings) -> Iterator[str]:
    """Files to keep, as paths below the root: databases first."""
    root = settings.root
    elsewhere = {"state/ledger.sqlite"} if settings.ledger_url.get_secret_value() else set()
    yield from (name for name in _DATABASES if name not in elsewhere and (root / name).is_file())
    yield from (name for name in _PINS if (root / name).is_file())
    yield from (name for name in _files_below(settings.mlruns, root) if _is_kept_artifact(name))
    yield from _files_below(settings.state / "predictions", root)


def _is_kept_artifact(name: str) -> bool:
    return name not in _DATABASES and not name.endswith(_NOT_KEPT)


def _files_below(folder: Path, root: Path) -> Iterator[str]:
    """In order, as paths below the root."""
    return (path.relative_to(root).as_posix() for path in sorted(folder.rglob("*")) if path.is_file())


def _leaves(name: str) -> bool:
    """Whether a name of a manifest, which may be forged, points out of the project."""
    parts = Path(name).parts
    return Path(name).is_absolute() or ".." in parts or not parts or parts[0] not in ("mlruns", "state", *_PINS)


def _require_empty(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataRejected(
            "a backup needs a new folder, but this one exists",
            where=folder,
            way_out="Give a folder that does not exist yet.",
        )


def _require_free(settings: Settings, kept: Kept) -> None:
    servers = running(settings.state)
    if servers:
        way_out = "Stop `sightline up`, then try again."
        raise BackendError(
            f"servers of this project are running ({', '.join(servers)})", where=settings.root, way_out=way_out
        )
    for name in _DATABASES:
        if name in kept.files and (settings.root / name).exists():
            raise DataRejected(
                "the project has this file already, and a restore does not overwrite files",
                where=settings.root / name,
                way_out="Restore into a fresh clone, or move state/ and mlruns/ elsewhere first.",
            )


def _place(source: Path, target: Path, digest: str) -> None:
    if target.is_file():
        if sha256_file(target) == digest:
            return
        target.replace(target.with_name(f"{target.name}.before-restore"))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.partial")
    shutil.copy2(source, temporary)
    temporary.replace(target)


# ------------------------------------------------------------------------------------------------- databases


def _copy_database(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source, timeout=30)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except sqlite3.Error as error:
        raise BackendError(f"the database cannot be copied ({error})", where=source, way_out=_ROOM) from error


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)) as tables:
            return bool(tables.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    except sqlite3.Error:
        return False


def _prepare(source: Path, target: Path) -> Path:
    """A copy beside the target, in which versions go on beyond all that may have been given since the backup."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.partial")
    shutil.copy2(source, temporary)
    if target.name == "mlflow.db":
        try:
            with closing(sqlite3.connect(temporary)) as tables, tables:
                _skip_versions(tables)
        except sqlite3.Error as error:
            way_out = "The backup may be of another version of Sightline: restore it with that version."
            raise BackendError(
                f"the registry's version numbers cannot be skipped ({error})", where=source, way_out=way_out
            ) from error
    return temporary


def _tell_ledger(settings: Settings) -> None:
    from sightline.stores.database import Database
    from sightline.stores.events import Events

    Events(Database(f"sqlite:///{settings.ledger}")).record("restore", "", {})


def _skip_versions(tables: sqlite3.Connection) -> None:
    """A version that MLflow takes for a deleted one holds the number: it counts on from the largest."""
    newest = tables.execute("SELECT workspace, name, MAX(version) FROM model_versions GROUP BY 1, 2").fetchall()
    columns = "workspace, name, version, current_stage, status, creation_time, source, run_id"
    for workspace, name, version in newest:
        tables.execute(
            f"INSERT INTO model_versions ({columns})"  # noqa: S608 (constants)
            " VALUES (?, ?, ?, 'Deleted_Internal', 'READY', ?, 'REDACTED-SOURCE-PATH', 'REDACTED-RUN-ID')",
            (workspace, name, _next(version, _VERSION_STEP), int(time.time() * 1000)),
        )


def _next(number: int, step: int) -> int:
    """The first multiple of a step beyond a number."""
    return (number // step + 1) * step
