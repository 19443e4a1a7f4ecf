"""From frames to temperatures: by the colour bar of a picture, or by what a count of a radiometric camera means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.errors import DataRejected, RequestError
from sightline.tasks.battery_faults.colour import RANGE_K, ColourBar, find_bar
from sightline.tasks.battery_faults.thermal import Thermal

CONDITIONS: dict[str, str] = {
    "kelvin_per_count": "of 16-bit frames: kelvin from one count to the next (FLIR's TLinear: 0.01 or 0.04 or 0.1)",
    "kelvin_at_zero": "of 16-bit frames: kelvin of the count 0; 0 where it is not given",
    "bar_low_k": "of pictures with a colour bar: kelvin at its blue end; 300 where it is not given",
    "bar_high_k": "of pictures with a colour bar: kelvin at its red end; 340 where it is not given",
}
"""What a user may tell of a video, for the card of a model."""

LOWEST_K, HIGHEST_K = 150.0, 1500.0
"""What is beyond was not measured at a battery: the scale is wrong, or the pixel is dead."""

_MARGIN_PX = 4  # around a bar, of its frame and ticks
_LOOKS = 8  # so many frames in a row without a bar, and one is looked for in every eighth only


@dataclass(frozen=True)
class Scale:
    """What the numbers of a video mean.

    Attributes:
        kelvin_per_count: of 16-bit frames; None: nobody knows.
        kelvin_at_zero: of the count 0.
        bar_k: kelvin at the ends of a colour bar.
    """

    kelvin_per_count: float | None = None
    kelvin_at_zero: float = 0.0
    bar_k: tuple[float, float] = RANGE_K


def read_scale(conditions: Mapping[str, float]) -> Scale:
    """The scale that a user tells. Raises RequestError where a value cannot be."""
    step = conditions.get("kelvin_per_count")
    low, high = conditions.get("bar_low_k", RANGE_K[0]), conditions.get("bar_high_k", RANGE_K[1])
    if step is not None and not 0 < step <= 10:
        raise RequestError(
            f"{step:g} kelvin a count cannot be",
            where="kelvin_per_count",
            way_out="Give a number from 0 to 10, e.g. 0.01.",
        )
    if not 0 < low < high:
        raise RequestError(
            f"a bar from {low:g} to {high:g} K cannot be",
            where="bar_high_k",
            way_out="Give the kelvin at the bar's blue end as bar_low_k, and more at its red end as bar_high_k.",
        )
    return Scale(step, conditions.get("kelvin_at_zero", 0.0), (low, high))


class Thermometer:
    """Measures the frames of one video. It remembers their size and kind, and where the colour bar stands."""

    def __init__(self, scale: Scale) -> None:
        self._scale = scale
        self._kind: tuple[tuple[int, ...], str] | None = None
        self._bar: ColourBar | None = None
        self._without = 0

    @property
    def bar(self) -> ColourBar | None:
        """The colour bar of the last frame; None where it had none."""
        return self._bar

    def measure(self, frame: Frame) -> Thermal:
        """A frame as temperatures, NaN everywhere where neither a bar nor a scale is known.

        Raises:
            DataRejected: it has another size or other pixels than the first one.
        """
        kind = (frame.pixels.shape, frame.pixels.dtype.name)
        if self._kind is not None and kind != self._kind:
            raise DataRejected(
                f"{_said(*kind)}, the first frame had {_said(*self._kind)}",
                where=f"frame {frame.number}",
                way_out="Give a video whose frames are all of one size and kind.",
            )
        self._kind = kind
        if frame.pixels.dtype == np.uint16:
            return self._of_counts(frame.pixels.astype(np.float32), frame.time_s)
        return self._of_picture(frame.pixels.astype(np.uint8, copy=False), frame.time_s)

    def _of_counts(self, counts: NDArray[np.float32], time_s: float | None) -> Thermal:
        scale = self._scale
        step = np.nan if scale.kelvin_per_count is None else scale.kelvin_per_count
        kelvin = (counts * np.float32(step) + np.float32(scale.kelvin_at_zero)).astype(np.float32)
        kelvin[~((kelvin >= LOWEST_K) & (kelvin <= HIGHEST_K))] = np.nan
        return Thermal(kelvin, np.zeros_like(counts), _grey(counts), time_s, scale.kelvin_per_count is not None)

    def _of_picture(self, picture: NDArray[np.uint8], time_s: float | None) -> Thermal:
        self._find(picture)
        most = np.maximum(np.maximum(picture[..., 0], picture[..., 1]), picture[..., 2])
        shading = most.astype(np.float32) / np.float32(255)
        if self._bar is None:
            nothing = np.full(picture.shape[:2], np.nan, dtype=np.float32)
            return Thermal(nothing, shading, picture, time_s, scaled=False)
        kelvin = self._bar.kelvin(picture)
        x0, y0, x1, y1 = self._bar.box
        kelvin[max(y0 - _MARGIN_PX, 0) : y1 + _MARGIN_PX, max(x0 - _MARGIN_PX, 0) : x1 + _MARGIN_PX] = np.nan
        return Thermal(kelvin, shading, picture, time_s)

    def _find(self, picture: NDArray[np.uint8]) -> None:
        """The bar stands still as a rule; where it is gone, and in videos without one, it is looked for again."""
        if self._bar is not None and self._bar.shows(picture):
            return
        if self._without < _LOOKS or self._without % _LOOKS == 0:
            self._bar = find_bar(picture, self._scale.bar_k)
        self._without = 0 if self._bar is not None else self._without + 1


def picture_of(frame: Frame) -> NDArray[np.uint8]:
    """(h, w, 3) RGB of a frame to draw on; counts are stretched to what is between their extremes."""
    if frame.pixels.dtype == np.uint16:
        return _grey(frame.pixels.astype(np.float32))
    return frame.pixels.astype(np.uint8, copy=False)


def _said(shape: tuple[int, ...], kind: str) -> str:
    grey = "16-bit counts" if kind == "uint16" else "colours"
    return f"{shape[1]} x {shape[0]} pixels of {grey}"


def _grey(counts: NDArray[np.float32]) -> NDArray[np.uint8]:
    """(h, w, 3) counts stretched to 8 bits for drawing on."""
    low, high = np.percentile(counts[::4, ::4], [0.5, 99.5])
    grey = np.clip((counts - low) * (255 / max(float(high - low), 1.0)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
