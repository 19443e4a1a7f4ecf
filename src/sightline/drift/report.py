"""Has what a model is asked drifted away from what it was trained and evaluated on? Evidently is known only here.

Two questions, and both must be answered with yes:

1. Does a share of `outside_share` or more of the current answers lie outside of the reference: beyond the range of a
   figure, or, in the embeddings, where none of the reference lies (`exceedance`)? Traffic of one site or one season
   differs from a mixed reference, and that is no reason to label anything: such a change is told, no drift.
2. Is that more than chance? Either a reference of this size does not explain so many outside (a permutation test), or
   the whole distribution differs: a Kolmogorov-Smirnov test a column (chi-square by permutation for categories), shown
   in Evidently's report, and a permutation test of the maximum mean discrepancy of the embeddings. `alpha` is shared
   among the four (Bonferroni), so that unshifted traffic raises a false alarm with a probability of `alpha` at most.

"No drift" is said only where a shift of `notice_share` of the current inputs would have been noticed with a
probability of 80 %; else the state is `cannot tell`. What goes in is compared with all labelled samples, what comes out
with rows that were evaluated by a model that had not seen them.

One row a group goes into the tests: frames of one flight are no independent evidence.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.drift.changes import ColumnTests, Sides, find_changes, inputs_of
from sightline.drift.comparison import Change, Comparison, Observation, Side, State
from sightline.drift.distance import most_distant
from sightline.drift.exceedance import noticeable_share
from sightline.drift.twosample import categories_p_value
from sightline.files import replacing_folder, write_json, write_text
from sightline.params import WatchParams

if TYPE_CHECKING:
    import pandas as pd

MOST_DRIFTED = 20
"""How many inputs the list for labelling names."""


def compare(
    reference: Sequence[Observation],
    current: Sequence[Observation],
    params: WatchParams,
    seed: int,
    folder: Path,
    column_tests: ColumnTests | None = None,
    evaluated: Sequence[Observation] | None = None,
) -> Comparison:
    """Compare current answers with the reference; the report goes into `folder`, which is replaced.

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
    sides = Sides(*(Side(_unique(side), params.max_rows, rng) for side in (reference, current, evaluated or reference)))
    with replacing_folder(folder, "the drift report") as partial:
        changes: list[Change] = []
        if len(sides.after.observations) >= params.min_rows and len(sides.before.independent) >= 2:
            changes = find_changes(sides, params, rng, column_tests or evidently_report, partial)
        comparison = _conclude(sides, changes, params)
        write_json(partial / "drift.json", comparison.document())
        write_text(partial / "index.html", comparison.page())
    return comparison


def _unique(observations: Sequence[Observation]) -> list[Observation]:
    """Each input once, in an order that does not depend on when it came."""
    first: dict[str, Observation] = {}
    for observation in observations:
        first.setdefault(observation.sha256, observation)
    return [first[sha256] for sha256 in sorted(first)]


def _state(sides: Sides, changes: Sequence[Change], noticeable: float, params: WatchParams) -> State:
    if len(sides.after.observations) < params.min_rows:
        return "too few"
    if any(change.moved for change in changes):
        return "drift"
    if not changes or noticeable > params.notice_share:
        return "too few" if len(sides.after.independent) < len(sides.before.independent) else "cannot tell"
    return "changed" if any(change.differs for change in changes) else "same"


def _conclude(sides: Sides, changes: Sequence[Change], params: WatchParams) -> Comparison:
    before, after = sides.before, sides.after
    groups, known = len(after.independent), len(before.independent)
    noticeable = noticeable_share(known, groups, params.alpha / 4, params.outside_share)
    return Comparison(
        state=_state(sides, changes, noticeable, params),
        changes=tuple(sorted(changes, key=lambda c: (not c.moved, not c.differs, -c.outside, c.p_value))),
        most_drifted=most_distant(before, after, inputs_of(sides).numbers, MOST_DRIFTED) if changes else (),
        rows=len(after.observations),
        groups=groups,
        reference_rows=len(before.observations),
        reference_groups=known,
        needed=params.min_rows,
        noticeable=min(noticeable, 1.0) if noticeable <= 1 else None,
        wanted=params.notice_share,
    )


# ------------------------------------------------------------------------------------------------------- columns


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
