"""What `sightline models` and the table at a run's end say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sightline.cli.models import list_models
from sightline.cli.run import show_outcome
from sightline.errors import ModelMissing
from sightline.pipeline.project import Project
from sightline.pipeline.promote import promote_by_hand, restore_previous
from sightline.pipeline.records import RunOutcome, parse
from tests.fake_tracking import FakeTracking
from tests.toy import toy_project

FIGURE = {"value": 0.9583, "low": 0.85, "high": None, "n": 24}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return toy_project(tmp_path)


@pytest.fixture
def tracking(tmp_path: Path) -> FakeTracking:
    found = FakeTracking()
    measured = {"n": 24, "unit": "sample", "metrics": {"accuracy": FIGURE}}
    metrics = {"protocol": "folds", "main": ["real"], "sets": {"real": measured}, "validation": measured}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "training.csv").write_text("key,sha256,labels_sha256,group\nreal/a,1,2,g\nreal/b,3,4,g\n")
    for candidate in ("threshold", "constant"):
        found.add("toy", candidate, tmp_path, tmp_path)
    return found


def by_hand(project: Project, tracking: FakeTracking, number: int) -> None:
    promote_by_hand(project, tracking, str(number), "a test")


def listed(project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    list_models(project, tracking, as_json=True)
    return list(json.loads(capsys.readouterr().out))


def test_json_has_numbers_as_numbers(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand(project, tracking, 1)
    first, second = listed(project, tracking, capsys)
    assert {key: first[key] for key in ("version", "aliases", "answers", "metric", "set")} == {
        "version": 1,
        "aliases": ["champion", "threshold"],
        "answers": True,
        "metric": "accuracy",
        "set": "real",
    }
    assert (first["value"], first["low"], first["high"], first["n"]) == (0.9583, 0.85, None, 24)
    assert first["trained_on"] == [{"set": "real", "kind": "real", "n": 2}]
    assert second["answers"] is False


def test_what_was_rolled_back_is_no_longer_called_promoted(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand(project, tracking, 1)
    by_hand(project, tracking, 2)
    assert [version["decision"] for version in listed(project, tracking, capsys)] == ["promoted", "promoted"]
    restore_previous(project, tracking)
    assert [version["decision"] for version in listed(project, tracking, capsys)] == ["promoted", "rolled back"]


def test_an_alias_moved_past_the_ledger_is_told(
    project: Project, tracking: FakeTracking, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand(project, tracking, 1)
    tracking.set_alias("toy", "champion", 2)
    list_models(project, tracking, as_json=False)
    shown = capsys.readouterr()
    assert (
        "warning: the registry names version 2 champion, but the ledger names version 1, which is served."
    ) in shown.err
    assert "Version 1 answers." in shown.out
    assert "0.958" in shown.out
    assert "nan" not in shown.out


def test_nothing_registered_is_an_empty_list_for_programs(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(project, FakeTracking(), capsys) == []
    with pytest.raises(ModelMissing, match="sightline run toy"):
        list_models(project, FakeTracking(), as_json=False)


def test_the_table_of_a_run_says_which_was_chosen_by_what_and_warns_of_a_better_one(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    choice = {
        "rule": "the best",
        "metric": "accuracy",
        "protocol": "holdout",
        "rows": "validation",
        "sets": ["real"],
        "n": 9,
        "figures": {"threshold": 0.8, "constant": 0.5},
        "chosen": "threshold",
        "best": "threshold",
        "figure": {**FIGURE, "unit": "sample"},
        "versions": {"threshold": 1, "constant": 2},
        "better": {"candidate": "constant", "figure": 0.9, "chosen_figure": 0.7, "lower_bound": 0.1, "n": 24},
    }
    reasons = ["threshold was chosen on the 9 validation samples of real by accuracy"]
    decision = {
        "task": "toy",
        "outcome": "promoted",
        "challenger": 1,
        "champion": None,
        "reasons": reasons,
        "numbers": {},
        "run_id": "run1",
    }
    candidates = {
        name: {"version": n, "set": "real", "protocol": "holdout", "unit": "sample", "metrics": {"accuracy": FIGURE}}
        for n, name in enumerate(("threshold", "constant"), start=1)
    }
    candidates["constant"]["note"] = "it has not converged"
    document = {
        "task": "toy",
        "data_version": "0123456789",
        "version": 1,
        "candidate": "threshold",
        "aliases": ["champion"],
        "champion": 1,
        "decision": {**decision, "choice": choice},
        "promotion_rule": {},
        "candidates": candidates,
        "stage_keys": {},
        "duration_s": 3.0,
    }
    show_outcome(project, parse(document, RunOutcome, "a test"))
    shown = capsys.readouterr()
    assert "chosen by accuracy" in shown.out
    assert "0.800 (chosen)" in shown.out
    assert reasons[0] in shown.out
    assert "  constant: it has not converged\n" in shown.out
    assert "  threshold: " not in shown.out
    assert "constant (version 2) is better than threshold on the 24 test samples of real" in shown.err
    assert "sightline promote toy@2 --reason WHY" in shown.err
    show_outcome(project, parse({**document, "decision": decision}, RunOutcome, "a run of an older program"))
    assert "chosen by" not in capsys.readouterr().out
