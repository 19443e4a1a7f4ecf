from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sightline.errors import ModelMissing, ModelRejected
from sightline.serving.batching import Batching
from sightline.serving.champion import ChampionKeeper, DirectoryChampion, Warmed
from sightline.serving.metrics import Metrics
from sightline.task import Model
from tests.toy import ToyTask
from tests.unit.serving.harness import CountingModel, SetChampions


def keeper_of(champions: SetChampions, poll_s: float = 0.001) -> ChampionKeeper:
    return ChampionKeeper("toy", champions, lambda _: Warmed(), poll_s, Metrics("toy"))


def test_the_champion_is_loaded_and_warmed() -> None:
    warmed: list[Model] = []
    model = CountingModel()

    def warm(found: Model) -> Warmed:
        warmed.append(found)
        return Warmed(Batching(2, 2))

    keeper = ChampionKeeper("toy", SetChampions(model), warm, 1.0, Metrics("toy"))
    keeper.poll()
    assert keeper.champion is not None
    assert (keeper.champion.number, keeper.champion.warmed.batching) == (1, Batching(2, 2))
    assert warmed == [model]
    assert keeper.problem is None
    keeper.poll()
    assert len(warmed) == 1


def test_without_a_champion_it_says_so_and_waits_for_one() -> None:
    champions = SetChampions(CountingModel())
    champions.number = 0
    keeper = keeper_of(champions)
    keeper.poll()
    assert keeper.champion is None
    assert isinstance(keeper.problem, ModelMissing)
    champions.number = 1
    keeper.poll()
    assert keeper.champion is not None


def test_promotion_and_rollback_change_the_champion() -> None:
    champions = SetChampions(CountingModel(1), CountingModel(2))
    keeper = keeper_of(champions)
    numbers = []
    for number in (1, 2, 1):
        champions.number = number
        keeper.poll()
        assert keeper.champion is not None
        numbers.append(keeper.champion.number)
    assert numbers == [1, 2, 1]


def test_an_unreachable_registry_changes_nothing() -> None:
    champions = SetChampions(CountingModel())
    keeper = keeper_of(champions)
    keeper.poll()
    champions.reachable = False
    keeper.poll()
    assert keeper.champion is not None
    assert keeper.problem is not None
    champions.reachable = True
    keeper.poll()
    assert keeper.problem is None


def test_a_version_that_does_not_load_leaves_the_old_one_in_place() -> None:
    def broken() -> Model:
        raise ModelRejected("the weights do not match card.json", where="model.onnx")

    champions = SetChampions(CountingModel(1), CountingModel(2))
    good, champions.models[2] = champions.models[2], broken
    keeper = keeper_of(champions, poll_s=0.0)
    keeper.poll()
    champions.number = 2
    keeper.poll()
    assert keeper.champion is not None
    assert keeper.champion.number == 1
    assert "card.json" in str(keeper.problem)
    champions.models[2] = good
    keeper.poll()
    assert keeper.champion.number == 2
    assert keeper.problem is None


def test_a_version_that_fails_is_not_tried_with_every_poll(caplog: pytest.LogCaptureFixture) -> None:
    tries = 0

    def broken() -> Model:
        nonlocal tries
        tries += 1
        raise RuntimeError("a library gave up")

    champions = SetChampions()
    champions.number, champions.models[1] = 1, broken
    keeper = keeper_of(champions, poll_s=60.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            keeper.poll()
    assert tries == 1
    assert len(caplog.records) == 1
    assert keeper.champion is None


def test_a_model_that_cannot_predict_is_not_served() -> None:
    def warm(model: Model) -> Warmed:
        raise ValueError("shapes do not match")

    keeper = ChampionKeeper("toy", SetChampions(CountingModel()), warm, 1.0, Metrics("toy"))
    keeper.poll()
    assert keeper.champion is None
    assert "version 1 cannot be served (ValueError)" in str(keeper.problem)


def test_a_model_of_another_task_is_refused() -> None:
    keeper = keeper_of(SetChampions(CountingModel(task="ships")))
    keeper.poll()
    assert keeper.champion is None
    assert "a model of ships" in str(keeper.problem)


def test_a_directory_is_a_champion_that_stays(tmp_path: Path) -> None:
    champions = DirectoryChampion(tmp_path, ToyTask().restore)
    with pytest.raises(ModelMissing, match="SIGHTLINE_MODEL_DIR"):
        champions.current()
    CountingModel().save(tmp_path)
    number, load = champions.current()
    assert number == 0
    assert load().card.task == "toy"
