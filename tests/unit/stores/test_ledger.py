from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import BackendError
from sightline.stores.jobs import Jobs
from sightline.stores.ledger import Answer, Ledger


def answer(number: int, time_s: float = 1.0, task: str = "toy") -> Answer:
    embedding = np.array([number, 0.5], dtype=np.float32)
    return Answer(task, 1, f"sha{number}", f"{number}.png", {"input_mean": 0.5, "n": number}, embedding, time_s)


def test_answers_come_back_as_they_were_logged(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state" / "ledger.sqlite")
    ledger.log([answer(1), answer(2)])
    ledger.log([answer(3, task="other")])
    back = Ledger(ledger.path).answers("toy")
    assert [a.source for a in back] == ["1.png", "2.png"]
    assert back[1].row == {"input_mean": 0.5, "n": 2}
    assert back[1].embedding.tolist() == [2.0, 0.5]


def test_a_window_of_time_is_half_open(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.log([answer(n, time_s=float(n)) for n in range(5)])
    assert [a.time_s for a in ledger.answers("toy", 1.0, 3.0)] == [1.0, 2.0]


def test_entries_are_kept_by_kind_and_order(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record("run", "toy", {"a": 1})
    ledger.record("promotion", "toy", {"b": 2})
    ledger.record("run", "toy", {"a": 3})
    assert [e.document for e in ledger.entries("toy", "run")] == [{"a": 1}, {"a": 3}]
    last = ledger.last("toy", "run")
    assert last is not None
    assert last.document == {"a": 3}
    assert ledger.last("toy", "drift") is None
    assert len(ledger.entries("toy")) == 3


@pytest.mark.parametrize("statement", ["UPDATE entries SET document = '{}'", "DELETE FROM entries"])
def test_what_happened_cannot_be_rewritten(tmp_path: Path, statement: str) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record("run", "toy", {})
    connection = sqlite3.connect(ledger.path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"

    def write(start: int) -> None:
        ledger = Ledger(path)
        for number in range(start, start + 10):
            ledger.log([answer(number)])

    threads = [threading.Thread(target=write, args=(start * 10,)) for start in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(a.row["n"] for a in Ledger(path).answers("toy")) == list(range(120))  # type: ignore[type-var]


def test_a_file_that_is_no_database_is_told_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("not a database at all, just text " * 50)
    with pytest.raises(BackendError, match=r"ledger\.sqlite"):
        Ledger(path).log([answer(1)])


def test_a_ledger_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "state" / "ledger.sqlite")
    jobs = Jobs(ledger)
    for _ in range(2):
        assert ledger.log([answer(1)]) == [1]
        assert jobs.add("toy", {}) == 1
        shutil.rmtree(ledger.path.parent)
    ledger.check()
    assert ledger.answers("toy") == []


@contextmanager
def held(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_what_is_wrong_with_it_is_said_with_the_way_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.log([answer(1)])
    ledger.check()
    with held(ledger.path), pytest.raises(BackendError, match="held by another program"):
        ledger.check()
    with pytest.raises(BackendError, match="other tables"), ledger.transaction() as connection:
        connection.execute("SELECT nothing FROM predictions")
    content = ledger.path.read_bytes()
    ledger.path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(BackendError, match=r"damaged.*backup"):
        ledger.answers("toy")
    for beside in tmp_path.glob("ledger.sqlite*"):
        beside.unlink()
    ledger.path.mkdir()
    with pytest.raises(BackendError, match=r"cannot be opened.*right to write"):
        ledger.check()
    blocked = Ledger(tmp_path / "file" / "ledger.sqlite")
    blocked.path.parent.write_text("in the way")
    with pytest.raises(BackendError, match="cannot be opened"):
        blocked.check()


@pytest.mark.parametrize(
    ("code", "what", "way_out"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full", "room"),
        (sqlite3.SQLITE_IOERR_WRITE, "the disk failed", "mounted"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "cannot be written", "right"),
    ],
)
def test_each_failure_of_sqlite_has_its_own_words(tmp_path: Path, code: int, what: str, way_out: str) -> None:
    error = sqlite3.OperationalError("as sqlite says")
    error.sqlite_errorcode = code
    with pytest.raises(BackendError) as raised, Ledger(tmp_path / "ledger.sqlite").transaction():
        raise error
    assert what in raised.value.what
    assert way_out in raised.value.way_out
