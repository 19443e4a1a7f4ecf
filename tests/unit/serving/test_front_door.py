"""Several tasks behind one address: one looks at areas, one watches cameras, one has no champion."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

from sightline.drift.background import Background
from sightline.errors import ModelRejected
from sightline.pipeline.serve import log_into
from sightline.serving.answers import Live
from sightline.serving.app import Sources, build_app
from sightline.serving.capacity import Capacity
from sightline.serving.front_door import build_front_door
from sightline.serving.guard import guard
from sightline.serving.overview_answers import AllReady, ModelList, TaskList
from sightline.serving.surveyor import Areas
from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.stores.queue import Queue
from sightline.tasks import TASKS
from tests.toy import ToyAnswer
from tests.toy_stream import ToyWatcher, watcher_card
from tests.unit.serving.harness import (
    Answer,
    CountingModel,
    Refused,
    SetChampions,
    ask,
    assert_problem,
    converse,
    png,
)
from tests.unit.serving.surveying import SurveyingModel, ToySurveys
from tests.unit.serving.test_areas import BBOX, JSON, QUICK

PNG = {"Content-Type": "image/png"}
TOKEN = "a-long-enough-secret"


class FrontDoor:
    """The guarded application of several toy tasks, which stays up."""

    def __init__(self, root: Path, champions: dict[str, SetChampions], **options: Any) -> None:
        settings = Settings(root=root, poll_s=0.01, **options)
        database = Database(settings.database_url)
        self.predictions = Predictions(database)
        self.champions = champions
        capacity, areas = Capacity(settings), Areas(Queue(database), ToySurveys(root), QUICK)
        apps = {
            task: build_app(
                task,
                ToyAnswer,
                Sources(source, log_into(self.predictions, task), database.check, areas, capacity=capacity),
                settings,
            )
            for task, source in champions.items()
        }
        self.app = build_front_door(apps, capacity, settings)
        self.guarded = guard(
            self.app, rules=self.app.state.rules, max_bytes=settings.max_bytes, token=options.get("token", "")
        )
        self._runner = asyncio.Runner()

    def __enter__(self) -> FrontDoor:
        self._lifespan = self.app.router.lifespan_context(self.app)
        self.run(self._lifespan.__aenter__())
        self.until(lambda: "loading" not in {one["state"] for one in self.get("/v1/tasks").json["tasks"]})
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def until(self, so: Callable[[], bool]) -> None:
        for _ in range(3000):
            if so():
                return
            self.run(asyncio.sleep(0.01))
        raise AssertionError("waited in vain")

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        return self.run(ask(self.guarded, method, path, headers=headers))

    def post(self, path: str, body: bytes, headers: dict[str, str] = PNG) -> Answer:
        return self.run(ask(self.guarded, "POST", path, body=[body], headers=headers))


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontDoor]:
    champions = {
        "toy": SetChampions(SurveyingModel()),
        "camera": SetChampions(ToyWatcher(watcher_card("camera"))),
        "spare": SetChampions(),
    }
    with FrontDoor(tmp_path_factory.mktemp("door"), champions) as up:
        yield up


def check(model: type[BaseModel], answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    model.model_validate_json(answer.body, strict=True, extra="forbid")
    return answer.json


# ------------------------------------------------------------------------------------------------------ a task's


def test_each_task_answers_below_its_name_and_has_its_own_rows(door: FrontDoor) -> None:
    for task in ("toy", "camera"):
        answer = door.post(f"/v1/{task}/predict", png(150))
        assert (answer.status, answer.json["task"], answer.json["version"]) == (200, task, 1)
        assert answer.json["prediction_id"] in {row.id for row in door.predictions.given(task)}
        assert door.post(f"/v1/{task}/picture", png(150)).headers["content-type"] == "image/png"
        assert door.get(f"/v1/{task}/model").json["card"]["task"] == task
        assert door.get(f"/v1/{task}/ready").json["version"] == 1


def test_every_answer_names_the_version_of_the_model_and_of_its_data(tmp_path: Path) -> None:
    toy, camera = SetChampions(SurveyingModel()), SetChampions(ToyWatcher(watcher_card("camera")))
    toy.known = camera.known = Background(data_version="1a2b3c4d")
    with FrontDoor(tmp_path, {"toy": toy, "camera": camera}) as up:
        answers = [
            up.post("/v1/toy/areas", json.dumps({"bbox": BBOX}).encode(), JSON),
            up.post("/v1/camera/streams/quay/frames", png(150)),
            up.get("/v1/camera/streams/quay", "DELETE"),
            *up.get("/v1/tasks").json["tasks"],
            *up.get("/v1/models").json["models"],
        ]
        told = [answer.json if isinstance(answer, Answer) else answer for answer in answers]
        assert {(one["version"], one["data_version"]) for one in told} == {(1, "1a2b3c4d")}
        assert up.post("/v1/toy/predict", png()).json["background"]["data_version"] == "1a2b3c4d"
        headers = up.post("/v1/toy/picture", png()).headers
        assert (headers["x-sightline-version"], headers["x-sightline-data-version"]) == ("1", "1a2b3c4d")


def test_a_task_without_a_champion_says_so_and_the_others_do_not_notice(door: FrontDoor) -> None:
    assert_problem(door.post("/v1/spare/predict", png()), 503, "toy has no champion")
    assert_problem(door.get("/v1/spare/ready"), 503)
    assert door.post("/v1/toy/predict", png()).status == 200


def test_an_area_is_followed_by_the_addresses_that_are_answered(door: FrontDoor) -> None:
    order = json.dumps({"bbox": BBOX}).encode()
    answer = door.post("/v1/toy/areas", order, JSON)
    assert answer.status == 200, answer.body
    place = answer.headers["location"]
    assert place == f"/v1/toy/areas/{answer.json['id']}"
    assert door.get(place).json["files"] == answer.json["files"]
    for address in (*answer.json["files"].values(), *door.get("/v1/toy/areas").json["jobs"][0]["files"].values()):
        assert door.get(address).status == 200
    assert_problem(door.get("/v1/toy/areas/0"), 404, "See /v1/toy/areas.")
    assert door.get(place, "DELETE").json["state"] == "cancelled"


def test_cameras_are_answered_by_websocket_and_by_requests(door: FrontDoor) -> None:
    said = door.run(converse(door.guarded, "/v1/camera/streams/quay", png(150), "close"))
    assert [json.loads(one)["task"] for one in said] == ["camera"] * len(said)
    assert json.loads(said[-1])["frames"] == 1
    assert door.post("/v1/camera/streams/gate/frames", png(150)).status == 200
    assert [one["camera"] for one in door.get("/v1/camera/streams").json["cameras"]] == ["gate"]
    assert door.get("/v1/camera/streams/gate", "DELETE").status == 200
    assert_problem(door.get("/v1/camera/streams/gate", "DELETE"), 404, "See /v1/camera/streams.")


def test_a_websocket_that_no_task_takes_is_refused(door: FrontDoor) -> None:
    with pytest.raises(Refused) as refused:
        door.run(converse(door.guarded, "/v1/toy/streams/quay", png(150)))
    assert refused.value.answer is not None
    assert_problem(refused.value.answer, 404, "Send an image to /v1/toy/predict.")
    with pytest.raises(Refused) as refused:
        door.run(converse(door.guarded, "/v1/nobody/streams/quay", png(150)))
    assert refused.value.answer is not None
    assert_problem(refused.value.answer, 404, "TASK is one of toy, camera, spare.")


# ---------------------------------------------------------------------------------------------------- of all tasks


def test_the_tasks_are_told_with_what_each_can_do(door: FrontDoor) -> None:
    told = {one["task"]: one for one in check(TaskList, door.get("/v1/tasks"))["tasks"]}
    assert [(one["state"], one["version"]) for one in told.values()] == [
        ("ready", 1),
        ("ready", 1),
        ("no champion", None),
    ]
    assert told["spare"]["problem"] == "toy has no champion"
    assert (told["toy"]["areas"], told["toy"]["streams"], told["toy"]["problem"]) == (True, False, None)
    assert (told["camera"]["areas"], told["camera"]["streams"]) == (False, True)
    for one in told.values():
        assert door.get(f"{one['routes']}live").status == 200
        assert door.get(one["page"]).status == 200


def test_the_models_are_those_that_answer(door: FrontDoor) -> None:
    models = check(ModelList, door.get("/v1/models"))["models"]
    assert [(one["task"], one["version"], one["data_version"]) for one in models] == [("toy", 1, ""), ("camera", 1, "")]


def test_it_is_ready_when_each_task_with_a_champion_is(door: FrontDoor) -> None:
    ready = check(AllReady, door.get("/v1/ready"))
    assert ready == {"ready": True, "tasks": ["toy", "camera"], "without_champion": ["spare"], "warnings": {}}
    check(Live, door.get("/v1/live"))
    toy = door.champions["toy"]
    toy.reachable = False
    door.until(lambda: door.get("/v1/ready").json["warnings"] == {"toy": "MLflow failed"})
    toy.reachable = True
    door.until(lambda: door.get("/v1/ready").json["warnings"] == {})


def test_a_champion_that_cannot_be_loaded_is_no_reason_for_others_to_fail(tmp_path: Path) -> None:
    def broken() -> CountingModel:
        raise ModelRejected("the weights do not match card.json", where="model.onnx")

    champions = {"good": SetChampions(), "bad": SetChampions()}
    with FrontDoor(tmp_path, champions) as up:
        assert_problem(up.get("/v1/ready"), 503, "no task has a champion")
        champions["good"].models[1], champions["good"].number = (lambda: CountingModel(task="good")), 1
        up.until(lambda: up.get("/v1/ready").status == 200)
        champions["bad"].models[1], champions["bad"].number = broken, 1
        up.until(lambda: up.get("/v1/ready").status == 503)
        assert_problem(up.get("/v1/ready"), 503, "bad is not ready: the weights do not match card.json")
        assert up.get("/v1/tasks").json["tasks"][1]["state"] == "failed"
        assert up.post("/v1/good/predict", png()).status == 200
        assert_problem(up.post("/v1/bad/predict", png()), 503, "card.json")


def test_prometheus_reads_the_figures_of_all_tasks_at_once(door: FrontDoor) -> None:
    door.post("/v1/camera/predict", png())
    door.get("/v1/nowhere")
    text = door.get("/v1/metrics").body.decode()
    families = list(text_string_to_metric_families(text))
    names = [family.name for family in families]
    assert sorted(set(names)) == sorted(names)
    samples = {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}
    versions = {
        dict(labels)["task"]: n for (name, labels), n in samples.items() if name == "sightline_champion_version"
    }
    assert versions == {"toy": 1, "camera": 1, "spare": -1}
    counted = {labels for name, labels in samples if name == "sightline_requests_total"}
    assert (("route", "/v1/predict"), ("status", "200"), ("task", "camera")) in counted
    assert (("route", "/v1/"), ("status", "404"), ("task", "")) in counted


# ------------------------------------------------------------------------------------------------- the description


def test_one_document_describes_all_routes_and_its_addresses_are_answered(door: FrontDoor) -> None:
    document = door.get("/v1/openapi.json").json
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert {
        "/v1/toy/predict",
        "/v1/toy/areas",
        "/v1/camera/streams",
        "/v1/spare/model",
        "/toy/",
        "/",
        "/v1/tasks",
    } <= set(paths)
    assert not {"/v1/predict", "/v1/camera/areas", "/v1/toy/streams"} & set(paths)
    operations = [operation for item in paths.values() for operation in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert sorted(set(ids)) == sorted(ids)
    schemas = document["components"]["schemas"]
    referred = {part.partition('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]}
    assert referred == set(schemas)
    assert {"ToyAnswer", "CameraAnswer", "ToyArea", "CameraFrameAnswer", "Problem"} <= set(schemas)
    assert {name for name in schemas if name.endswith("Problem")} == {"Problem"}
    assert schemas["CameraAnswer"]["examples"][0]["task"] == "camera"
    for path, item in paths.items():
        if "get" in item and "{" not in path:
            assert door.get(path).status in (200, 503), path


def test_a_tasks_own_document_has_its_addresses_too(door: FrontDoor) -> None:
    document = door.get("/v1/toy/openapi.json").json
    OpenAPI.model_validate(document)
    merged = set(door.get("/v1/openapi.json").json["paths"])
    assert {"/toy/", "/v1/toy/predict"} <= set(document["paths"]) <= merged
    assert "/v1/predict" not in json.dumps(document)


def test_the_document_says_where_a_token_is_asked_for(tmp_path: Path) -> None:
    with FrontDoor(tmp_path, {"toy": SetChampions()}, token=TOKEN) as up:
        document = up.get("/v1/openapi.json").json
    paths = {path for path, item in document["paths"].items() for one in item.values() if one.get("security") == []}
    assert {"/", "/toy/", "/v1/tasks", "/v1/ready", "/v1/toy/ready", "/v1/docs"} <= paths
    assert not {"/v1/models", "/v1/metrics", "/v1/toy/predict", "/v1/toy/model"} & paths
    assert document["security"] == [{"token": []}]


def addresses(page: Answer) -> set[str]:
    return set(re.findall(r'(?:href|src|action)="(/[^"]*)"', page.body.decode()))


def test_pages_lead_only_to_what_is_there(door: FrontDoor) -> None:
    first = door.get("/")
    assert {"/toy/", "/camera/", "/spare/"} <= addresses(first)
    assert "toy has no champion" in first.body.decode()
    for page in ("/", "/v1/docs", "/toy/", "/toy", "/v1/toy/docs"):
        found = door.get(page)
        assert found.headers["content-type"].startswith("text/html")
        for address in addresses(found) - {"/v1/toy/picture"}:
            assert door.get(address).status == 200, address
    page = door.get("/toy/").body.decode()
    assert 'data-api="/v1/toy/"' in page
    assert "/v1/toy/predict" in door.get("/v1/docs").body.decode()
    assert door.post("/v1/toy/picture", png()).status == 200


# ------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/nothing",
            "/v1",
            "/v1/",
            "/v1/predict",
            "/v1/nobody/predict",
            "/v1/toy",
            "/nobody/",
            "/toy/predict",
            "//toy/",
        ),
        *(
            "/v1/toy/",
            "/v1/toy/nothing",
            "/v1/toy/v1/predict",
            "/v1//predict",
            "/v1/toy//predict",
            "/v1/static/../app.py",
        ),
    ],
)
def test_what_is_not_there_is_told_in_the_one_form(door: FrontDoor, path: str) -> None:
    for method in ("GET", "POST", "HEAD"):
        answer = door.get(path, method)
        assert_problem(answer, 404, "there is nothing here")
        assert "location" not in answer.headers


def test_a_request_without_a_task_is_told_which_there_are(door: FrontDoor) -> None:
    for image in (png(), b"x" * 100_000):
        assert_problem(door.post("/v1/predict", image), 404, "TASK is one of toy, camera, spare.")
    assert door.get("/v1/toy/nothing").json == {
        "error": "there is nothing here",
        "where": "/v1/toy/nothing",
        "way_out": "See /v1/toy/docs.",
    }


def test_a_wrong_method_is_told_by_the_address_that_was_asked(door: FrontDoor) -> None:
    for path, takes in (("/v1/toy/predict", "POST"), ("/v1/tasks", "GET"), ("/toy/", "GET")):
        answer = door.get(path, "DELETE")
        assert_problem(answer, 405, f"{path} takes {takes} only")
        assert answer.headers["allow"].startswith(takes)


def test_what_answers_get_answers_head(door: FrontDoor) -> None:
    for path in ("/", "/toy/", "/v1/tasks", "/v1/toy/model", "/v1/static/style.css", "/v1/toy/static/page.js"):
        assert door.get(path, "HEAD").status == 200, path


def test_the_guard_knows_the_routes_of_every_task(tmp_path: Path) -> None:
    with FrontDoor(tmp_path, {"toy": SetChampions(CountingModel())}, token=TOKEN, max_bytes=2000) as up:
        for path in (
            "/",
            "/toy",
            "/toy/",
            "/v1/tasks",
            "/v1/ready",
            "/v1/toy/ready",
            "/v1/toy/static/page.js",
            "/v1/docs",
        ):
            assert up.get(path).status == 200, path
        for path in ("/v1/models", "/v1/metrics", "/v1/toy/model", "/v1/toy/predict", "/v1/nobody/predict", "/nothing"):
            assert_problem(up.get(path), 401, "token")
        own = {"Authorization": f"Bearer {TOKEN}"}
        assert up.post("/v1/toy/predict", png(), PNG | own).status == 200
        assert_problem(up.post("/v1/toy/predict", b"x" * 100_000, PNG | own), 413, "2000 bytes")
        assert_problem(up.post("/v1/toy/model", b"x" * 2000, own), 413, "nothing is uploaded here")
        with pytest.raises(Refused):
            up.run(converse(up.guarded, "/v1/toy/streams/quay", png()))


def test_pages_of_other_sites_get_nothing(door: FrontDoor) -> None:
    for path in ("/", "/v1/tasks", "/v1/toy/ready", "/v1/toy/predict"):
        assert door.get(path, Host="evil.example").json["where"] == "Host"
        assert door.get(path, Origin="https://evil.example").json["where"] == "Origin"
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    followed = {
        path: door.get(path, **link).status for path in ("/", "/toy/", "/v1/toy/docs", "/v1/toy/model", "/v1/tasks")
    }
    assert followed == {"/": 200, "/toy/": 200, "/v1/toy/docs": 200, "/v1/toy/model": 403, "/v1/tasks": 403}


def test_no_task_is_called_like_something_else_at_the_door(door: FrontDoor) -> None:
    taken = {part for path in door.get("/v1/openapi.json").json["paths"] for part in path.split("/")} | {"static"}
    assert not taken - set(door.champions) & set(TASKS)
