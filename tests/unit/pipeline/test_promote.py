from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sightline.errors import BackendError, ModelMissing
from sightline.pipeline.evaluate import evaluate
from sightline.pipeline.fit import fit
from sightline.pipeline.project import Project
from sightline.pipeline.promote import champion_rows, promote_best, promote_by_hand, restore_previous, weigh
from sightline.pipeline.standing import champion_version, standing_of
from sightline.progress import Bars
from sightline.resampling import Difference
from sightline.stores.events import Events
from sightline.task import load_rows
from sightline.tracking import Version
from tests.fake_tracking import FakeTracking
from tests.parameters import changed, platform_params
from tests.toy import Silent, ToyTask, split_again, toy_project, write_set

HOW = changed(
    platform_params().promotion, metric="accuracy", floor=0.6, margin=0.02, confidence=0.95, latency_ratio=1.5
)


def produce(project: Project, tracking: FakeTracking) -> list[Version]:
    """Train, evaluate and register all candidates, into folders of their own."""
    versions = []
    for candidate in project.params.candidates:
        with Bars("train") as bars:
            fit(project, candidate, bars, lambda _step, _values: None)
        evaluate(project, candidate, Silent())
        number = len(tracking.made) + 1
        kept = project.settings.root / f"kept{number}"
        project.models(candidate).rename(kept)
        project.evaluation(candidate).rename(kept / "evaluation")
        versions.append(tracking.add("toy", candidate, kept / "final", kept / "evaluation"))
    return versions


def decide(project: Project, tracking: FakeTracking, versions: list[Version]) -> Any:
    return promote_best(project, tracking, versions, Silent())


@pytest.fixture
def tracking() -> FakeTracking:
    return FakeTracking()


def test_the_first_winner_above_the_floor_becomes_champion(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    decision = decide(project, tracking, produce(project, tracking))
    assert decision.outcome == "promoted"
    assert tracking.version("toy", "champion").tags["candidate"] == "threshold"
    assert tracking.tags[decision.challenger]["decision"] == "promoted"
    entry = project.events.last("toy", "promotion")
    assert entry is not None
    assert entry.document["reasons"] == list(decision.reasons)


def test_below_the_floor_nothing_is_promoted(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    versions = [v for v in produce(project, tracking) if v.tags["candidate"] == "constant"]
    decision = decide(project, tracking, versions)
    assert decision.outcome == "refused"
    assert "below the floor" in decision.reasons[-1]
    assert tracking.current("toy", "champion") is None
    assert tracking.current("toy", "challenger") == decision.challenger


def test_an_equal_challenger_is_undecided(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    first = decide(project, tracking, produce(project, tracking))
    second = decide(project, tracking, produce(project, tracking))
    assert second.outcome == "undecided"
    assert tracking.current("toy", "champion") == first.challenger
    assert tracking.current("toy", "challenger") == second.challenger
    assert second.numbers.document()["difference"]["value"] == 0


def test_a_better_challenger_takes_the_place_and_can_be_rolled_back(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    constant = [v for v in produce(project, tracking) if v.tags["candidate"] == "constant"]
    old = promote_by_hand(project, tracking, str(constant[0].number), "to begin with")
    new = decide(project, tracking, produce(project, tracking))
    assert new.outcome == "promoted"
    assert new.champion == old.challenger
    assert tracking.current("toy", "previous") == old.challenger
    assert restore_previous(project, tracking).number == old.challenger
    assert tracking.current("toy", "champion") == old.challenger
    again = decide(project, tracking, [tracking.version("toy", str(new.challenger))])
    assert again.outcome == "refused"
    assert "rolled back" in again.reasons[-1]
    assert tracking.version("toy", str(new.challenger)).tags["decision"] == "rolled back"
    with pytest.raises(ModelMissing):
        restore_previous(project, tracking)


def test_the_same_question_is_answered_once(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    versions = produce(project, tracking)
    decide(project, tracking, versions)
    assert decide(project, tracking, versions).outcome == "unchanged"
    assert len(project.events.history("toy", "promotion")) == 1


def test_a_kill_between_ledger_and_aliases_is_completed(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    versions = produce(project, tracking)
    first = decide(project, tracking, versions)
    tracking.delete_alias("toy", "champion")  # as if the process had died before the aliases
    assert decide(project, tracking, versions).outcome == "promoted"
    assert tracking.current("toy", "champion") == first.challenger
    assert len(project.events.history("toy", "promotion")) == 1


def test_another_floor_or_another_rule_is_a_new_question(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    versions = [v for v in produce(project, tracking) if v.tags["candidate"] == "constant"]
    assert decide(project, tracking, versions).outcome == "refused"
    assert decide(project, tracking, versions).outcome == "refused"
    assert len(project.events.history("toy", "promotion")) == 1
    promotion = project.params.promotion.model_copy(update={"floor": 0.4})
    lenient = replace(project, params=project.params.model_copy(update={"promotion": promotion}))
    assert decide(lenient, tracking, versions).outcome == "promoted"


class Killed(BaseException):
    """The process ends here."""


class FailingTracking(FakeTracking):
    """Ends the process when it is to write, `after` writes from now."""

    after: int | None = None

    def _count(self) -> None:
        if self.after is not None:
            self.after -= 1
            if self.after < 0:
                raise Killed

    def set_alias(self, task: str, alias: str, number: int) -> None:
        self._count()
        super().set_alias(task, alias, number)

    def delete_alias(self, task: str, alias: str) -> None:
        self._count()
        super().delete_alias(task, alias)

    def tag(self, version: Version, tags: Any) -> None:
        self._count()
        super().tag(version, tags)


def two_champions(project: Project, tracking: FakeTracking) -> tuple[int, int, list[Version]]:
    """The version before, the one that a run promoted over it, and the run's versions."""
    versions = produce(project, tracking)
    old = promote_by_hand(project, tracking, str(versions[1].number), "to begin with")
    return old.challenger, decide(project, tracking, versions).challenger, versions


@pytest.mark.parametrize("writes", range(4))
def test_a_rollback_that_is_killed_anywhere_stays_done(tmp_path: Path, writes: int) -> None:
    project, tracking = toy_project(tmp_path, "sample"), FailingTracking()
    old, bad, versions = two_champions(project, tracking)
    tracking.after = 3 + writes  # three bring the registry up to the last row
    with pytest.raises(Killed):
        restore_previous(project, tracking)
    tracking.after = None
    assert champion_version(project, tracking).number == old
    again = decide(project, tracking, versions)
    assert again.outcome == "refused"
    assert "only `sightline promote` makes it champion again" in again.reasons[-1]
    assert (tracking.current("toy", "champion"), tracking.current("toy", "challenger")) == (old, bad)
    assert tracking.current("toy", "previous") is None


def test_a_rollback_that_the_ledger_cannot_keep_changes_nothing(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample")
    _, bad, _ = two_champions(project, tracking)

    class FullDisk(Events):
        def record(self, kind: Any, task: str, document: Any) -> int:
            raise BackendError("the ledger cannot be used (database or disk is full)")

    full = replace(project)
    full.__dict__["events"] = FullDisk(project.database)
    with pytest.raises(BackendError, match="disk is full"):
        restore_previous(full, tracking)
    assert tracking.current("toy", "champion") == bad
    assert tracking.version("toy", str(bad)).tags["decision"] == "promoted"


class SlowTracking(FakeTracking):
    """Lets others in between any two writes."""

    def set_alias(self, task: str, alias: str, number: int) -> None:
        time.sleep(0.005)
        super().set_alias(task, alias, number)
        time.sleep(0.005)


def test_simultaneous_promotions_and_rollbacks_leave_ledger_and_registry_agreed(tmp_path: Path) -> None:
    project, tracking = toy_project(tmp_path, "sample"), SlowTracking()
    old, new, _ = two_champions(project, tracking)

    def back(_: int) -> None:
        with suppress(ModelMissing):  # somebody else was first
            restore_previous(project, tracking)

    def by_hand(number: int) -> None:
        promote_by_hand(project, tracking, str(number), "at the same time")

    with ThreadPoolExecutor(4) as pool:
        for _ in range(6):
            wait([pool.submit(back, 0), pool.submit(by_hand, new), pool.submit(back, 0), pool.submit(by_hand, old)])
            standing = standing_of(project.events, "toy")
            assert standing.champion is not None
            assert tracking.current("toy", "champion") == standing.champion.number
            assert tracking.current("toy", "previous") == (standing.previous and standing.previous.number)


def test_a_promotion_by_hand_during_a_comparison_is_not_overruled(tmp_path: Path, tracking: FakeTracking) -> None:
    """The run compared with the champion of before; it looks again."""
    project = toy_project(tmp_path, "sample")
    versions = produce(project, tracking)
    promote_by_hand(project, tracking, str(versions[1].number), "to begin with")
    rivals = produce(project, tracking)

    class Interrupted(FakeTracking):
        looked = 0

        def directory(self, version: Version) -> Path:  # asked for while latencies are compared
            self.looked += 1
            if self.looked == 1:
                promote_by_hand(project, self, str(versions[0].number), "checked by eye")
            return super().directory(version)

    interrupted = Interrupted()
    interrupted.__dict__.update(tracking.__dict__)
    decision = promote_best(project, interrupted, rivals, Silent())
    assert decision.outcome == "undecided"
    assert decision.champion == versions[0].number
    assert interrupted.current("toy", "champion") == versions[0].number


def test_what_the_champion_was_trained_on_counts_by_its_stored_rows(tmp_path: Path, tracking: FakeTracking) -> None:
    project = toy_project(tmp_path, "sample", "real")
    champion = produce(project, tracking)[0]
    write_set(project.data / "real", groups=2, frames=4, seed=50)
    split_again(project)
    wanted = load_rows(tracking.evaluation(produce(project, tracking)[0]) / "rows.jsonl")
    assert isinstance(project.task, ToyTask)
    rows = champion_rows(project, tracking, champion, wanted, Silent())
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
