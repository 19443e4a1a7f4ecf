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


Quad = NDArray[np.float64]


def quads(
    yaw_deg: float, height: int = 208, width: int = 536, gap: float = 0.08, from_above_deg: float = 0.0
) -> list[Quad]:
    """Corners (4, 2) of the fronts of three cells, from left to right, by a pinhole that looks at their middle."""
    angle, above = np.deg2rad(yaw_deg), np.deg2rad(from_above_deg)
    result = []
    for k in range(3):
        left = -1.5 - gap + k * (1 + gap)
        corners = np.array([[left, -0.65], [left + 1, -0.65], [left + 1, 0.65], [left, 0.65]])
        x, away = corners[:, 0] * np.cos(angle), corners[:, 0] * np.sin(angle)
        y = corners[:, 1] * np.cos(above) - away * np.sin(above)
        z = 6 + corners[:, 1] * np.sin(-above) + away * np.cos(above)
        result.append(np.stack([width / 2 + width * 0.9 * x / z, height / 2 + width * 0.9 * y / z], axis=1))
    return result


def filled(corners: Quad, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(h, w) the pixels of a polygon."""
    import cv2

    canvas = np.zeros(size, dtype=np.uint8)
    cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], 1)
    return canvas > 0


def pack_picture(
    yaw_deg: float = 0.0,
    rises_k: tuple[float, float, float] = (0.0, 0.0, 0.0),
    gap: float = 0.08,
    from_above_deg: float = 0.0,
) -> tuple[NDArray[np.uint8], list[NDArray[np.bool_]]]:
    """A picture with bar and pack, each cell with a warm spot of so many kelvin, and the mask of each cell."""
    import cv2

    height, width, fine = 208, 536, 3
    large = (height * fine, width * fine)
    picture = cv2.resize(backdrop(height, width), large[::-1], interpolation=cv2.INTER_NEAREST)
    y, x = np.mgrid[: large[0], : large[1]]
    masks = []
    for corners, rise in zip(quads(yaw_deg, height, width, gap, from_above_deg), rises_k, strict=True):
        mask = filled(corners * fine, large)
        middle = corners.mean(axis=0) * fine
        off = ((y[mask] - middle[1]) ** 2 + (x[mask] - middle[0]) ** 2) / fine**2
        edge = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8))[mask] == 0
        shade = np.where(edge, 0.4, 0.6)  # a renderer draws the edges of surfaces darker
        picture[mask] = _coloured(300 + rise * np.exp(-off / (2 * 9.0**2)), shade)
        masks.append(cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.5)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    draw_bar(small, 8, 40, 120, 8)
    return small, masks


def _coloured(kelvin: NDArray[np.float64], shade: NDArray[np.float64]) -> NDArray[np.uint8]:
    """As `painted`, by a table of steps of 0.05 K: there are many pixels."""
    table = painted(np.arange(300, 340.01, 0.05), 1.0)
    return np.rint(table[np.rint((kelvin - 300) / 0.05).astype(int)] * shade[:, None]).astype(np.uint8)
