"""How much of the current answers lies outside of the reference, and can a reference of that size explain it? In numpy.

A reference of three flights covers little: half of the next flights lie beyond its range though nothing has changed. So
a share outside says something only beside what it would be if the labels "reference" and "current" meant nothing: they
are shuffled, the share is counted anew each time, and the p-value is how often it is as large. This holds its level at
any size, for rows that are exchangeable: give one row a group.

Two ways of lying outside:

- a figure beyond the range of the reference's (all columns together: the largest count of any column is compared with
  the largest of any column in each shuffle, Westfall and Young, Resampling-Based Multiple Testing, 1993);
- embeddings where none of the reference lies: a kernel ridge discriminant tells current from reference, each row is
  scored by the others (leave one out), and a row is outside whose score exceeds those of the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.drift.twosample import squared_distances

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

TAIL = 0.01
"""Of the reference lies outside of itself on either side."""

_RIDGE = 10.0  # of the kernel's mean eigenvalue: smooth enough that no single row of the reference stands out by chance
_AT_ONCE = 1000  # shuffles: bounds the memory to some 10 MB for each hundred rows


@dataclass(frozen=True)
class Exceedance:
    """Shares of the current rows outside, and how often chance makes as much.

    Attributes:
        shares: (c,) one a column; one altogether for embeddings.
        p_values: (c,) of these, already corrected for the number of columns.
    """

    shares: tuple[float, ...]
    p_values: tuple[float, ...]


def shuffles(reference: int, current: int, count: int, rng: np.random.Generator) -> Labels:
    """(n + m, count + 1): which rows are current; column 0 is as it was, the others are shuffled."""
    labels = np.zeros((reference + current, count + 1), dtype=bool)
    labels[reference:, 0] = True
    for column in range(1, count + 1):
        labels[rng.permutation(reference + current)[:current], column] = True
    return labels


def margin(reference: int) -> int:
    """How many of the reference a row must lie beyond: all but 1 %."""
    return 1 + int(TAIL * reference)


def columns_outside(columns: Sequence[Floats | NDArray[np.str_]], labels: Labels) -> Exceedance:
    """How much of the current rows lies beyond the reference in each column.

    Args:
        columns: (n + m,) each, the reference's rows first; text: outside is what the reference does not have. NaN is
            outside of nothing.
        labels: of `shuffles`.
    """
    least = margin(int((~labels[:, 0]).sum()))
    parts = [slice(start, start + _AT_ONCE) for start in range(0, labels.shape[1], _AT_ONCE)]
    counts = np.array(
        [np.concatenate([_count_outside(values, labels[:, part], least) for part in parts]) for values in columns]
    )
    return _compared(counts, int(labels[:, 0].sum()))


def _count_outside(values: Floats | NDArray[np.str_], labels: Labels, least: int) -> NDArray[np.int64]:
    """(p,) current rows beyond which fewer than `least` of the reference lie, on either side."""
    if values.dtype.kind == "f":
        labels, values = labels[np.isfinite(values)], values[np.isfinite(values)]
    order = np.argsort(values, kind="stable")
    ranked, labels = values[order], labels[order]
    below = np.concatenate([np.zeros((1, labels.shape[1]), dtype=np.int32), np.cumsum(~labels, axis=0, dtype=np.int32)])
    first, last = np.searchsorted(ranked, ranked, "left"), np.searchsorted(ranked, ranked, "right")
    if values.dtype.kind == "f":
        outside = (below[last] < least) | (below[-1] - below[first] < least)
    else:
        outside = below[last] - below[first] < least
    return np.asarray((outside & labels).sum(axis=0))


def embeddings_outside(embeddings: Floats, labels: Labels) -> Exceedance:
    """How much of the current rows lies where the reference does not.

    Args:
        embeddings: (n + m, d), the reference's rows first.
        labels: of `shuffles`.
    """
    smoother = _smoother(embeddings)
    least, own = margin(int((~labels[:, 0]).sum())), np.diag(smoother)[:, None]
    counts = []
    for start in range(0, labels.shape[1], _AT_ONCE):
        part = labels[:, start : start + _AT_ONCE]
        target = part.astype(np.float64)
        scores = target - (target - smoother @ target) / (1 - own)  # leave one out, in closed form
        highest = np.partition(np.where(part, -np.inf, scores), -least, axis=0)[-least]
        counts.append(((scores > highest + 1e-9) & part).sum(axis=0))
    return _compared(np.concatenate(counts)[None], int(labels[:, 0].sum()))


def _smoother(embeddings: Floats) -> Floats:
    """(n, n) of kernel ridge regression with an intercept; Gaussian kernel, as wide as the rows lie apart."""
    spread = embeddings.std(axis=0)
    scaled = (embeddings - embeddings.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    squared = squared_distances(scaled, scaled)
    rows = len(squared)
    width = float(np.median(squared[np.triu_indices(rows, 1)])) or float(squared.max()) or 1.0
    centre = np.eye(rows) - 1 / rows
    kernel = centre @ np.exp(-squared / width) @ centre
    ridge = max(_RIDGE * float(np.trace(kernel)) / rows, 1e-9)
    return np.asarray(np.linalg.solve(kernel + ridge * np.eye(rows), kernel) + 1 / rows)


def _compared(counts: NDArray[np.int64], current: int) -> Exceedance:
    """Of (c, 1 + p) counts, the observed one first."""
    largest = counts.max(axis=0)
    p_values = [float((largest >= count).mean()) for count in counts[:, 0]]
    return Exceedance(tuple((counts[:, 0] / current).tolist()), tuple(p_values))


def noticeable_share(reference: int, current: int, level: float, least: float, power: float = 0.8) -> float:
    """The smallest share of current rows, wholly outside, that is noticed with probability `power`; 2 where none is.

    The other current rows are like the reference. That none of the strangers would be drawn into the reference, were
    all rows shuffled, has a hypergeometric probability; noticed is what makes it `level` at most.

    Args:
        reference: independent rows of the reference.
        current: independent current rows.
        level: of the test.
        least: share below which nothing is said.
        power: see above.
    """
    from scipy.stats import binom, hypergeom

    if not reference or not current:
        return 2.0
    for share in np.arange(1, 101) / 100:
        strangers = int(binom.ppf(1 - power, current, share))
        by_chance = hypergeom.cdf(margin(reference) - 1, reference + current, strangers, reference)
        if strangers >= least * current and by_chance <= level:
            return float(share)
    return 2.0
