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
from filelock import FileLock
from numpy.typing import NDArray

from sightline.errors import BackendError
from sightline.task import Json

Kind = Literal["run", "promotion", "rollback", "drift", "request", "intake", "restore"]
"""What an entry tells of; `request` is a retraining that drift asked for, `restore` a backup that was brought back."""

_PATIENCE_S = 30.0  # how long a writer waits for others

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


@dataclass(frozen=True)
class Answer:
    """One prediction as the log keeps it.

    Attributes:
        sha256: of the input's bytes.
        source: the file name that came with it, for people.
        row: the prediction's flat row.
        embedding: (d,) float32.
    """

    task: str
    version: int
    sha256: str
    source: str
    row: Mapping[str, float | int | str]
    embedding: NDArray[np.float32]
    time_s: float = field(default_factory=time.time)


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
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One connection and one transaction, also for the tables of others (`jobs`); see the class for what it raises.

        Connecting costs 0.1 ms and keeps threads and forks apart.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=_PATIENCE_S)
        except (OSError, sqlite3.Error) as error:
            raise self._failed(error) from error
        try:
            if not self._ready:
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

    def _failed(self, error: Exception) -> BackendError:
        return BackendError(
            f"the ledger cannot be used ({error})",
            where=self.path,
            way_out="Check that the disk has room and the folder can be written.",
        )

    def log(self, answers: Sequence[Answer]) -> list[int]:
        """Append answers in one transaction; when this returns they are on disk. Their numbers, never given twice."""
        rows = [
            (
                a.time_s,
                a.task,
                a.version,
                a.sha256,
                a.source,
                json.dumps(dict(a.row)),
                np.asarray(a.embedding, dtype="<f4").tobytes(),
            )
            for a in answers
        ]
        columns = "(time_s, task, version, sha256, source, row, embedding)"
        with self.transaction() as connection:
            statement = f"INSERT INTO predictions {columns} VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 (a constant)
            return [int(connection.execute(statement, row).lastrowid or 0) for row in rows]

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
