"""Who is champion where ledger and registry agree, lag, or disagree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sightline.errors import ModelMissing
from sightline.pipeline.project import Project
from sightline.pipeline.promote import promote_by_hand, restore_previous
from sightline.pipeline.serve import RegistryChampions
from sightline.pipeline.standing import Seat, champion_version, read_standing, rule, ruling_of
from sightline.serving.champion import ChampionKeeper, Warmed
from sightline.serving.metrics import Metrics
from sightline.stores.database import Database
from sightline.stores.events import Event
from tests.fake_tracking import FakeTracking
from tests.toy import toy_project
from tests.unit.serving.harness import CountingModel


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return toy_project(tmp_path)


@pytest.fixture
def tracking(tmp_path: Path) -> FakeTracking:
    found = FakeTracking()
    for number in range(1, 4):
        folder = tmp_path / f"m{number}"
        folder.mkdir()
        CountingModel().save(folder)
        found.add("toy", f"candidate{number}", folder, folder)
    return found


def by_hand(project: Project, tracking: Any, number: int) -> None:
    promote_by_hand(project, tracking, str(number), "a test")


def endpoint(project: Project, tracking: Any, trusted: bool = False) -> ChampionKeeper:
    """What an endpoint does every few seconds."""
    source = RegistryChampions("toy", tracking, project.events, lambda _: CountingModel(), trusted)
    return ChampionKeeper("toy", source, lambda _: Warmed(), 1.0, Metrics("toy"))


def entry(number: int, kind: Any, **document: Any) -> Event:
    return Event(str(number), number, 0.0, "toy", kind, document)


def test_promotions_and_rollbacks_are_replayed() -> None:
    rows = [
        entry(1, "promotion", outcome="refused", challenger=1, champion=None),
        entry(2, "promotion", outcome="promoted", challenger=2, champion=None, run_id="r2"),
        entry(3, "promotion", outcome="promoted", challenger=3, champion=2),  # by a program older than run ids
        entry(4, "promotion", outcome="undecided", challenger=4, champion=3),
        entry(5, "rollback", **{"from": 3, "to": 2}),
    ]
    found = [read_standing(rows[:n]) for n in range(6)]
    assert [f.champion for f in found] == [None, None, Seat(2, "r2"), Seat(3), Seat(3), Seat(2, "r2")]
    assert [f.previous for f in found] == [None, None, None, Seat(2, "r2"), Seat(2, "r2"), None]
    assert found[5].before == 3


def test_an_alias_that_was_moved_in_mlflow_makes_no_champion(project: Project, tracking: FakeTracking) -> None:
    by_hand(project, tracking, 1)
    keeper = endpoint(project, tracking)
    keeper.poll()
    tracking.set_alias("toy", "champion", 2)  # by REST, past ledger and rule
    keeper.poll()
    assert keeper.champion is not None
    assert keeper.champion.number == 1
    assert "names version 2 champion, but the ledger names version 1, which is served" in str(keeper.problem)
    assert "sightline promote toy@2" in str(keeper.problem)
    assert champion_version(project, tracking).number == 1
    by_hand(project, tracking, 1)  # puts the alias back
    keeper.poll()
    assert keeper.problem is None
    assert tracking.current("toy", "champion") == 1
    tracking.set_alias("toy", "champion", 2)
    by_hand(project, tracking, 2)  # or confirms it
    keeper.poll()
    assert (keeper.champion.number, keeper.problem) == (2, None)
    assert restore_previous(project, tracking).number == 1


def test_an_alias_in_a_project_that_never_promoted_makes_no_champion(project: Project, tracking: FakeTracking) -> None:
    tracking.set_alias("toy", "champion", 2)
    keeper = endpoint(project, tracking)
    keeper.poll()
    assert keeper.champion is None
    assert "the ledger has no promotion of toy" in str(keeper.problem)
    with pytest.raises(ModelMissing, match="sightline promote toy@2"):
        champion_version(project, tracking)
    project.events.record("promotion", "toy", {"outcome": "refused", "challenger": 1, "champion": None, "reasons": []})
    keeper.poll()
    assert keeper.champion is None


def test_a_ledger_that_was_lost_is_begun_anew_by_one_command(project: Project, tracking: FakeTracking) -> None:
    by_hand(project, tracking, 2)
    fresh = replace(project)
    fresh.__dict__["database"] = Database(f"sqlite:///{project.settings.state}/new.sqlite")
    assert ruling_of(fresh, tracking).state == "unknown"
    by_hand(fresh, tracking, 2)
    assert ruling_of(fresh, tracking).state == "agreed"
    assert champion_version(fresh, tracking).number == 2


def test_a_server_that_the_user_named_is_believed_where_the_ledger_is_empty(
    project: Project, tracking: FakeTracking
) -> None:
    tracking.set_alias("toy", "champion", 2)
    keeper = endpoint(project, tracking, trusted=True)
    keeper.poll()
    assert keeper.champion is not None
    assert (keeper.champion.number, keeper.problem) == (2, None)


def test_a_ledger_restored_from_an_older_day_is_followed_and_the_newer_alias_told(
    project: Project, tracking: FakeTracking
) -> None:
    for number in (1, 2, 3):
        by_hand(project, tracking, number)
    restored = replace(project)
    restored.__dict__["database"] = Database(f"sqlite:///{project.settings.state}/restored.sqlite")
    restored.events.record("promotion", "toy", project.events.history("toy")[0].document)
    ruling = ruling_of(restored, tracking)
    assert (ruling.champion, ruling.state) == (Seat(1, "run1"), "disputed")


def test_a_number_given_again_by_another_registry_is_not_the_one_promoted(
    project: Project, tracking: FakeTracking
) -> None:
    by_hand(project, tracking, 3)
    tracking.made[3] = replace(tracking.made[3], run_id="another")
    keeper = endpoint(project, tracking)
    keeper.poll()
    assert keeper.champion is None
    assert "version 3, which was promoted, is not in this registry" in str(keeper.problem)
    by_hand(project, tracking, 3)  # a person says that this one is meant
    assert champion_version(project, tracking).run_id == "another"


def test_an_endpoint_follows_the_ledger_before_the_registry_is_up_to_date(
    project: Project, tracking: FakeTracking
) -> None:
    by_hand(project, tracking, 1)
    by_hand(project, tracking, 2)
    project.events.record("rollback", "toy", {"from": 2, "to": 1, "run_id": "run1"})  # killed right after
    keeper = endpoint(project, tracking)
    keeper.poll()
    assert keeper.champion is not None
    assert (keeper.champion.number, keeper.problem) == (1, None)
    assert ruling_of(project, tracking).state == "lagging"


@pytest.mark.parametrize("alias", [None, 1, 2])
def test_nothing_is_odd_in_a_project_without_a_word_and_without_a_champion(alias: int | None) -> None:
    ruling = rule("toy", read_standing([]), alias, trusted=False)
    assert ruling.champion is None
    assert (ruling.text == "") == (alias is None)
