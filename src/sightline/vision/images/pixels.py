"""Decoded pixels, and which of them have data."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected

NumberT = TypeVar("NumberT", bound=np.number)

Valid = NDArray[np.bool_] | None
"""(h, w), False where there are no data; None where every pixel has some."""

_MEDIAN_SIDE_PX = 512


@dataclass(frozen=True)
class Pixels:
    """What an image holds.

    Attributes:
        values: (h, w), (h, w, 3) or (bands, h, w); see the function that made it.
        valid: see `Valid`.
        scaled: whether the file states a scale or an offset of its values, which were applied.
        orientation: by which the stored pixels were turned, 1 .. 8.
    """

    values: NDArray[Any] = field(repr=False)
    valid: Valid = field(default=None, repr=False)
    scaled: bool = False
    orientation: int = 1

    @property
    def no_data_share(self) -> float:
        """Of the pixels."""
        return 0.0 if self.valid is None else float(1 - self.valid.mean())


def made_pixels(values: NDArray[np.generic], valid: Valid, where: str, scaled: bool = False) -> Pixels:
    """Pixels of which some have data. Raises DataRejected where none has."""
    if valid is None or valid.all():
        return Pixels(values, None, scaled)
    if not valid.any():
        raise DataRejected(
            "no pixel has data", where=where, way_out="Give another picture, or a part of it that has data."
        )
    return Pixels(values, valid, scaled)


def without_data(bands: NDArray[np.generic], no_data: float | None) -> Valid:
    """Which pixels of (bands, h, w) have data, by the value that the file declares to mean "none".

    One band without data makes a pixel useless; but 0 is also what a dark pixel has in one band or another, and means
    "none" only where all of them are 0.
    """
    if no_data is None:
        return None
    if math.isnan(no_data):
        return np.asarray(~np.isnan(bands).any(axis=0)) if bands.dtype.kind == "f" else None
    with np.errstate(over="ignore"):  # a value that the type cannot hold occurs nowhere
        missing = bands == (no_data if bands.dtype.kind != "f" else bands.dtype.type(no_data))
    return np.asarray(~(missing.all(axis=0) if no_data == 0 else missing.any(axis=0)))


def both(first: Valid, second: Valid) -> Valid:
    """Where both have data."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def filled(pixels: NDArray[NumberT], valid: Valid) -> NDArray[NumberT]:
    """(h, w) or (h, w, bands) with the median of the others where there are no data: it makes no edge, no hot spot."""
    if valid is None:
        return pixels
    rows, columns = (max(1, side // _MEDIAN_SIDE_PX) for side in valid.shape)
    some = valid[::rows, ::columns]
    known = pixels[::rows, ::columns][some] if some.any() else pixels[valid]
    return np.where(valid if pixels.ndim == 2 else valid[..., None], pixels, np.median(known, axis=0)).astype(
        pixels.dtype
    )
