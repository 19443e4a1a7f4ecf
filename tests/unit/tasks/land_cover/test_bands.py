"""The scale of eight bands, and the indices."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import DataRejected
from sightline.tasks.land_cover.bands import BANDS, INDICES, index_channels, picture, scale_of, to_unit, without_data
from sightline.tasks.land_cover.params import Params
from tests.parameters import params_of


@pytest.mark.parametrize(
    ("kind", "low", "high", "scale"),
    [
        ("uint16", 0, 2047, "counts"),
        ("int16", 3, 900, "counts"),
        ("float64", 1.0, 2046.0, "counts"),
        ("float16", 0.0, 1.0, "unit"),
        ("float32", 0.02, 1.0005, "unit"),
    ],
)
def test_the_scale_is_told_by_type_and_range(kind: str, low: float, high: float, scale: str) -> None:
    assert scale_of(np.dtype(kind), low, high, "x.tif") == scale


@pytest.mark.parametrize(
    ("kind", "low", "high", "match"),
    [
        ("uint8", 0, 255, "8 bits"),
        ("uint16", 0, 2048, "beyond the 11 bits"),
        ("uint16", 0, 65535, "beyond the 11 bits"),
        ("float32", -0.2, 0.9, "negative values, down to -0.2"),
        ("int16", -5, 900, "negative"),
        ("float32", 0.0, 1.7, "neither values of 0 .. 1 nor counts"),
        ("uint16", 0, 1, "neither"),
        ("float32", 0.5, 0.5, "every value is 0.5"),
        ("uint16", 0, 0, "every value is 0"),
    ],
)
def test_what_has_no_known_scale_is_refused_and_named(kind: str, low: float, high: float, match: str) -> None:
    with pytest.raises(DataRejected, match=match) as caught:
        scale_of(np.dtype(kind), low, high, "x.tif")
    assert caught.value.where == "x.tif"
    assert caught.value.way_out


def test_counts_are_divided_by_2047_whatever_the_crop_shows() -> None:
    counts = np.array([0, 1, 2047], dtype=np.uint16)
    assert to_unit(counts, "counts") == pytest.approx([0, 1 / 2047, 1])
    assert to_unit(counts[:2], "counts") == pytest.approx([0, 1 / 2047])
    assert to_unit(np.array([-0.0005, 0.5, 1.0005]), "unit") == pytest.approx([0, 0.5, 1])


def surface(name: str) -> np.ndarray:
    return (
        np.array(getattr(params_of("land_cover", Params).sample.surface, name), dtype=np.float32).reshape(8, 1, 1) / 100
    )


def test_indices_tell_water_plants_and_soil_apart() -> None:
    found = {name: index_channels(surface(name))[:, 0, 0] for name in ("waterway", "crops", "trees", "soil", "road")}
    ndwi, ndvi = ({name: values[INDICES.index(kind)] for name, values in found.items()} for kind in ("ndwi", "ndvi"))
    assert ndwi["waterway"] > 0.4
    assert max(ndwi[name] for name in ("crops", "trees", "soil", "road")) < 0
    assert min(ndvi["crops"], ndvi["trees"]) > 0.6 > max(ndvi["soil"], ndvi["road"], ndvi["waterway"])


def test_indices_by_hand() -> None:
    bands = np.zeros((8, 1, 1), dtype=np.float32)
    blue, green, red, edge, nir = 0.1, 0.2, 0.1, 0.3, 0.5
    for name, value in (("blue", blue), ("green", green), ("red", red), ("red_edge", edge), ("nir1", nir)):
        bands[BANDS.index(name)] = value
    ndvi = (nir - red) / (nir + red)
    expected = [
        *((green - nir) / (green + nir), ndvi),
        *(((nir - edge) / (nir + edge)) / ndvi, 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)),
    ]
    assert index_channels(bands)[:, 0, 0] == pytest.approx(expected, abs=1e-6)


def test_a_vanishing_divisor_gives_0() -> None:
    assert not index_channels(np.zeros((8, 2, 3), dtype=np.float32)).any()


def test_no_data_is_0_in_every_band() -> None:
    bands = np.full((8, 2, 2), 0.5, dtype=np.float32)
    bands[:, 0, 0] = 0
    bands[:7, 1, 1] = 0
    assert without_data(bands).tolist() == [[True, False], [False, False]]


def test_a_picture_has_the_colours_of_bands_4_2_1() -> None:
    bands = np.zeros((8, 20, 20), dtype=np.float32)
    bands[4, :, 10:], bands[1, 10:] = 0.5, 0.5
    drawn = picture(bands)
    assert (drawn.shape, drawn.dtype) == ((20, 20, 3), np.uint8)
    assert drawn[0, 15].tolist() == [255, 0, 0]
    assert drawn[15, 0].tolist() == [0, 0, 255]
