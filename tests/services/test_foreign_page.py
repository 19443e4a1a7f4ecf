"""A web page of another origin against the servers of an installation, in a real browser, as an attacker would try."""

from __future__ import annotations

import base64
import http.server
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.runtime.secret import read_secret
from sightline.runtime.servers import prefect_for_a_run
from sightline.settings import Settings
from tests.services.browsing import open_browser
from tests.warm.databases import give_prefect_database

pytestmark = pytest.mark.slow

TRY = """async ([address, method, headers]) => {
    try {
        const answer = await fetch(address, {method, headers, body: method === 'POST' ? '{}' : undefined});
        return {status: answer.status, text: await answer.text()};
    } catch (error) { return {status: 0, text: String(error)}; }
}"""
"""What a page sees: 0 where the browser keeps the answer from it."""

SOCKET = """address => new Promise(done => {
    const socket = new WebSocket(address, 'prefect');
    socket.onopen = () => socket.send(JSON.stringify({type: 'auth', token: ''}));
    socket.onmessage = message => done(message.data);
    socket.onclose = closed => done('closed ' + closed.code);
})"""


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of http://evil.example, a name that the attacker lets point to this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for browser in open_browser("--host-resolver-rules=MAP evil.example 127.0.0.1"):
        opened = browser.new_page()
        opened.goto(f"http://evil.example:{server.server_port}/")
        yield opened
    server.shutdown()
    server.server_close()


class _Empty(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Not in the tests' output."""


def test_a_foreign_page_neither_reads_nor_writes_prefect(page: Any, tmp_path: Path, shared: Path) -> None:
    settings = Settings(root=tmp_path)
    give_prefect_database(shared, settings)
    with prefect_for_a_run(settings) as prefect:
        prefect.wait()
        api = prefect.api
        secret = base64.b64encode(read_secret(settings.state).encode()).decode()
        own = urllib.request.Request(f"{api}/admin/version", headers={"Authorization": f"Basic {secret}"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(own, timeout=20) as answer:
            assert answer.status == 200  # whoever knows the secret is answered
        for path, method in (("admin/version", "GET"), ("deployments/filter", "POST"), ("flows/", "POST")):
            plain = {"Content-Type": "text/plain"}  # needs no preflight
            assert page.evaluate(TRY, [f"{api}/{path}", method, plain])["status"] == 0
            json = {"Content-Type": "application/json"}
            assert page.evaluate(TRY, [f"{api}/{path}", method, json])["status"] == 0
        for path in ("events/in", "events/out", "logs/out"):
            assert page.evaluate(SOCKET, f"ws{api.removeprefix('http')}/{path}").startswith("closed")
        rebound = api.replace("127.0.0.1", "evil.example")
        page.goto(f"{rebound}/health")  # now it is the page's own origin, as after rebinding
        assert page.evaluate(TRY, [f"{rebound}/health", "GET", {}])["status"] == 200  # the way is open, but ...
        assert page.evaluate(TRY, [f"{rebound}/admin/version", "GET", {}])["status"] == 401
        assert page.evaluate(TRY, [f"{rebound}/flows/", "POST", {}])["status"] in (401, 403)
