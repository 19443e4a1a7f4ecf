"""One picture as a model reads it: photograph or satellite chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.panel_defects.chip import Chip


@dataclass(frozen=True)
class Picture:
    """One picture, decoded.

    Attributes:
        pixels: (h, w, bands) uint8 RGB, or float32 reflectance.
        display: (h, w, 3) uint8 RGB.
        sha256: of the file's bytes.
        statistics: figures of the input as it came in, for drift.
        name: the file's name or what the caller called it, for messages.
        valid: (h, w), False where the file has no data; None where it has everywhere.
        note: what a person should look into; empty where there is nothing.
        chip: what the pixels were made of, where conditions may change them.
    """

    pixels: NDArray[np.number] = field(repr=False)
    display: NDArray[np.uint8] = field(repr=False)
    sha256: str
    statistics: Mapping[str, float]
    name: str = ""
    valid: NDArray[np.bool_] | None = field(default=None, repr=False)
    note: str = ""
    chip: Chip | None = field(default=None, repr=False)

    @property
    def no_data_share(self) -> float:
        """Of the pixels."""
        return 0.0 if self.valid is None else float(1 - self.valid.mean())


def picture_of_chip(chip: Chip) -> Picture:
    """A chip as a model reads it."""
    display = chip.display
    return Picture(
        pixels=np.ascontiguousarray(np.moveaxis(chip.bands, 0, -1)),
        display=display,
        sha256=chip.sha256,
        statistics=input_statistics(display),
        name=chip.name,
        valid=None if chip.valid.all() else chip.valid,
        note=chip.note,
        chip=chip,
    )


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
