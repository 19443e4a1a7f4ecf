"""The endpoint as it runs: a BentoML server, real sockets, a champion that changes."""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from tests.services.endpoint_process import Running, kill, serve
from tests.unit.serving.harness import CountingModel, png

pytestmark = pytest.mark.slow
TOY = "tests.services.toy_service:Toy"


def promote(root: Path, number: int) -> None:
    temporary = root / "champion.new"
    temporary.write_text(str(number))
    temporary.replace(root / "champion")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    for number in (1, 2):
        (folder / "models" / str(number)).mkdir(parents=True)
        CountingModel().save(folder / "models" / str(number))
    promote(folder, 1)
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Running]:
    with serve(TOY, root, poll_s="0.1", max_bytes="300000") as running:
        running.wait_until_ready()
        yield running
    assert running.process.returncode != -signal.SIGKILL, "it did not end when it was told to"


def logged(root: Path) -> set[str]:
    return {answer.id for answer in Predictions(Database(Settings(root=root).database_url)).given("toy")}


def test_it_answers_and_logs(server: Running, root: Path) -> None:
    status, answer = server.predict(png(150))
    assert status == 200
    assert (answer["spot"], answer["version"]) == (True, 1)
    assert answer["prediction_id"] in logged(root)


def test_it_listens_on_this_machine_only(server: Running) -> None:
    wanted = f":{server.port:04X}"
    addresses = {
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(wanted)
    }
    assert addresses <= {f"0100007F{wanted}"}


def test_all_clients_are_answered_across_promotion_and_rollback(server: Running, root: Path) -> None:
    seen: list[tuple[int, Any]] = []
    done = threading.Event()

    def client() -> None:
        while not done.is_set():
            status, answer = server.predict(png(150))
            seen.append((status, answer["version"]))

    clients = [threading.Thread(target=client) for _ in range(8)]
    before = len(logged(root))
    for thread in clients:
        thread.start()
    for number in (2, 1):
        promote(root, number)
        server.wait_until_ready(number)
        time.sleep(0.3)
    done.set()
    for thread in clients:
        thread.join()
    assert {status for status, _ in seen} == {200}
    assert {version for _, version in seen} == {1, 2}
    assert len(logged(root)) - before == len(seen)


def test_bentomls_own_routes_work_and_follow_ours(server: Running) -> None:
    assert server.ask("GET", "/readyz")[0] == 200
    assert server.ask("GET", "/livez")[0] == 200
    status, page = server.ask("GET", "/bentoml")
    assert status == 200
    for asset in re.findall(rb'(?:src|href)="\./([^"]+)"', page):
        assert server.ask("GET", f"/{asset.decode()}")[0] == 200
    assert b"sightline_requests_total" in server.ask("GET", "/metrics")[1]
    assert b"sightline_requests_total" in server.ask("GET", "/v1/metrics")[1]
    status, refused = server.ask("GET", "/v1/nothing")
    assert (status, refused["error"]) == (404, "there is nothing here")


def test_another_sites_page_opens_no_websocket_and_is_told_why(server: Running) -> None:
    handshake = (
        b"GET /v1/any HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    head, _, body = server.raw(handshake).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 ")
    assert json.loads(body)["where"] == "Origin"


@pytest.mark.parametrize(
    ("head", "body", "status"),
    [
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: [::1]\r\nContent-Type: image/png\r\nContent-Length: 999999999999\r\n",
            b"",
            413,
        ),
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: -5\r\n",
            b"",
            400,
        ),
        (b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nContent-Length: 5\r\n", b"abcde", 400),
        (b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n", b"zz\r\nabc\r\n", 400),
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n",
            b"abc",
            415,
        ),
        (
            b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: \xff\xfe\r\nContent-Length: 3\r\n",
            b"abc",
            415,
        ),
        (b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: 0\r\n", b"", 422),
        (b"GET /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"", 405),
        (b"PURGE /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"", 405),
        (b"GET /v1/static/..%2f..%2fapp.py HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"", 404),
        (b"GET /v1/static/%2fetc%2fpasswd HTTP/1.1\r\nHost: 127.0.0.1\r\n", b"", 404),
        (b"\x00\x01\x02 / HTTP/1.1\r\n", b"", 400),
    ],
)
def test_games_with_heads_are_refused_and_the_server_goes_on(
    server: Running, head: bytes, body: bytes, status: int
) -> None:
    answer = server.raw(head + b"Connection: close\r\n\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:300]
    assert b"Traceback" not in answer
    assert server.predict(png())[0] == 200


def test_a_head_without_end_is_refused(server: Running) -> None:
    answer = server.raw(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-A: b\r\n" * 8000)
    assert answer.startswith(b"HTTP/1.1 431 ")


def test_a_chunked_upload_is_stopped_at_the_limit(server: Running) -> None:
    chunk = b"186a0\r\n" + b"x" * 100_000 + b"\r\n"
    head = (
        b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = server.raw(head + chunk * 10 + b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"300000 bytes" in answer


def test_an_answer_that_a_client_has_is_in_the_ledger_even_if_the_server_is_killed(tmp_path: Path, root: Path) -> None:
    (tmp_path / "models").symlink_to(root / "models")
    promote(tmp_path, 1)
    got: list[int] = []

    def client(running: Running) -> None:
        while True:
            try:
                status, answer = running.predict(png(150))
            except (OSError, HTTPException):  # killed before an answer, or within one
                return
            assert status == 200, answer
            got.append(answer["prediction_id"])

    with serve(TOY, tmp_path) as running:
        running.wait_until_ready()
        clients = [threading.Thread(target=client, args=(running,)) for _ in range(4)]
        for thread in clients:
            thread.start()
        while len(got) < 40 and any(thread.is_alive() for thread in clients):
            time.sleep(0.01)
        kill(running.process)
        for thread in clients:
            thread.join()
    assert len(got) >= 40
    assert set(got) <= logged(tmp_path)
    assert len(set(got)) == len(got)


def test_a_worker_does_not_outlive_its_supervisor(tmp_path: Path) -> None:
    with serve(TOY, tmp_path) as running:
        running.wait_until(lambda status, _: status == 503)
        running.process.kill()
        running.process.wait(10)
        for _ in range(300):
            try:
                running.ask("GET", "/v1/live")
            except OSError:
                return
            time.sleep(0.1)
    raise AssertionError("the port is still taken")


def test_a_token_is_asked_for_and_an_endpoint_without_champion_is_not_ready(tmp_path: Path) -> None:
    with serve(TOY, tmp_path, token="a-long-enough-secret") as running:
        running.wait_until(lambda status, document: status == 503 and document["error"] == "toy has no champion")
        assert running.ask("GET", "/readyz")[0] == 503
        assert running.predict(png())[0] == 401
        assert running.ask("GET", "/metrics")[0] == 401
        status, answer = running.predict(png(), Authorization="Bearer a-long-enough-secret")
        assert status == 503
        assert answer["error"] == "toy has no champion"
