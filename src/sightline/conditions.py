"""What a user tells of an input besides its bytes: `irradiance_w_per_m2=850`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from sightline.capabilities import Conditioned
from sightline.errors import RequestError
from sightline.task import Card, InputT, Model


def parse_conditions(given: Iterable[tuple[str, str]], card: Card) -> dict[str, float]:
    """Name and text of each condition as numbers.

    Raises:
        RequestError: a name that the model's card does not have, one given twice, or no finite number.
    """
    conditions: dict[str, float] = {}
    known = ", ".join(card.conditions) or "none"
    for name, text in given:
        if name not in card.conditions:
            raise RequestError(
                "the model does not take this condition", where=name, way_out=f"Use one of: {known}.", status=422
            )
        if name in conditions:
            raise RequestError(
                "the condition is given twice", where=name, way_out="Give the condition only once.", status=422
            )
        conditions[name] = _number(name, text)
    return conditions


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise RequestError(f"{text[:40]!r} is not a number", where=name, way_out="Give a finite number.", status=422)
    return value


def impossible_gsd(gsd_m: float, bounds_m: tuple[float, float], slack: float = 1.0) -> str:
    """What is wrong with a pixel of that many metres, in an image whose pixels are within bounds; empty if nothing.

    `slack` is the factor by which the bounds may be left: metres of a grid are not quite those on the ground.
    """
    low, high = bounds_m
    if low / slack <= gsd_m <= high * slack:  # NaN is not
        return ""
    size_m = float(f"{gsd_m:.3g}")  # three digits, and 75500 for 7.55e+04
    return f"{size_m:g} m is not a possible pixel size of such an image"


def check_gsd(gsd_m: float, bounds_m: tuple[float, float], slack: float = 1.0) -> None:
    """Raise RequestError where a user tells of an image that it has an `impossible_gsd`."""
    if what := impossible_gsd(gsd_m, bounds_m, slack):
        low, high = bounds_m
        raise RequestError(what, where="gsd_m", way_out=f"Give {low:g} to {high:g} metres a pixel.", status=422)


def put_under(model: Model[InputT], source: InputT, conditions: Mapping[str, float]) -> InputT:
    """An input of `model.read` under the conditions of `parse_conditions`; as it is where there are none."""
    if not conditions:
        return source
    if not isinstance(model, Conditioned):
        raise TypeError(f"the card of a {type(model).__name__} names conditions that the model cannot take")
    put: InputT = model.under(source, conditions)
    return put
