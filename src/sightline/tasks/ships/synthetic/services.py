"""Pictures as map services show them: mosaics with seams, stretched contrast, casts, haze, enlarged pixels, JPEG."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.noise import fractal
from sightline.tasks.ships.synthetic.sea import BAYS, MAPS, Picture, Water

Sensor = Literal["published", "aerial", "sentinel"]
"""published: as the upstream set, PlanetScope at 3 m; aerial: sharp pictures from aeroplanes or of 0.5 m satellites,
made smaller; sentinel: 10 m, mostly enlarged."""
SENSORS: tuple[Sensor, ...] = get_args(Sensor)

SENTINEL_M = 10.0

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def draw_water(rng: np.random.Generator, sensor: Sensor) -> Water:
    """How water looks in pictures of that sensor."""
    turbid = float(rng.choice((0.1, 0.5, 1.0)))
    if sensor == "published":
        return Water(BAYS, turbid)
    glint = rng.uniform(1, 9) if rng.random() < (0.3 if sensor == "aerial" else 0.1) else 0.0
    return Water(MAPS, 0.6 * turbid, rng.uniform(0.15, 1.2), glint)


def draw_seam(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Where the second of two pictures of a mosaic lies: its edge is straight, cornered, or winds."""
    height, width = shape
    y, x = np.indices(shape, dtype=np.float32)
    upright = rng.random() < 0.5
    level = (x / width if upright else y / height) - np.float32(rng.uniform(0.1, 0.9))
    other = (y / height if upright else x / width) - np.float32(rng.uniform(0.1, 0.9))
    style = rng.random()
    if style < 0.45:
        level += np.float32(rng.uniform(0.04, 0.12)) * fractal(rng, shape, 2.7)
    elif style < 0.7:
        level += np.float32(rng.normal(0, 0.3)) * other
    beyond = level > 0
    return np.asarray(beyond & (other > 0) if rng.random() < 0.5 else beyond)


def develop(
    rng: np.random.Generator, picture: Picture, gsd_m: float, sensor: Sensor, seam: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """(h, w, 3) as a map service shows it.

    Args:
        rng: its random stream.
        picture: levels of the ground.
        gsd_m: of the picture.
        sensor: `aerial` or `sentinel`.
        seam: where another picture of the mosaic lies, in a tone of its own.
    """
    toned = _tone(rng, _blur(rng, picture, gsd_m, sensor), sensor)
    if seam is not None:
        gains = rng.normal(1, 0.08) * rng.normal(1, 0.04, 3)
        toned[seam] = toned[seam] * gains.astype(np.float32) + rng.normal(0, 4, 3).astype(np.float32)
    if rng.random() < 0.3:
        veil = np.float32(rng.uniform(0.05, 0.35)) * (1 + np.float32(0.25) * fractal(rng, toned.shape[:2], 2.0))
        air = np.array([150, 160, 172]) * rng.uniform(0.8, 1.25)
        toned += np.clip(veil, 0, 0.6)[..., None] * (air.astype(np.float32) - toned)
    grain = rng.standard_normal(toned.shape[:2], dtype=np.float32)[..., None] * np.float32(rng.uniform(0.2, 2.2))
    levels = np.asarray(np.clip(np.rint(toned + grain), 0, 255), dtype=np.uint8)
    return _compressed(levels, int(rng.integers(55, 96))) if rng.random() < 0.75 else levels


def _blur(rng: np.random.Generator, picture: Picture, gsd_m: float, sensor: Sensor) -> Picture:
    """The sensor's own resolution, and the sharpening that services add."""
    import cv2

    enlarged = max(SENTINEL_M / gsd_m, 1.0) if sensor == "sentinel" else 1.0
    if sensor == "aerial" and rng.random() < 0.25:
        enlarged = rng.uniform(1.1, 2.2)
    sigma = rng.uniform(0.42, 0.62) * enlarged
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma)
    wide = cv2.GaussianBlur(blurred, (0, 0), 1.8 * sigma)
    strength = np.float32(rng.uniform(0, 1.2 if sensor == "aerial" else 0.5))
    return np.asarray(blurred + strength * (blurred - wide), dtype=np.float32)


def _tone(rng: np.random.Generator, picture: Picture, sensor: Sensor) -> Picture:
    """Contrast, saturation and cast."""
    low, high = (0.85, 1.25) if sensor == "aerial" else (1.0, 1.6)
    gamma = math.exp(rng.uniform(math.log(low), math.log(high)))
    black, white = rng.uniform(-4, 24), rng.uniform(195, 250)  # stretched until land fills the range, water cut off
    stretched = (picture - np.float32(black)) / np.float32(white - black)
    bright = 255 * (np.clip(stretched, 0, 1.2) ** np.float32(gamma))
    saturation = np.float32(rng.uniform(0.8, 1.35) if sensor == "aerial" else rng.uniform(1.1, 1.6))
    grey = (bright @ _GREY)[..., None]
    toned = grey + saturation * (bright - grey)
    cast = rng.normal(1, 0.04, 3) * rng.uniform(0.85, 1.1)
    lifted = rng.uniform(-2, 3) if rng.random() < 0.7 else rng.uniform(0, 18)
    return np.asarray(toned * cast.astype(np.float32) + np.float32(lifted), dtype=np.float32)


def _compressed(levels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What JPEG leaves of a picture."""
    import cv2

    _, coded = cv2.imencode(".jpg", levels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), dtype=np.uint8)[..., ::-1])
