"""The list of providers: complete records, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mercantile import Tile
from PIL import Image

from sightline.errors import DataMissing, DataRejected, RequestError
from sightline.maps.providers import PROVIDERS, Provider, find_provider
from tests.unit.maps.tile_server import SIDE_PX, write_tile

ENDS = {"esri": "/4/5/3", "eox": "/4/5/3.jpg", "osm": "/4/3/5.png"}
"""How each writes zoom, column 3 and row 5."""


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_records_are_complete(provider: Provider) -> None:
    assert find_provider(provider.name) is provider
    assert provider.url.startswith("https://")
    assert provider.terms_url.startswith("https://")
    assert provider.attribution
    assert provider.terms
    assert 0 < provider.requests_per_s <= 20
    assert provider.concurrency <= 8
    assert provider.keep_days >= 7
    address = provider.address(Tile(x=3, y=5, z=4))
    assert "{" not in address
    assert address.partition("?")[0].endswith(ENDS[provider.name])


def test_bulk_is_told_where_terms_forbid_it() -> None:
    assert not PROVIDERS["osm"].detects
    assert not PROVIDERS["osm"].allow_bulk
    assert not PROVIDERS["esri"].allow_bulk
    assert "blankTile=false" in PROVIDERS["esri"].url


@pytest.mark.parametrize("name", ["https://example.org/{z}/{x}/{y}.png", "google", "", "ESRI "])
def test_what_is_not_on_the_list_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r"provider: .*Choose one of: esri, eox, osm, folder, synthetic"):
        find_provider(name)


def test_folders_are_for_folder_providers_only(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="needs the folder"):
        find_provider("folder")
    with pytest.raises(RequestError, match="esri has no folder"):
        find_provider("esri", tmp_path)


def test_a_folder_tells_its_zooms_and_its_side(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    write_tile(tmp_path, Tile(1, 2, 13))
    write_tile(tmp_path, Tile(1, 2, 15))
    provider = find_provider("synthetic", tmp_path)
    assert (provider.name, provider.min_zoom, provider.max_zoom) == ("synthetic", 13, 15)
    assert provider.tile_px == SIDE_PX
    assert provider.folder == tmp_path


def test_folders_without_good_tiles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no tiles"):
        find_provider("folder", tmp_path / "none")
    with pytest.raises(DataMissing, match="no tiles"):
        find_provider("folder", tmp_path)
    (tmp_path / "3" / "1").mkdir(parents=True)
    file = tmp_path / "3" / "1" / "2.png"
    file.write_bytes(b"no picture")
    with pytest.raises(DataRejected, match=r"2\.png.*neither JPEG nor PNG"):
        find_provider("folder", tmp_path)
    Image.fromarray(np.zeros((64, 32, 3), np.uint8)).save(file)
    with pytest.raises(DataRejected, match="32 x 64 pixels"):
        find_provider("folder", tmp_path)


@pytest.mark.parametrize(
    "url", ["http://example.org/{z}/{x}/{y}", "https://example.org/{z}/{x}", "ftp://a/{z}/{x}/{y}"]
)
def test_a_record_takes_https_addresses_of_tiles_only(url: str) -> None:
    with pytest.raises(ValueError, match="not an https address"):
        Provider("a", "b", "c", "", url=url)
