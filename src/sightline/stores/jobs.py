"""Work that outlives the request that asked for it: a table of the ledger's file, safe for many processes.

    queued --claim--> running --finish--> done | failed
       ^                 |
       +-- put_back -----+      and from any of them --cancel--> cancelled

Whoever claims a job holds it by a lease that must be renewed. A process that is killed renews nothing: its lease runs
out and the job is claimed again, by whoever comes. After `MOST_ATTEMPTS` claims without an end it has failed.

Whether a lease has run out is not told by the time in the file, for clocks are set forward and back: whoever wants the
job watches it, and takes it once it has not changed for as long as the lease by the watcher's own monotonic clock.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sightline.stores.ledger import Ledger
    from sightline.task import Json

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

MOST_ATTEMPTS = 3

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, time_s REAL NOT NULL, "order" TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '',
    hold_s REAL NOT NULL DEFAULT 0, progress TEXT NOT NULL DEFAULT '{}', outcome TEXT NOT NULL DEFAULT '{}',
    changed_s REAL NOT NULL)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (task, state, id)"
_COLUMNS = 'id, task, time_s, "order", state, attempts, worker, hold_s, progress, outcome, changed_s'
_HAS_HOLD = "SELECT COUNT(*) FROM pragma_table_info('jobs') WHERE name = 'hold_s'"
_ADD_HOLD = "ALTER TABLE jobs ADD COLUMN hold_s REAL NOT NULL DEFAULT 0"  # files of before had a Unix time instead

_GIVEN_UP = {
    "error": f"it was begun {MOST_ATTEMPTS} times and never came to an end",
    "where": "",
    "way_out": "The server's log may say why; ask for less at once.",
    "status": 503,
}


@dataclass(frozen=True)
class Job:
    """One job as it was when it was read.

    Attributes:
        id: its number, never given twice.
        task: whose it is.
        time_s: when it was asked for (Unix time).
        order: what was asked for.
        state: queued, running, done, failed or cancelled.
        attempts: how often it was claimed.
        worker: who claimed it last.
        hold_s: nobody claims it before it has stayed as it is for so long.
        progress: `done`, `total` and `what`; empty before there is any.
        outcome: what it came to; of a queued job, why the last attempt failed.
        changed_s: when any of this changed last (Unix time).
    """

    id: int
    task: str
    time_s: float
    order: Mapping[str, Json]
    state: State
    attempts: int
    worker: str
    hold_s: float
    progress: Mapping[str, Json]
    outcome: Mapping[str, Json]
    changed_s: float

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED


class Jobs:
    """The jobs of a ledger's file; its table is made at the first use.

    Args:
        ledger: whose file.
        now_s: the clock, Unix time; for people, nothing is decided by it.
        monotonic_s: a clock that is never set.

    Raises:
        BackendError: from any method: the file cannot be used.
    """

    def __init__(
        self, ledger: Ledger, now_s: Callable[[], float] = time.time, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._ledger = ledger
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._seen: dict[int, tuple[tuple[object, ...], float]] = {}  # as which a job was seen first, and when

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._ledger.transaction() as connection:
            connection.execute(_SCHEMA)  # each time: somebody may have removed the file
            connection.execute(_INDEX)
            if not connection.execute(_HAS_HOLD).fetchone()[0]:
                connection.execute(_ADD_HOLD)
            yield connection

    def add(self, task: str, order: Mapping[str, Json]) -> int:
        """Put a job at the end of the queue; its number."""
        now_s = self._now_s()
        with self._transaction() as connection:
            cursor = connection.execute(
                'INSERT INTO jobs (task, time_s, "order", changed_s) VALUES (?, ?, ?, ?)',
                (task, now_s, json.dumps(dict(order)), now_s),
            )
            return int(cursor.lastrowid or 0)

    def claim(self, task: str, worker: str, lease_s: float) -> Job | None:
        """The oldest job of a task that nobody holds, from now on this worker's; None where there is none.

        One that was claimed too often without an end fails instead.

        Args:
            task: whose jobs.
            worker: who claims; no two processes may use the same word.
            lease_s: how long it is the worker's, unless renewed.
        """
        with self._transaction() as connection:
            connection.execute("BEGIN IMMEDIATE")  # between reading and writing nobody else claims
            query = f"SELECT {_COLUMNS} FROM jobs WHERE task = ? AND state IN ('queued', 'running') ORDER BY id"  # noqa: S608 (constants)
            free = self._free([_job(row) for row in connection.execute(query, (task,)).fetchall()])
            for job in free:
                if job.attempts < MOST_ATTEMPTS:
                    return self._taken(connection, job, worker, lease_s)
                given_up = "UPDATE jobs SET state = 'failed', outcome = ?, changed_s = ? WHERE id = ?"
                connection.execute(given_up, (json.dumps(_GIVEN_UP), self._now_s(), job.id))
        return None

    def _free(self, jobs: list[Job]) -> list[Job]:
        """Those that have stayed as they are for as long as they are held."""
        now_s, seen = self._monotonic_s(), {}
        for job in jobs:
            first, since_s = self._seen.get(job.id, ((), now_s))
            seen[job.id] = (first, since_s) if first == _looks(job) else (_looks(job), now_s)
        self._seen = seen
        return [job for job in jobs if now_s - seen[job.id][1] >= job.hold_s]

    def _taken(self, connection: sqlite3.Connection, job: Job, worker: str, lease_s: float) -> Job:
        statement = (
            "UPDATE jobs SET state = 'running', attempts = attempts + 1, worker = ?, hold_s = ?, changed_s = ?"  # noqa: S608 (constants)
            f" WHERE id = ? RETURNING {_COLUMNS}"
        )
        rows = connection.execute(statement, (worker, lease_s, self._now_s(), job.id)).fetchall()
        taken = _job(rows[0])
        self._seen[job.id] = _looks(taken), self._monotonic_s()
        return taken

    def renew(self, job: Job, progress: Mapping[str, Json], lease_s: float) -> bool:
        """Tell how far a claimed job is and hold it on; False where it is no longer this worker's."""
        return self._change(job, "progress = ?, hold_s = ?", json.dumps(dict(progress)), lease_s)

    def finish(self, job: Job, state: Literal["done", "failed"], outcome: Mapping[str, Json]) -> bool:
        """End a claimed job; False where it is no longer this worker's: it then stays as it is."""
        return self._change(job, "state = ?, outcome = ?", state, json.dumps(dict(outcome)))

    def put_back(self, job: Job, outcome: Mapping[str, Json], pause_s: float) -> bool:
        """Queue a claimed job again after a failure, to be claimed after a pause; False as in `finish`.

        After the last attempt it has failed.
        """
        if job.attempts >= MOST_ATTEMPTS:
            return self.finish(job, "failed", outcome)
        return self._change(job, "state = 'queued', outcome = ?, hold_s = ?", json.dumps(dict(outcome)), pause_s)

    def let_go(self, job: Job) -> bool:
        """Queue a claimed job again as if it had never been claimed; False as in `finish`."""
        return self._change(job, "state = 'queued', hold_s = 0, attempts = attempts - 1")

    def _change(self, job: Job, assignments: str, *values: object) -> bool:
        """Change a job that is running and still this worker's."""
        statement = f"UPDATE jobs SET {assignments}, changed_s = ? WHERE id = ? AND state = 'running' AND worker = ?"  # noqa: S608 (constants)
        with self._transaction() as connection:
            return connection.execute(statement, (*values, self._now_s(), job.id, job.worker)).rowcount == 1

    def cancel(self, number: int) -> Job | None:
        """Cancel a job, whatever its state; the job as it was before, None where there is none."""
        statement = "UPDATE jobs SET state = 'cancelled', outcome = '{}', changed_s = ? WHERE id = ?"
        with self._transaction() as connection:
            connection.execute("BEGIN IMMEDIATE")  # between reading and writing nobody finishes it
            before = _one(connection, number)
            connection.execute(statement, (self._now_s(), number))
        return before

    def find(self, number: int) -> Job | None:
        """A job; None where there is none."""
        with self._transaction() as connection:
            return _one(connection, number)

    def recent(self, task: str, count: int) -> list[Job]:
        """The newest jobs of a task, newest first."""
        query = f"SELECT {_COLUMNS} FROM jobs WHERE task = ? ORDER BY id DESC LIMIT ?"  # noqa: S608 (constants)
        with self._transaction() as connection:
            return [_job(row) for row in connection.execute(query, (task, count)).fetchall()]

    def waiting(self, task: str) -> int:
        """How many jobs of a task are queued."""
        query = "SELECT COUNT(*) FROM jobs WHERE task = ? AND state = 'queued'"
        with self._transaction() as connection:
            return int(connection.execute(query, (task,)).fetchone()[0])


def _looks(job: Job) -> tuple[object, ...]:
    """What every renewal, claim and return changes."""
    return job.state, job.worker, job.attempts, job.hold_s, job.changed_s, tuple(job.progress.items())


def _one(connection: sqlite3.Connection, number: int) -> Job | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (number,)).fetchone()  # noqa: S608 (constants)
    return _job(row) if row else None


def _job(row: tuple[Any, ...]) -> Job:
    number, task, time_s, order, state, attempts, worker, hold_s, progress, outcome, changed_s = row
    state_fields = json.loads(order), state, attempts, worker, hold_s, json.loads(progress), json.loads(outcome)
    return Job(number, task, time_s, *state_fields, changed_s)
