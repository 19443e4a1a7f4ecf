"""Several rays a pixel, so that borders are smooth; where all rays of a pixel meet one face, one of them is enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.synthetic.camera import View

Floats = NDArray[np.float32]
_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True)
class Rays:
    """The rays of a part of a picture that meet something.

    Attributes:
        window: x0, y0, x1, y1 of the part, pixels.
        pixel: (n,) to which pixel of the window each ray belongs, row by row.
        weight: (n,) its share of the pixel.
        face, row_m, column_m: (n,) what it meets, as in `View`.
    """

    window: tuple[int, int, int, int]
    pixel: NDArray[np.intp]
    weight: Floats
    face: NDArray[np.int16]
    row_m: Floats
    column_m: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the window."""
        x0, y0, x1, y1 = self.window
        return y1 - y0, x1 - x0

    @property
    def inside(self) -> tuple[slice, slice]:
        """The window in the picture."""
        x0, y0, x1, y1 = self.window
        return slice(y0, y1), slice(x0, x1)

    def gather(self, values: Floats | None = None) -> Floats:
        """Sums of values (n,) or (n, channels) over the rays of each pixel, by their weights; of 1 without values."""
        height, width = self.shape
        if values is None or values.ndim == 1:
            weights = self.weight if values is None else self.weight * values
            return np.bincount(self.pixel, weights, height * width).astype(np.float32).reshape(height, width)
        return np.stack([self.gather(channel) for channel in values.T], axis=-1)

    def instances(self, owners: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Which cell half of a pixel's rays or more meet, (h, w); `owners` says whose each box is."""
        owner = owners[self.face // 6]
        cells = np.zeros(self.shape, np.uint8)
        for cell in range(1, int(owners.max()) + 1):
            cells[self.gather((owner == cell).astype(np.float32)) >= 0.499] = cell
        return cells


def bundle(view: View, times: int) -> Rays:
    """The rays of a view that has `times` x `times` of them a pixel."""
    x0, y0, x1, y1 = view.window
    window = (x0 // times, y0 // times, -(-x1 // times), -(-y1 // times))
    rims = ((y0 - window[1] * times, window[3] * times - y1), (x0 - window[0] * times, window[2] * times - x1))
    face = _by_pixel(np.pad(view.face, rims, constant_values=-1), times)
    row, column = (_by_pixel(np.pad(part, rims), times) for part in (view.row_m, view.column_m))
    alike = (face == face[:, :1]).all(axis=1)
    whole = np.flatnonzero(alike & (face[:, 0] >= 0))
    mixed, ray = np.nonzero((face >= 0) & ~alike[:, None])
    return Rays(
        window,
        np.concatenate([whole, mixed]),
        np.concatenate([np.ones(len(whole), np.float32), np.full(len(mixed), 1 / times**2, np.float32)]),
        np.concatenate([face[whole, 0], face[mixed, ray]]),
        np.concatenate([row[whole].mean(axis=1), row[mixed, ray]]),
        np.concatenate([column[whole].mean(axis=1), column[mixed, ray]]),
    )


def _by_pixel(part: NDArray[_T], times: int) -> NDArray[_T]:
    """(pixels, rays) of an image of rays."""
    height, width = part.shape[0] // times, part.shape[1] // times
    return part.reshape(height, times, width, times).transpose(0, 2, 1, 3).reshape(height * width, times * times)
