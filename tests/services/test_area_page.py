"""The map on the page in a real browser: draw an area, plan it, look at it, come back to it. No network is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.browsing import Tab, open_browser
from tests.services.endpoint_process import Running, serve
from tests.services.made_up_map import bbox, draw_tiles, save_model

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]
TOKEN = "a-long-enough-secret"
MIDDLE = "c => [...c.getContext('2d').getImageData(c.width / 2, c.height / 2, 1, 1).data]"
"""The colour in the middle of the map: bright where there is only the graticule."""
SIDES = ("west", "south", "east", "north")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("ships")
    made = {"model_dir": str(save_model(root)), "tiles": str(draw_tiles(root / "tiles", 3))}
    with serve("services.endpoint:ships", root, token=TOKEN, **made) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    yield from open_browser()


@pytest.fixture
def tab(browser: Any, server: Running) -> Tab:
    """The page with the token told."""
    tab = Tab(browser, server)
    page = tab.open("")
    page.wait_for_selector("#token")  # the server asks for it, so the field appears
    page.fill("#token", TOKEN)
    page.press("#token", "Tab")
    page.wait_for_selector("#areas")
    return tab


def box(page: Any) -> list[float]:
    return [float(page.input_value(f"#{side}")) for side in SIDES]


def test_an_area_is_planned_looked_at_and_shown_again_after_a_reload(tab: Tab, tmp_path: Path) -> None:
    page = tab.page
    for side, value in zip(SIDES, bbox(2), strict=True):
        page.fill(f"#{side}", repr(value))
    page.fill("#zoom", "15")
    page.click("#plan")
    page.wait_for_selector("#planned:has-text('4 tiles of folder at zoom 15')")
    assert "the user's own tiles" in page.inner_text("#planned")

    page.click("#find")
    page.wait_for_selector("#found")
    assert re.search(r"Area [0-9a-f]{8}: 3 ships by version 0", page.inner_text("#found-caption"))
    assert (
        page.eval_on_selector("#found-picture", "image => image.decode().then(() => image.naturalWidth)") > 1024
    )  # two panels
    assert page.locator("#found-table tbody tr").count() == 3
    assert "longitude" in page.inner_text("#found-table thead")
    page.wait_for_selector("#jobs li:has-text('3 ships, 4 tiles of folder')")
    with page.expect_download() as download:
        page.click("#files a:has-text('raw.geojson')")
    assert '"FeatureCollection"' in Path(download.value.path()).read_text()
    page.screenshot(path=str(tmp_path / "areas.png"), full_page=True)

    page.reload()
    page.wait_for_selector("#token")
    page.fill("#token", TOKEN)
    page.press("#token", "Tab")
    page.wait_for_selector("#found")
    assert "3 ships" in page.inner_text("#found-caption")
    assert box(page) == pytest.approx(bbox(2), abs=1e-5)

    page.click("#jobs li button:has-text('Remove')")
    page.wait_for_selector("#jobs li", state="detached")
    assert (tab.errors, tab.outside, tab.refused) == ([], [], [])


def test_nobody_is_asked_for_tiles_before_the_user_chose_a_map(browser: Any, server: Running, tmp_path: Path) -> None:
    """Who has the tiles learns what is looked at; the options name who that would be."""
    tab = Tab(browser, server)
    asked: list[str] = []
    tab.page.on("request", lambda request: asked.append(request.url))
    page = tab.open("")
    page.wait_for_selector("#token")
    page.fill("#token", TOKEN)
    page.press("#token", "Tab")
    page.wait_for_selector("#place:has-text('zoom 1')")
    page.select_option("#provider", "esri")  # what is looked at later, and no map
    page.click("#nearer")
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(1000)
    page.screenshot(path=str(tmp_path / "blank.png"), full_page=True)
    assert not [url for url in asked if "/v1/tiles/" in url]
    assert page.input_value("#shown") == ""
    options = page.locator("#shown option").all_inner_texts()
    assert options[0] == "none (degrees only)"
    assert "esri (downloaded from services.arcgisonline.com)" in options
    assert "folder (this server's own)" in options
    page.select_option("#shown", "folder")
    page.wait_for_function(
        "() => performance.getEntriesByType('resource').some((one) => one.name.includes('/v1/tiles/'))"
    )
    assert {url.split("/v1/tiles/")[1].split("/")[0] for url in asked if "/v1/tiles/" in url} == {"folder"}
    page.screenshot(path=str(tmp_path / "map.png"), full_page=True)
    assert (tab.errors, tab.outside, tab.refused) == ([], [], [])


def test_the_map_is_moved_zoomed_and_drawn_on(tab: Tab) -> None:
    page = tab.page
    page.wait_for_selector("#place:has-text('zoom 1')")
    page.select_option("#shown", "folder")
    page.wait_for_function(
        f"() => Math.max(...({MIDDLE})(document.getElementById('map')).slice(0, 3)) < 100"
    )  # dark water
    page.click("#nearer")
    page.locator("#map").focus()
    before = page.inner_text("#place")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("before => document.getElementById('place').textContent !== before", arg=before)

    frame = page.locator("#map").bounding_box()
    x, y = frame["x"] + 100, frame["y"] + 100
    page.click("#draw")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 90, steps=4)
    page.mouse.up()
    west, south, east, north = box(page)
    assert west < east
    assert south < north
    assert page.get_attribute("#draw", "aria-pressed") == "false"

    page.keyboard.down("Shift")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 240, y + 90, steps=4)
    page.mouse.up()
    page.keyboard.up("Shift")
    assert box(page)[2] - west == pytest.approx(2 * (east - west), rel=0.02)

    place = page.inner_text("#place")
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 50, y, steps=2)
    page.mouse.up()
    page.wait_for_function("before => document.getElementById('place').textContent !== before", arg=place)
    page.mouse.wheel(0, 300)
    page.wait_for_function(
        "before => document.getElementById('place').textContent.slice(-2) !== before", arg=place[-2:]
    )
    assert (tab.errors, tab.outside, tab.refused) == ([], [], [])


def test_where_there_are_no_tiles_degrees_are_drawn_and_refusals_explained(tab: Tab) -> None:
    page = tab.page
    for side, value in zip(SIDES, (-5.46, 36.11, -5.40, 36.15), strict=True):
        page.fill(f"#{side}", str(value))
    page.click("#find")
    page.wait_for_selector("#area-problem:has-text('none of the')")
    page.fill("#south", "36.2")
    page.click("#plan")
    page.wait_for_selector("#area-problem:has-text('swapped')")
    page.fill("#zoom", "3")
    page.fill("#south", "36.11")
    page.click("#plan")
    page.wait_for_selector("#area-problem:has-text('has the zooms 15 to 15')")
    assert tab.errors == []
