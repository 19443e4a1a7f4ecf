"""The gate before a server: who gets in, and who does not. And where MLflow may keep artifacts."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from sightline.runtime.gate import Gate
from sightline.runtime.registry_server import ArtifactsBelow, is_below

HOST = "127.0.0.1:5000"
OWN = f"http://{HOST}"


def basic(password: str, user: str = "me") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def behind(scope: Any, receive: Any, send: Any) -> None:
    """The application: says that it was reached."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


def ask(path: str = "/", kind: str = "http", **headers: str) -> list[dict[str, Any]]:
    """What the gate sends for a request."""
    gate = Gate(behind, hosts=(HOST,), secret="right", hint="It is in a file.", open_paths=("/health",))
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    fields = {"host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    pairs = [(name.encode(), value.encode()) for name, value in fields.items()]
    asyncio.run(gate({"type": kind, "method": "GET", "path": path, "headers": pairs}, receive, send))
    return sent


def status(path: str = "/", **headers: str) -> int:
    return int(ask(path, **headers)[0]["status"])


def test_who_knows_the_secret_gets_in_under_any_name() -> None:
    assert status(authorization=basic("right")) == 299
    assert status(authorization=basic("right", user="")) == 299
    assert status("/health") == 299  # probes


@pytest.mark.parametrize(
    "given", ["", "Basic", "Basic !!!", basic("wrong"), basic(""), basic("right").replace("Basic", "Bearer"), "Basic ="]
)
def test_without_the_secret_a_browser_is_asked_for_it(given: str) -> None:
    sent = ask(authorization=given)
    assert sent[0]["status"] == 401
    assert (b"www-authenticate", b'Basic realm="sightline", charset="UTF-8"') in sent[0]["headers"]
    assert b"It is in a file." in sent[1]["body"]


@pytest.mark.parametrize("host", ["evil.example:5000", "127.0.0.1:80", "127.0.0.1", "", "10.evil.example:5000"])
def test_another_name_for_this_machine_is_refused_even_with_the_secret(host: str) -> None:
    assert status(host=host, authorization=basic("right")) == 403
    assert status("/health", host=host) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", f"https://{HOST}"])
def test_pages_of_other_origins_are_refused_though_the_browser_knows_the_secret(origin: str) -> None:
    assert status(authorization=basic("right"), origin=origin) == 403


def test_what_a_foreign_page_embeds_is_refused_and_a_link_is_followed() -> None:
    known = {"authorization": basic("right")}
    for site in ("cross-site", "same-site"):
        assert status(**known, sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="image") == 403
        assert status(**known, sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="iframe") == 403
        assert status(**known, sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document") == 299
    assert status(**known, sec_fetch_site="same-origin", sec_fetch_mode="cors", origin=OWN) == 299


def test_a_websocket_needs_the_same() -> None:
    assert ask(kind="websocket", origin="http://evil.example") == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("place", "allowed"),
    [
        ("file:///srv/project/mlruns/artifacts/x", True),
        ("/srv/project/mlruns/artifacts/x", True),
        ("mlflow-artifacts:/x", True),
        ("file:///srv/project/mlruns/../state", False),
        ("file:///srv/project/mlruns/%2e%2e/state", False),
        ("file:///etc", False),
        ("file://localhost/etc", False),
        ("file://other/srv/project/mlruns/x", False),
        ("/etc", False),
        ("relative", False),
        ("s3://bucket/x", False),
        ("http://127.0.0.1:9/x", False),
        ("file:///srv/project/mlruns2", False),
    ],
)
def test_artifacts_stay_below_mlruns(place: str, allowed: bool) -> None:
    assert is_below(place, Path("/srv/project/mlruns")) is allowed


def create(body: bytes) -> tuple[int, bytes]:
    """Status for a request that makes an experiment, and the body that reached MLflow."""
    reached = b""
    sent: list[Any] = []
    waiting = [body[:5], body[5:]]

    async def mlflow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal reached
        reached = (await receive())["body"]
        await behind(scope, receive, send)

    async def receive() -> Any:
        piece = waiting.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/api/2.0/mlflow/experiments/create", "headers": []}
    asyncio.run(ArtifactsBelow(mlflow, Path("/srv/project/mlruns"))(scope, receive, send))
    return sent[0]["status"], reached


@pytest.mark.parametrize(
    "document",
    [
        {"name": "x", "artifact_location": "file:///etc"},
        {"name": "x", "artifactLocation": "file:///etc"},
        {"name": "x", "artifact_location": "mlflow-artifacts:/x", "artifactLocation": "file:///etc"},
        json.dumps({"name": "x", "artifact_location": "file:///etc"}),  # JSON in JSON
    ],
)
def test_an_experiment_that_would_read_elsewhere_does_not_reach_mlflow(document: Any) -> None:
    assert create(json.dumps(document).encode()) == (403, b"")


@pytest.mark.parametrize(
    "body", [b'{"name": "x"}', b'{"artifact_location": "/srv/project/mlruns/x"}', b"no JSON at all"]
)
def test_others_reach_it_whole(body: bytes) -> None:
    assert create(body) == (299, body)
