"""Has what a model is asked drifted away from what it was judged on? Evidently is known only here.

Two questions, and both must be answered with yes:

1. Does the window differ from the reference? A Kolmogorov-Smirnov test a column (chi-square by permutation for
   categories), shown in Evidently's report, and a permutation test of the maximum mean discrepancy of the embeddings.
   Half of `alpha` is shared among the columns (Bonferroni), half goes to the embeddings, so that unshifted traffic
   raises a false alarm with a probability of `alpha` at most.
2. Does it lie outside? A share of `outside_share` or more of the answers lies beyond the 1 .. 99 % range of the
   reference (columns), or farther from it than 99 % of it lies from itself (embeddings). Traffic of one site or one
   season differs from a mixed reference, and that is no reason to label anything: such a change is told, no drift.

One row a group goes into the tests: frames of one flight are no independent evidence.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.comparison import Change, Comparison, Observation, Side, State
from sightline.distance import embedding_distances, most_distant
from sightline.errors import BackendError, DataRejected
from sightline.files import write_json, write_text
from sightline.params import WatchParams
from sightline.twosample import categories_p_value, mmd_p_value

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
ColumnTests = Callable[["pd.DataFrame", "pd.DataFrame", float, Path], dict[str, float]]
"""(reference, current, threshold, folder) -> column -> p-value; writes its report into the folder."""

MOST_DRIFTED = 20
"""How many inputs the list for labelling names."""

_MIN_VALUES = 3  # a column with fewer finite numbers on a side is left out
_COLUMNS = 50  # more than a task has: what the level of one test is reckoned with before the columns are known
_MAX_LEVELS = 50  # text with more values is no category
_TAIL = 0.01  # of the reference lies outside of itself on either side


def compare(
    reference: Sequence[Observation],
    current: Sequence[Observation],
    params: WatchParams,
    seed: int,
    folder: Path,
    column_tests: ColumnTests | None = None,
) -> Comparison:
    """Compare a window of answers with the reference; the report goes into `folder`, which is replaced.

    Args:
        reference: what the model was judged on.
        current: what it was asked; the same input twice counts once.
        params: how much must differ.
        seed: draws the rows of each group and shuffles.
        folder: gets index.html and drift.json, and Evidently's report unless there are too few answers.
        column_tests: Evidently's, unless a test brings its own.

    Raises:
        DataRejected: the two sides have no figure in common.
        BackendError: the report cannot be written.
    """
    rng = np.random.default_rng(seed)
    before, after = Side(_unique(reference), params.max_rows, rng), Side(_unique(current), params.max_rows, rng)
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        changes: list[Change] = []
        if len(after.observations) >= params.min_rows and _can_tell(before, after, params.alpha):
            changes = _changes(before, after, params, rng, column_tests or evidently_report, partial)
        comparison = _conclude(before, after, changes, params)
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


def _can_tell(before: Side, after: Side, alpha: float) -> bool:
    """Whether a complete separation would be significant: its p-value is two over the ways to choose one side."""
    n, m = len(before.independent), len(after.independent)
    return 2 / math.comb(n + m, n) <= alpha / _COLUMNS


def _conclude(before: Side, after: Side, changes: Sequence[Change], params: WatchParams) -> Comparison:
    state: State
    if not changes:
        state = "too few"
    elif any(change.moved for change in changes):
        state = "drift"
    else:
        state = "changed" if any(change.differs for change in changes) else "same"
    return Comparison(
        state=state,
        changes=tuple(sorted(changes, key=lambda c: (not c.moved, not c.differs, -c.outside, c.p_value))),
        most_drifted=most_distant(before, after, _comparable(before, after).numbers, MOST_DRIFTED) if changes else (),
        rows=len(after.observations),
        groups=len(after.independent),
        reference_rows=len(before.observations),
        reference_groups=len(before.independent),
        needed=params.min_rows,
    )


# ------------------------------------------------------------------------------------------------------- columns


@dataclass(frozen=True)
class _Columns:
    """Which columns can be compared."""

    numbers: tuple[str, ...]
    categories: tuple[str, ...]


def _comparable(before: Side, after: Side) -> _Columns:
    """Columns that all answers of both sides have, with enough values to say something."""
    both = [*before.observations, *after.observations]
    shared = set.intersection(*(set(observation.row) for observation in both))
    numbers, categories = [], []
    for name in sorted(name for name in shared if name.startswith(("input_", "output_"))):
        values = {observation.row[name] for observation in both}
        if any(isinstance(value, str) for value in values):
            categories += [name] if len(values) <= _MAX_LEVELS else []
        elif all(np.isfinite(side.figures(name)[side.independent]).sum() >= _MIN_VALUES for side in (before, after)):
            numbers.append(name)
    return _Columns(tuple(numbers), tuple(categories))


def _frame(side: Side, columns: _Columns) -> pd.DataFrame:
    """The independent rows as a table."""
    import pandas as pd

    numbers = {name: side.figures(name)[side.independent] for name in columns.numbers}
    words = {name: [side.words(name)[index] for index in side.independent] for name in columns.categories}
    return pd.DataFrame({**numbers, **words})


def _changes(
    before: Side,
    after: Side,
    params: WatchParams,
    rng: np.random.Generator,
    column_tests: ColumnTests,
    folder: Path,
) -> list[Change]:
    """One change a column, and one for the embeddings where both sides have them."""
    columns = _comparable(before, after)
    count = len(columns.numbers) + len(columns.categories)
    near = embedding_distances(before, after)
    if not count and near is None:
        raise DataRejected(
            "the answers and the model's judged rows have no figure in common",
            where="watch",
            way_out="Judge and register the model again.",
        )
    level = params.alpha / 2 if count and near is not None else params.alpha
    changes = []
    if count:
        frames = [_frame(side, columns) for side in (before, after)]
        if near is not None:  # for people to see; the test of the embeddings is another
            for frame, side, distances in zip(frames, (before, after), near, strict=True):
                frame["embedding_distance"] = distances[side.independent]
        p_values = column_tests(frames[0], frames[1], level / count, folder)
        changes = _column_changes(before, after, columns, p_values, level / count, params)
    if near is not None:
        seen, now = before.embeddings()[before.independent], after.embeddings()[after.independent]
        p_value = mmd_p_value(seen, now, int(min(max(10 / level, 200), 9999)), rng)
        share = float((near[1] > np.quantile(near[0], 1 - _TAIL)).mean())
        words = f"distance {_spread(near[0])}", f"distance {_spread(near[1])}"
        changes.append(_change("embedding", p_value, level, share, params, words))
    return changes


def _column_changes(
    before: Side,
    after: Side,
    columns: _Columns,
    p_values: Mapping[str, float],
    level: float,
    params: WatchParams,
) -> list[Change]:
    changes = []
    for name in columns.numbers:
        share = _outside_range(before.figures(name), after.figures(name))
        words = _spread(before.figures(name)), _spread(after.figures(name))
        changes.append(_change(name, p_values[name], level, share, params, words))
    for name in columns.categories:
        share = _outside_levels(before.words(name), after.words(name))
        words = _shares(before.words(name)), _shares(after.words(name))
        changes.append(_change(name, p_values[name], level, share, params, words))
    return changes


def _change(
    name: str, p_value: float, level: float, outside: float, params: WatchParams, words: tuple[str, str]
) -> Change:
    differs = p_value <= level
    moved = differs and outside >= params.outside_share
    return Change(name, p_value, differs, outside, moved, before=words[0], after=words[1])


def _outside_range(before: Floats, after: Floats) -> float:
    """Share of the window beyond the reference's 1 .. 99 % range."""
    low, high = np.nanquantile(before, (_TAIL, 1 - _TAIL))
    after = after[np.isfinite(after)]
    return float(((after < low) | (after > high)).mean())


def _outside_levels(before: Sequence[str], after: Sequence[str]) -> float:
    """Share of the window in categories that make up less than 1 % of the reference."""
    counts = Counter(before)
    return sum(counts[value] < _TAIL * len(before) for value in after) / len(after)


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
