"""The OpenAPI document says what is there: each route, each answer's form, what the model reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.openapi.models import OpenAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from sightline.errors import BackendError
from sightline.serving.answers import Live, ModelInfo, Problem, Ready, answer_of
from sightline.serving.area_answers import Area, AreaOverview, PlannedArea
from sightline.task import Prediction
from sightline.tasks import TASKS, answer_model
from tests.toy import ToyAnswer, ToyInput
from tests.unit.serving.harness import Answer, Endpoint, SetChampions, ask, png
from tests.unit.serving.surveying import SurveyingModel
from tests.unit.serving.test_areas import BBOX, JSON, MapEndpoint, draw_two_tiles

PNG = {"Content-Type": "image/png"}
HIDDEN = {"/v1/static/{name}"}


class EverythingModel(SurveyingModel):
    """The toy model, which looks at areas, can be told something, and answers a mask and GeoJSON."""

    def __init__(self, number: int = 1) -> None:
        super().__init__(number)
        self.card = self.card.model_copy(update={"conditions": {"gain": "how much brighter the scene was"}})

    def under(self, source: ToyInput, conditions: Mapping[str, float]) -> ToyInput:
        return replace(source, pixels=(source.pixels * conditions["gain"]).astype(np.uint8))

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        exports = {"geojson": {"type": "FeatureCollection", "features": []}}
        return [
            replace(answer, exports=exports, rasters={"mask": np.zeros(item.pixels.shape, dtype=np.uint8)})
            for item, answer in zip(batch, super().predict(batch), strict=True)
        ]


@pytest.fixture
def endpoint(tmp_path: Path) -> MapEndpoint:
    return MapEndpoint(tmp_path, EverythingModel(), tiles=str(draw_two_tiles(tmp_path)))


async def description(endpoint: Endpoint) -> Any:
    return (await ask(endpoint.guarded, "GET", "/v1/openapi.json")).json


def operations(document: Any) -> Iterator[tuple[str, str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_it_is_openapi_and_names_every_route(endpoint: MapEndpoint) -> None:
    document = endpoint.within(lambda: description(endpoint))
    OpenAPI.model_validate(document)
    assert document["openapi"].startswith("3.")
    routes = {
        (method, route.path)
        for route in endpoint.app.routes
        if isinstance(route, APIRoute) and route.path not in HIDDEN and not route.path.startswith("/v1/streams")
        for method in route.methods
    }
    assert {(method, path) for method, path, _ in operations(document)} == routes
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert sorted(set(ids)) == sorted(ids)
    for method, path, operation in operations(document):
        named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}, f"{method} {path}"
        assert operation["summary"]
        assert operation["description"]


def test_every_reference_leads_somewhere_and_nothing_is_of_the_framework(endpoint: MapEndpoint) -> None:
    document = endpoint.within(lambda: description(endpoint))
    schemas = document["components"]["schemas"]
    assert references(document) == set(schemas)
    assert not [name for name in schemas if "Validation" in name]
    order = schemas["AreaOrder"]["properties"]
    assert {"bbox", "geojson", "wkt", "zoom", "wait_s"} <= set(order)


def references(document: Any) -> set[str]:
    return {part.partition('"')[0] for part in json.dumps(document).split('"#/components/schemas/')[1:]}


def test_what_the_model_reads_can_be_told_and_answers_is_in_it(endpoint: MapEndpoint) -> None:
    document = endpoint.within(lambda: description(endpoint))
    for path in ("/v1/predict", "/v1/picture", "/v1/raster/{name}"):
        operation = document["paths"][path]["post"]
        content = operation["requestBody"]["content"]
        assert set(content) == {"image/png", "multipart/form-data"}
        assert content["image/png"]["schema"] == {"type": "string", "format": "binary"}
        assert content["multipart/form-data"]["schema"]["properties"]["image"]["format"] == "binary"
        assert [one["name"] for one in operation["parameters"] if one["in"] == "query"][-1] == "gain"
    assert "mask" in document["components"]["schemas"]["ToyAnswer"]["properties"]


def test_without_a_model_it_is_there_too(tmp_path: Path) -> None:
    document = Endpoint(tmp_path, SetChampions()).app.state.endpoint.describe()
    OpenAPI.model_validate(document)
    assert "image/jpeg" in document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]
    assert not [path for path in document["paths"] if "areas" in path]


def test_where_a_token_is_asked_for_it_says_so(tmp_path: Path) -> None:
    document = Endpoint(tmp_path, SetChampions(), token="a-long-enough-secret").app.state.endpoint.describe()
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"token": []}]
    free = {path for _, path, operation in operations(document) if operation.get("security") == []}
    assert free == {"/", "/v1/docs", "/v1/live", "/v1/ready", "/v1/openapi.json"}


def test_people_read_the_same(endpoint: MapEndpoint) -> None:
    document, page = endpoint.run({"method": "GET", "path": "/v1/openapi.json"}, {"method": "GET", "path": "/v1/docs"})
    for method, path, operation in operations(document.json):
        assert f"{method} {path}" in page.body.decode()
        assert escape(operation["summary"]) in page.body.decode()


# ------------------------------------------------------------------------------------------------------ answers


@pytest.mark.parametrize("task", TASKS)
def test_an_endpoints_answer_has_the_fields_of_its_task(task: str) -> None:
    """And an example of all of it, so that a reader of the description sees one."""
    answer = answer_of(task, answer_model(task), rasters=("mask",))
    fields = answer.model_json_schema()["properties"]
    own = answer_model(task).model_json_schema()["properties"]
    assert set(fields) == {
        *own,
        *("task", "version", "prediction_id", "sha256", "familiarity", "background", "picture", "exports", "mask"),
    }
    (example,) = answer.model_json_schema()["examples"]
    check(answer, example)
    assert example["task"] == task


def check(model: type[BaseModel], document: Any) -> None:
    model.model_validate_json(json.dumps(document), strict=True, extra="forbid")


Seen = dict[tuple[str, str, int], Answer]

TYPES: dict[tuple[str, str, int], type[BaseModel] | None] = {
    ("POST", "/v1/predict", 200): answer_of("toy", ToyAnswer, rasters=("mask",)),
    ("POST", "/v1/picture", 200): None,
    ("POST", "/v1/raster/{name}", 200): None,
    ("POST", "/v1/areas", 200): Area,
    ("POST", "/v1/areas", 202): Area,
    ("POST", "/v1/areas/plan", 200): PlannedArea,
    ("GET", "/v1/areas", 200): AreaOverview,
    ("GET", "/v1/areas/{id}", 200): Area,
    ("DELETE", "/v1/areas/{id}", 200): Area,
    ("GET", "/v1/areas/{id}/{file}", 200): None,
    ("GET", "/v1/tiles/{provider}/{z}/{x}/{y}", 200): None,
    ("GET", "/v1/model", 200): ModelInfo,
    ("GET", "/v1/ready", 200): Ready,
    ("GET", "/v1/live", 200): Live,
    ("GET", "/v1/metrics", 200): None,
    ("GET", "/v1/openapi.json", 200): None,
    ("GET", "/v1/docs", 200): None,
    ("GET", "/", 200): None,
}
"""What is documented to be answered -> its type; None: it is no JSON, or OpenAPI itself."""


async def answers_of(endpoint: MapEndpoint) -> Seen:
    """A request for each answer that there is."""
    seen: Seen = {}

    async def request(method: str, route: str, path: str = "", body: bytes = b"", **headers: str) -> Answer:
        kind = {"Content-Type": headers["kind"]} if headers else {}
        answer = await ask(endpoint.guarded, method, path or route, body=[body], headers=kind)
        seen[method, route, answer.status] = answer
        return answer

    image, order = png(50), json.dumps({"bbox": BBOX}).encode()
    everything = "/v1/predict?picture=1&rasters=1&exports=1&gain=2"
    for route, path in (("/v1/predict", everything), ("/v1/picture", ""), ("/v1/raster/{name}", "/v1/raster/mask")):
        await request("POST", route, path, image, kind="image/png")
        await request("POST", route, path, b"no image", kind="image/png")
    await request("POST", "/v1/raster/{name}", "/v1/raster/depth", image, kind="image/png")
    await request("POST", "/v1/areas/plan", "", order, kind="application/json")
    done = (await request("POST", "/v1/areas", "", order, kind="application/json")).json
    for route in ("/v1/areas", "/v1/areas/plan"):
        await request("POST", route, "", b'{"bbox": 1}', kind="application/json")
    endpoint.surveys.failures = [BackendError("no tiles")]
    await request(
        "POST", "/v1/areas", "", b'{"bbox": [-5.46, 36.11, -5.40, 36.15], "wait_s": 0}', kind="application/json"
    )
    await request("GET", "/v1/areas")
    for number in ("0", done["id"]):
        await request("GET", "/v1/areas/{id}", f"/v1/areas/{number}")
        await request("GET", "/v1/areas/{id}/{file}", f"/v1/areas/{number}/raw.png")
        await request("DELETE", "/v1/areas/{id}", f"/v1/areas/{number}")
    for provider in ("folder", "nobody"):
        await request("GET", "/v1/tiles/{provider}/{z}/{x}/{y}", f"/v1/tiles/{provider}/15/16000/12000")
    for route in ("/", "/v1/model", "/v1/ready", "/v1/live", "/v1/metrics", "/v1/openapi.json", "/v1/docs"):
        await request("GET", route)
    return seen


async def answers_without_a_model(endpoint: MapEndpoint) -> Seen:
    seen: Seen = {}
    asked = [("POST", f"/v1/{name}", png(), PNG) for name in ("predict", "picture", "raster/mask")]
    asked += [("POST", f"/v1/areas{name}", b"{}", JSON) for name in ("", "/plan")]
    asked += [("GET", f"/v1/{name}", b"", {}) for name in ("model", "ready")]
    for method, path, body, headers in asked:
        answer = await ask(endpoint.guarded, method, path, body=[body], headers=headers)
        seen[method, path.replace("/raster/mask", "/raster/{name}"), answer.status] = answer
    return seen


def test_each_answer_that_is_documented_occurs_and_has_its_form(endpoint: MapEndpoint, tmp_path: Path) -> None:
    async def story() -> tuple[Any, Seen]:
        return await description(endpoint), await answers_of(endpoint)

    document, seen = endpoint.within(story)
    headless = MapEndpoint(tmp_path / "without")
    headless.app.state.engine.keeper._champions.number = 0
    seen |= headless.within(lambda: answers_without_a_model(headless))
    by_guard = {"400", "401", "403", "408", "413", "415", "429", "431"}  # tried for each route in test_guard.py
    documented = {
        (method, path, int(status))
        for method, path, operation in operations(document)
        for status in operation["responses"]
        if status not in by_guard
    }
    assert set(seen) == documented
    assert set(TYPES) == {key for key in documented if key[2] < 300}
    for (method, path, status), answer in seen.items():
        content = document["paths"][path][method.lower()]["responses"][str(status)]["content"]
        assert answer.headers["content-type"].partition(";")[0] in content, (method, path, status)
        model = TYPES.get((method, path, status), Problem)
        if model is not None:
            check(model, answer.json)
