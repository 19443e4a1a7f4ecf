"""The bootstrap: intervals of pooled metrics, and paired differences of two models on the same samples.

Pooled metrics (average precision, global Jaccard) are no means of per-sample scores, so whole samples are resampled
and the metric is computed anew with weights that say how often each was drawn (Efron and Tibshirani, 1993).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator

from sightline.task import Row, Rows

Score = Callable[[Rows, NDArray[np.float64]], dict[str, float]]
Unit = Literal["group", "sample"]
Pool = TypeVar("Pool")

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""NaN where undefined, which is null in JSON."""

MIN_GROUPS = 10
"""With fewer a bootstrap over groups is not to be trusted: samples are drawn instead, and the report says so."""


class Pooled(Generic[Pool]):
    """What a task makes of rows before it scores them, kept for the rows that were asked about last.

    The bootstrap asks a thousand times about the same rows, each time with other weights.
    """

    def __init__(self, make: Callable[[Rows], Pool]) -> None:
        self._make = make
        self._last: tuple[Rows, Pool] | None = None

    def __call__(self, rows: Rows) -> Pool:
        """The pool of these rows."""
        if self._last is None or self._last[0] is not rows:
            self._last = (rows, self._make(rows))
        return self._last[1]


@dataclass(frozen=True)
class Figure:
    """A metric with its percentile interval and the number of samples; NaN where undefined."""

    value: Number
    low: Number
    high: Number
    n: int


def resampling_unit(rows: Rows) -> Unit:
    """What is drawn: groups where there are enough of them, else samples."""
    return "group" if len({row.group for row in rows}) >= MIN_GROUPS else "sample"


def draw_weights(rows: Rows, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """`resamples` times (n,): how often each row is drawn, whole units at a time, with replacement."""
    rng = np.random.default_rng(seed)
    if resampling_unit(rows) == "group":
        _, unit_of_row = np.unique([row.group for row in rows], return_inverse=True)
    else:
        unit_of_row = np.arange(len(rows))
    units = int(unit_of_row.max()) + 1
    for _ in range(resamples):
        counts = np.bincount(rng.integers(0, units, units), minlength=units)
        yield counts[unit_of_row].astype(np.float64)


def figures(rows: Sequence[Row], score: Score, resamples: int, confidence: float, seed: int) -> dict[str, Figure]:
    """Each metric of `rows` with its percentile interval; empty where there are no rows."""
    if not rows:
        return {}
    point = score(rows, np.ones(len(rows)))
    draws: dict[str, list[float]] = {name: [] for name in point}
    for weights in draw_weights(rows, resamples, seed):
        for name, value in score(rows, weights).items():
            draws[name].append(value)
    tail = (1 - confidence) / 2
    result = {}
    for name, value in point.items():
        low, high = _quantiles(draws[name], tail, 1 - tail)
        result[name] = Figure(float(value), low, high, len(rows))
    return result


def _quantiles(values: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Quantiles of the defined values (a resample without a positive has no AP)."""
    defined = np.asarray(values)[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    return float(np.quantile(defined, low)), float(np.quantile(defined, high))


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion on the same samples, with the one-sided lower bound."""

    value: Number
    lower_bound: Number
    n: int
    unit: Unit


def paired_difference(
    challenger: Rows, champion: Rows, score: Callable[[Rows, NDArray[np.float64]], float], confidence: float, seed: int
) -> Difference:
    """The difference of one metric, both models scored on the same draws (2,000 of them).

    Raises:
        ValueError: the rows are not of the same samples in the same order.
    """
    if [row.key for row in challenger] != [row.key for row in champion]:
        raise ValueError("a paired comparison needs the same samples in the same order")
    ones = np.ones(len(challenger))
    value = score(challenger, ones) - score(champion, ones)
    draws = list(draw_weights(challenger, 2000, seed))
    # One model after the other: a task may keep what it prepared for the rows it was asked about last.
    mine = [score(challenger, weights) for weights in draws]
    theirs = [score(champion, weights) for weights in draws]
    bound, _ = _quantiles(list(np.subtract(mine, theirs)), 1 - confidence, 1.0)
    return Difference(float(value), bound, len(challenger), resampling_unit(challenger))
