"""Where an endpoint gets its champion from, and where its rows go."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from sightline.errors import ModelMissing, ParamsError
from sightline.limits import Limits
from sightline.pipeline.serve import RegistryChampions, camera_log, champions, log_into, tasks_served
from sightline.serving.batching import Batching
from sightline.serving.camera import Seen
from sightline.serving.champion import Champion, DirectoryChampion
from sightline.serving.questions import Answered, Question
from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.stores.predictions import Frame, Predictions
from sightline.tasks import TASKS
from tests.fake_tracking import FakeTracking
from tests.toy import ToyTask
from tests.unit.serving.harness import CountingModel, png


def ledger(folder: Path) -> Database:
    return Database(f"sqlite:///{folder}/ledger.sqlite")


def saved(folder: Path) -> Path:
    folder.mkdir()
    CountingModel().save(folder)
    return folder


def test_the_registrys_champion_is_named_first_and_fetched_only_when_it_is_new(tmp_path: Path) -> None:
    tracking = FakeTracking()
    tracking.add("toy", "threshold", saved(tmp_path / "a"), tmp_path)
    tracking.add("toy", "constant", saved(tmp_path / "b"), tmp_path)
    restored: list[Path] = []

    def restore(folder: Path) -> CountingModel:
        restored.append(folder)
        return CountingModel()

    events = Events(ledger(tmp_path))
    source = RegistryChampions("toy", tracking, events, restore)
    with pytest.raises(ModelMissing, match="sightline run toy"):
        source.current()
    events.record("promotion", "toy", {"outcome": "promoted", "challenger": 2, "champion": None, "run_id": "run2"})
    tracking.set_alias("toy", "champion", 2)
    number, load = source.current()
    assert (number, restored) == (2, [])
    load()
    assert restored == [tmp_path / "b"]


def test_a_directory_is_served_where_one_is_named(tmp_path: Path) -> None:
    assert isinstance(champions("pv_hotspots", Settings(root=tmp_path), ledger(tmp_path)), RegistryChampions)
    source = champions("pv_hotspots", Settings(root=tmp_path, model_dir="models/best"), ledger(tmp_path))
    assert isinstance(source, DirectoryChampion)
    with pytest.raises(ModelMissing, match=str(tmp_path / "models" / "best")):
        source.current()


def test_behind_one_address_is_every_task_or_that_of_the_model_that_is_named(tmp_path: Path) -> None:
    assert tasks_served(Settings(root=tmp_path)) == tuple(TASKS)
    assert tasks_served(Settings(root=tmp_path, model_dir="nothing/here")) == tuple(TASKS)
    (tmp_path / "m").mkdir()
    CountingModel(task="ships").save(tmp_path / "m")
    assert tasks_served(Settings(root=tmp_path, model_dir="m")) == ("ships",)


def test_an_unknown_task_is_named_when_its_model_is_loaded(tmp_path: Path) -> None:
    settings = Settings(root=tmp_path, model_dir=str(saved(tmp_path / "m")))
    source = champions("pv_hotspot", settings, ledger(tmp_path))
    _, load = source.current()
    with pytest.raises(ParamsError, match="Did you mean 'pv_hotspots'"):
        load()


def answered_in(folder: Path) -> list[Answered]:
    """Two answers of version 7: nothing, and a spot."""
    model = ToyTask().restore(saved(folder / "m"))
    inputs = [model.read(png(value), Limits()) for value in (10, 200)]
    champion = Champion(7, model, Batching(), 0.0)
    return [
        Answered(Question(champion, item, f"{n}.png"), prediction)
        for n, (item, prediction) in enumerate(zip(inputs, model.predict(inputs), strict=True))
    ]


def test_rows_go_into_the_ledger_with_their_version_and_source(tmp_path: Path) -> None:
    predictions = Predictions(Database(f"sqlite:///{tmp_path}/ledger.sqlite"))
    answered = answered_in(tmp_path)
    ids = list(log_into(predictions, "toy")(answered))
    rows = list(predictions.given("toy"))
    assert [row.id for row in rows] == ids
    assert [(row.version, row.source, row.row["output_spot"]) for row in rows] == [(7, "0.png", 0), (7, "1.png", 1)]
    assert [row.sha256 for row in rows] == [one.question.input.sha256 for one in answered]


def test_of_a_camera_what_the_rule_keeps_goes_into_the_ledger(tmp_path: Path) -> None:
    predictions = Predictions(Database(f"sqlite:///{tmp_path}/ledger.sqlite"))
    nothing, spot = answered_in(tmp_path)
    log = camera_log(predictions, "toy", math.inf)()
    seen = [
        Seen("roof", 7, f"{n:064x}", (spot if n == 40 else nothing).prediction, n, n / 25, changed=n == 40)
        for n in range(50)
    ]
    ids = [log.write(one) for one in seen]
    rows = list(predictions.given("toy", 7))
    assert [(row.frame, row.row["output_spot"]) for row in rows] == [
        (Frame("roof", 0, 0.0, answers=1), 0),
        (Frame("roof", 40, 1.6, answers=40), 1),
    ]
    assert [key for key in ids if key is not None] == [row.id for row in rows] == [ids[0], ids[40]]
