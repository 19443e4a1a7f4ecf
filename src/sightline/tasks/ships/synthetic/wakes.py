"""What a moving vessel leaves on the water: foam and stirred water in its track, and Kelvin's two arms of waves.

All lengths are metres on the water, so a wake has its size whatever the picture's pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.hulls import Hull
from sightline.tasks.ships.synthetic.noise import Field, fractal
from sightline.tasks.ships.synthetic.sea import Picture

KELVIN_RAD = math.asin(1 / 3)
"""19.47 degrees: half of the angle between the arms, whatever the speed (Thomson, 1887)."""

FOAM = (236, 242, 236)

_KNOT_MS, _GRAVITY = 0.5144, 9.81
_STIRRED = (26.0, 84.0, 80.0)  # levels that air in the water adds: it scatters green and blue

LONGEST_WAKE = 9.0
"""Lengths of the vessel that a wake is to be seen behind it, at most."""


def transverse_wave_m(speed_kn: float) -> float:
    """From crest to crest behind a vessel: the length of the deep-water wave that is as fast as it."""
    return float(2 * math.pi * (speed_kn * _KNOT_MS) ** 2 / _GRAVITY)


@dataclass(frozen=True)
class _Behind:
    """Places (h, w) behind a vessel, in metres: from its bow, from its stern, and beside its curved course."""

    bow_m: Field
    stern_m: Field
    aside_m: Field
    rough: Field


def paint_wake(rng: np.random.Generator, sea: Picture, hull: Hull) -> None:
    """Draw the wake of a vessel under way into the water; what lies outside the picture is left out."""
    reach_m = float(hull.length_m * min(rng.uniform(3, 9) * (hull.speed_kn / 12) ** 0.5, LONGEST_WAKE))
    rows, columns = _window(sea.shape, hull, reach_m)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    places = _places(rng, hull, rows, columns)
    foam = np.maximum(_foam(rng, hull, places), _arms(rng, hull, places, reach_m))
    foam = np.clip(foam * (1 + np.float32(0.35) * places.rough), 0, 1)[..., None]
    view = sea[rows, columns]
    _stir(rng, hull, view, places, reach_m)
    view += foam * (np.array(FOAM, dtype=np.float32) - view)


def _places(rng: np.random.Generator, hull: Hull, rows: slice, columns: slice) -> _Behind:
    y, x = np.mgrid[rows, columns].astype(np.float32) + np.float32(0.5)
    right, down = (x - np.float32(hull.x)) * np.float32(hull.gsd_m), (y - np.float32(hull.y)) * np.float32(hull.gsd_m)
    ahead = hull.ahead.astype(np.float32)
    bow = -(right * ahead[0] + down * ahead[1]) + np.float32(hull.length_m / 2)
    stern = bow - np.float32(hull.length_m)
    aside = down * ahead[0] - right * ahead[1]
    radius_m = 900 + 40 * hull.length_m  # the course was not straight
    aside += np.float32(rng.normal(0, 0.5) / radius_m) * np.maximum(stern, 0) ** 2
    return _Behind(bow, stern, aside, fractal(rng, bow.shape, 0.7))


def _window(shape: tuple[int, ...], hull: Hull, reach_m: float) -> tuple[slice, slice]:
    """Rows and columns that the wake can touch."""
    half = 8 + hull.length_m / hull.gsd_m / 2
    reach = reach_m / hull.gsd_m
    tip = np.array([hull.x, hull.y]) - hull.ahead * (reach + half)
    wide = reach * math.tan(KELVIN_RAD) + half
    low, high = np.minimum(tip, (hull.x, hull.y)) - wide, np.maximum(tip, (hull.x, hull.y)) + wide
    (left, top), (right, bottom) = np.clip(low, 0, shape[1::-1]).astype(int), np.clip(high, 0, shape[1::-1]).astype(int)
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _half_width(rng: np.random.Generator, hull: Hull, places: _Behind) -> NDArray[np.float32]:
    """Of the track: the beam at the stern, wider by the fifth root of the distance (Milgram et al., 1993)."""
    beams = np.maximum(places.stern_m, 0) / np.float32(hull.beam_m)
    return np.asarray(hull.beam_m * (0.35 + rng.uniform(0.12, 0.3) * beams**0.2), dtype=np.float32)


def _foam(rng: np.random.Generator, hull: Hull, places: _Behind) -> Field:
    """White water from the screws and the bow, which lasts for some lengths."""
    wide = np.maximum(_half_width(rng, hull, places), np.float32(0.4 * hull.gsd_m))
    lasts = np.float32(hull.length_m * rng.uniform(0.3, 1.3) * min(hull.speed_kn / 12, 1.5))
    strength = np.float32(rng.uniform(0.3, 1.0) * min(hull.speed_kn / 12, 1.0))
    track = strength * np.exp(-np.maximum(places.stern_m, 0) / lasts) * np.exp(-((places.aside_m / wide) ** 2))
    edges = np.exp(-(((np.abs(places.aside_m) - wide) / np.float32(max(2.0, 0.5 * hull.gsd_m))) ** 2))
    edges *= np.float32(rng.uniform(0.0, 0.25)) * np.exp(-places.stern_m / (6 * lasts)) * (places.rough > -0.4)
    shoulder = np.abs(places.aside_m) - (0.3 * hull.beam_m + np.float32(0.4) * places.bow_m)
    bow = np.exp(-((shoulder / np.float32(0.15 * hull.beam_m + 1.0)) ** 2)) * np.exp(
        -places.bow_m / (1.2 * hull.beam_m)
    )
    bow *= np.float32(strength * rng.uniform(0.2, 1.0)) * (places.bow_m > 0)
    return np.asarray(np.maximum(bow, np.where(places.stern_m > 0, np.maximum(track, edges), 0)), dtype=np.float32)


def _arms(rng: np.random.Generator, hull: Hull, places: _Behind, reach_m: float) -> Field:
    """The two arms, made of short crests; one of them is often brighter, or alone to be seen."""
    off = np.abs(places.aside_m) - places.bow_m * np.float32(math.tan(KELVIN_RAD * rng.uniform(0.6, 1.0)))
    wide = np.float32(max(0.6 * hull.gsd_m, 1.5)) + np.float32(0.02) * np.maximum(places.bow_m, 0)
    crest_m = max(2 / 3 * transverse_wave_m(hull.speed_kn), 2.5 * hull.gsd_m)
    crests = 0.6 + 0.4 * np.cos(2 * math.pi * (places.bow_m + np.abs(places.aside_m) * 0.7) / crest_m)
    fade = np.exp(-np.maximum(places.bow_m, 0) / np.float32(reach_m * rng.uniform(0.15, 0.6)))
    sides = np.where(places.aside_m > 0, rng.uniform(0, 1), rng.uniform(0, 1))
    strength = np.float32(rng.uniform(0.03, 0.4) * min(hull.speed_kn / 14, 1.2))
    arms = strength * sides * crests * fade * np.exp(-((off / wide) ** 2))
    return np.asarray(np.where((places.bow_m > 0) & (places.bow_m < reach_m), arms, 0), dtype=np.float32)


def _stir(rng: np.random.Generator, hull: Hull, view: Picture, places: _Behind, reach_m: float) -> None:
    """The track: pale with air first, then a smooth band, darker or brighter than the rest, for a long way."""
    wide = np.maximum(_half_width(rng, hull, places) * 1.2, np.float32(0.5 * hull.gsd_m))
    across = np.exp(-((places.aside_m / wide) ** 4))
    across *= 1 - np.float32(rng.uniform(0, 0.7)) * np.exp(-((places.aside_m / (0.5 * wide)) ** 2))  # pale at its edges
    there = (places.stern_m > 0) & (places.stern_m < reach_m)
    fade = np.where(there, np.exp(-places.stern_m / np.float32(reach_m * rng.uniform(0.15, 0.5))), 0)
    air = (
        np.float32(rng.uniform(0.1, 0.9) * min(hull.speed_kn / 12, 1.0))
        * across
        * fade
        * (1 + np.float32(0.3) * places.rough)
    )
    view += air[..., None] * np.array(_STIRRED, dtype=np.float32)
    view *= 1 - (np.float32(rng.uniform(-0.05, 0.12)) * across * there)[..., None]
