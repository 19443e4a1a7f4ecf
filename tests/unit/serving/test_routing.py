"""What the framework itself refuses has the form of every other refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Query
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sightline.serving.routing import Router
from sightline.serving.rules import Rule, Rules
from tests.unit.serving.harness import CountingModel, Endpoint, SetChampions, assert_problem


def counting() -> Router:
    """A route with a typed parameter, and one that fails."""
    router = Router()

    @router.get("/v1/twice")
    async def twice(request: Request, n: Annotated[int, Query(ge=0)]) -> Response:
        """Twice as much."""
        return JSONResponse({"twice": 2 * n})

    @router.get("/v1/broken")
    async def broken(request: Request) -> Response:
        """Never works."""
        raise RuntimeError(f"secret detail of {request.url}")

    return router


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    return Endpoint(tmp_path, SetChampions(CountingModel()), routers=[counting()])


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/v1", "/v1/", "/v1/nothing", "/v1/live/", "/v1/static/a/b.js", "/docs", "/redoc", "/openapi.json"],
)
def test_what_is_not_there_is_told_in_the_one_form(endpoint: Endpoint, path: str) -> None:
    for answer in endpoint.run(*({"method": method, "path": path} for method in ("GET", "POST", "HEAD"))):
        assert_problem(answer, 404, "there is nothing here")
        assert "location" not in answer.headers


def test_a_parameter_of_the_wrong_type_is_told_by_its_name(endpoint: Endpoint) -> None:
    right, wrong, low, none = endpoint.run(
        *({"method": "GET", "path": f"/v1/twice{query}"} for query in ("?n=4", "?n=four", "?n=-1", ""))
    )
    assert right.json == {"twice": 8}
    for answer in (wrong, low, none):
        assert_problem(answer, 422)
        assert answer.json["where"] == "n"
        assert answer.json["error"].startswith("the value cannot be taken: ")


def test_an_unforeseen_failure_tells_nothing_of_the_inside(endpoint: Endpoint) -> None:
    (answer,) = endpoint.run({"method": "GET", "path": "/v1/broken"})
    assert_problem(answer, 500, "the server failed")
    assert "secret" not in answer.body.decode()


def test_what_answers_get_answers_head(endpoint: Endpoint) -> None:
    paths = ("/", "/v1/live", "/v1/ready", "/v1/model", "/v1/metrics", "/v1/openapi.json", "/v1/static/page.js")
    answers = endpoint.run(*({"method": method, "path": path} for path in paths for method in ("GET", "HEAD")))
    for got, asked in zip(answers[::2], answers[1::2], strict=True):
        assert (got.status, asked.status) == (200, 200)
        assert got.headers["content-type"] == asked.headers["content-type"]


def test_all_requests_are_counted_by_route(endpoint: Endpoint) -> None:
    *_, metrics = endpoint.run(
        {"method": "GET", "path": "/v1/static/page.js"},
        {"method": "DELETE", "path": "/v1/model"},
        {"method": "GET", "path": "/v1/nothing"},
        {"method": "GET", "path": "/v1/metrics"},
    )
    text = metrics.body.decode()
    for route, status in (("/v1/static/{name}", 200), ("/v1/model", 405), ("/v1/", 404)):
        assert f'sightline_requests_total{{route="{route}",status="{status}",task="toy"}} 1.0' in text


def test_a_path_of_two_routes_is_as_strict_as_the_stricter() -> None:
    rules = Rules({"/a": Rule(open=True), "/b/{id}": Rule(upload=True)}, {"/a": Rule(upload=True)})
    assert rules.of("/a") == Rule(open=False, upload=True)
    assert rules.of("/b/7") == Rule(upload=True)
    assert rules.of("/b/7/c") == rules.of("/nothing") == Rule()
