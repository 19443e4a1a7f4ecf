from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.resampling import draw_weights, figures, paired_difference, resampling_unit
from sightline.task import Row, Rows


def rows_of(values: list[float], per_group: int = 1) -> list[Row]:
    return [Row(f"s/{i}", str(i), f"g{i // per_group}", "", {"v": value}) for i, value in enumerate(values)]


def mean(rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
    return {"v": float(np.average([row.statistics["v"] for row in rows], weights=weights))}


def mean_of(rows: Rows, weights: NDArray[np.float64]) -> float:
    return mean(rows, weights)["v"]


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(10, 2, 400).tolist()
    figure = figures(rows_of(values), mean, 2000, 0.95, seed=1)["v"]
    half = 1.96 * np.std(values) / 20
    assert figure.value == pytest.approx(np.mean(values))
    assert figure.low == pytest.approx(figure.value - half, abs=0.03)
    assert figure.high == pytest.approx(figure.value + half, abs=0.03)
    assert figure.n == 400


def test_groups_stay_together_where_there_are_enough() -> None:
    rows = rows_of([0.0] * 60, per_group=5)
    assert resampling_unit(rows) == "group"
    for weights in draw_weights(rows, 20, seed=0):
        assert all(len(set(weights[i : i + 5])) == 1 for i in range(0, 60, 5))
        assert weights.sum() == 60


def test_few_groups_fall_back_to_samples() -> None:
    assert resampling_unit(rows_of([0.0] * 15, per_group=5)) == "sample"


def test_correlated_samples_widen_the_interval() -> None:
    level = np.repeat(np.random.default_rng(0).normal(0, 1, 20), 10).tolist()
    together = figures(rows_of(level, per_group=10), mean, 1000, 0.95, seed=0)["v"]
    apart = figures(rows_of(level), mean, 1000, 0.95, seed=0)["v"]
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_an_undefined_metric_stays_undefined() -> None:
    figure = figures(rows_of([1.0, 2.0]), lambda _rows, _weights: {"v": float("nan")}, 100, 0.95, seed=0)["v"]
    assert np.isnan([figure.value, figure.low, figure.high]).all()


def test_no_rows_no_figures() -> None:
    assert figures([], mean, 100, 0.95, seed=0) == {}


def test_a_constant_gain_is_certain_when_paired() -> None:
    base = np.random.default_rng(0).normal(0, 5, 50).tolist()
    difference = paired_difference(rows_of([v + 1 for v in base]), rows_of(base), mean_of, 0.95, seed=0)
    assert difference.value == pytest.approx(1.0)
    assert difference.lower_bound == pytest.approx(1.0)


def test_noise_alone_has_a_bound_below_zero() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.normal(0, 1, 40).tolist(), rng.normal(0, 1, 40).tolist()
    assert paired_difference(rows_of(first), rows_of(second), mean_of, 0.95, seed=0).lower_bound < 0


def test_other_samples_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="same samples"):
        paired_difference(rows_of([1.0, 2.0]), rows_of([1.0]), mean_of, 0.95, seed=0)
