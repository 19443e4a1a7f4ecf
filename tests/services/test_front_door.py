"""Two tasks behind one address as BentoML runs them: real sockets, one process, and a visitor with a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from tests.services.browsing import Tab, open_browser
from tests.services.endpoint_process import Running, serve
from tests.unit.serving.harness import CountingModel, png

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
PNG = {"Content-Type": "image/png"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("both")
    (folder / "models" / "1").mkdir(parents=True)
    CountingModel().save(folder / "models" / "1")
    (folder / "champion").write_text("1")
    return folder


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Running]:
    with serve("tests.services.toy_front_service:Both", root) as running:
        running.wait_until_ready()
        yield running


def test_a_task_answers_behind_the_door_and_one_without_a_champion_says_so(server: Running, root: Path) -> None:
    status, answer = server.ask("POST", "/v1/toy/predict", png(150), PNG)
    assert (status, answer["spot"], answer["version"]) == (200, True, 1)
    rows = Predictions(Database(Settings(root=root).database_url)).given("toy")
    assert answer["prediction_id"] in {row.id for row in rows}
    assert server.ask("POST", "/v1/spare/predict", png(150), PNG)[0] == 503
    assert server.ask("GET", "/v1/ready")[1]["without_champion"] == ["spare"]
    assert server.ask("GET", "/readyz")[0] == 200


def test_bentomls_routes_stay_and_all_else_is_refused_in_the_one_form(server: Running) -> None:
    page = server.ask("GET", "/bentoml")[1]
    for asset in re.findall(rb'(?:src|href)="\./([^"]+)"', page):
        assert server.ask("GET", f"/{asset.decode()}")[0] == 200
    assert set(server.ask("GET", "/docs.json")[1]["paths"]) >= {"/v1/toy/predict", "/v1/spare/predict"}
    assert b'task="toy"' in server.ask("GET", "/v1/metrics")[1]
    for path in ("/nothing", "/v1/nobody/predict", "/v1/toy/nothing", "/v1/predict"):
        status, refused = server.ask("GET", path)
        assert (status, refused["error"]) == (404, "there is nothing here"), path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from open_browser()


def test_a_visitor_finds_the_page_of_a_task_and_tries_it(browser: Any, server: Running, tmp_path: Path) -> None:
    image = tmp_path / "roof.png"
    image.write_bytes(png(150, side=64))
    tab = Tab(browser, server)
    page = tab.open("")
    page.click("text=toy")
    page.wait_for_selector("#state:has-text('Version 1')")
    page.set_input_files("#image", str(image))
    page.click("button")
    page.wait_for_selector("#answer")
    assert page.eval_on_selector("#picture", "image => image.decode().then(() => image.naturalWidth)") == 64
    page.click("text=All tasks")
    assert "spare" in page.inner_text("main")
    page.go_back()
    page.click("text=API documentation")
    assert "/v1/toy/predict" in page.inner_text("main")
    assert (tab.errors, tab.outside, tab.refused) == ([], [], [])
