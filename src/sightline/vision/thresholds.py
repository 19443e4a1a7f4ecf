"""Thresholds that are chosen where the truth is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def best_cut(values: NDArray[np.float64], hits: NDArray[np.int64], positives: int) -> int:
    """Which of ranked answers is the last to be taken for the largest F1; the first of equals, never amid a tie.

    Args:
        values: (n,) what they are ranked by, falling.
        hits: (n,) how many are right up to each.
        positives: how many there are to be found.
    """
    f1 = 2 * hits / (np.arange(1, len(values) + 1) + positives)
    last_of_value = np.append(np.diff(values) != 0, True)
    return int(np.argmax(np.where(last_of_value, f1, -1.0)))
