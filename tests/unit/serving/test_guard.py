from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.responses import Response

from sightline.serving.guard import ENVELOPE_BYTES, Guard
from tests.unit.serving.harness import Answer, ask


class Echo:
    """Answers with the body; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        message = await receive()
        assert not message["more_body"]
        await Response(message["body"])(scope, receive, send)


def through(echo: Echo | None = None, **request: Any) -> Answer:
    options = {key: request.pop(key) for key in ("token", "body_timeout_s", "max_bodies") if key in request}
    return asyncio.run(ask(Guard(echo or Echo(), max_bytes=1000, **options), **request))


def assert_refused(answer: Answer, status: int, where: str) -> None:
    assert answer.status == status
    assert answer.json["where"] == where
    assert set(answer.json) == {"error", "where", "way_out"}
    assert answer.headers["connection"] == "close"


def test_a_body_in_pieces_arrives_whole() -> None:
    assert through(body=[b"ab", b"", b"cd"]).body == b"abcd"


def test_a_body_that_is_declared_too_large_is_refused_unread() -> None:
    echo = Echo()
    answer = through(echo, headers={"Content-Length": str(1000 + ENVELOPE_BYTES + 1)})
    assert_refused(answer, 413, "body")
    assert "1000 bytes" in answer.json["error"]
    assert echo.asked == 0


def test_a_chunked_body_is_refused_once_it_grows_too_large() -> None:
    assert_refused(through(body=[b"x" * 20_000] * 10), 413, "body")


def test_a_body_whose_length_was_a_lie_is_refused() -> None:
    assert_refused(through(body=[b"x" * 20_000] * 10, headers={"Content-Length": "5"}), 413, "body")


def test_a_slow_body_is_given_up() -> None:
    assert_refused(through(body=[b"x"] * 50, pause_s=0.02, body_timeout_s=0.05), 408, "")


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "0x10", "½"])
def test_a_length_must_be_a_number(length: str) -> None:
    assert_refused(through(headers={"Content-Length": length}), 400, "Content-Length")


def test_compressed_bodies_are_refused() -> None:
    assert_refused(through(headers={"Content-Encoding": "gzip"}), 415, "Content-Encoding")


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic secret-word", "secret-word", "Bearer sécret"])
def test_without_the_token_nothing_is_read(given: str) -> None:
    echo = Echo()
    answer = through(echo, token="secret-word", headers={"Authorization": given} if given else {})
    assert_refused(answer, 401, "Authorization")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert echo.asked == 0


def test_with_the_token_the_request_goes_on() -> None:
    assert through(token="secret-word", headers={"Authorization": "Bearer secret-word"}).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1/ready", "/v1/live", "/v1/docs", "/v1/static/page.js", "/readyz", "/docs.json"]
)
def test_probes_and_pages_need_no_token(path: str) -> None:
    assert through(token="secret-word", method="GET", path=path).status == 200


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/model", "/v1/metrics", "/metrics", "/schema.json", "/v1/live/x"])
def test_everything_else_does(path: str) -> None:
    assert through(token="secret-word", method="GET", path=path).status == 401


def test_pages_of_other_sites_cannot_post_where_there_is_no_token() -> None:
    host = {"Host": "127.0.0.1:3000"}
    assert_refused(through(headers={**host, "Origin": "http://evil.example"}), 403, "Origin")
    assert_refused(through(headers={**host, "Origin": "null"}), 403, "Origin")
    assert through(headers={**host, "Origin": "http://127.0.0.1:3000"}).status == 200


@pytest.mark.parametrize("client", ["192.168.0.7", "2001:db8::1"])
def test_other_machines_need_a_token_however_the_server_was_bound(client: str) -> None:
    assert_refused(through(client=client), 403, client)
    assert through(client=client, token="secret-word", headers={"Authorization": "Bearer secret-word"}).status == 200
    assert through(client="::1").status == 200


def test_bodies_share_a_bounded_room() -> None:
    async def run() -> tuple[Answer, Answer, Answer]:
        guard = Guard(Echo(), max_bytes=1000, max_bodies=1)
        piece = b"x" * 40_000
        slow = asyncio.create_task(ask(guard, body=[piece, b""], pause_s=0.1))
        await asyncio.sleep(0.15)
        second = await ask(guard, body=[piece])
        return await slow, second, await ask(guard, body=[piece])

    first, second, third = asyncio.run(run())
    assert (first.status, second.status, third.status) == (200, 503, 200)
    assert second.headers["retry-after"] == "1"


def test_a_client_that_leaves_while_sending_costs_nothing() -> None:
    async def run() -> int:
        echo = Echo()
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/v1/predict", "method": "POST", "headers": []}
        await Guard(echo, max_bytes=1000)(scope, receive, send)
        return echo.asked + len(sent)

    assert asyncio.run(run()) == 0


def test_answers_carry_the_headers_that_keep_pages_apart() -> None:
    answer = through()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


def test_the_lifespan_passes_and_websockets_do_not() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def send(message: Any) -> None:
        seen.append(message["type"])

    async def run() -> None:
        guard = Guard(app, max_bytes=1000)
        await guard({"type": "lifespan"}, None, send)  # type: ignore[arg-type]
        await guard({"type": "websocket"}, None, send)  # type: ignore[arg-type]

    asyncio.run(run())
    assert seen == ["lifespan", "websocket.close"]
