"""A ledger of before opens, loses nothing, and is found by its old numbers."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from sightline.errors import BackendError
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.stores.migrations import scripts
from sightline.stores.predictions import Answer, Predictions
from sightline.stores.queue import Queue
from sightline.stores.tables import REVISION, metadata
from tests.unit.stores.before import JOBS, JOBS_BEFORE_HOLD, write_before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


def open_at(path: Path) -> Database:
    return Database(f"sqlite:///{path}")


def test_the_newest_migration_is_the_one_that_a_database_is_asked_for(path: Path) -> None:
    assert scripts().get_heads() == [REVISION]


def test_the_tables_of_a_new_database_are_those_of_the_code(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("jobs", [JOBS, JOBS_BEFORE_HOLD, ""])
def test_a_file_of_before_has_the_tables_of_a_new_one(path: Path, jobs: str) -> None:
    write_before(path, jobs=jobs)
    with open_at(path).reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


@pytest.mark.parametrize("jobs", [JOBS, JOBS_BEFORE_HOLD])
def test_nothing_of_a_file_of_before_is_lost_and_numbers_are_found(path: Path, jobs: str) -> None:
    write_before(path, jobs=jobs)
    predictions, events, queue = (store(open_at(path)) for store in (Predictions, Events, Queue))
    assert [answer.id for answer in predictions.given("toy", 1)] == ["1", "3", "4", "5", "6", "7"]
    found = predictions.find("3")
    assert found is not None
    assert (found.source, found.row, found.embedding.tolist(), found.time_s) == ("3.png", {"n": 3}, [1.0, 0.5], 3.0)
    assert [(event.kind, event.time_s) for event in events.history("toy")] == [("run", 50.0), ("promotion", 40.0)]
    done = queue.find("1")
    assert done is not None
    assert (done.state, done.order, done.outcome) == ("done", {"n": 1}, {"prediction_ids": ["6", "7"], "version": 1})


def test_work_goes_on_where_it_was_in_a_file_of_before(path: Path) -> None:
    write_before(path)
    predictions, events, queue = (store(open_at(path)) for store in (Predictions, Events, Queue))
    later = queue.add("toy", {"n": 3})
    events.record("rollback", "toy", {})
    assert [event.kind for event in events.history("toy")] == ["run", "promotion", "rollback"]
    first, second = (queue.claim("toy", "one", 60) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first.id, second.id) == ("2", later)
    (known,) = [a for a in predictions.given("toy") if a.id == "6"]
    again = Answer("toy", 1, "same", "area 2", {"n": 0}, known.embedding, once=True)
    assert predictions.log([again]) == ["6"]


def test_what_was_said_is_still_kept_from_changes(path: Path) -> None:
    write_before(path)
    open_at(path).check()
    with closing(sqlite3.connect(path)) as tables:
        for statement in (
            "UPDATE predictions SET version = 2",
            "UPDATE events SET document = '{}'",
            "DELETE FROM events",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                tables.execute(statement)


def test_a_file_of_a_newer_version_is_told_and_left_alone(path: Path) -> None:
    open_at(path).check()
    with closing(sqlite3.connect(path)) as tables, tables:
        tables.execute("UPDATE alembic_version SET version_num = '0999'")
    content = path.read_bytes()
    with pytest.raises(BackendError, match=r"newer version of Sightline.*0999.*Update Sightline"):
        Predictions(open_at(path)).count("toy")
    assert path.read_bytes() == content


OPEN = """
import sys
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
print(Predictions(Database(sys.argv[1])).count("toy"))
"""


def opening(url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, url]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_processes_that_open_a_new_database_at_once_all_find_it(url: str) -> None:
    processes = [opening(url) for _ in range(2)]
    assert [process.communicate() for process in processes] == [("0\n", "")] * 2


def test_processes_that_open_a_file_of_before_at_once_all_find_it_whole(path: Path) -> None:
    write_before(path, rows=2000)
    processes = [opening(f"sqlite:///{path}") for _ in range(3)]
    assert [process.communicate() for process in processes] == [("2001\n", "")] * 3


def wait_for(condition: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.002)


def test_killed_in_a_migration_the_next_one_completes_it(path: Path) -> None:
    write_before(path, rows=60_000)
    wal = path.with_name(f"{path.name}-wal")
    process = opening(f"sqlite:///{path}")
    wait_for(lambda: (wal.exists() and wal.stat().st_size > 0) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as tables:
        names = {name for (name,) in tables.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "entries" in names  # it was not done
    assert not {name for name in names if name.endswith("_before")}
    predictions = Predictions(open_at(path))
    assert predictions.count("toy") == 60_001
    assert predictions.find("60000") is not None
