"""What a moving vessel leaves on the water: foam in its track, and Kelvin's two arms of waves."""

from __future__ import annotations

import math

import numpy as np

from sightline.tasks.ships.synthetic.hulls import SMALL_M, Hull
from sightline.tasks.ships.synthetic.noise import Field, fractal
from sightline.tasks.ships.synthetic.sea import Picture

KELVIN_RAD = math.asin(1 / 3)
"""19.47 degrees: half of the angle between the arms, whatever the speed (Thomson, 1887)."""

FOAM = (236, 242, 236)


def paint_wake(rng: np.random.Generator, sea: Picture, hull: Hull) -> None:
    """Draw the wake of a moving vessel into the water; what lies outside the picture is left out."""
    reach_px = hull.length_m / hull.gsd_m * (rng.uniform(6, 18) if hull.length_m <= SMALL_M else rng.uniform(2, 6))
    reach_px = float(np.clip(reach_px, 25, 420))
    rows, columns = _window(sea.shape, hull, reach_px)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    y, x = np.mgrid[rows, columns].astype(np.float32) + np.float32(0.5)
    right, down = x - np.float32(hull.x), y - np.float32(hull.y)
    ahead = hull.ahead.astype(np.float32)
    behind = -(right * ahead[0] + down * ahead[1]) + np.float32(hull.length_m / 2 / hull.gsd_m)  # from the bow
    aside = down * ahead[0] - right * ahead[1]
    aside += np.float32(rng.normal(0, 0.0004)) * behind**2  # the course was not straight
    rough = fractal(rng, behind.shape, 0.7)
    share = np.maximum(_track(rng, hull, behind, aside, reach_px, rough), _arms(rng, hull, behind, aside, reach_px))
    share = np.clip(share * (1 + np.float32(0.35) * rough), 0, 1)[..., None]
    view = sea[rows, columns]
    view += share * (np.array(FOAM, dtype=np.float32) - view)
    _calm(rng, hull, view, behind, aside, reach_px)


def _window(shape: tuple[int, ...], hull: Hull, reach_px: float) -> tuple[slice, slice]:
    """Rows and columns that the wake can touch."""
    half = 8 + hull.length_m / hull.gsd_m / 2
    tip = np.array([hull.x, hull.y]) - hull.ahead * (reach_px + half)
    wide = reach_px * math.tan(KELVIN_RAD) + half
    low = np.minimum(tip, (hull.x, hull.y)) - wide
    high = np.maximum(tip, (hull.x, hull.y)) + wide
    left, top = (max(int(value), 0) for value in low)
    return slice(top, max(min(int(high[1]), shape[0]), top)), slice(left, max(min(int(high[0]), shape[1]), left))


def _track(rng: np.random.Generator, hull: Hull, behind: Field, aside: Field, reach_px: float, rough: Field) -> Field:
    """Foam behind the stern: bright and closed first, then two thin edges."""
    stern = behind - np.float32(hull.length_m / hull.gsd_m * 0.9)
    there = (stern > 0) & (stern < reach_px)
    beam = hull.beam_m / hull.gsd_m
    wide = np.float32(0.35 * beam + 0.6) + np.float32(rng.uniform(0.01, 0.035)) * np.maximum(stern, 0)
    fade = np.exp(-np.maximum(stern, 0) / np.float32(reach_px * rng.uniform(0.1, 0.3)))
    closed = np.float32(rng.uniform(0.35, 1.0)) * fade * np.exp(-((aside / wide) ** 2))
    edges = np.exp(-(((np.abs(aside) - wide) / np.float32(0.7)) ** 2)) * np.exp(-stern / np.float32(reach_px * 0.5))
    edges *= np.float32(rng.uniform(0.0, 0.22)) * (rough > -0.4)
    return np.asarray(np.where(there, np.maximum(closed, edges), 0), dtype=np.float32)


def _arms(rng: np.random.Generator, hull: Hull, behind: Field, aside: Field, reach_px: float) -> Field:
    """The two arms, made of short crests; one of them is often brighter."""
    off = np.abs(aside) - behind * np.float32(math.tan(KELVIN_RAD * rng.uniform(0.55, 1.0)))
    wide = np.float32(1.0) + np.float32(0.02) * np.maximum(behind, 0)
    crest_px = rng.uniform(4, 9)
    crests = 0.6 + 0.4 * np.cos(2 * math.pi * (behind + np.abs(aside) * 0.7) / crest_px)
    fade = np.exp(-np.maximum(behind, 0) / np.float32(reach_px * rng.uniform(0.15, 0.5)))
    sides = np.where(aside > 0, rng.uniform(0.2, 1), rng.uniform(0.2, 1))
    strength = rng.uniform(0.05, 0.45) if hull.length_m <= SMALL_M else rng.uniform(0.03, 0.25)
    arms = strength * sides * crests * fade * np.exp(-((off / wide) ** 2))
    return np.asarray(np.where((behind > 0) & (behind < reach_px), arms, 0), dtype=np.float32)


def _calm(rng: np.random.Generator, hull: Hull, view: Picture, behind: Field, aside: Field, reach_px: float) -> None:
    """The track lies a little darker between its edges, for a long way."""
    wide = np.float32(hull.beam_m / hull.gsd_m * 0.5 + 1) + np.float32(0.03) * np.maximum(behind, 0)
    there = (behind > hull.length_m / hull.gsd_m) & (behind < reach_px)
    dark = np.where(there, np.exp(-((aside / wide) ** 4)), 0) * np.float32(rng.uniform(0, 0.08))
    view *= 1 - dark[..., None]
