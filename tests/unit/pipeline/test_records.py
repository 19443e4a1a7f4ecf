"""What is kept of what happened: written and read again it says the same, also what an older program wrote."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import BackendError
from sightline.pipeline.records import ChoiceFigure, ChoiceRecord, Decision, Numbers, Request, Rollback, parse
from sightline.resampling import Difference, Figure

numbers = st.one_of(st.just(math.nan), st.floats(-1, 1))


def choice_of(value: float, bound: float) -> ChoiceRecord:
    return ChoiceRecord(
        rule="the best",
        metric="accuracy",
        protocol="folds",
        rows="out-of-fold",
        sets=("real",),
        n=3,
        figures={"threshold": value, "constant": 0.5},
        chosen="threshold",
        best="constant",
        difference=Difference(value, bound, 3, "sample"),
        figure=ChoiceFigure(value=value, low=bound, high=1.0, n=3, unit="sample"),
    )


@given(numbers, numbers)
def test_a_decision_survives_json_also_where_figures_are_undefined(value: float, bound: float) -> None:
    decision = Decision(
        task="toy",
        outcome="undecided",
        challenger=2,
        champion=1,
        reasons=("it is not better",),
        numbers=Numbers(metric="accuracy", challenger=Figure(value, bound, 1.0, 3)),
        choice=choice_of(value, bound),
    )
    text = json.dumps(decision.document(), allow_nan=False)
    again = parse(json.loads(text), Decision, "a test")
    assert again.same(decision)
    assert again.choice is not None
    assert math.isnan(again.choice.figures["threshold"]) == math.isnan(value)


def test_what_an_older_program_wrote_is_read() -> None:
    by_hand = {"task": "toy", "outcome": "promoted", "challenger": 1, "champion": None, "reasons": [], "numbers": {}}
    assert parse({**by_hand, "choice": {}}, Decision, "a test").choice is None
    assert parse({**by_hand, "a later field": 1}, Decision, "a test").numbers.document() == {}
    back = parse({"from": 2, "to": 1}, Rollback, "a test")
    assert (back.left, back.to, back.run_id) == (2, 1, "")
    assert back.document() == {"from": 2, "to": 1, "run_id": ""}


def test_what_is_not_known_of_a_request_is_not_written() -> None:
    assert Request(state="labels arrived").document() == {"state": "labels arrived"}


def test_a_record_of_another_kind_is_refused_with_its_place_and_its_field() -> None:
    with pytest.raises(BackendError, match=r"the history of toy, entry 3.*challenger: Field required"):
        parse({"outcome": "promoted"}, Decision, "the history of toy, entry 3")
