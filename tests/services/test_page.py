"""The endpoint's page in a real browser: an inspector uploads an image and sees the answer. No network is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.browsing import Tab, open_browser
from tests.services.endpoint_process import Running, serve
from tests.unit.serving.harness import CountingModel, png

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
TOKEN = "a-long-enough-secret"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("toy")
    (root / "models" / "1").mkdir(parents=True)
    CountingModel().save(root / "models" / "1")
    (root / "champion").write_text("1")
    with serve("tests.services.toy_service:Toy", root, token=TOKEN) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from open_browser()


def test_an_image_is_uploaded_and_the_answer_shown(browser: Any, server: Running, tmp_path: Path) -> None:
    image = tmp_path / "roof.png"
    image.write_bytes(png(150, side=64))
    tab = Tab(browser, server)
    page = tab.open("")
    page.wait_for_selector("#state:has-text('Version 1')")
    page.set_input_files("#image", str(image))
    page.click("button")
    page.wait_for_selector("#token")  # the server asks for it, so the field appears
    page.wait_for_selector("#problem:has-text('token')")

    page.fill("#token", TOKEN)
    page.click("button")
    page.wait_for_selector("#answer")
    assert page.eval_on_selector("#picture", "image => image.decode().then(() => image.naturalWidth)") == 64
    assert "by version 1" in page.inner_text("#caption")
    assert '"spot": true' in page.text_content("#json")
    page.screenshot(path=str(tmp_path / "page.png"))
    assert (tab.errors, tab.outside) == ([], [])


def test_what_is_no_image_is_explained_on_the_page(browser: Any, server: Running, tmp_path: Path) -> None:
    text = tmp_path / "notes.png"
    text.write_text("not an image")
    tab = Tab(browser, server)
    page = tab.open("")
    page.set_input_files("#image", str(text))
    page.eval_on_selector("#secret", "label => { label.hidden = false; }")
    page.fill("#token", TOKEN)
    page.click("button")
    page.wait_for_selector("#problem")
    assert "this is not an image" in page.inner_text("#problem")
    assert tab.errors == []


def test_the_documentation_and_bentomls_page_load_nothing_from_elsewhere(browser: Any, server: Running) -> None:
    tab = Tab(browser, server)
    assert "/v1/predict" in tab.open("v1/docs").inner_text("main")
    tab.open("bentoml").wait_for_selector("text=Predict one image")  # Swagger shows our routes
    assert tab.outside == []


def test_the_chooser_offers_what_a_model_of_videos_reads(browser: Any, server: Running) -> None:
    tab = Tab(browser, server)
    card = {"formats": ["video/mp4", "application/zip", "inode/directory"], "conditions": {}}
    known = {"card": card, "background": {"summary": "it is known"}}
    tab.page.route("**/v1/model", lambda route: route.fulfill(json=known))
    page = tab.open("")
    page.wait_for_selector("#asked:has-text('ZIP')")
    assert page.get_attribute("#image", "accept") == "video/mp4,application/zip,.zip"
    assert tab.errors == []
