"""Small pictures of packs, drawn here by plain arithmetic, so that what reads them is not its own judge."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

KNOTS = ((300.0, 240.0), (312.0, 180.0), (320.0, 120.0), (328.0, 60.0), (340.0, 0.0))  # kelvin, degrees of hue


def colour(kelvin: float) -> tuple[float, float, float]:
    """The unshaded colour, 0 .. 1."""
    hue = float(np.interp(kelvin, [k for k, _ in KNOTS], [h for _, h in KNOTS]))
    return colorsys.hsv_to_rgb(hue / 360, 1.0, 1.0)


def painted(kelvin: NDArray[np.float64], shade: NDArray[np.float64] | float, white: float = 0.0) -> NDArray[np.uint8]:
    """(h, w, 3) surfaces of temperatures (h, w), darkened by `shade` 0 .. 1, with `white` 0 .. 1 of light added."""
    pure = np.array([colour(value) for value in np.asarray(kelvin).ravel()]).reshape(*np.shape(kelvin), 3)
    lit = pure * np.broadcast_to(shade, np.shape(kelvin))[..., None] * (1 - white) + white
    return np.rint(255 * lit).astype(np.uint8)


def draw_bar(picture: NDArray[np.uint8], x: int, y: int, length: int, width: int = 12, upright: bool = True) -> None:
    """Draw the bar with a black frame into a picture, red on top or to the right."""
    share = (np.arange(length) + 0.5) / length
    strip = painted((340 - 40 * share)[:, None], 1.0)
    bar = np.repeat(strip, width, axis=1) if upright else np.repeat(strip[::-1].transpose(1, 0, 2), width, axis=0)
    height, across = bar.shape[:2]
    picture[y - 1 : y + height + 1, x - 1 : x + across + 1] = 0
    picture[y : y + height, x : x + across] = bar


def backdrop(height: int, width: int) -> NDArray[np.uint8]:
    """A pale sky and a white floor."""
    shade = np.linspace(0.0, 1.0, height)[:, None, None]
    sky = np.array([205, 213, 228]) * (1 - shade) + np.array([250, 250, 252]) * shade
    return np.broadcast_to(np.rint(sky), (height, width, 3)).astype(np.uint8)
