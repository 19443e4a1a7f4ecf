from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.errors import ModelMissing
from sightline.params import PromotionParams
from sightline.pipeline.fit import fit
from sightline.pipeline.judge import judge
from sightline.pipeline.project import Project
from sightline.pipeline.promote import champion_rows, promote, promote_by_hand, rollback, weigh
from sightline.progress import Bars
from sightline.resampling import Difference
from sightline.task import load_rows
from sightline.tracking import Version
from tests.fake_tracking import FakeTracking
from tests.toy import Silent, ToyTask, split_again, toy_project, write_set

HOW = PromotionParams(metric="accuracy", floor=0.6, margin=0.02, latency_ratio=1.5)


def produce(project: Project, tracking: FakeTracking) -> list[Version]:
    """Train, judge and register all candidates, into folders of their own."""
    versions = []
    for candidate in project.task.candidates:
        with Bars("train") as bars:
            fit(project, candidate, bars, lambda _step, _values: None)
        judge(project, candidate, Silent())
        number = len(tracking.made) + 1
        kept = project.settings.root / f"kept{number}"
        project.models(candidate).rename(kept)
        project.evaluation(candidate).rename(kept / "evaluation")
        versions.append(tracking.add("toy", candidate, kept / "final", kept / "evaluation"))
    return versions


def decide(project: Project, tracking: FakeTracking, versions: list[Version]) -> Any:
    return promote(project, tracking, versions, Silent())  # type: ignore[arg-type]


@pytest.fixture
def tracking() -> FakeTracking:
    return FakeTracking()


def test_the_first_winner_above_the_floor_becomes_champion(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    decision = decide(project, tracking, produce(project, tracking))
    assert decision.outcome == "promoted"
    assert tracking.version("toy", "champion").tags["candidate"] == "threshold"
    assert tracking.tags[decision.challenger]["decision"] == "promoted"
    entry = project.ledger.last("toy", "promotion")
    assert entry is not None
    assert entry.document["reasons"] == list(decision.reasons)


def test_below_the_floor_nothing_is_promoted(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    versions = [v for v in produce(project, tracking) if v.tags["candidate"] == "constant"]
    decision = decide(project, tracking, versions)
    assert decision.outcome == "refused"
    assert "below the floor" in decision.reasons[0]
    assert tracking.current("toy", "champion") is None
    assert tracking.current("toy", "challenger") == decision.challenger


def test_an_equal_challenger_is_undecided(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    first = decide(project, tracking, produce(project, tracking))
    second = decide(project, tracking, produce(project, tracking))
    assert second.outcome == "undecided"
    assert tracking.current("toy", "champion") == first.challenger
    assert tracking.current("toy", "challenger") == second.challenger
    assert second.numbers["difference"]["value"] == 0


def test_a_better_challenger_takes_the_place_and_can_be_rolled_back(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    constant = [v for v in produce(project, tracking) if v.tags["candidate"] == "constant"]
    old = promote_by_hand(project, tracking, str(constant[0].number), "to begin with")  # type: ignore[arg-type]
    new = decide(project, tracking, produce(project, tracking))
    assert new.outcome == "promoted"
    assert new.champion == old.challenger
    assert tracking.current("toy", "previous") == old.challenger
    assert rollback(project, tracking).number == old.challenger  # type: ignore[arg-type]
    assert tracking.current("toy", "champion") == old.challenger
    again = decide(project, tracking, [tracking.version("toy", str(new.challenger))])
    assert again.outcome == "refused"
    assert "rolled back" in again.reasons[0]
    with pytest.raises(ModelMissing):
        rollback(project, tracking)  # type: ignore[arg-type]


def test_the_same_question_is_answered_once(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    versions = produce(project, tracking)
    decide(project, tracking, versions)
    assert decide(project, tracking, versions).outcome == "unchanged"
    assert len(project.ledger.entries("toy", "promotion")) == 1


def test_a_kill_between_ledger_and_aliases_is_completed(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    versions = produce(project, tracking)
    first = decide(project, tracking, versions)
    tracking.delete_alias("toy", "champion")  # as if the process had died before the aliases
    assert decide(project, tracking, versions).outcome == "promoted"
    assert tracking.current("toy", "champion") == first.challenger
    assert len(project.ledger.entries("toy", "promotion")) == 1


def test_what_the_champion_was_trained_on_counts_by_its_stored_rows(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample", "real")
    champion = produce(project, tracking)[0]
    write_set(project.data / "real", groups=2, frames=4, seed=50)
    split_again(project)
    wanted = load_rows(tracking.evaluation(produce(project, tracking)[0]) / "rows.jsonl")
    assert isinstance(project.task, ToyTask)
    rows = champion_rows(project, tracking, champion, wanted, Silent())  # type: ignore[arg-type]
    stored = {row.key: row for row in load_rows(tracking.evaluation(champion) / "rows.jsonl")}
    assert all(rows[key] == stored[key] for key in rows if key in stored)
    assert {key for key in rows if key not in stored and key.startswith("real/")} == {
        s.key for s in project.load().samples if s.id.startswith("g50")
    }


@pytest.mark.parametrize(
    ("value", "bound", "ratio", "outcome"),
    [
        (0.05, 0.01, 1.0, "promoted"),
        (0.05, -0.01, 1.0, "promoted"),
        (0.05, -0.03, 1.0, "undecided"),
        (0.0, 0.0, 1.0, "undecided"),
        (-0.01, -0.015, 1.0, "undecided"),
        (0.05, 0.01, 1.6, "undecided"),
    ],
)
def test_the_rule(value: float, bound: float, ratio: float, outcome: str) -> None:
    found, reasons = weigh(HOW, Difference(value, bound, 30, "group"), ratio)
    assert found == outcome
    assert len(reasons) == 3
