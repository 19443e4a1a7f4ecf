"""Colours to kelvin and back, by the colour bar that is drawn beside the pack.

A bar goes through the hues, blue at its low end and red at its high one, and is never shaded. Surfaces are: their
colour is darkened, and some white may be added. Both leave the hue as it is once the smallest channel is subtracted,
so temperatures are read by hue alone. How fast the hue changes along the bar is read from the bar itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

RANGE_K = (300.0, 340.0)
"""Kelvin at the ends of the published bar: its digits are not read, a user may tell others."""

FLUENT = ((0.0, 4.0), (0.3, 3.0), (0.5, 2.0), (0.7, 1.0), (1.0, 0.0))
"""Share of the published bar from its low end, and its hue there in sextants: blue 4, cyan 3, green 2, yellow 1, red 0.
"""

_SATURATED, _BRIGHT = 150, 170  # of a bar's colours: the smallest difference of channels, and the largest channel
_LEAST_PX, _LEAST_ASPECT, _LEAST_FILL, _LEAST_SPAN = 32, 3.0, 0.9, 2.0
_TOLERANCE = 0.15  # sextants by which a hue may go back along a bar (video codecs), or lie beyond its ends
_PURE_PX = 2.5  # so near to its end a bar reaches its pure colour
_CHROMA, _WHITE = 40, 2  # of a surface whose hue can be told: least colour, and so many times the white in it
_SAME = 12.0  # grey levels between a bar and itself in another frame


@dataclass(frozen=True)
class ColourBar:
    """A bar as it was found, or as it is to be drawn.

    Attributes:
        box: x0, y0, x1, y1 in pixels, the last two exclusive.
        hues: (n,) in sextants, falling from the low end to the high.
        shares: (n,) 0 .. 1, where on the bar these hues are.
        strip: (n, 3) the colours along the bar as they are in the picture, from its top or its left.
        range_k: kelvin at the low and at the high end.
    """

    box: tuple[int, int, int, int]
    hues: Floats
    shares: Floats
    strip: Picture
    range_k: tuple[float, float] = RANGE_K

    def kelvin(self, rgb: Picture) -> Floats:
        """(...) of colours (..., 3); NaN where a colour has no hue of this bar."""
        least, most = _extremes(rgb)
        told = (most - least >= _CHROMA) & (least <= most // _WHITE)
        result = np.full(told.shape, np.nan, dtype=np.float32)
        hues = hue_of(rgb[told])
        within = (hues >= self.hues[-1] - _TOLERANCE) & (hues <= self.hues[0] + _TOLERANCE)
        share = np.interp(-hues, -self.hues, self.shares)
        low, high = self.range_k
        result[told] = np.where(within, low + share * (high - low), np.nan)
        return result

    def colours(self, kelvin: NDArray[np.floating]) -> Picture:
        """(..., 3) unshaded colours of temperatures (...); those beyond the ends have the ends' colours."""
        low, high = self.range_k
        return _rgb(np.interp((np.asarray(kelvin) - low) / (high - low), self.shares, self.hues))

    def shows(self, picture: Picture) -> bool:
        """Whether this bar stands at its place in another frame of the video."""
        if picture.shape[0] < self.box[3] or picture.shape[1] < self.box[2]:
            return False
        return bool(np.abs(_strip(picture, self.box).astype(np.int16) - self.strip).mean() <= _SAME)


def fluent_bar(range_k: tuple[float, float] = RANGE_K) -> ColourBar:
    """The published bar, not in a picture yet: what a simulation draws by."""
    shares, hues = np.array(FLUENT, dtype=np.float32).T
    return ColourBar((0, 0, 0, 0), hues, shares, np.zeros((0, 3), dtype=np.uint8), range_k)


def hue_of(rgb: Picture) -> Floats:
    """Hue (...) of colours (..., 3) in sextants: red 0, yellow 1, green 2, cyan 3, blue 4, magenta 5 or -1.

    The smallest channel is subtracted; 0 where nothing is left.
    """
    red, green, blue = (rgb[..., k].astype(np.float32) for k in range(3))
    most = np.maximum(np.maximum(red, green), blue)
    chroma = np.maximum(most - np.minimum(np.minimum(red, green), blue), 1e-6)
    by_red, by_green = (green - blue) / chroma, 2 + (blue - red) / chroma
    hue = np.where(most == red, by_red, np.where(most == green, by_green, 4 + (red - green) / chroma))
    return np.asarray(hue, dtype=np.float32)


def _extremes(rgb: Picture) -> tuple[Picture, Picture]:
    """The smallest and the largest channel; a plane at a time, since numpy is slow along an axis of three."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    least: Picture = np.minimum(np.minimum(red, green), blue)
    most: Picture = np.maximum(np.maximum(red, green), blue)
    return least, most


def _rgb(hues: NDArray[np.floating]) -> Picture:
    """Pure colours (..., 3) of hues (...) in 0 .. 4."""
    red = np.clip(2 - hues, 0, 1)
    green = np.minimum(np.clip(hues, 0, 1), np.clip(4 - hues, 0, 1))
    blue = np.clip(hues - 2, 0, 1)
    rgb: Picture = np.rint(255 * np.stack([red, green, blue], axis=-1)).astype(np.uint8)
    return rgb


# ---------------------------------------------------------------------------------------------------------- finding


def find_bar(picture: Picture, range_k: tuple[float, float] = RANGE_K) -> ColourBar | None:
    """The colour bar of a picture (h, w, 3); None where there is none.

    It is the longest upright or level strip that is of one colour across, saturated, and goes through at least two
    sextants of hue without turning back.
    """
    import cv2

    least, most = _extremes(picture)
    saturated = ((most - least >= _SATURATED) & (most >= _BRIGHT)).astype(np.uint8)
    count, _, parts, _ = cv2.connectedComponentsWithStats(saturated, connectivity=4)
    best: ColourBar | None = None
    for x, y, width, height, area in parts[1:count]:
        long, short = max(width, height), min(width, height)
        if long < _LEAST_PX or long < _LEAST_ASPECT * short or area < _LEAST_FILL * width * height:
            continue
        found = _read(picture, (int(x), int(y), int(x + width), int(y + height)), range_k)
        if found is not None and (best is None or len(found.strip) > len(best.strip)):
            best = found
    return best


def _read(picture: Picture, box: tuple[int, int, int, int], range_k: tuple[float, float]) -> ColourBar | None:
    strip = _strip(picture, box)
    hues = hue_of(strip)
    turned = bool(hues[0] < hues[-1])  # red is on top, or on the left
    if turned:
        hues = hues[::-1]
    falling = np.minimum.accumulate(hues)
    if hues[0] - hues[-1] < _LEAST_SPAN or (hues - falling).max() > _TOLERANCE:
        return None
    places = np.arange(len(hues), dtype=np.float32)
    low, high = _end(hues), len(hues) - 1 - _end(hues[::-1])
    shares = np.clip((places - low) / (high - low), 0, 1)
    # The ends themselves lie between pixels: their hues are those of the pure colours, or of the last pixels.
    known = np.concatenate([[_pure(falling[0])], falling, [_pure(falling[-1])]])
    at = np.concatenate([[0.0], shares, [1.0]])
    return ColourBar(box, known.astype(np.float32), at.astype(np.float32), strip, range_k)


def _strip(picture: Picture, box: tuple[int, int, int, int]) -> Picture:
    """(n, 3) the median colours across a bar, along it."""
    x0, y0, x1, y1 = box
    cut = picture[y0:y1, x0:x1]
    across = 1 if y1 - y0 >= x1 - x0 else 0
    strip: Picture = np.asarray(np.median(cut, axis=across)).astype(np.uint8)
    return strip


def _pure(hue: float) -> float:
    nearest = float(np.round(hue))
    return nearest if abs(hue - nearest) < _TOLERANCE else float(hue)


def _end(hues: Floats) -> float:
    """Where a bar begins, in pixels after its first one: where its pure colour is reached, or half a pixel before."""
    pure, steps = _pure(float(hues[0])), hues[: max(len(hues) // 10, 4)]
    slope = float(steps[0] - steps[-1]) / (len(steps) - 1)
    before = (pure - float(hues[0])) / slope if slope > 0 else 0.5
    return -before if 0 <= before <= _PURE_PX else -0.5
