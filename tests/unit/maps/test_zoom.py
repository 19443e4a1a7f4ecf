"""Zoom arithmetic against figures that are published or computed by hand."""

from __future__ import annotations

import math

import pytest

from sightline.maps.zoom import gsd_m, nearest_zoom, zoom_for


def test_published_sizes_of_pixels() -> None:
    assert gsd_m(0, 0) == pytest.approx(156_543.034, abs=5e-4)
    assert gsd_m(0, 17) == pytest.approx(1.194, abs=5e-4)
    assert gsd_m(60, 17) == pytest.approx(1.194 / 2, abs=5e-4)
    assert gsd_m(0, 16, tile_px=512) == gsd_m(0, 17)


def test_the_advice_for_a_window_of_224_px_that_80_px_of_3_m_fill() -> None:
    wanted = 80 * 3 / 224
    exact = zoom_for(36.13, wanted)
    assert exact == pytest.approx(math.log2(156_543.034 * math.cos(math.radians(36.13)) * 224 / 240), abs=1e-6)
    assert zoom_for(36.13, 4 * wanted) == pytest.approx(exact - 2)
    assert nearest_zoom(36.13, wanted) == 17
    assert nearest_zoom(36.13, 4 * wanted) == 15
    assert nearest_zoom(36.13, wanted, highest=15) == 15
    assert nearest_zoom(36.13, wanted, lowest=18) == 18
    assert nearest_zoom(36.13, wanted, tile_px=512) == 16


@pytest.mark.parametrize(("latitude", "size"), [(90, 1), (0, 0), (0, -1), (0, math.nan), (math.nan, 1)])
def test_there_is_no_zoom_for_nonsense(latitude: float, size: float) -> None:
    with pytest.raises(ValueError, match="no zoom"):
        zoom_for(latitude, size)
