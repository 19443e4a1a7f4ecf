from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.stores.database import Database
from sightline.stores.queue import MOST_ATTEMPTS, Job, Queue
from tests.unit.stores.before import JOBS_BEFORE_HOLD, write_before

LEASE_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(database: Database, clock: Clock) -> Queue:
    return Queue(database, clock, clock)


def claimed(jobs: Queue, worker: str = "one") -> Job:
    job = jobs.claim("toy", worker, LEASE_S)
    assert job is not None
    return job


def found(jobs: Queue, number: str) -> Job:
    job = jobs.find(number)
    assert job is not None
    return job


def test_jobs_are_worked_on_in_the_order_they_came(jobs: Queue, database: Database, clock: Clock) -> None:
    numbers = [jobs.add("toy", {"n": n}) for n in range(3)]
    jobs.add("other", {})
    again = Queue(database, clock, clock)
    assert again.waiting("toy") == 3
    order = []
    while job := again.claim("toy", "one", LEASE_S):
        order.append((job.id, job.order["n"], job.state, job.attempts))
        assert again.finish(job, "done", {"count": job.order["n"]})
    assert order == [(number, n, "running", 1) for n, number in enumerate(numbers)]
    assert [job.id for job in again.recent("toy", 2)] == [numbers[2], numbers[1]]
    assert found(again, numbers[1]).outcome == {"count": 1}
    assert found(again, numbers[1]).ended
    assert again.waiting("toy") == 0
    assert again.find("99") is None


def test_a_claimed_job_is_nobody_elses_as_long_as_its_lease_is_renewed(jobs: Queue, clock: Clock) -> None:
    number = jobs.add("toy", {})
    job = claimed(jobs)
    for done in range(4):
        clock.now_s += LEASE_S - 1
        assert jobs.claim("toy", "two", LEASE_S) is None
        assert jobs.renew(job, {"done": done, "total": 4, "what": "tiles"}, LEASE_S)
    assert found(jobs, number).progress == {"done": 3, "total": 4, "what": "tiles"}


def test_when_its_process_is_killed_the_lease_runs_out_and_another_goes_on(jobs: Queue, clock: Clock) -> None:
    jobs.add("toy", {})
    lost = claimed(jobs)
    clock.now_s += LEASE_S
    taken = claimed(jobs, "two")
    assert (taken.id, taken.worker, taken.attempts) == (lost.id, "two", 2)
    # The first one lives after all: it is told that the job is no longer its own, and changes nothing.
    assert not jobs.renew(lost, {"done": 1}, LEASE_S)
    assert not jobs.finish(lost, "failed", {"error": "late"})
    assert not jobs.put_back(lost, {}, 0)
    assert not jobs.let_go(lost)
    assert found(jobs, lost.id).worker == "two"
    assert jobs.finish(taken, "done", {})


@pytest.mark.parametrize("set_by_s", [-3600.0, 3600.0, 0.0])
def test_setting_the_clock_neither_keeps_a_dead_job_nor_gives_a_live_one_away(
    database: Database, set_by_s: float
) -> None:
    wall, steady = Clock(), Clock()
    mine, other = (Queue(database, wall, steady) for _ in range(2))
    mine.add("toy", {})
    job = claimed(mine)
    assert other.claim("toy", "two", LEASE_S) is None
    wall.now_s += set_by_s
    for _ in range(4):  # it lives
        steady.now_s += LEASE_S - 1
        wall.now_s += LEASE_S - 1
        assert mine.renew(job, {}, LEASE_S)
        assert other.claim("toy", "two", LEASE_S) is None
    wall.now_s -= set_by_s
    steady.now_s += LEASE_S  # it was killed
    taken = claimed(other, "two")
    assert (taken.id, taken.attempts) == (job.id, 2)
    wall.now_s += set_by_s
    assert other.put_back(taken, {"error": "again"}, pause_s=20)
    assert other.claim("toy", "two", LEASE_S) is None
    steady.now_s += 20
    assert claimed(other, "two").attempts == 3


def test_jobs_of_a_file_of_before_are_gone_on_with(tmp_path: Path) -> None:
    write_before(tmp_path / "state" / "ledger.sqlite", jobs=JOBS_BEFORE_HOLD)
    job = claimed(Queue(Database(f"sqlite:///{tmp_path}/state/ledger.sqlite")), "two")
    assert (job.id, job.order, job.attempts) == ("2", {"n": 2}, 1)


def test_one_that_never_ends_fails_with_a_reason(jobs: Queue, clock: Clock) -> None:
    number, after = jobs.add("toy", {}), jobs.add("toy", {})
    for _ in range(MOST_ATTEMPTS):
        assert claimed(jobs).id == number
        clock.now_s += LEASE_S
    assert claimed(jobs).id == after
    job = found(jobs, number)
    assert (job.state, job.attempts) == ("failed", MOST_ATTEMPTS)
    assert "never came to an end" in job.outcome["error"]
    assert job.outcome["way_out"]


def test_a_failed_attempt_is_repeated_after_a_pause_and_its_reason_kept(jobs: Queue, clock: Clock) -> None:
    number, other = jobs.add("toy", {}), jobs.add("toy", {})
    for attempt in range(1, MOST_ATTEMPTS):
        job = claimed(jobs)
        assert (job.id, job.attempts) == (number, attempt)
        assert jobs.put_back(job, {"error": f"attempt {attempt}"}, pause_s=20)
        assert (found(jobs, number).state, found(jobs, number).outcome) == ("queued", {"error": f"attempt {attempt}"})
        if attempt == 1:
            held = claimed(jobs)  # the next one does not wait for it
            assert held.id == other
            assert jobs.finish(held, "done", {})
        assert jobs.claim("toy", "one", LEASE_S) is None
        clock.now_s += 20
    assert jobs.put_back(claimed(jobs), {"error": "the last"}, pause_s=20)
    assert (found(jobs, number).state, found(jobs, number).outcome) == ("failed", {"error": "the last"})


def test_a_job_that_is_let_go_was_never_claimed(jobs: Queue) -> None:
    number = jobs.add("toy", {})
    for _ in range(2 * MOST_ATTEMPTS):
        assert jobs.let_go(claimed(jobs))
    assert (found(jobs, number).state, found(jobs, number).attempts) == ("queued", 0)


@pytest.mark.parametrize("ended", [None, "done", "failed"])
def test_any_job_can_be_cancelled_and_then_stays_so(jobs: Queue, ended: str | None) -> None:
    number = jobs.add("toy", {})
    job = claimed(jobs)
    if ended:
        jobs.finish(job, ended, {"count": 1})  # type: ignore[arg-type]
    before = jobs.cancel(number)
    assert before is not None
    assert before.state == (ended or "running")
    assert not jobs.renew(job, {}, LEASE_S)
    assert not jobs.finish(job, "done", {})
    assert (found(jobs, number).state, found(jobs, number).outcome) == ("cancelled", {})
    assert jobs.claim("toy", "two", LEASE_S) is None
    assert jobs.cancel("99") is None


def test_a_clock_that_is_behind_does_not_get_its_job_to_the_front(database: Database) -> None:
    early, late = Clock(), Clock()
    late.now_s = 5000.0
    first = Queue(database, late, late).add("toy", {})
    second = Queue(database, early, early).add("toy", {})
    assert [claimed(Queue(database)).id for _ in range(2)] == [first, second]


def test_threads_never_claim_the_same_job(database: Database) -> None:
    added = [Queue(database).add("toy", {"n": n}) for n in range(40)]
    claims: list[str] = []

    def work(name: str) -> None:
        jobs = Queue(database)
        while job := jobs.claim("toy", name, 60):
            claims.append(job.id)

    run_together([lambda n=n: work(f"worker {n}") for n in range(6)])  # type: ignore[misc]
    assert sorted(claims) == sorted(added)


def run_together(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


WORKER = """
import sys
from sightline.stores.database import Database
from sightline.stores.queue import Queue
jobs = Queue(Database(sys.argv[1]))
while job := jobs.claim("toy", sys.argv[2], 60):
    print(job.id)
"""


def test_processes_never_claim_the_same_job(url: str, database: Database) -> None:
    added = [Queue(database).add("toy", {"n": n}) for n in range(60)]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, url, name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    claims = [line for worker in workers for line in worker.communicate()[0].split()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert sorted(claims) == sorted(added)
