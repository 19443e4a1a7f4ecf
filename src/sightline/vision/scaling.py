"""Pictures and masks in another size."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ScalarT = TypeVar("ScalarT", bound=np.generic)


def scaled(picture: NDArray[ScalarT], height: int, width: int) -> NDArray[ScalarT]:
    """A picture (h, w, bands) or (h, w) in another size: means over areas when made smaller, else bilinear."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    smaller = height * width < picture.shape[0] * picture.shape[1]
    made = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    return np.asarray(made if picture.ndim == made.ndim else made[..., None])


def enlarged_rows(plane: NDArray[np.float32], height: int, width: int, rows: slice) -> NDArray[np.float32]:
    """Some rows of what `scaled` makes of a plane (h, w) that becomes larger, without the others."""
    import cv2

    places = np.clip((np.arange(rows.start, rows.stop) + 0.5) * (plane.shape[0] / height) - 0.5, 0, plane.shape[0] - 1)
    above = places.astype(np.intp)
    below = np.minimum(above + 1, plane.shape[0] - 1)
    share = (places - above).astype(np.float32)[:, None]
    between = plane[above] * (1 - share) + plane[below] * share
    return np.asarray(cv2.resize(between, (width, len(between)), interpolation=cv2.INTER_LINEAR))


def scaled_mask(mask: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Classes (h, w) in another size: of the nearest pixel."""
    import cv2

    if mask.shape == (height, width):
        return np.ascontiguousarray(mask)
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
