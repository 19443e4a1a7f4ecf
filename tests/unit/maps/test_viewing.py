"""Single tiles for a map, from a real server on this machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
from mercantile import Tile

from sightline.maps.fetch import Patience, fetch
from sightline.maps.providers import open_folder
from sightline.maps.store import decode_tile
from sightline.maps.tiles import plan_area
from sightline.maps.viewing import Viewing
from tests.unit.maps.test_fetch import AREA, QUICK
from tests.unit.maps.tile_server import SIDE_PX, Answer, Silent, TileServer, drawn, encoded, provider_of, write_tile

TILE = Tile(15887, 12851, 15)
HASTY = Patience(attempts=1, timeout_s=2.0, longest_s=1.0, failures=3)


def test_a_tile_is_asked_for_once_and_is_then_in_the_cache_of_surveys(tmp_path: Path) -> None:
    with TileServer() as server:
        viewing = Viewing(provider_of(server), tmp_path, HASTY)
        contents = [viewing.content(TILE) for _ in range(3)]
        assert contents[0] is not None
        assert contents == [contents[0]] * 3
        assert np.array_equal(decode_tile(contents[0], SIDE_PX)[..., :3], drawn(TILE))
        plan = plan_area(AREA, 15, provider_of(server))
        fetched = fetch(plan, tmp_path, Silent(), QUICK)
        viewing.close()
        assert TILE in set(plan.tiles())
        assert fetched.asked == fetched.present - 1
        assert server.requests[TILE] == 1


def test_a_tile_that_cannot_be_had_is_none_and_an_old_one_stays(tmp_path: Path) -> None:
    answers = {0: Answer(404, b""), 1: Answer(200, b"no picture"), 2: Answer()}
    with TileServer(lambda _, n: answers.get(n, Answer(500, b""))) as server:
        viewing = Viewing(provider_of(server), tmp_path, HASTY)
        assert viewing.content(TILE) is None
        assert viewing.content(TILE) is None
        kept = viewing.content(TILE)
        assert kept is not None
        path = viewing.provider.store(tmp_path).path(TILE)
        long_ago_s = time.time() - 100 * 86_400
        os.utime(path, (long_ago_s, long_ago_s))
        assert viewing.content(TILE) == kept
        viewing.close()
        assert server.requests[TILE] == 4


def test_a_server_that_is_down_is_left_alone_for_a_while(tmp_path: Path) -> None:
    with TileServer(lambda tile, n: Answer(500, b"")) as server:
        viewing = Viewing(provider_of(server), tmp_path, HASTY)
        assert [viewing.content(Tile(x, 1, 5)) for x in range(10)] == [None] * 10
        viewing.close()
        assert len(server.asked) == HASTY.failures


def test_a_server_that_asks_for_a_long_pause_is_no_failure_of_the_map(tmp_path: Path) -> None:
    with TileServer(lambda tile, n: Answer(429, b"", {"Retry-After": "3600"})) as server:
        viewing = Viewing(provider_of(server), tmp_path, HASTY)
        assert viewing.content(TILE) is None
        viewing.close()


def test_it_goes_no_faster_than_the_provider_allows(tmp_path: Path) -> None:
    with TileServer() as server:
        viewing = Viewing(provider_of(server, requests_per_s=20.0), tmp_path, HASTY)
        began_s = time.monotonic()
        for x in range(5):
            assert viewing.content(Tile(x, 1, 5)) is not None
        viewing.close()
        assert time.monotonic() - began_s >= 3 / 20  # the first two may come at once


def test_a_folder_is_only_read(tmp_path: Path) -> None:
    write_tile(tmp_path, TILE)
    viewing = Viewing(open_folder(tmp_path), tmp_path / "cache")
    assert viewing.content(TILE) == encoded(drawn(TILE))
    assert viewing.content(Tile(TILE.x + 1, TILE.y, TILE.z)) is None
    viewing.close()
    assert not (tmp_path / "cache").exists()
