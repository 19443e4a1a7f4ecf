from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from starlette.responses import Response

from services.endpoint import OF_BENTOML, bentomls_pages
from sightline.serving.about import get_openapi
from sightline.serving.access import Access
from sightline.serving.bodies import ENVELOPE_BYTES, Bodies
from sightline.serving.guard import with_headers
from sightline.serving.guesses import GUESS_S, GUESSES, Guesses
from sightline.serving.rules import Rules
from tests.unit.serving.harness import Answer, ask
from tests.unit.serving.test_areas import MapEndpoint


def rules_of_everything() -> Rules:
    """Those of an endpoint with all routes that there are, and with BentoML's."""
    with TemporaryDirectory() as folder:
        app = MapEndpoint(Path(folder)).app
    return Rules(app.state.rules.table, bentomls_pages(get_openapi).rules(), OF_BENTOML)


RULES = rules_of_everything()


def guarded(app: Any, *, token: str = "", host: str = "", **bounds: Any) -> Any:
    """As `guard` builds it, with other bounds."""
    bodies = Bodies(app, rules=RULES, max_bytes=1000, **bounds)
    return with_headers(Access(bodies, rules=RULES, token=token, host=host))


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
    options = {key: request.pop(key) for key in ("token", "host", "timeout_s", "most") if key in request}
    return asyncio.run(ask(guarded(echo or Echo(), **options), **request))


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
    assert_refused(through(body=[b"x"] * 50, pause_s=0.02, timeout_s=0.05), 408, "")


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


ASKED = ["/", "/v1/ready", "/v1/areas", "/v1/tiles/esri/1/0/0", "/v1/predict"]


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize(
    "host", ["evil.example:3000", "", "127.0.0.1.evil.example", "a@127.0.0.1", "127.0.0.1:x", "[::1"]
)
def test_without_a_token_it_is_asked_by_a_name_of_this_machine(path: str, host: str) -> None:
    """A page can let its own name point to 127.0.0.1: its requests are then of one origin with what they ask."""
    rebound = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    for headers in ({"Host": host}, rebound, {"Host": host, "Origin": "null"}):
        assert_refused(through(method="GET", path=path, headers=headers), 403, "Host")
    assert through(method="GET", token="secret-word", path="/v1/ready", headers={"Host": host}).status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9999", "[::1]:3000", "[::1]", "box.lan:3000"])
def test_names_of_this_machine_and_any_port(host: str) -> None:
    assert through(method="GET", headers={"Host": host}, host="Box.lan").status == 200
    assert through(headers={"Host": host, "Origin": f"http://{host}"}, host="Box.lan").status == 200


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_pages_of_other_sites_get_nothing_where_there_is_no_token(path: str, method: str) -> None:
    def asked(**headers: str) -> Answer:
        return through(method=method, path=path, headers={name.replace("_", "-"): v for name, v in headers.items()})

    for origin in ("http://evil.example", "null", "http://127.0.0.1:3001", "http://127.0.0.1", "", "file://"):
        assert_refused(asked(Origin=origin), 403, "Origin")
    for site in ("cross-site", "same-site", "CROSS-SITE", "strange"):
        assert_refused(asked(Sec_Fetch_Site=site, Sec_Fetch_Dest="image"), 403, "Sec-Fetch-Site")
        assert_refused(asked(Sec_Fetch_Site=site, Sec_Fetch_Dest="iframe"), 403, "Sec-Fetch-Site")
    for site in ("same-origin", "none"):
        assert asked(Sec_Fetch_Site=site, Origin="http://127.0.0.1:3000").status == 200


def test_a_link_on_another_page_leads_to_the_pages_only() -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    statuses = {path: through(method="GET", path=path, headers=link).status for path in (*ASKED, "/v1/docs")}
    assert {path for path, status in statuses.items() if status == 200} == {"/", "/v1/docs"}
    assert through(method="POST", path="/", headers=link).status == 403


@pytest.mark.parametrize("client", ["192.168.0.7", "2001:db8::1"])
def test_other_machines_need_a_token_however_the_server_was_bound(client: str) -> None:
    assert_refused(through(client=client), 403, client)
    assert through(client=client, token="secret-word", headers={"Authorization": "Bearer secret-word"}).status == 200
    assert through(client="::1").status == 200


def test_bodies_share_a_bounded_room() -> None:
    async def run() -> tuple[Answer, Answer, Answer]:
        guard = guarded(Echo(), most=1)
        piece = b"x" * 40_000
        slow = asyncio.create_task(ask(guard, body=[piece, b""], pause_s=0.1))
        await asyncio.sleep(0.15)
        second = await ask(guard, body=[piece])
        return await slow, second, await ask(guard, body=[piece])

    first, second, third = asyncio.run(run())
    assert (first.status, second.status, third.status) == (200, 503, 200)
    assert second.headers["retry-after"] == "1"


def test_bodies_without_the_token_take_no_room() -> None:
    async def run() -> tuple[list[Answer], Answer]:
        guard = guarded(Echo(), most=1, token="secret-word")
        strangers = [
            asyncio.create_task(ask(guard, path=path, body=[b"x" * 500, b"x" * 40_000, b""], pause_s=0.1))
            for path in ("/v1/live", "/", "/v1/predict", "/v1/model") * 8
        ]
        await asyncio.sleep(0.15)
        right = await ask(guard, body=[b"x" * 50_000], headers={"Authorization": "Bearer secret-word"})
        return await asyncio.gather(*strangers), right

    strangers, right = asyncio.run(run())
    assert right.status == 200
    assert {answer.status for answer in strangers} == {401, 413}


def test_lines_of_the_head_are_bounded() -> None:
    assert_refused(through(headers={"X-Long": "a" * 10_000}), 431, "header")
    assert_refused(through(headers={"Content-Length": "9" * 5_000}), 413, "body")


def test_guesses_of_the_token_are_braked_for_each_address() -> None:
    async def run() -> dict[str, list[int]]:
        guard = guarded(Echo(), token="secret-word")

        async def status(token: str, client: str) -> int:
            return (await ask(guard, headers={"Authorization": f"Bearer {token}"}, client=client)).status

        await status("secret-word", "10.0.0.1")
        guessed = [
            await status(f"guess-{number}", client) for number in range(40) for client in ("10.0.0.1", "10.0.0.2")
        ]
        return {
            "guessed": guessed,
            "who was right before": [await status("secret-word", "10.0.0.1")],
            "who was never right": [await status("secret-word", "10.0.0.2")],
            "others": [await status("guess", "10.0.0.3"), await status("secret-word", "10.0.0.4")],
        }

    found = asyncio.run(run())
    assert found["guessed"] == [401] * 2 * GUESSES + [429] * 2 * (40 - GUESSES)
    assert (found["who was right before"], found["who was never right"]) == ([200], [429])
    assert found["others"] == [401, 200]


def test_the_brake_lets_go_and_its_memory_is_bounded() -> None:
    now_s = [0.0]
    guesses = Guesses(lambda: now_s[0])
    assert [guesses.allows("2001:db8::1", False) for _ in range(GUESSES + 1)] == [True] * GUESSES + [False]
    assert not guesses.allows("2001:db8::ffff", False)  # of the same user
    now_s[0] += GUESS_S
    assert [guesses.allows("2001:db8::1", False) for _ in range(2)] == [True, False]
    for number in range(10_000):
        guesses.allows(f"10.0.{number // 256}.{number % 256}", False)
        guesses.allows(f"10.1.{number // 256}.{number % 256}", True)
    assert all(len(kept) <= 4096 for kept in vars(guesses).values() if isinstance(kept, dict))


def test_a_client_that_leaves_while_sending_costs_nothing() -> None:
    """Its request is answered all the same: BentoML keeps one without an answer, and cannot be stopped meanwhile."""

    async def run() -> tuple[int, list[Any]]:
        echo = Echo()
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/v1/predict", "method": "POST", "headers": [(b"host", b"localhost")]}
        await guarded(echo)(scope, receive, send)
        return echo.asked, sent

    asked, sent = asyncio.run(run())
    assert asked == 0
    assert [message.get("status") for message in sent] == [499, None]


def test_answers_carry_the_headers_that_keep_pages_apart() -> None:
    answer = through()
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")


def test_the_lifespan_passes() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    asyncio.run(guarded(app)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]


WRONG_HEADS = {
    "400": {"Content-Length": "x"},
    "403": {"Origin": "https://elsewhere.example"},
    "413": {"Content-Length": "9" * 20},
    "415": {"Content-Encoding": "gzip"},
    "431": {"X-Long": "x" * 10_000},
}


def described() -> Any:
    """The OpenAPI document of an endpoint whose model looks at areas."""
    with TemporaryDirectory() as folder:
        endpoint = MapEndpoint(Path(folder))
        (answer,) = endpoint.run({"method": "GET", "path": "/v1/openapi.json"})
    return answer.json["paths"]


def test_every_route_is_described_with_what_the_guard_answers_and_no_other_refusal() -> None:
    paths = described()
    assert {"/v1/predict", "/v1/areas", "/v1/areas/{id}/{file}", "/", "/v1/live"} <= set(paths)
    for path, methods in paths.items():
        for method, operation in methods.items():
            statuses, asked = set(operation["responses"]), {"method": method.upper(), "path": path}
            for status, head in WRONG_HEADS.items():
                assert str(through(**asked, headers=head).status) == status, path
            assert statuses >= {*WRONG_HEADS, "408"}, path
            wants_token = through(**asked, token="secret").status == 401
            assert {"401", "429"} & statuses == ({"401", "429"} if wants_token else set()), path
    assert not {"401", "422", "429", "503"} & set(paths["/v1/live"]["get"]["responses"])
    assert not {"422", "503"} & set(paths["/v1/metrics"]["get"]["responses"])
