"""Areas as they run: the endpoint of ships in a BentoML process, on tiles that the test draws."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from tests.services.browsing import open_browser
from tests.services.endpoint_process import Running, kill, serve
from tests.services.made_up_map import bbox, draw_tiles, places, save_model, save_upscaler

pytestmark = pytest.mark.slow
SHIPS = "services.endpoint:ships"
MANY = 12  # tiles on a side: so many that it takes some seconds


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of an endpoint with a made-up model, map and upscaler."""
    root = tmp_path_factory.mktemp("made")
    tiles = draw_tiles(root / "tiles", MANY)
    return {"model_dir": str(save_model(root)), "tiles": str(tiles), "upscaler": str(save_upscaler(root))}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module")
def server(made: dict[str, str], root: Path) -> Iterator[Running]:
    """For the tests that leave it running."""
    with serve(SHIPS, root, **made) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def browser() -> Iterator[Any]:
    """One for which a name leads to this machine that its owner pointed there (DNS rebinding)."""
    yield from open_browser("--host-resolver-rules=MAP *.example 127.0.0.1")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Address of a page of somebody else. On this machine too: from elsewhere the browser may not even ask."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("<!doctype html><title>A page</title>")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.filterwarnings("default")
def test_a_page_of_another_site_gets_nothing_out_of_a_visitors_browser(
    browser: Any, server: Running, site: str
) -> None:
    page = browser.new_page()
    before = server.ask("GET", "/v1/areas")[1]["jobs"]
    own, rebound = f"http://127.0.0.1:{server.port}", f"http://rebound.example:{server.port}"
    assert page.goto(f"{own}/v1/areas").status == 200  # typed by the user
    tile = f"{own}/v1/tiles/folder/15/15872/13000"
    page.goto(site)
    tried = page.evaluate(
        """async ([own, tile]) => {
          const quiet = (work) => work.then(() => "done", (error) => String(error));
          const image = (address) => new Promise((resolve) => {
            const one = new Image();
            one.onload = () => resolve("shown");
            one.onerror = () => resolve("nothing");
            one.src = address;
          });
          return [
            await quiet(fetch(own + "/v1/areas")),
            await quiet(fetch(own + "/v1/areas", {mode: "no-cors"})),
            await quiet(fetch(own + "/v1/areas", {method: "POST", mode: "no-cors", body: "{}"})),
            await image(tile),
          ];
        }""",
        [own, tile],
    )
    assert tried[0].startswith("TypeError")
    assert tried[3] == "nothing"
    # Its own name, pointed to this machine: of one origin with the endpoint, as the browser sees it.
    assert page.goto(f"{rebound}/").status == 403
    assert page.evaluate("fetch('/v1/areas').then((answer) => answer.status)") == 403
    assert server.ask("GET", "/v1/areas")[1]["jobs"] == before


def order(running: Running, side: int, **options: Any) -> tuple[int, Any]:
    body = json.dumps({"bbox": bbox(side), "provider": "folder", **options}).encode()
    return running.ask("POST", "/v1/areas", body, {"Content-Type": "application/json"})


def until(running: Running, key: str, so: Callable[[Any], bool], timeout_s: float = 400) -> Any:
    """The job as soon as `so(job)` holds."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        status, job = running.ask("GET", f"/v1/areas/{key}")
        assert status == 200, job
        if so(job):
            return job
        time.sleep(0.05)
    raise AssertionError(f"waited in vain: {job}\n{running.log.read_text()}")


def sources(root: Path) -> list[str]:
    return [answer.source for answer in Predictions(Database(Settings(root=root).database_url)).given("ships")]


@pytest.mark.parametrize("upscale", ["bicubic", "fast"])
def test_ships_come_with_the_coordinates_they_were_drawn_at(upscale: str, server: Running, root: Path) -> None:
    status, job = order(server, 2, upscale=upscale, zoom=15, wait_s=50)
    assert status == 200, job
    assert {name: found["count"] for name, found in job["summary"]["found"].items()} == {"raw": 3, "enlarged": 3}
    assert [source for source in sources(root) if job["id"] in source] == [f"area {job['id']}"] * 2
    status, found = server.ask("GET", job["files"]["raw.geojson"])
    document = json.loads(found) if isinstance(found, bytes) else found
    for lon, lat in places():
        distances = [
            np.hypot(one["properties"]["lon"] - lon, one["properties"]["lat"] - lat) for one in document["features"]
        ]
        assert min(distances) < 5e-5  # degrees, about a pixel
    for name, magic in {"raw.png": b"\x89PNG", "comparison.png": b"\x89PNG", "raw.tif": b"II"}.items():
        status, content = server.ask("GET", job["files"][name])
        assert (status, content[: len(magic)]) == (200, magic)
    assert server.ask("GET", "/v1/tiles/folder/15/16000/12000")[0] == 200


def test_an_area_survives_a_kill_and_a_stop_of_the_server_and_can_be_cancelled(
    made: dict[str, str], tmp_path: Path
) -> None:
    with serve(SHIPS, tmp_path, **made) as running:
        running.wait_until_ready()
        status, job = order(running, MANY, wait_s=0)
        assert status == 202
        until(running, job["id"], lambda job: "stitching" in job["progress"].get("what", ""))
        kill(running.process)
    assert sources(tmp_path) == []
    with serve(SHIPS, tmp_path, **made) as running:
        running.wait_until_ready()
        assert running.ask("GET", f"/v1/areas/{job['id']}")[1]["state"] in ("running", "queued")
        done = until(running, job["id"], lambda job: job["state"] not in ("running", "queued"))
        assert (done["state"], done["attempts"]) == ("done", 2)
        assert done["summary"]["found"]["raw"]["count"] == 3
        assert sources(tmp_path) == [f"area {job['id']}"]
        key = order(running, MANY, wait_s=0)[1]["id"]
        until(running, key, lambda job: job["state"] == "running")
    with serve(SHIPS, tmp_path, **made) as running:
        running.wait_until_ready()
        stopped = until(running, key, lambda job: job["state"] == "running", timeout_s=10)  # at once
        assert stopped["attempts"] == 1
        assert running.ask("DELETE", f"/v1/areas/{key}")[1]["state"] == "cancelled"
        status, other = order(running, 1, wait_s=50)
        assert status == 200
        assert not (tmp_path / "state" / "areas" / key).exists()
    assert sources(tmp_path) == [f"area {job['id']}", f"area {other['id']}"]
