"""What differs between the labelled samples and the current answers: a change a column, and one for the embeddings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.drift.comparison import Change, Observation, Side
from sightline.drift.distance import embedding_distances
from sightline.drift.exceedance import Exceedance, columns_outside, embeddings_outside, shuffles
from sightline.drift.twosample import mmd_p_value
from sightline.errors import DataRejected
from sightline.params import WatchParams

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
ColumnTests = Callable[["pd.DataFrame", "pd.DataFrame", float, Path], dict[str, float]]
"""(reference, current, threshold, folder) -> column -> p-value; writes its report into the folder."""

_MIN_VALUES = 3  # a column with fewer finite numbers on a side is left out
_MAX_LEVELS = 50  # text with more values is no category
_RARE = 0.01  # of the evaluated answers: a category that is as rare is outside


@dataclass(frozen=True)
class Sides:
    """Labelled samples, the current answers, and what the model was evaluated on."""

    before: Side
    after: Side
    evaluated: Side


@dataclass(frozen=True)
class _Columns:
    """Which columns can be compared."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers) + len(self.categories)


def inputs_of(sides: Sides) -> _Columns:
    """The columns of the inputs that both sides have."""
    return _comparable(sides.before, sides.after, "input_")


def _comparable(before: Side, after: Side, prefix: str) -> _Columns:
    """Columns that all answers of both sides have, with enough values to say something."""
    both = [*before.observations, *after.observations]
    numbers, categories = [], []
    for name in _shared_names(both, prefix):
        values = {observation.row[name] for observation in both}
        if any(isinstance(value, str) for value in values):
            categories += [name] if len(values) <= _MAX_LEVELS else []
        elif all(np.isfinite(side.figures(name)[side.independent]).sum() >= _MIN_VALUES for side in (before, after)):
            numbers.append(name)
    return _Columns(tuple(numbers), tuple(categories))


def _shared_names(observations: Sequence[Observation], prefix: str) -> list[str]:
    """The columns of this kind that all of them have."""
    if not observations:
        return []
    shared = set.intersection(*(set(observation.row) for observation in observations))
    return sorted(name for name in shared if name.startswith(prefix))


def _values(side: Side, columns: _Columns) -> dict[str, Floats | NDArray[np.str_]]:
    """Column -> its values in the independent rows."""
    numbers: dict[str, Floats | NDArray[np.str_]] = {n: side.figures(n)[side.independent] for n in columns.numbers}
    return numbers | {name: np.array(side.words(name))[side.independent] for name in columns.categories}


def _frame(values: Mapping[str, Floats | NDArray[np.str_]]) -> pd.DataFrame:
    """As a table; columns may be of different lengths."""
    import pandas as pd

    return pd.DataFrame({n: pd.Series(v, dtype=object if v.dtype.kind == "U" else v.dtype) for n, v in values.items()})


def find_changes(
    sides: Sides, params: WatchParams, rng: np.random.Generator, column_tests: ColumnTests, folder: Path
) -> list[Change]:
    """One change a column, and one for the embeddings where both sides have them.

    Args:
        sides: what is compared.
        params: how much must differ.
        rng: shuffles.
        column_tests: of the figures; they write their report into `folder`.
        folder: where that report goes.

    Raises:
        DataRejected: the two sides have no figure in common.
    """
    columns = inputs_of(sides), _comparable(sides.evaluated, sides.after, "output_")
    count = sum(len(one) for one in columns)
    near = embedding_distances(sides.before, sides.after)
    if not count and near is None:
        raise DataRejected(
            "the predictions and the model's labelled samples have no statistic in common",
            where="watch",
            way_out="Run `sightline run` again: it evaluates and registers the model.",
        )
    level = params.alpha / (4 if count and near is not None else 2)
    labels = shuffles(len(sides.before.independent), len(sides.after.independent), _permutations(level), rng)
    tests = _Tests(sides, params, level, labels)
    changes = _column_changes(tests, columns, near, column_tests, folder) if count else []
    if near is not None:
        changes.append(_embedding_change(tests, near, rng))
    return changes


@dataclass(frozen=True)
class _Tests:
    """What the tests have in common: `level` is the share of `alpha` of each, `labels` the shuffled sides."""

    sides: Sides
    params: WatchParams
    level: float
    labels: NDArray[np.bool_]


def _column_changes(
    tests: _Tests,
    columns: tuple[_Columns, _Columns],
    near: tuple[Floats, Floats] | None,
    column_tests: ColumnTests,
    folder: Path,
) -> list[Change]:
    sides, level, (inputs, outputs) = tests.sides, tests.level, columns
    old, new = _values(sides.before, inputs), _values(sides.after, inputs)
    pairs = [np.concatenate([old[name], new[name]]) for name in old]
    outside = columns_outside(pairs, tests.labels) if old else Exceedance((), ())
    answered = _values(sides.evaluated, outputs), _values(sides.after, outputs)
    frames = _frame(old | answered[0]), _frame(new | answered[1])
    if near is not None:  # for people to see; the test of the embeddings is another
        for frame, side, distances in zip(frames, (sides.before, sides.after), near, strict=True):
            frame["embedding_distance"] = _fill(distances[side.independent], len(frame))
    each = level / (len(inputs) + len(outputs))
    p_values = column_tests(*frames, each, folder)
    found = dict(zip(old, zip(outside.shares, outside.p_values, strict=True), strict=True))
    found |= {name: (_outside(answered[0][name], answered[1][name]), 1.0) for name in answered[0]}
    return [
        _change(name, p_values[name] <= each, p_values[name], found[name], tests, words)
        for name, words in _words(sides, inputs, outputs).items()
    ]


def _embedding_change(tests: _Tests, near: tuple[Floats, Floats], rng: np.random.Generator) -> Change:
    before, after = tests.sides.before, tests.sides.after
    seen, now = before.embeddings()[before.independent], after.embeddings()[after.independent]
    p_value = mmd_p_value(seen, now, _permutations(tests.level), rng)
    exceeding = embeddings_outside(np.concatenate([seen, now]), tests.labels)
    words = f"distance {_spread(near[0])}", f"distance {_spread(near[1])}"
    share = exceeding.shares[0], exceeding.p_values[0]
    return _change("embedding", p_value <= tests.level, p_value, share, tests, words)


def _words(sides: Sides, inputs: _Columns, outputs: _Columns) -> dict[str, tuple[str, str]]:
    """Column -> the reference and the current answers in words; of all rows, not only of the independent ones."""
    parts = [(sides.before, inputs), (sides.evaluated, outputs)]
    numbers = {n: (_spread(s.figures(n)), _spread(sides.after.figures(n))) for s, c in parts for n in c.numbers}
    return numbers | {n: (_shares(s.words(n)), _shares(sides.after.words(n))) for s, c in parts for n in c.categories}


def _permutations(level: float) -> int:
    return int(min(max(10 / level, 200), 9999))


def _fill(values: Floats, length: int) -> Floats:
    """To the length of a table in which other columns have more rows."""
    return np.concatenate([values, np.full(max(length - len(values), 0), np.nan)])[:length]


def _change(
    name: str,
    differs: bool,
    p_value: float,
    found: tuple[float, float],
    tests: _Tests,
    words: tuple[str, str],
) -> Change:
    """`found` is the share outside, and how often chance makes as much."""
    outside, by_chance = found
    moved = outside >= tests.params.outside_share and (differs or by_chance <= tests.level)
    return Change(name, p_value, differs, outside, by_chance, moved, before=words[0], after=words[1])


def _outside(before: Floats | NDArray[np.str_], after: Floats | NDArray[np.str_]) -> float:
    """Share of the answers beyond the 1 .. 99 % range of the evaluated ones, or in categories rarer among them."""
    if before.dtype.kind == "U":
        counts = Counter(before.tolist())
        return sum(counts[value] < _RARE * len(before) for value in after.tolist()) / len(after)
    low, high = np.nanquantile(before.astype(np.float64), (_RARE, 1 - _RARE))
    values = after.astype(np.float64)
    values = values[np.isfinite(values)]
    return float(((values < low) | (values > high)).mean())


def _spread(values: Floats) -> str:
    """Median (5 to 95 %), each with three figures that count."""
    low, median, high = (f"{float(f'{value:.3g}'):g}" for value in np.nanquantile(values, (0.05, 0.5, 0.95)))
    return f"{median} ({low} to {high})"


def _shares(values: Sequence[str]) -> str:
    return ", ".join(f"{value} {count / len(values):.0%}" for value, count in Counter(values).most_common(3))
