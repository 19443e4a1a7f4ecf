"""What holds for every choice among candidates."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.pipeline.choice import Criterion, pick, pick_nested, pool
from sightline.task import Row, Rows


def metric(rows: Rows, weights: np.ndarray) -> float:
    """A share of positives; NaN without one, as AP is."""
    positive = np.array([row.statistics["positive"] for row in rows], dtype=float) * weights
    right = np.array([row.statistics["right"] for row in rows], dtype=float)
    return float((right * positive).sum() / positive.sum()) if positive.sum() else math.nan


CRITERION = Criterion(metric, 0.9, 3)


@st.composite
def evaluated(draw: st.DrawFn) -> tuple[dict[str, list[Row]], dict[str, int]]:
    """Candidates with rows of the same samples, and the samples' folds."""
    n = draw(st.integers(1, 12))
    positive = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    folds = draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    candidates = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        right = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=n, max_size=n))
        candidates[name] = [
            Row(f"real/{i}", f"{i}", f"{i}", "", {"right": r, "positive": p})
            for i, (r, p) in enumerate(zip(right, positive, strict=True))
        ]
    return candidates, {f"real/{i}": fold for i, fold in enumerate(folds)}


@settings(max_examples=12, deadline=None)
@given(evaluated())
def test_nothing_named_after_the_best_is_picked_and_nothing_beyond_noise(drawn: tuple[dict, dict]) -> None:
    candidates, _ = drawn
    found = pick(candidates, CRITERION)
    names = list(candidates)
    assert names.index(found.candidate) <= names.index(found.best)
    defined = [value for value in found.figures.values() if not math.isnan(value)]
    if not defined:
        assert found.candidate == names[0]
        return
    assert found.figures[found.best] == max(defined)
    if found.candidate != found.best:
        assert found.difference is not None
        assert len(candidates["a"]) == 1 or not found.difference.lower_bound > 0


@settings(max_examples=12, deadline=None)
@given(evaluated())
def test_the_pooled_rows_are_those_of_all_folds_once_and_of_the_picked(drawn: tuple[dict, dict]) -> None:
    candidates, fold_of = drawn
    picks = pick_nested(candidates, fold_of, CRITERION)
    assert bool(picks) == (len(set(fold_of.values())) > 1)
    if picks:
        rows = pool(candidates, fold_of, picks)
        assert [row.key for row in rows] == list(fold_of)
        assert all(row in candidates[picks[fold_of[row.key]].candidate] for row in rows)


@settings(max_examples=8, deadline=None)
@given(evaluated(), st.integers(0, 2))
def test_what_a_fold_holds_does_not_change_who_answers_for_it(drawn: tuple[dict, dict], fold: int) -> None:
    candidates, fold_of = drawn
    before = pick_nested(candidates, fold_of, CRITERION).get(fold)
    turned = {
        name: [
            Row(r.key, r.sha256, r.group, "", {**r.statistics, "right": 1 - r.statistics["right"]})
            if fold_of[r.key] == fold
            else r
            for r in rows
        ]
        for name, rows in candidates.items()
    }
    after = pick_nested(turned, fold_of, CRITERION).get(fold)
    assert (before and before.candidate) == (after and after.candidate)
