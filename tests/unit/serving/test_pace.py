from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from sightline.limits import Cost
from sightline.serving.pace import Rate, measure_pace
from sightline.task import Prediction
from tests.toy import ToyInput
from tests.unit.serving.harness import CountingModel


def test_what_a_call_costs_besides_does_not_make_a_large_image_look_endless() -> None:
    rate = Rate(call_px=2**16)
    for _ in range(20):
        rate.add(0.001, pixels=64)  # tiny images: a millisecond of overhead each
    assert rate.usual_s(48_000_000) < 1.0


def test_one_that_was_held_up_does_not_count() -> None:
    rate = Rate(call_px=1)
    for seconds in (1.0, 1.0, 500.0, 1.0):
        rate.add(seconds, pixels=999)
    assert rate.usual_s(1999) == pytest.approx(2.0)
    assert rate.best_s(1999) == pytest.approx(2.0)


def test_it_follows_a_machine_that_became_slower_but_remembers_its_best() -> None:
    rate = Rate(call_px=1)
    for seconds in (1.0,) * 15 + (3.0,) * 15:
        rate.add(seconds, pixels=999)
    assert (rate.usual_s(999), rate.best_s(999)) == (pytest.approx(3.0), pytest.approx(1.0))


def test_nothing_is_expected_before_anything_was_measured() -> None:
    assert (Rate(1).usual_s(10**9), Rate(1).best_s(10**9)) == (0.0, 0.0)


def test_a_model_is_measured_by_its_own_example() -> None:
    model = CountingModel()
    pace, example, first = measure_pace(model, model.example())
    assert (example.pixels.shape, first.row["output_spot"]) == ((8, 8), 1)
    small, large = (Cost((1, 1), pixels, pixels, 0) for pixels in (10**4, 10**8))
    assert 0 < pace.usual_s(small) < pace.usual_s(large)
    assert pace.best_s(large) <= pace.usual_s(large)


def test_what_waited_for_a_core_is_not_what_it_takes_at_least() -> None:
    rate = Rate(call_px=1)
    rate.add(60.0, pixels=999, cpu_s=1.0)  # a busy machine: the first measurement, and the only one
    assert rate.usual_s(999) == pytest.approx(60.0)
    assert rate.best_s(999) == pytest.approx(1.0)


def test_a_model_that_waits_is_not_refused_what_it_could_answer() -> None:
    class Waiting(CountingModel):
        def predict(self, inputs: Sequence[ToyInput]) -> list[Prediction]:
            time.sleep(0.2)
            return super().predict(inputs)

    pace, _, _ = measure_pace(Waiting(), Waiting().example())
    large = Cost((1, 1), 0, 10**6, 0)
    assert pace.usual_s(large) > 40
    assert pace.best_s(large) < 20
