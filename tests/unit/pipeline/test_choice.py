"""Which candidate is put forward, on which rows, and what is told of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from sightline.pipeline.choice import Choice, Criterion, choose, explain, pick, pick_nested, pool, warn
from sightline.pipeline.fit import plan_fits
from sightline.pipeline.project import Project
from sightline.task import Row, Rows, save_rows
from sightline.tasks import TASKS
from tests.fake_tracking import FakeTracking
from tests.toy import PARAMS, toy_project

ROOT = Path(__file__).resolve().parents[3]


def accuracy(rows: Rows, weights: NDArray[np.float64]) -> float:
    right = np.array([row.statistics["right"] for row in rows])
    return float(np.average(right, weights=weights)) if weights.sum() else math.nan


def recall(rows: Rows, weights: NDArray[np.float64]) -> float:
    """NaN without a positive: such as AP, or the Jaccard index of a class that does not occur."""
    positive = np.array([row.statistics["positive"] for row in rows], dtype=float) * weights
    right = np.array([row.statistics["right"] for row in rows])
    return float((right * positive).sum() / positive.sum()) if positive.sum() else math.nan


ACCURACY, RECALL = Criterion(accuracy, 0.95, 1), Criterion(recall, 0.95, 1)


def rows_of(right: Sequence[float], positive: Sequence[int] = ()) -> list[Row]:
    kinds = positive or [1] * len(right)
    return [
        Row(f"real/{n:03}", f"sha{n}", f"g{n}", "a", {"right": r, "positive": p})
        for n, (r, p) in enumerate(zip(right, kinds, strict=True))
    ]


def share(good: int, of: int) -> list[float]:
    """Right answers spread evenly."""
    return [float((n * good) // of != ((n + 1) * good) // of) for n in range(of)]


# ------------------------------------------------------------------------------------------------------ the rule


def test_the_better_one_wins_wherever_it_is_named() -> None:
    good, bad = rows_of(share(38, 40)), rows_of(share(20, 40))
    assert pick({"plain": bad, "network": good}, ACCURACY).candidate == "network"
    assert pick({"network": good, "plain": bad}, ACCURACY).candidate == "network"


def test_within_noise_the_first_named_wins_and_the_distance_is_kept() -> None:
    first, second = rows_of(share(30, 40)), rows_of([1.0, *share(30, 40)[1:]])
    found = pick({"first": first, "second": second}, ACCURACY)
    assert (found.candidate, found.best) == ("first", "second")
    assert found.difference is not None
    assert found.difference.value > 0 >= found.difference.lower_bound


def test_the_first_within_noise_of_the_best_wins_not_the_very_first() -> None:
    candidates = {
        "plain": rows_of(share(10, 40)),
        "small": rows_of(share(36, 40)),
        "large": rows_of([1.0, *share(36, 40)[1:]]),
    }
    found = pick(candidates, ACCURACY)
    assert (found.candidate, found.best) == ("small", "large")


def test_ties_go_to_the_first_named() -> None:
    rows = rows_of(share(5, 10))
    assert pick({"b": rows, "a": rows}, ACCURACY) == replace(pick({"b": rows}, ACCURACY), figures={"b": 0.5, "a": 0.5})


def test_one_sample_proves_nothing() -> None:
    assert pick({"a": rows_of([0.0]), "b": rows_of([1.0])}, ACCURACY).candidate == "a"


def test_what_is_undefined_loses_and_where_all_is_undefined_the_first_wins() -> None:
    defined, no_positive = rows_of(share(5, 10)), rows_of(share(9, 10), [0] * 10)
    assert pick({"a": no_positive, "b": defined}, RECALL).candidate == "b"
    found = pick({"a": no_positive, "b": no_positive}, RECALL)
    assert found.candidate == "a"
    assert found.difference is None
    assert math.isnan(found.figures["a"])
    assert pick({"a": [], "b": []}, ACCURACY).candidate == "a"
    with pytest.raises(ValueError, match="no candidate"):
        pick({}, ACCURACY)


def test_a_fold_has_no_say_in_the_candidate_that_answers_for_it() -> None:
    """`b` is right on fold 0 alone, `a` on the others: fold 0 is answered by `a`, so the choice has 0 there."""
    fold_of = {f"real/{n:03}": n // 20 for n in range(60)}
    a = rows_of([0.0] * 20 + [1.0] * 40)
    b = rows_of([1.0] * 20 + [0.0] * 40)
    picks = pick_nested({"a": a, "b": b}, fold_of, ACCURACY)
    assert {fold: one.candidate for fold, one in picks.items()} == {0: "a", 1: "a", 2: "a"}
    rows = pool({"a": a, "b": b}, fold_of, picks)
    assert [row.statistics["right"] for row in rows] == [row.statistics["right"] for row in a]
    # With two folds each is the other's reverse: the choice is wrong everywhere, the best of all rows right by half.
    two = {key: min(fold, 1) for key, fold in fold_of.items()}
    half_a, half_b = rows_of([0.0] * 20 + [1.0] * 40), rows_of([1.0] * 20 + [0.0] * 40)
    picks = pick_nested({"a": half_a, "b": half_b}, two, ACCURACY)
    assert {row.statistics["right"] for row in pool({"a": half_a, "b": half_b}, two, picks)} == {0.0}


def test_a_fold_without_a_positive_is_answered_for_and_a_lone_fold_cannot_be() -> None:
    positive = [1] * 20 + [0] * 20
    fold_of = {f"real/{n:03}": n // 20 for n in range(40)}
    good, bad = rows_of([1.0] * 40, positive), rows_of([0.0] * 40, positive)
    picks = pick_nested({"bad": bad, "good": good}, fold_of, RECALL)
    assert picks[0].candidate == "bad"  # nothing is defined on fold 1 alone: the first named
    assert picks[1].candidate == "good"
    assert pick_nested({"bad": bad, "good": good}, dict.fromkeys(fold_of, 0), RECALL) == {}


# ------------------------------------------------------------------------------------------------ of a project


def put_forward(
    project: Project, tracking: FakeTracking, right: Mapping[str, Mapping[str, Sequence[float]]], protocol: str
) -> Choice:
    """Choose among versions whose evaluated rows are right or wrong as told: candidate -> file -> rights."""
    versions = []
    samples = [s for s in project.load().samples if s.set == "real"]
    for candidate, files in right.items():
        folder = project.settings.root / f"evaluation-{candidate}"
        main = {"accuracy": {"value": 0.5, "low": 0.4, "high": 0.6, "n": len(samples)}}
        for name, values in files.items():
            rows = [
                Row(s.key, s.sha256, s.group, s.stratum, {"right": r}) for s, r in zip(samples, values, strict=False)
            ]
            rows += [
                Row(f"sample/{n}", f"s{n}", f"g{n}", "a", {"right": float(candidate == "constant")}) for n in range(9)
            ]
            save_rows(rows, folder / f"{name}.jsonl")
        metrics: dict[str, Any] = {"protocol": protocol, "main": ["real"], "sets": {"real": {"metrics": main}}}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        versions.append(tracking.add("toy", candidate, folder, folder))
    return choose(project, tracking, list(reversed(versions)))


def test_with_folds_the_real_rows_decide_not_the_synthetic_ones(tmp_path: Path) -> None:
    """The plain candidate is right on each synthetic row and wrong on most real ones."""
    project, tracking = toy_project(tmp_path, "sample", "real"), FakeTracking()
    right = {
        "threshold": {"rows": share(23, 24), "validation": []},
        "constant": {"rows": share(12, 24), "validation": []},
    }
    choice = put_forward(project, tracking, right, "folds")
    assert choice.version.tags["candidate"] == "threshold"
    assert choice.figure.value == pytest.approx(23 / 24)
    assert {row.key.split("/")[0] for row in choice.rows} == {"real"}
    assert choice.record.figures == {"threshold": 23 / 24, "constant": 0.5}
    assert choice.record.folds == {"0": "threshold", "1": "threshold", "2": "threshold"}
    assert choice.reasons == (
        "threshold was chosen on the 24 out-of-fold samples of real by accuracy: threshold 0.958, constant 0.500",
    )
    assert warn(choice.record) == ""
    json.dumps(choice.record.document(), allow_nan=False)


def test_with_folds_the_figure_is_that_of_the_nested_choice(tmp_path: Path) -> None:
    """Better over all, but by one fold alone: evaluated without that fold the choice falls on the other one."""
    project, tracking = toy_project(tmp_path, "sample", "real"), FakeTracking()
    samples = [s for s in project.load().samples if s.set == "real"]
    lucky = [1.0 if s.fold == 0 else 0.0 for s in samples]
    steady = [0.0 if s.fold == 0 else 0.05 for s in samples]
    right = {"threshold": {"rows": steady, "validation": []}, "constant": {"rows": lucky, "validation": []}}
    choice = put_forward(project, tracking, right, "folds")
    assert choice.version.tags["candidate"] == "constant"
    assert choice.record.folds["0"] == "threshold"
    assert choice.figure.value < choice.record.figures["constant"]
    assert "the figure is pooled in this way" in choice.reasons[-1]


def test_with_a_holdout_the_validation_rows_decide_and_a_better_one_on_test_is_told(tmp_path: Path) -> None:
    project, tracking = toy_project(tmp_path, "sample", "real"), FakeTracking()
    right = {
        "threshold": {"rows": share(12, 24), "validation": share(20, 24)},
        "constant": {"rows": share(22, 24), "validation": share(8, 24)},
    }
    choice = put_forward(project, tracking, right, "holdout")
    assert choice.version.tags["candidate"] == "threshold"
    assert choice.figure.value == 0.5
    assert "on the 24 validation samples of real" in choice.reasons[0]
    warning = warn(choice.record)
    assert "constant (version 2) is better than threshold on the 24 test samples of real" in warning
    assert "0.917 against 0.500, which is beyond noise" in warning


def test_without_validation_rows_the_first_named_is_chosen_and_it_is_said(tmp_path: Path) -> None:
    project, tracking = toy_project(tmp_path, "sample", "real"), FakeTracking()
    right = {name: {"rows": share(12, 24), "validation": []} for name in ("threshold", "constant")}
    choice = put_forward(project, tracking, right, "holdout")
    assert choice.version.tags["candidate"] == "threshold"
    assert choice.reasons == (
        "accuracy is undefined on the 0 validation samples of real, so threshold was chosen: it is the first in "
        "params.yaml",
    )


@pytest.mark.parametrize("sets", [("sample",), ("real",), ("sample", "real"), ("sample", "real", "own")])
@pytest.mark.parametrize("protocol", ["folds", "holdout"])
def test_the_rows_that_decide_are_of_the_main_sets(tmp_path: Path, protocol: str, sets: tuple[str, ...]) -> None:
    data = PARAMS.data.model_copy(update={"protocol": protocol, "train": ("real", "own")})
    plan = plan_fits(toy_project(tmp_path, *sets, params=PARAMS.model_copy(update={"data": data})))
    main = set(sets) & {"real", "own"} or {"sample"}
    assert set(plan.main) == main
    assert plan.protocol == (protocol if main != {"sample"} else "holdout")
    if plan.protocol == "holdout":
        assert {s.set for s in plan.validation.samples} == main
    else:
        evaluated = [s.key for part in plan.test.values() for s in part.samples if s.set in main]
        assert len(evaluated) == len(set(evaluated)) == 24 * len(main)


@pytest.mark.parametrize("task", TASKS)
def test_the_docs_say_which_rows_decide_for_each_task(task: str) -> None:
    raw = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    lines = (ROOT / "docs" / "how-to" / "promote.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("|") and f"`{task}`" in line]
    assert f"`{raw[task]['data']['protocol']}`" in line
    assert raw[task]["data"]["train"] == ["real"]


def test_noise_is_told_with_its_bound(tmp_path: Path) -> None:
    project, tracking = toy_project(tmp_path, "sample", "real"), FakeTracking()
    right = {
        "threshold": {"rows": share(18, 24), "validation": []},
        "constant": {"rows": [1.0, *share(18, 24)[1:]], "validation": []},
    }
    choice = put_forward(project, tracking, right, "folds")
    assert choice.version.tags["candidate"] == "threshold"
    assert explain(choice.record)[1].startswith("constant is ahead of threshold by 0.042, which is within noise")
    assert "which is within noise" in warn(choice.record)
