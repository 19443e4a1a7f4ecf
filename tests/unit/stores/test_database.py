from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from sightline.errors import BackendError
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.stores.queue import Queue
from tests.unit.stores.conftest import SERVER


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite"


@pytest.fixture
def file(path: Path) -> Database:
    return Database(f"sqlite:///{path}")


def test_a_ledger_that_was_removed_is_made_anew(file: Database, path: Path) -> None:
    for _ in range(2):
        Events(file).record("run", "toy", {})
        Queue(file).add("toy", {})
        assert Queue(file).waiting("toy") == 1
        shutil.rmtree(path.parent)
    file.check()
    assert Events(file).history("toy") == []


def test_an_answer_survives_a_power_cut(file: Database, path: Path) -> None:
    with file.writing() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"


def test_what_fails_halfway_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.writing() as connection:
            row = "('x', 0, '', 'run', '{}')"
            connection.execute(text(f"INSERT INTO events (id, time_s, task, kind, document) VALUES {row}"))
            raise ZeroDivisionError

    database.check()
    with pytest.raises(ZeroDivisionError):
        fail()
    assert Events(database).history("") == []


@contextmanager
def held(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_what_is_wrong_with_it_is_said_with_the_way_out(file: Database, path: Path) -> None:
    file.check()
    with held(path), pytest.raises(BackendError, match="held by another program"):
        file.check()
    with pytest.raises(BackendError, match="other tables"), file.reading() as connection:
        connection.execute(text("SELECT nothing FROM predictions"))
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(BackendError, match=r"damaged.*backup"):
        Events(file).history("toy")
    for beside in path.parent.glob("ledger.sqlite*"):
        beside.unlink()
    path.mkdir()
    with pytest.raises(BackendError, match=r"cannot be opened.*right to write"):
        file.check()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BackendError, match="cannot be opened"):
        Database(f"sqlite:///{tmp_path}/file/ledger.sqlite").check()


def test_a_file_that_is_no_database_is_told_by_name(file: Database, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("not a database at all, just text " * 50)
    with pytest.raises(BackendError, match=r"ledger\.sqlite: the ledger is no database"):
        Events(file).record("run", "toy", {})


@pytest.mark.parametrize(
    ("code", "what", "way_out"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full", "space"),
        (sqlite3.SQLITE_IOERR_WRITE, "the disk failed", "mounted"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "cannot be written", "right"),
    ],
)
def test_each_failure_of_sqlite_has_its_own_words(file: Database, code: int, what: str, way_out: str) -> None:
    error = sqlite3.OperationalError("as sqlite says")
    error.sqlite_errorcode = code
    for raised_as in (error, OperationalError("SELECT 1", {}, error)):
        with pytest.raises(BackendError) as raised, file.reading():
            raise raised_as
        assert what in raised.value.what
        assert way_out in raised.value.way_out
        assert "SELECT" not in str(raised.value)


class FromServer(Exception):
    """As psycopg raises them."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("as PostgreSQL says")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("state", "what", "way_out"),
    [
        ("53100", "the disk is full", "space"),
        ("28P01", "does not let this user in", "SIGHTLINE_LEDGER_URL"),
        ("08006", "cannot be reached", "Start"),
        (None, "cannot be reached", "Start"),
        ("57P01", "cannot be reached", "Start"),
        ("42P01", "other tables", "backup"),
        ("42501", "cannot be written", "right"),
        ("55P03", "held", "another program"),
        ("99999", "cannot be used", "log"),
    ],
)
def test_each_failure_of_a_server_has_its_own_words(state: str | None, what: str, way_out: str) -> None:
    database = Database("postgresql+psycopg://ann:hidden@db.example/sightline")
    failed = database._failed(OperationalError("SELECT 1", {}, FromServer(state)))
    assert what in failed.what
    assert way_out in f"{failed.what} {failed.way_out}"
    assert "hidden" not in str(failed)
    assert "db.example" in str(failed)


def test_a_server_without_its_driver_is_told() -> None:
    pytest.importorskip("sqlalchemy")
    if _is_installed("psycopg"):
        pytest.skip("the driver is installed")
    with pytest.raises(BackendError, match=r"lacks its driver.*psycopg"):
        Database("postgresql+psycopg://ann@db.example/sightline").check()


def _is_installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


@pytest.mark.skipif(not SERVER, reason="SIGHTLINE_TEST_POSTGRESQL names no database")
def test_a_server_that_only_reads_or_lets_nobody_in_is_told() -> None:
    server = make_url(SERVER)
    checked(SERVER)
    engine = create_engine(SERVER, poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(f'ALTER ROLE "{server.username}" SET default_transaction_read_only = on'))
    try:
        with pytest.raises(BackendError, match="cannot be written"):
            checked(SERVER)
    finally:
        with engine.connect() as connection:
            connection.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"))
            connection.commit()
            connection.execute(text(f'ALTER ROLE "{server.username}" RESET default_transaction_read_only'))
            connection.commit()
    for other in (server.set(password="hidden"), server.set(database="nowhere"), server.set(port=1)):
        with pytest.raises(BackendError, match=r"cannot be reached.*SIGHTLINE_LEDGER_URL") as refused:
            checked(other.render_as_string(hide_password=False))
        assert "hidden" not in str(refused.value)


def checked(url: str) -> None:
    database = Database(url)
    try:
        database.check()
    finally:
        database.close()


def test_a_fork_writes_over_connections_of_its_own(database: Database) -> None:
    Events(database).record("run", "toy", {"by": "parent"})
    forks = [multiprocessing.get_context("fork").Process(target=_record, args=(database,)) for _ in range(3)]
    for fork in forks:
        fork.start()
    Events(database).record("run", "toy", {"by": "parent"})
    for fork in forks:
        fork.join()
    assert [fork.exitcode for fork in forks] == [0, 0, 0]
    by = [event.document["by"] for event in Events(database).history("toy")]
    assert sorted(by) == ["child"] * 3 + ["parent"] * 2


def _record(database: Database) -> Any:
    Events(database).record("run", "toy", {"by": "child"})
    os._exit(0)
