"""Who may open a websocket: a route that a test adds, behind the guard that stands before every route."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocket

from sightline.serving.routing import Router
from sightline.serving.rules import Rule
from sightline.serving.state import endpoint_of
from tests.unit.serving.harness import CountingModel, Endpoint, Refused, SetChampions, ask, assert_problem, converse

TOKEN = "a-long-enough-secret"
OWN = {"Origin": "http://127.0.0.1:3000", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "websocket"}


def echoing(rule: Rule | None = None) -> Router:
    """A route that says the task's name, then what it is told."""
    router = Router(rule)

    @router.websocket("/v1/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(endpoint_of(websocket).engine.task)
        async for word in websocket.iter_text():
            await websocket.send_text(word)

    return router


@pytest.fixture
def endpoint(tmp_path: Path) -> Endpoint:
    return Endpoint(tmp_path, SetChampions(CountingModel()), routers=[echoing()])


def asked(app: Any, path: str = "/v1/echo", **more: Any) -> list[str]:
    return asyncio.run(converse(app, path, "a", "b", **more))


def test_the_endpoints_own_page_and_programs_of_this_machine_are_let_in(endpoint: Endpoint) -> None:
    for headers in (OWN, {}, {"Host": "localhost:8000", "Origin": "http://localhost:8000"}):
        assert asked(endpoint.guarded, headers=headers) == ["toy", "a", "b"]


@pytest.mark.parametrize(
    ("where", "request_"),
    [
        ("Origin", {"headers": {"Origin": "https://evil.example"}}),
        ("Origin", {"headers": {"Origin": "null"}}),
        ("Origin", {"headers": {"Origin": "http://127.0.0.1:3001"}}),
        ("Sec-Fetch-Site", {"headers": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "websocket"}}),
        ("Sec-Fetch-Site", {"headers": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}}),
        ("Host", {"headers": {"Host": "evil.example:3000", "Origin": "http://evil.example:3000"}}),
        ("192.168.0.7", {"client": "192.168.0.7"}),
    ],
)
def test_others_are_refused_and_told_why(endpoint: Endpoint, where: str, request_: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        asked(endpoint.guarded, **request_)
    assert refused.value.answer is not None
    assert_problem(refused.value.answer, 403)
    assert refused.value.answer.json["where"] == where
    with pytest.raises(Refused) as closed:  # a server that cannot answer a handshake
        asked(endpoint.guarded, **request_, explains=False)
    assert closed.value.code == 1008


def test_with_a_token_it_is_asked_for_and_other_machines_may_come(endpoint: Endpoint) -> None:
    app = endpoint.guard(token=TOKEN)
    for given in ({}, {"Authorization": "Bearer wrong"}):
        with pytest.raises(Refused) as refused:
            asked(app, headers=given)
        assert refused.value.answer is not None
        assert_problem(refused.value.answer, 401)
    right = {"Authorization": f"Bearer {TOKEN}", "Host": "solar.example"}
    assert asked(app, headers=right, client="192.168.0.7") == ["toy", "a", "b"]


def test_a_route_may_be_open(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(CountingModel()), routers=[echoing(Rule(open=True))])
    assert asked(endpoint.guard(token=TOKEN)) == ["toy", "a", "b"]


def test_what_bounds_bodies_does_not_bound_websockets(endpoint: Endpoint) -> None:
    heads = {"Content-Length": "99999999", "Content-Encoding": "gzip"}
    assert asked(endpoint.guarded, headers=heads) == ["toy", "a", "b"]


def test_where_there_is_no_websocket_none_is_opened(endpoint: Endpoint) -> None:
    for path in ("/v1/predict", "/v1/nothing", "/"):
        with pytest.raises(Refused) as refused:
            asked(endpoint.guarded, path)
        assert refused.value.code in (0, 1000)
    answer = asyncio.run(ask(endpoint.guarded, "GET", "/v1/echo"))
    assert_problem(answer, 404)
