"""The ledger: what must never be lost. One sqlite file, append-only, safe for many processes.

Two tables: `predictions`, a row for each answer given, written before the answer leaves; and `entries`, a document
for each thing that happened (a promotion, a finished run, a drift verdict, labels taken in). The file also holds the
queue of `jobs`, which is not append-only.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from sightline.errors import BackendError
from sightline.runtime.disk import full_folder, tells_of_full_disk
from sightline.task import Json

Kind = Literal["run", "promotion", "rollback", "drift", "request", "intake", "restore"]
"""What an entry tells of; `request` is a retraining that drift asked for, `restore` a backup that was brought back."""

_PATIENCE_S = 30.0  # how long a writer waits for others
_CHECK_S = 1.0  # and one that only asks whether it could write

_SCHEMA = """
CREATE TABLE IF NOT EXISTS predictions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time_s REAL NOT NULL, task TEXT NOT NULL, version INTEGER NOT NULL,
    sha256 TEXT NOT NULL, source TEXT NOT NULL, row TEXT NOT NULL, embedding BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS predictions_by_time ON predictions (task, time_s);
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, time_s REAL NOT NULL, task TEXT NOT NULL, kind TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entries_by_kind ON entries (task, kind, id);
CREATE TRIGGER IF NOT EXISTS predictions_stay BEFORE UPDATE ON predictions
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_stay BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_remain BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""


_DAMAGED = "Stop what uses it, and restore it from a backup; moved away, a new one is made."
_RIGHTS = "Give this user the right to write the file and its folder."
_TOLD = {
    sqlite3.SQLITE_FULL: ("has no room: the disk is full", "Make room, then try again."),
    sqlite3.SQLITE_BUSY: (
        "is held by another program",
        "Find who has it open (a backup, a viewer of databases), end that, then try again.",
    ),
    sqlite3.SQLITE_LOCKED: ("is held by another program", "End what has it open, then try again."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", _DAMAGED),
    sqlite3.SQLITE_NOTADB: ("is no database", _DAMAGED),
    sqlite3.SQLITE_READONLY: ("cannot be written", _RIGHTS),
    sqlite3.SQLITE_PERM: ("cannot be written", _RIGHTS),
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", _RIGHTS),
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk failed", "Check the disk and how it is mounted."),
    sqlite3.SQLITE_ERROR: ("has other tables than this version wants", _DAMAGED),
}
"""sqlite's code -> what is wrong, and the way out."""


@dataclass(frozen=True)
class Answer:
    """One prediction as the log keeps it.

    Attributes:
        sha256: of the input's bytes.
        source: the file name that came with it, for people.
        row: the prediction's flat row.
        embedding: (d,) float32.
        once: where it is there already (task, version, digest and source), it is not written again.
    """

    task: str
    version: int
    sha256: str
    source: str
    row: Mapping[str, float | int | str]
    embedding: NDArray[np.float32]
    time_s: float = field(default_factory=time.time)
    once: bool = False


@dataclass(frozen=True)
class Entry:
    """One thing that happened."""

    id: int
    time_s: float
    task: str
    kind: Kind
    document: dict[str, Json]


class Ledger:
    """Open ledger; the file and its tables are made at the first use.

    Raises:
        BackendError: the file cannot be written (a full disk, a lock held for 30 s, not a database).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ready = False

    @contextmanager
    def transaction(self, patience_s: float = _PATIENCE_S) -> Iterator[sqlite3.Connection]:
        """One connection and one transaction, also for the tables of others (`jobs`); see the class for what it raises.

        Connecting costs 0.1 ms and keeps threads and forks apart.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=patience_s)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        try:
            if not self._ready or not _has_tables(connection):  # somebody may have removed the file meanwhile
                self._prepare(connection)
            connection.execute("PRAGMA synchronous=FULL")  # an answered prediction survives a power cut
            with connection:
                yield connection
        except sqlite3.Error as error:
            raise self._failed(error) from error
        finally:
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """One process and thread at a time: changing the journal's mode does not wait for others, but fails."""
        try:
            with FileLock(self.path.with_suffix(".lock"), timeout=_PATIENCE_S):
                connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for writers
                connection.executescript(_SCHEMA)
        except OSError as error:  # Timeout is one
            raise self._failed(error) from error
        self._ready = True

    def check(self) -> None:
        """Whether an answer could be written now.

        Raises:
            BackendError: says what is wrong.
        """
        if full_folder([self.path.parent]) is not None:
            raise BackendError("the disk is full", where=self.path, way_out="Make room.")
        with self.transaction(_CHECK_S) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()

    def _failed(self, error: Exception) -> BackendError:
        """What is wrong, by the code that sqlite gives (the extended codes keep the kind in the lowest byte)."""
        kind = getattr(error, "sqlite_errorcode", 0) & 0xFF
        what, way_out = _TOLD.get(kind, ("cannot be used", "Look at the file and its folder."))
        if isinstance(error, Timeout):
            what, way_out = _TOLD[sqlite3.SQLITE_BUSY]
        elif tells_of_full_disk(error):
            what, way_out = _TOLD[sqlite3.SQLITE_FULL]
        elif isinstance(error, OSError):
            what, way_out = _TOLD[sqlite3.SQLITE_CANTOPEN]
        return BackendError(f"the ledger {what} ({error})", where=self.path, way_out=way_out)

    def log(self, answers: Sequence[Answer]) -> list[int]:
        """Append answers in one transaction; when this returns they are on disk. Their numbers, never given twice."""
        with self.transaction() as connection:
            return [_number_of(connection, answer) or _append(connection, answer) for answer in answers]

    def answers(self, task: str, since_s: float = 0.0, until_s: float = float("inf")) -> list[Answer]:
        """Answers given in [since, until), oldest first."""
        query = (
            "SELECT version, sha256, source, row, embedding, time_s FROM predictions"
            " WHERE task = ? AND time_s >= ? AND time_s < ? ORDER BY id"
        )
        with self.transaction() as connection:
            found = connection.execute(query, (task, since_s, until_s)).fetchall()
        return [
            Answer(task, version, sha256, source, json.loads(row), np.frombuffer(embedding, dtype="<f4"), time_s)
            for version, sha256, source, row, embedding, time_s in found
        ]

    def days(self, task: str) -> dict[tuple[str, int], int]:
        """(day in UTC as YYYY-MM-DD, model version) -> how many answers were given."""
        query = "SELECT date(time_s, 'unixepoch'), version, COUNT(*) FROM predictions WHERE task = ? GROUP BY 1, 2"
        with self.transaction() as connection:
            found = connection.execute(query, (task,)).fetchall()
        return {(day, version): count for day, version, count in found}

    def record(self, kind: Kind, task: str, document: Mapping[str, Json]) -> int:
        """Append one entry; its number."""
        with self.transaction() as connection:
            cursor = connection.execute(
                "INSERT INTO entries (time_s, task, kind, document) VALUES (?, ?, ?, ?)",
                (time.time(), task, kind, json.dumps(dict(document), sort_keys=True)),
            )
            return int(cursor.lastrowid or 0)

    def entries(self, task: str, *kinds: Kind) -> list[Entry]:
        """Entries of a task, of these kinds or of all, oldest first."""
        kept = f" AND kind IN ({', '.join('?' * len(kinds))})" if kinds else ""
        query = f"SELECT id, time_s, task, kind, document FROM entries WHERE task = ?{kept} ORDER BY id"  # noqa: S608
        with self.transaction() as connection:
            found = connection.execute(query, (task, *kinds)).fetchall()
        return [Entry(number, time_s, name, k, json.loads(text)) for number, time_s, name, k, text in found]

    def last(self, task: str, kind: Kind) -> Entry | None:
        """The newest entry of a kind."""
        entries = self.entries(task, kind)
        return entries[-1] if entries else None


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'predictions'").fetchone() is not None


def _number_of(connection: sqlite3.Connection, answer: Answer) -> int | None:
    """The number that an answer got before, of those that are written once."""
    if not answer.once:
        return None
    query = "SELECT id FROM predictions WHERE task = ? AND version = ? AND sha256 = ? AND source = ?"
    found = connection.execute(query, (answer.task, answer.version, answer.sha256, answer.source)).fetchone()
    return int(found[0]) if found else None


def _append(connection: sqlite3.Connection, answer: Answer) -> int:
    embedding = np.asarray(answer.embedding, dtype="<f4").tobytes()
    row = json.dumps(dict(answer.row))
    cursor = connection.execute(
        "INSERT INTO predictions (time_s, task, version, sha256, source, row, embedding) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (answer.time_s, answer.task, answer.version, answer.sha256, answer.source, row, embedding),
    )
    return int(cursor.lastrowid or 0)
