"""Rows of an evaluation, from what a task made of each sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.task import Curve, Json, Prediction, Progress, Row, Sample, Table

Floats = NDArray[np.float64]

Evaluated = tuple[Sample, Mapping[str, Json], Prediction]
"""A sample, its sufficient statistics, and the prediction."""


def rows_of(evaluated: Iterable[Evaluated], total: int, noun: str, progress: Progress) -> list[Row]:
    """A row a sample, in their order; `noun` is what a sample is called in the progress."""
    rows = []
    for number, (sample, statistics, prediction) in enumerate(evaluated, start=1):
        embedding = tuple(round(float(value), 6) for value in prediction.embedding)
        rows.append(Row(sample.key, sample.sha256, sample.group, sample.stratum, statistics, prediction.row, embedding))
        progress.advance(number, total, f"{noun} {number}/{total}")
    return rows


def class_table(
    classes: Sequence[str], shares: Mapping[str, Floats], counts: Mapping[str, NDArray[np.generic]]
) -> Table:
    """A table for `Task.plots`, a row a class: shares (n,) by their names, null where undefined, then counts (n,)."""
    rows: list[list[float | str | None]] = [
        [
            name,
            *(None if np.isnan(column[index]) else round(float(column[index]), 4) for column in shares.values()),
            *(int(column[index]) for column in counts.values()),
        ]
        for index, name in enumerate(classes)
    ]
    return {"columns": ["class", *shares, *counts], "rows": rows}


def curve(x: Sequence[float], y: Sequence[float], axes: tuple[str, str]) -> Curve:
    """A curve for `Task.plots`; `axes` are the labels of both, as `Task.curves` has them."""
    return {"x": list(x), "y": list(y), "xlabel": axes[0], "ylabel": axes[1]}
