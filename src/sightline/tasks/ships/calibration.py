"""From probabilities to an answer: the threshold, fitted on labelled chips and scenes.

What it and the probabilities (`vision.calibration`) are fitted on are the peaks that the scan finds and the middles of
chips, as those are what it will be asked about. The threshold is the one of the largest F1 of the peaks, halfway (in
logits) to the next lower one: on scenes that were learnt from all ships stand far above all else, and the middle is the
safest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.metrics import NEITHER, RIGHT
from sightline.vision.thresholds import best_cut

Floats = NDArray[np.float64]

UNKNOWN = 0.5
"""The threshold where there are no ships to fit it on."""


def best_threshold(scores: Sequence[float], verdicts: Sequence[int], ships: int, floor: float) -> float:
    """The probability at which the F1 of detections is largest, halfway in logits to the next lower one.

    Args:
        scores: probabilities of detections.
        verdicts: of `metrics`; NEITHER is left out.
        ships: how many there are.
        floor: below the lowest of them.
    """
    evaluated = sorted(((s, v == RIGHT) for s, v in zip(scores, verdicts, strict=True) if v != NEITHER), reverse=True)
    if not ships or not any(right for _, right in evaluated):
        return UNKNOWN
    values = np.array([score for score, _ in evaluated])
    hits = np.cumsum([right for _, right in evaluated])
    best = best_cut(values, hits, ships)
    following = values[best + 1] if best + 1 < len(values) else min(floor, values[best])
    lower, upper = (np.log(p / (1 - p)) for p in np.clip([following, values[best]], 1e-6, 1 - 1e-6))
    return round(float(1 / (1 + np.exp(-(lower + upper) / 2))), 6)
