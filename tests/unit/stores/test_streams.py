from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import BackendError
from sightline.stores.database import Database
from sightline.stores.predictions import Answer, Frame, Predictions
from sightline.stores.streams import Keep, StreamLog

FPS = 25


def answer(number: int, must_keep: bool = False) -> Answer:
    frame = Frame("harbour", number, number / FPS, must_keep=must_keep)
    return Answer("toy", 1, f"sha{number}", "camera 1", {"n": number}, np.zeros(2, dtype=np.float32), frame=frame)


class Kept(Predictions):
    """Keeps what is written in memory; fails as often as it is told."""

    def __init__(self, failures: int = 0) -> None:
        self.rows: list[Answer] = []
        self.failures = failures

    def log(self, answers: Sequence[Answer]) -> list[str]:
        if self.failures:
            self.failures -= 1
            raise BackendError("the disk is full")
        self.rows += answers
        return [one.id for one in answers]

    @property
    def counted(self) -> dict[int, int]:
        """Frame -> how many frames its row stands for."""
        return {row.frame.number: row.frame.answers for row in self.rows if row.frame}


@pytest.mark.parametrize(
    ("keep", "counted"),
    [
        (Keep(), dict.fromkeys(range(80), 1)),
        (Keep(every_s=1.0), {0: 1, 25: 25, 50: 25, 75: 25, 79: 4}),
        (Keep(every_s=math.inf), {0: 1, 79: 79}),
    ],
)
def test_a_rule_keeps_some_frames_and_counts_the_others(keep: Keep, counted: dict[int, int]) -> None:
    kept = Kept()
    log = StreamLog(kept, keep)
    answers = [answer(n) for n in range(80)]
    ids = [one for at in range(0, 80, 7) for one in log.log(answers[at : at + 7])]
    last = log.close()
    assert kept.counted == counted
    known = {row.id for row in kept.rows} - {last}
    assert [one is not None for one in ids] == [answer.id in known for answer in answers]
    assert log.close() is None


def test_what_must_be_kept_is_kept_under_any_rule() -> None:
    kept = Kept()
    log = StreamLog(kept, Keep(every_s=math.inf))
    log.log([answer(n, must_keep=n in (30, 31)) for n in range(40)])
    log.close()
    assert kept.counted == {0: 1, 30: 30, 31: 1, 39: 8}


def test_a_stream_that_begins_anew_is_kept_from_its_beginning() -> None:
    kept = Kept()
    log = StreamLog(kept, Keep(every_s=2.0))
    log.log([answer(n) for n in (*range(60), *range(10))])
    assert [row.frame.number for row in kept.rows if row.frame] == [0, 50, 0]


@given(
    st.floats(min_value=0, max_value=3, allow_subnormal=False),
    st.lists(st.integers(0, 200), max_size=100),
    st.sets(st.integers(0, 200)),
)
def test_no_frame_is_counted_twice_or_not_at_all(every_s: float, numbers: list[int], needed: set[int]) -> None:
    kept = Kept()
    log = StreamLog(kept, Keep(every_s))
    for number in numbers:
        log.log([answer(number, number in needed)])
    log.close()
    assert sum(row.frame.answers for row in kept.rows if row.frame) == len(numbers)
    assert needed & set(numbers) <= set(kept.counted)


def test_answers_that_could_not_be_written_may_be_given_again() -> None:
    kept = Kept(failures=1)
    log = StreamLog(kept, Keep(every_s=1.0))
    answers = [answer(n) for n in range(30)]
    with pytest.raises(BackendError):
        log.log(answers)
    log.log(answers)
    assert kept.counted == {0: 1, 25: 25}


def test_counts_of_answers_hold_for_a_sampled_stream(tmp_path: Path) -> None:
    predictions = Predictions(Database(f"sqlite:///{tmp_path}/ledger.sqlite"))
    log = StreamLog(predictions, Keep(every_s=1.0))
    log.log([answer(n) for n in range(100)])
    log.close()
    assert predictions.count("toy", 1) == 100
    assert [row.frame.number for row in predictions.given("toy", 1) if row.frame] == [0, 25, 50, 75, 99]
