"""Which way of enlarging is advised: what was measured decides, at the pixel size next to the one asked about."""

from __future__ import annotations

import pytest

from sightline.errors import ParamsError
from sightline.maps.upscaling import choices
from sightline.maps.upscaling.choices import CHOICES, MEASURED, SECONDS_A_MEGAPIXEL, Gain, advise, factor_of


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up experiment: at 10 m the network surely helps, bicubic perhaps; at 3 m all do harm."""
    gains = (
        Gain(3.0, "bicubic", (-0.02, -0.05, -0.01)),
        Gain(10.0, "bicubic", (0.09, -0.01, 0.20)),
        Gain(10.0, "fast", (0.04, 0.01, 0.07)),
        Gain(10.0, "realesrgan", (0.06, 0.02, 0.10)),
    )
    monkeypatch.setattr(choices, "MEASURED", gains)


@pytest.mark.usefixtures("measured")
@pytest.mark.parametrize(
    ("gsd_m", "offered", "choice"),
    [
        (10.0, CHOICES, "realesrgan"),
        (8.0, CHOICES, "realesrgan"),
        (60.0, CHOICES, "realesrgan"),
        (10.0, ("none", "bicubic", "fast"), "fast"),  # the network is not here
        (10.0, ("none", "bicubic"), "none"),  # more by chance is not more
        (4.0, CHOICES, "none"),
        (0.3, CHOICES, "none"),
    ],
)
def test_what_surely_raised_f1_is_advised_if_it_can_be_had(gsd_m: float, offered: tuple[str, ...], choice: str) -> None:
    assert advise(gsd_m, offered).choice == choice


@pytest.mark.usefixtures("measured")
def test_the_reason_has_the_figures() -> None:
    assert advise(10.0).reason == "at 10 m a pixel it changed F1 by +0.060 [+0.02, +0.10]"
    assert "bicubic -0.020 [-0.05, -0.01]" in advise(3.0).reason
    assert advise(3.0, ["none"]).reason == "at 3 m a pixel no way that is offered was found to raise F1"


def test_the_figures_are_of_ways_that_there_are() -> None:
    assert {one.choice for one in MEASURED} <= set(CHOICES) == set(SECONDS_A_MEGAPIXEL)
    assert all(low <= value <= high for value, low, high in (one.f1 for one in MEASURED))


def test_an_unknown_way_is_refused_with_those_that_there_are() -> None:
    assert [factor_of(choice) for choice in CHOICES] == [1, 4, 4, 4, 4]
    with pytest.raises(ParamsError, match="auto, none, bicubic, lanczos, fast, realesrgan"):
        factor_of("magic")
