from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sqlalchemy import event

from sightline.stores.database import Database
from sightline.stores.predictions import Answer, Frame, Predictions


def answer(
    number: int,
    time_s: float = 1.0,
    task: str = "toy",
    version: int = 1,
    once: bool = False,
    frame: Frame | None = None,
) -> Answer:
    embedding = np.array([number, 0.5], dtype=np.float32)
    row = {"input_mean": 0.5, "n": number}
    return Answer(task, version, f"sha{number}", f"{number}.png", row, embedding, time_s, once, frame)


@pytest.fixture
def predictions(database: Database) -> Predictions:
    return Predictions(database)


def test_answers_come_back_as_they_were_logged(predictions: Predictions) -> None:
    one, two = answer(1), answer(2, frame=Frame("harbour", 812, 32.5, answers=25))
    assert predictions.log([one, two]) == [one.id, two.id]
    predictions.log([answer(3, task="other")])
    back = list(predictions.given("toy"))
    assert [a.source for a in back] == ["1.png", "2.png"]
    assert back[1].row == {"input_mean": 0.5, "n": 2}
    assert back[1].embedding.tolist() == [2.0, 0.5]
    assert [a.frame for a in back] == [None, two.frame]
    found = predictions.find(two.id)
    assert found is not None
    assert found.sha256 == "sha2"
    assert predictions.find("99") is None
    assert predictions.log([]) == []


def test_a_name_that_no_database_would_hold_does_not_cost_the_answer(predictions: Predictions) -> None:
    odd = replace(answer(1), source="a\0b\n'; DROP TABLE predictions; --", row={"text": "a\0b", "n": float("nan")})
    predictions.log([odd])
    (back,) = predictions.given("toy")
    assert back.source == "a\N{REPLACEMENT CHARACTER}b\n'; DROP TABLE predictions; --"
    assert back.row["text"] == "a\0b"
    assert back.row["n"] != back.row["n"]


def test_a_window_of_time_is_half_open(predictions: Predictions) -> None:
    predictions.log([answer(n, time_s=float(n), version=1 + n % 2) for n in range(6)])
    assert [a.time_s for a in predictions.given("toy", None, 1.0, 4.0)] == [1.0, 2.0, 3.0]
    assert [a.time_s for a in predictions.given("toy", 2, 1.0, 4.0)] == [1.0, 3.0]
    assert predictions.count("toy", None, 1.0, 4.0) == 3
    assert predictions.count("toy", 2) == 3
    assert predictions.count("toy", 7) == 0


def test_days_are_those_of_utc(predictions: Predictions) -> None:
    day = 86400.0
    predictions.log([answer(1, day - 0.001), answer(2, day), answer(3, 2 * day - 0.6, version=2), answer(4, 2 * day)])
    assert predictions.days("toy") == {
        ("1970-01-01", 1): 1,
        ("1970-01-02", 1): 1,
        ("1970-01-02", 2): 1,
        ("1970-01-03", 1): 1,
    }


def test_many_writers_lose_nothing(database: Database) -> None:
    run_together(
        [
            lambda start=start: [Predictions(database).log([answer(n)]) for n in range(start, start + 10)]
            for start in range(0, 120, 10)
        ]
    )
    assert sorted(a.row["n"] for a in Predictions(database).given("toy")) == list(range(120))  # type: ignore[type-var]


def test_what_is_written_once_is_written_once_whoever_writes_it_at_the_same_time(database: Database) -> None:
    got: list[str] = []
    run_together([lambda: got.extend(Predictions(database).log([answer(1, once=True)])) for _ in range(8)])
    (row,) = Predictions(database).given("toy")
    assert got == [row.id] * 8
    other = Predictions(database).log([answer(1, once=True, version=2), answer(1), answer(1)])
    assert len({row.id, *other}) == 4  # another version, and what may be written again


def run_together(works: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_window_of_any_size_is_read_in_pages(database: Database) -> None:
    predictions = Predictions(database)
    predictions.log([answer(n, time_s=float(n // 7)) for n in range(50_000)])  # many at the same time
    with database.reading() as connection:
        statements: list[str] = []
        event.listen(connection.engine, "after_cursor_execute", lambda *a: statements.append(a[2]))
    numbers = [a.row["n"] for a, _ in zip(predictions.given("toy", 1), range(1500), strict=False)]
    assert numbers == list(range(1500))
    assert len([one for one in statements if one.startswith("SELECT")]) == 2  # nothing is read ahead but its page
    assert sum(1 for _ in predictions.given("toy", 1)) == 50_000
    assert len([one for one in statements if one.startswith("SELECT")]) == 2 + 51
    assert predictions.count("toy", 1) == 50_000


def test_a_row_of_a_stream_counts_for_the_frames_that_were_not_kept(predictions: Predictions) -> None:
    predictions.log([answer(n, frame=Frame("harbour", n, n / 25, answers=25)) for n in range(0, 100, 25)])
    assert predictions.count("toy", 1) == 100
    assert predictions.days("toy") == {("1970-01-01", 1): 4}
