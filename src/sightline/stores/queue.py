"""Work that outlives the request that asked for it: jobs in a database, safe for many processes and machines.

    queued --claim--> running --finish--> done | failed
       ^                 |
       +-- put_back -----+      and from any of them --cancel--> cancelled

Whoever claims a job holds it by a lease that must be renewed. A process that is killed renews nothing: its lease runs
out and the job is claimed again, by whoever comes. After `MOST_ATTEMPTS` claims without an end it has failed.

Jobs are claimed in the order in which the database took them in. Whether a lease has run out is not told by the time
in the database, for clocks are set forward and back: whoever wants the
job watches it, and takes it once it has not changed for as long as the lease by the watcher's own monotonic clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from sightline.stores.database import Database
from sightline.stores.ids import new_id
from sightline.stores.tables import jobs

if TYPE_CHECKING:
    from sightline.task import Json

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

MOST_ATTEMPTS = 3

_COLUMNS = tuple(column for column in jobs.c if column.name != "position")  # in the order of `Job`

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
        id: what clients know it by.
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

    id: str
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
        """Whether the job has come to its end: done, failed or cancelled."""
        return self.state in ENDED


class Queue:
    """The jobs in a database.

    Args:
        database: where they lie.
        now_s: the clock, Unix time; for people, nothing is decided by it.
        monotonic_s: a clock that is never set.

    Raises:
        BackendError: from any method: the database cannot be used, see `Database`.
    """

    def __init__(
        self,
        database: Database,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._now_s = now_s
        self._monotonic_s = monotonic_s
        self._seen: dict[str, tuple[tuple[object, ...], float]] = {}  # as which a job was seen first, and when

    def add(self, task: str, order: Mapping[str, Json]) -> str:
        """Put a job at the end of the queue, and return its id."""
        now_s, key = self._now_s(), new_id()
        values = {
            "id": key,
            "task": task,
            "time_s": now_s,
            "order": json.dumps(dict(order)),
            "state": "queued",
            "attempts": 0,
            "worker": "",
            "hold_s": 0.0,
            "progress": "{}",
            "outcome": "{}",
            "changed_s": now_s,
        }
        with self._database.writing() as connection:
            connection.execute(insert(jobs), values)
        return key

    def claim(self, task: str, worker: str, lease_s: float) -> Job | None:
        """The oldest job of a task that nobody holds, from now on this worker's; None where there is none.

        One that was claimed too often without an end fails instead.

        Args:
            task: whose jobs.
            worker: who claims; no two processes may use the same word.
            lease_s: how long it is the worker's, unless renewed.
        """
        wanted = _jobs().where(jobs.c.task == task, jobs.c.state.in_(("queued", "running")))
        with self._database.writing() as connection:  # between reading and writing nobody else claims
            rows = connection.execute(wanted.order_by(jobs.c.position).with_for_update()).all()
            for job in self._free([_job(row) for row in rows]):
                if job.attempts < MOST_ATTEMPTS:
                    return self._taken(connection, job, worker, lease_s)
                given_up = {"state": "failed", "outcome": json.dumps(_GIVEN_UP), "changed_s": self._now_s()}
                connection.execute(update(jobs).where(jobs.c.id == job.id).values(given_up))
        return None

    def _free(self, found: list[Job]) -> list[Job]:
        """Those that have stayed as they are for as long as they are held."""
        now_s, seen = self._monotonic_s(), {}
        for job in found:
            first, since_s = self._seen.get(job.id, ((), now_s))
            seen[job.id] = (first, since_s) if first == _looks(job) else (_looks(job), now_s)
        self._seen = seen
        return [job for job in found if now_s - seen[job.id][1] >= job.hold_s]

    def _taken(self, connection: Connection, job: Job, worker: str, lease_s: float) -> Job:
        taken = replace(
            job,
            state="running",
            attempts=job.attempts + 1,
            worker=worker,
            hold_s=lease_s,
            changed_s=self._now_s(),
        )
        changed = {name: getattr(taken, name) for name in ("state", "attempts", "worker", "hold_s", "changed_s")}
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(changed))
        self._seen[job.id] = _looks(taken), self._monotonic_s()
        return taken

    def renew(self, job: Job, progress: Mapping[str, Json], lease_s: float) -> bool:
        """Tell how far a claimed job is and hold it on; False where it is no longer this worker's."""
        return self._change(job, progress=json.dumps(dict(progress)), hold_s=lease_s)

    def finish(self, job: Job, state: Literal["done", "failed"], outcome: Mapping[str, Json]) -> bool:
        """End a claimed job; False where it is no longer this worker's: it then stays as it is."""
        return self._change(job, state=state, outcome=json.dumps(dict(outcome)))

    def put_back(self, job: Job, outcome: Mapping[str, Json], pause_s: float) -> bool:
        """Queue a claimed job again after a failure, to be claimed after a pause; False as in `finish`.

        After the last attempt it has failed.
        """
        if job.attempts >= MOST_ATTEMPTS:
            return self.finish(job, "failed", outcome)
        return self._change(job, state="queued", outcome=json.dumps(dict(outcome)), hold_s=pause_s)

    def let_go(self, job: Job) -> bool:
        """Queue a claimed job again as if it had never been claimed; False as in `finish`."""
        return self._change(job, state="queued", hold_s=0.0, attempts=jobs.c.attempts - 1)

    def _change(self, job: Job, **values: object) -> bool:
        """Change a job that is running and still this worker's."""
        mine = (jobs.c.id == job.id, jobs.c.state == "running", jobs.c.worker == job.worker)
        statement = update(jobs).where(*mine).values(**values, changed_s=self._now_s())
        with self._database.writing() as connection:
            return connection.execute(statement).rowcount == 1

    def cancel(self, key: str) -> Job | None:
        """Cancel a job, whatever its state; the job as it was before, None where there is none."""
        cancelled = {"state": "cancelled", "outcome": "{}", "changed_s": self._now_s()}
        with self._database.writing() as connection:  # between reading and writing nobody finishes it
            before = connection.execute(_jobs().where(jobs.c.id == key).with_for_update()).first()
            connection.execute(update(jobs).where(jobs.c.id == key).values(cancelled))
        return None if before is None else _job(before)

    def find(self, key: str) -> Job | None:
        """A job; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(_jobs().where(jobs.c.id == key)).first()
        return None if row is None else _job(row)

    def recent(self, task: str, count: int) -> list[Job]:
        """The newest jobs of a task, newest first."""
        newest = _jobs().where(jobs.c.task == task).order_by(jobs.c.position.desc()).limit(count)
        with self._database.reading() as connection:
            return [_job(row) for row in connection.execute(newest).all()]

    def waiting(self, task: str) -> int:
        """How many jobs of a task are queued."""
        counted = select(func.count()).where(jobs.c.task == task, jobs.c.state == "queued")
        with self._database.reading() as connection:
            return int(connection.execute(counted).scalar_one())


def _looks(job: Job) -> tuple[object, ...]:
    """What every renewal, claim and return changes."""
    return job.state, job.worker, job.attempts, job.hold_s, job.changed_s, tuple(job.progress.items())


def _jobs() -> Select[Any]:
    return select(*_COLUMNS)


def _job(row: Row[Any]) -> Job:
    key, task, time_s, order, state, attempts, worker, hold_s, progress, outcome, changed_s = row
    told = json.loads(order), state, attempts, worker, hold_s, json.loads(progress), json.loads(outcome)
    return Job(key, task, time_s, *told, changed_s)
