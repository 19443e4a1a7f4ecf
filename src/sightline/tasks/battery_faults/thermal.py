"""One frame as temperatures: what all candidates look at, wherever the frame came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Thermal:
    """One frame as temperatures.

    Attributes:
        kelvin: (h, w); NaN where no temperature can be told: beside the pack, and everywhere where there is no scale.
        shading: (h, w) 0 .. 1, how bright the surface is drawn; 0 where the frame is radiometric.
        picture: (h, w, 3) RGB to draw on.
        time_s: seconds after the first frame; None where the source does not tell.
        scaled: whether what is in sight has temperatures: there is a colour bar, or counts have a scale.
    """

    kelvin: NDArray[np.float32]
    shading: NDArray[np.float32]
    picture: NDArray[np.uint8]
    time_s: float | None = None
    scaled: bool = True

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where a temperature can be told."""
        return np.isfinite(self.kelvin)

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) in pixels."""
        height, width = self.kelvin.shape
        return height, width
