"""One picture as a model reads it: photograph or satellite chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """One picture, decoded.

    Attributes:
        pixels: (h, w, bands) uint8 RGB, or float32 reflectance.
        display: (h, w, 3) uint8 RGB.
        sha256: of the file's bytes.
        statistics: figures of the input as it came in, for drift.
        name: the file's name or what the caller called it, for messages.
    """

    pixels: NDArray[Any] = field(repr=False)
    display: NDArray[np.uint8] = field(repr=False)
    sha256: str
    statistics: Mapping[str, float]
    name: str = ""


def input_statistics(display: NDArray[np.uint8]) -> dict[str, float]:
    """Level, contrast, colour and sharpness of a picture's display, of at most some 65,000 of its pixels.

    All in 0 .. 255 but `sharpness`, the mean absolute difference of neighbours over the contrast.
    """
    step = max(1, int(np.sqrt(display.shape[0] * display.shape[1] / 65536)))
    rows = display[::step]
    colour = rows[:, ::step].astype(np.float32)
    grey = rows.astype(np.float32).mean(axis=2)  # neighbours within a row stay neighbours
    contrast = float(grey.std())
    red, green, blue = (float(value) for value in colour.reshape(-1, 3).mean(axis=0))
    return {
        "red": red,
        "green": green,
        "blue": blue,
        "contrast": contrast,
        "saturation": float((colour.max(axis=2) - colour.min(axis=2)).mean()),
        "sharpness": float(np.abs(np.diff(grey, axis=1)).mean() / max(contrast, 1.0)),
    }
