"""The ways to enlarge a picture before it is scanned: what there is, what each costs, and what it was found to bring.

    none         the picture as it is
    bicubic      Keys' kernel (1981), a = -0.5
    lanczos      three lobes
    fast         the project's own small network (`train`)
    realesrgan   RRDBNet with published weights: those that are installed (`published`), or a file the user names

`auto` is not a way but the question which to take; `advise` answers it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from sightline.errors import ParamsError
from sightline.maps.upscaling.compact import FACTOR

Choice = Literal["none", "bicubic", "lanczos", "fast", "realesrgan"]
Asked = Literal["auto", Choice]
CHOICES: tuple[Choice, ...] = get_args(Choice)
AUTO = "auto"

SECONDS_A_MEGAPIXEL: Mapping[str, float] = {
    "none": 0.0,
    "bicubic": 0.1,
    "lanczos": 0.1,
    "fast": 3.0,
    "realesrgan": 300.0,
}
"""Of the picture before it is enlarged, about, on two cores (`bench.upscaling time`)."""


@dataclass(frozen=True)
class Gain:
    """What a way of enlarging brought in one experiment: how much higher F1 was than without it.

    Attributes:
        gsd_m: metres a pixel of the pictures that were enlarged.
        choice: how.
        f1: the difference, and the ends of its interval.
    """

    gsd_m: float
    choice: Choice
    f1: tuple[float, float, float]


MEASURED: tuple[Gain, ...] = (
    Gain(10.0, "bicubic", (0.012, 0.000, 0.040)),
    Gain(10.0, "realesrgan", (-0.005, -0.060, 0.060)),
)
"""Of vessels of 20 m and more in open water, on ground that the model had not seen; 95 % (`bench.enlarging`)."""


@dataclass(frozen=True)
class Advice:
    """Which way of enlarging to take.

    Attributes:
        choice: that way.
        reason: why, as part of a sentence.
    """

    choice: Choice
    reason: str


def factor_of(choice: str) -> int:
    """How many times a choice enlarges.

    Raises:
        ParamsError: there is no such choice.
    """
    if choice not in CHOICES:
        raise ParamsError(
            f"{choice!r} is not a way to enlarge",
            where="upscale",
            way_out=f"Choose one of: {', '.join((AUTO, *CHOICES))}.",
        )
    return 1 if choice == "none" else FACTOR


def advise(gsd_m: float, offered: Collection[str] = CHOICES) -> Advice:
    """Whether to enlarge pictures of a pixel size, by what was measured at the size next to it.

    Args:
        gsd_m: metres a pixel of what the pictures show; a picture that was enlarged shows no more than before.
        offered: the ways there are.

    Returns:
        The way that raised F1 most among those whose interval lies above zero; else none.
    """
    nearest = min({one.gsd_m for one in MEASURED}, key=lambda size: abs(math.log(size / gsd_m)))
    there = [one for one in MEASURED if one.gsd_m == nearest and one.choice in offered]
    raising = [one for one in there if one.f1[1] > 0]
    if raising:
        best = max(raising, key=lambda one: one.f1[0])
        return Advice(best.choice, f"at {nearest:g} m a pixel it changed F1 by {_shown(best)}")
    tried = ", ".join(f"{one.choice} {_shown(one)}" for one in there)
    found = f"; the change was: {tried}" if tried else ""
    return Advice("none", f"at {nearest:g} m a pixel no way that is offered was found to raise F1{found}")


def _shown(gain: Gain) -> str:
    value, low, high = gain.f1
    return f"{value:+.3f} [{low:+.2f}, {high:+.2f}]"
