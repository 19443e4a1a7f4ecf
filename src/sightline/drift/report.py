"""Has what a model is asked drifted away from what it was trained and evaluated on? Evidently is known only here.

Two questions, and both must be answered with yes:

1. Does a share of `outside_share` or more of the window lie outside of the reference: beyond the range of a figure, or,
   in the embeddings, where none of the reference lies (`exceedance`)? Traffic of one site or one season differs from a
   mixed reference, and that is no reason to label anything: such a change is told, no drift.
2. Is that more than chance? Either a reference of this size does not explain so many outside (a permutation test), or
   the whole distribution differs: a Kolmogorov-Smirnov test a column (chi-square by permutation for categories), shown
   in Evidently's report, and a permutation test of the maximum mean discrepancy of the embeddings. `alpha` is shared
   among the four (Bonferroni), so that unshifted traffic raises a false alarm with a probability of `alpha` at most.

"No drift" is said only where a shift of `notice_share` of the window would have been noticed with a probability of
80 %; else the state is `cannot tell`. What goes in is compared with all labelled samples, what comes out with rows that
were evaluated by a model that had not seen them.

One row a group goes into the tests: frames of one flight are no independent evidence.
"""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.drift.comparison import Change, Comparison, Observation, Side, State
from sightline.drift.distance import embedding_distances, most_distant
from sightline.drift.exceedance import Exceedance, columns_outside, embeddings_outside, noticeable_share, shuffles
from sightline.drift.twosample import categories_p_value, mmd_p_value
from sightline.errors import BackendError, DataRejected
from sightline.files import write_json, write_text
from sightline.params import WatchParams

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
ColumnTests = Callable[["pd.DataFrame", "pd.DataFrame", float, Path], dict[str, float]]
"""(reference, current, threshold, folder) -> column -> p-value; writes its report into the folder."""

MOST_DRIFTED = 20
"""How many inputs the list for labelling names."""

_MIN_VALUES = 3  # a column with fewer finite numbers on a side is left out
_MAX_LEVELS = 50  # text with more values is no category
_RARE = 0.01  # of the evaluated answers: a category that is as rare is outside


def compare(
    reference: Sequence[Observation],
    current: Sequence[Observation],
    params: WatchParams,
    seed: int,
    folder: Path,
    column_tests: ColumnTests | None = None,
    evaluated: Sequence[Observation] | None = None,
) -> Comparison:
    """Compare a window of answers with the reference; the report goes into `folder`, which is replaced.

    Args:
        reference: labelled samples, also those that it was trained on; their `input_*` and embeddings are compared.
        current: what it was asked; the same input twice counts once.
        params: how much must differ.
        seed: draws the rows of each group and shuffles.
        folder: gets index.html and drift.json, and Evidently's report unless there are too few answers.
        column_tests: Evidently's, unless a test brings its own.
        evaluated: rows by models that had not seen them; their `output_*` are compared. The reference where left out.

    Raises:
        DataRejected: the two sides have no figure in common.
        BackendError: the report cannot be written.
    """
    rng = np.random.default_rng(seed)
    sides = _Sides(
        *(Side(_unique(side), params.max_rows, rng) for side in (reference, current, evaluated or reference))
    )
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        changes: list[Change] = []
        if len(sides.after.observations) >= params.min_rows and len(sides.before.independent) >= 2:
            changes = _changes(sides, params, rng, column_tests or evidently_report, partial)
        comparison = _conclude(sides, changes, params)
        write_json(partial / "drift.json", comparison.document())
        write_text(partial / "index.html", comparison.page())
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    except OSError as error:
        raise BackendError(
            f"the drift report cannot be written ({error.strerror})",
            where=folder,
            way_out="Check room and rights on the disk.",
        ) from error
    return comparison


def _unique(observations: Sequence[Observation]) -> list[Observation]:
    """Each input once, in an order that does not depend on when it came."""
    first: dict[str, Observation] = {}
    for observation in observations:
        first.setdefault(observation.sha256, observation)
    return [first[sha256] for sha256 in sorted(first)]


@dataclass(frozen=True)
class _Sides:
    """Labelled samples, the window, and what the model was evaluated on."""

    before: Side
    after: Side
    evaluated: Side


def _conclude(sides: _Sides, changes: Sequence[Change], params: WatchParams) -> Comparison:
    before, after = sides.before, sides.after
    groups, known = len(after.independent), len(before.independent)
    noticeable = noticeable_share(known, groups, params.alpha / 4, params.outside_share)
    state: State
    if len(after.observations) < params.min_rows:
        state = "too few"
    elif any(change.moved for change in changes):
        state = "drift"
    elif not changes or noticeable > params.notice_share:
        state = "too few" if groups < known else "cannot tell"
    else:
        state = "changed" if any(change.differs for change in changes) else "same"
    return Comparison(
        state=state,
        changes=tuple(sorted(changes, key=lambda c: (not c.moved, not c.differs, -c.outside, c.p_value))),
        most_drifted=most_distant(before, after, _inputs(before, after).numbers, MOST_DRIFTED) if changes else (),
        rows=len(after.observations),
        groups=groups,
        reference_rows=len(before.observations),
        reference_groups=known,
        needed=params.min_rows,
        noticeable=min(noticeable, 1.0) if noticeable <= 1 else None,
        wanted=params.notice_share,
    )


# ------------------------------------------------------------------------------------------------------- columns


@dataclass(frozen=True)
class _Columns:
    """Which columns can be compared."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers) + len(self.categories)


def _inputs(before: Side, after: Side) -> _Columns:
    return _comparable(before, after, "input_")


def _comparable(before: Side, after: Side, prefix: str) -> _Columns:
    """Columns that all answers of both sides have, with enough values to say something."""
    both = [*before.observations, *after.observations]
    shared = set.intersection(*(set(observation.row) for observation in both)) if both else set()
    numbers, categories = [], []
    for name in sorted(name for name in shared if name.startswith(prefix)):
        values = {observation.row[name] for observation in both}
        if any(isinstance(value, str) for value in values):
            categories += [name] if len(values) <= _MAX_LEVELS else []
        elif all(np.isfinite(side.figures(name)[side.independent]).sum() >= _MIN_VALUES for side in (before, after)):
            numbers.append(name)
    return _Columns(tuple(numbers), tuple(categories))


def _values(side: Side, columns: _Columns) -> dict[str, Floats | NDArray[np.str_]]:
    """Column -> its values in the independent rows."""
    numbers: dict[str, Floats | NDArray[np.str_]] = {n: side.figures(n)[side.independent] for n in columns.numbers}
    return numbers | {name: np.array(side.words(name))[side.independent] for name in columns.categories}


def _frame(values: Mapping[str, Floats | NDArray[np.str_]]) -> pd.DataFrame:
    """As a table; columns may be of different lengths."""
    import pandas as pd

    return pd.DataFrame({n: pd.Series(v, dtype=object if v.dtype.kind == "U" else v.dtype) for n, v in values.items()})


def _changes(
    sides: _Sides, params: WatchParams, rng: np.random.Generator, column_tests: ColumnTests, folder: Path
) -> list[Change]:
    """One change a column, and one for the embeddings where both sides have them."""
    before, after, evaluated = sides.before, sides.after, sides.evaluated
    inputs, outputs = _inputs(before, after), _comparable(evaluated, after, "output_")
    count = len(inputs) + len(outputs)
    near = embedding_distances(before, after)
    if not count and near is None:
        raise DataRejected(
            "the answers and the model's labelled samples have no figure in common",
            where="watch",
            way_out="Evaluate and register the model again.",
        )
    level = params.alpha / (4 if count and near is not None else 2)
    labels = shuffles(len(before.independent), len(after.independent), _permutations(level), rng)
    changes = []
    if count:
        old, new = _values(before, inputs), _values(after, inputs)
        outside = (
            columns_outside([np.concatenate([old[n], new[n]]) for n in old], labels) if old else Exceedance((), ())
        )
        answered = _values(evaluated, outputs), _values(after, outputs)
        frames = _frame(old | answered[0]), _frame(new | answered[1])
        if near is not None:  # for people to see; the test of the embeddings is another
            for frame, side, distances in zip(frames, (before, after), near, strict=True):
                frame["embedding_distance"] = _fill(distances[side.independent], len(frame))
        p_values = column_tests(*frames, level / count, folder)
        found = dict(zip(old, zip(outside.shares, outside.p_values, strict=True), strict=True))
        found |= {n: (_outside(answered[0][n], answered[1][n]), 1.0) for n in answered[0]}
        changes = [
            _change(n, p_values[n] <= level / count, p_values[n], found[n], level, params, words)
            for n, words in _words(sides, inputs, outputs).items()
        ]
    if near is not None:
        seen, now = before.embeddings()[before.independent], after.embeddings()[after.independent]
        p_value = mmd_p_value(seen, now, _permutations(level), rng)
        exceeding = embeddings_outside(np.concatenate([seen, now]), labels)
        words = f"distance {_spread(near[0])}", f"distance {_spread(near[1])}"
        share = exceeding.shares[0], exceeding.p_values[0]
        changes.append(_change("embedding", p_value <= level, p_value, share, level, params, words))
    return changes


def _words(sides: _Sides, inputs: _Columns, outputs: _Columns) -> dict[str, tuple[str, str]]:
    """Column -> the reference and the window in words; of all rows, not only of the independent ones."""
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
    level: float,
    params: WatchParams,
    words: tuple[str, str],
) -> Change:
    """`found` is the share outside, and how often chance makes as much."""
    outside, by_chance = found
    moved = outside >= params.outside_share and (differs or by_chance <= level)
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


# ----------------------------------------------------------------------------------------------------- Evidently


def evidently_report(
    reference: pd.DataFrame, current: pd.DataFrame, threshold: float, folder: Path
) -> dict[str, float]:
    """Write evidently.html and evidently.json into `folder`; column -> p-value, drifted where at most `threshold`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its dependencies are behind the times; scipy warns where it turns asymptotic
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        categories = [name for name in current if current[name].dtype == object]
        numbers = [name for name in current if name not in categories]
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
        preset = DataDriftPreset(
            num_method="ks",
            cat_method=_permuted_chi_square(),
            threshold=threshold,
            drift_share=0.5 / len(current.columns),  # one column is enough
        )
        found = Report([preset], include_tests=True).run(
            Dataset.from_pandas(current, definition), Dataset.from_pandas(reference, definition)
        )
        found.save_html(str(folder / "evidently.html"))
        found.save_json(str(folder / "evidently.json"))
        metrics = found.dict()["metrics"]
    return {m["config"]["column"]: float(m["value"]) for m in metrics if "column" in m["config"]}


def _permuted_chi_square() -> str:
    """Register the test with Evidently, whose own is wrong for rare categories; its name."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    def test(reference: Any, current: Any, _: Any, threshold: float) -> tuple[float, bool]:
        permutations = int(min(max(5 / threshold, 200), 99_999))
        p_value = categories_p_value(list(reference), list(current), permutations, np.random.default_rng(0))
        return p_value, p_value <= threshold

    name = "chi-square by permutation"
    known = StatTest(name=name, display_name=f"{name}, p-value", allowed_feature_types=[ColumnType.Categorical])
    register_stattest(known, test)
    return name
