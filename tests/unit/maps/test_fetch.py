"""Downloads from a real server on this machine that is slow, fails, limits and lies."""

from __future__ import annotations

import email.utils
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import mercantile
import numpy as np
import pytest
from mercantile import Tile

from sightline.errors import BackendError, DataMissing
from sightline.maps.area import read_area
from sightline.maps.fetch import Patience, fetch
from sightline.maps.mosaic import write_mosaic
from sightline.maps.providers import open_folder
from sightline.maps.tiles import AreaPlan, plan_area
from tests.unit.maps.tile_server import SIDE_PX, Answer, Silent, TileServer, drawn, encoded, provider_of, write_tile

AREA = read_area(bbox="-5.47,36.11,-5.40,36.15")
ZOOM = 15
QUICK = Patience(attempts=4, first_s=0.01, timeout_s=5.0)


def plan_of(server: TileServer, zoom: int = ZOOM, **changes: object) -> AreaPlan:
    return plan_area(AREA, zoom, provider_of(server, **changes))


def chosen(plan: AreaPlan, number: int) -> Tile:
    return list(plan.tiles())[number]


def only(tile: Tile, answer: Callable[[int], Answer]) -> Callable[[Tile, int], Answer]:
    return lambda asked, n: answer(n) if asked == tile else Answer()


def cached(plan: AreaPlan, cache: Path, tile: Tile) -> np.ndarray:
    read = plan.provider.store(cache).read(tile, SIDE_PX)
    assert read is not None
    return read[..., :3]


def test_all_tiles_come_once_and_are_those_asked_for(tmp_path: Path) -> None:
    with TileServer() as server:
        plan, progress = plan_of(server), Silent()
        fetched = fetch(plan, tmp_path, progress, QUICK)
    wanted = list(plan.tiles())
    assert len(wanted) >= 20
    assert (fetched.present, fetched.asked, fetched.missing) == (len(wanted), len(wanted), ())
    assert server.requests == dict.fromkeys(wanted, 1)
    for tile in wanted:
        np.testing.assert_array_equal(cached(plan, tmp_path, tile), drawn(tile))
    assert progress.steps[-1][:2] == (len(wanted), len(wanted))
    assert all(one.agent.startswith("sightline/") for one in server.asked)


def test_a_second_run_asks_for_nothing(tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
        fetch(plan, tmp_path, Silent(), QUICK)
        before = len(server.asked)
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert len(server.asked) == before
    assert (fetched.present, fetched.asked) == (plan.tile_count, 0)


BAD_ONCE = {
    "500": Answer(500),
    "503 with seconds": Answer(503, headers={"Retry-After": "0"}),
    "429 without a word": Answer(429),
    "it hangs up in the middle": Answer(send=20),
    "it says less than it sends": Answer(headers={"Content-Length": "30", "Connection": "close"}),
    "truncated": Answer(body=encoded(drawn(Tile(1, 1, 1)))[:-40]),
    "broken in the middle": Answer(body=encoded(drawn(Tile(1, 1, 1))).replace(b"IDAT", b"IDAT\xff\xff", 1)),
    "another size": Answer(body=encoded(drawn(Tile(1, 1, 1), 32))),
    "a page": Answer(body=b"<html>busy</html>"),
    "empty": Answer(body=b""),
    "far too large": Answer(body=bytes(5 * 2**20)),
    "a truncated JPEG": Answer(body=encoded(drawn(Tile(1, 1, 1)), "JPEG")[:-100]),
}


@pytest.mark.parametrize("answer", BAD_ONCE.values(), ids=BAD_ONCE)
def test_a_bad_answer_is_asked_again(answer: Answer, tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
        tile = chosen(plan, 3)
        server.behave = only(tile, lambda n: answer if n < 2 else Answer())
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert fetched.missing == ()
    assert server.requests[tile] == 3
    np.testing.assert_array_equal(cached(plan, tmp_path, tile), drawn(tile))


@pytest.mark.parametrize("answer", BAD_ONCE.values(), ids=BAD_ONCE)
def test_a_tile_that_stays_bad_is_listed_and_never_kept(answer: Answer, tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
        tile = chosen(plan, 3)
        server.behave = only(tile, lambda n: answer)
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert [one.tile for one in fetched.missing] == [tile]
    assert "4 attempts" in str(fetched.missing[0])
    assert not plan.provider.store(tmp_path).path(tile).exists()
    assert fetched.present == plan.tile_count - 1


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (204, 1), (410, 1), (403, 1), (400, 1), (302, 1)])
def test_what_the_server_does_not_give_is_missing_and_not_asked_again(status: int, asked: int, tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
        tile = chosen(plan, 5)
        server.behave = only(tile, lambda n: Answer(status, body=b"", headers={"Location": "/1/1/1.png"}))
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert [(one.tile, str(status) in one.why) for one in fetched.missing] == [(tile, True)]
    assert server.requests[tile] == asked


def test_random_failures_leave_a_right_mosaic(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    troubles = [Answer(500), Answer(429), Answer(send=10), Answer(body=b""), Answer(wait_s=0.05), Answer(), Answer()]
    with TileServer(lambda tile, n: troubles[rng.integers(len(troubles))] if n < 3 else Answer()) as server:
        plan = plan_of(server)
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert fetched.missing == ()
    assert sum(server.requests.values()) > plan.tile_count
    for tile in plan.tiles():
        np.testing.assert_array_equal(cached(plan, tmp_path, tile), drawn(tile))


@pytest.mark.parametrize("asked_for", ["seconds", "date"])
def test_retry_after_holds_all_requests(asked_for: str, tmp_path: Path) -> None:
    def limited(n: int) -> Answer:
        # A date has whole seconds: two ahead are at least one.
        after = "1" if asked_for == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
        return Answer(429, headers={"Retry-After": after}) if n == 0 else Answer()

    with TileServer() as server:
        plan = plan_of(server, concurrency=2, requests_per_s=200.0)
        server.behave = only(chosen(plan, 4), limited)
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert fetched.missing == ()
    limited_at = next(one.at_s for one in server.asked if one.tile == chosen(plan, 4))
    later = sorted(one.at_s for one in server.asked if one.at_s > limited_at)
    silence_s = max(after - before for before, after in zip([limited_at, *later], later, strict=False))
    assert silence_s > 0.8


def test_a_long_retry_after_ends_the_run_and_keeps_what_is_there(tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server, concurrency=1)
        server.behave = only(chosen(plan, 6), lambda n: Answer(429, headers={"Retry-After": "3600"}))
        with pytest.raises(BackendError, match=r"next request in 3,600 s.*keeps the tiles that are there"):
            fetch(plan, tmp_path, Silent(), QUICK)
        store = plan.provider.store(tmp_path)
        kept = sum(store.path(tile).exists() for tile in plan.tiles())
        assert kept >= 4
        server.behave = lambda tile, n: Answer()
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert fetched.asked == plan.tile_count - kept
    assert fetched.missing == ()


def test_a_server_that_is_down_is_not_asked_for_every_tile(tmp_path: Path) -> None:
    with TileServer(lambda tile, n: Answer(500)) as server:
        plan = plan_of(server, zoom=17)
        assert plan.tile_count > 400
        with pytest.raises(BackendError, match=r"\d+ tiles in a row .*500"):
            fetch(plan, tmp_path, Silent(), Patience(attempts=2, first_s=0.001, failures=5))
    assert len(server.requests) < 40


def test_not_one_tile_is_an_error_and_not_an_empty_mosaic(tmp_path: Path) -> None:
    with TileServer(lambda tile, n: Answer(404)) as server, pytest.raises(BackendError, match=r"not one of .*404"):
        fetch(plan_of(server), tmp_path, Silent(), QUICK)


def test_nobody_listens(tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
    with pytest.raises(BackendError, match=r"in a row|not one"):
        fetch(plan, tmp_path, Silent(), Patience(attempts=2, first_s=0.001, failures=3))


def test_the_limits_of_the_host_are_kept(tmp_path: Path) -> None:
    with TileServer(lambda tile, n: Answer(wait_s=0.1)) as server:
        plan = plan_of(server, concurrency=3, requests_per_s=25.0)
        fetch(plan, tmp_path, Silent(), QUICK)
    assert server.most_at_once <= 3
    times = sorted(one.at_s for one in server.asked)
    # The server sees requests a little unevenly; over all of them the pace holds.
    assert (len(times) - 1) / (times[-1] - times[0]) < 27


def test_several_wait_at_a_time(tmp_path: Path) -> None:
    with TileServer(lambda tile, n: Answer(wait_s=0.1)) as server:
        plan = plan_of(server, concurrency=8)
        fetch(plan, tmp_path, Silent(), QUICK)
    assert 4 < server.most_at_once <= 8


def test_a_dripping_answer_does_not_hang(tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
        server.behave = only(chosen(plan, 2), lambda n: Answer(drip_s=0.05))
        started = time.monotonic()
        fetched = fetch(plan, tmp_path, Silent(), Patience(attempts=2, first_s=0.01, tile_s=0.3))
    assert [one.tile for one in fetched.missing] == [chosen(plan, 2)]
    assert "longer than" in fetched.missing[0].why
    assert time.monotonic() - started < 5


def test_a_silent_server_is_given_up(tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
        server.behave = only(chosen(plan, 2), lambda n: Answer(wait_s=1.5))
        fetched = fetch(plan, tmp_path, Silent(), Patience(attempts=2, first_s=0.01, timeout_s=0.3))
    assert [one.tile for one in fetched.missing] == [chosen(plan, 2)]


def test_an_old_tile_is_asked_for_again_and_stays_where_it_cannot_be_had(tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server, keep_days=7.0)
        fetch(plan, tmp_path, Silent(), QUICK)
        old, gone = chosen(plan, 0), chosen(plan, 1)
        for tile in (old, gone):
            week_ago = time.time() - 8 * 86_400
            os.utime(plan.provider.store(tmp_path).path(tile), (week_ago, week_ago))
        server.asked.clear()
        server.behave = only(gone, lambda n: Answer(500))
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
    assert set(server.requests) == {old, gone}
    assert fetched.missing == ()


def test_another_address_has_another_cache(tmp_path: Path) -> None:
    with TileServer() as first, TileServer() as second:
        fetch(plan_of(first), tmp_path, Silent(), QUICK)
        fetch(plan_of(second), tmp_path, Silent(), QUICK)
        assert len(second.asked) == len(first.asked) > 0


def test_a_cache_that_cannot_be_written_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with TileServer() as server, pytest.raises(BackendError, match="cannot be written"):
        fetch(plan_of(server), tmp_path / "file", Silent(), QUICK)


KILLED = """
import sys, types
from pathlib import Path
from sightline.maps.area import read_area
from sightline.maps.fetch import fetch
from sightline.maps.providers import Provider
from sightline.maps.tiles import plan_area

silent = types.SimpleNamespace(advance=lambda *told: print(told[0], flush=True))
provider = Provider("test", "the tests", "none", "", url=sys.argv[1], tile_px=64, allow_bulk=True, requests_per_s=1000)
fetch(plan_area(read_area(bbox=sys.argv[2]), int(sys.argv[3]), provider), Path(sys.argv[4]), silent)
"""


def test_a_killed_run_goes_on_with_what_it_has(tmp_path: Path) -> None:
    with TileServer(lambda tile, n: Answer(wait_s=0.05)) as server:
        plan = plan_of(server, zoom=16)
        command = [sys.executable, "-c", KILLED, server.url, "-5.47,36.11,-5.40,36.15", "16", str(tmp_path / "cache")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            while int(run.stdout.readline()) < 20:
                pass
            run.send_signal(signal.SIGKILL)
        store = plan.provider.store(tmp_path / "cache")
        kept = {tile for tile in plan.tiles() if store.path(tile).exists()}
        assert 20 <= len(kept) < plan.tile_count
        server.asked.clear()
        fetched = fetch(plan, tmp_path / "cache", Silent(), QUICK)
        assert set(server.requests) == set(plan.tiles()) - kept
    assert (fetched.present, fetched.missing) == (plan.tile_count, ())
    for tile in plan.tiles():
        np.testing.assert_array_equal(cached(plan, tmp_path / "cache", tile), drawn(tile))


def test_a_folder_is_only_looked_at(tmp_path: Path) -> None:
    write_tile(tmp_path, mercantile.tile(-5.47, 36.15, ZOOM))
    tiles = list(plan_area(AREA, ZOOM, open_folder(tmp_path)).tiles())
    assert len(tiles) > 3
    for tile in tiles[3:]:
        write_tile(tmp_path, tile)
    provider = open_folder(tmp_path)
    assert (provider.tile_px, provider.min_zoom, provider.max_zoom) == (SIDE_PX, ZOOM, ZOOM)
    fetched = fetch(plan_area(AREA, ZOOM, provider), tmp_path / "cache", Silent())
    assert [one.tile for one in fetched.missing] == tiles[1:3]
    assert not (tmp_path / "cache").exists()
    with pytest.raises(DataMissing, match=r"none of the .* tiles at zoom 14"):
        fetch(plan_area(AREA, 14, provider), tmp_path / "cache", Silent())


def test_a_spoilt_tile_in_the_cache_is_masked_listed_and_asked_for_again(tmp_path: Path) -> None:
    with TileServer() as server:
        plan = plan_of(server)
        fetch(plan, tmp_path, Silent(), QUICK)
        tile = chosen(plan, 0)
        plan.provider.store(tmp_path).path(tile).write_bytes(b"not a tile")
        mosaic = write_mosaic(plan, tmp_path, tmp_path / "a.tif", Silent(), fetch(plan, tmp_path, Silent(), QUICK))
        assert [one.tile for one in mosaic.missing] == [tile]
        again = fetch(plan, tmp_path, Silent(), QUICK)
        assert again.asked == 1
        assert write_mosaic(plan, tmp_path, tmp_path / "a.tif", Silent(), again).missing == ()
