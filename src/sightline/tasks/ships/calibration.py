"""From probabilities to an answer: the thresholds, fitted on labelled chips and scenes.

What they and the probabilities (`vision.calibration`) are fitted on are the peaks that the scan finds and the middles
of chips, as those are what it will be asked about. The threshold is the one of the largest F1 of the peaks, halfway (in
logits) to the next lower one: on scenes that were learnt from all vessels stand far above all else, and the middle is
the safest. Alongside quays, which are full of what looks like a vessel, it is the lowest one that is precise enough.
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
    """The probability at which the F1 of detections is largest.

    Args:
        scores: probabilities of detections.
        verdicts: of `metrics`; NEITHER is left out.
        ships: how many there are.
        floor: below the lowest of them.
    """
    values, hits = _ranked(scores, verdicts)
    if not ships or not hits.any():
        return UNKNOWN
    return _halfway(values, best_cut(values, hits, ships), floor)


def precise_threshold(scores: Sequence[float], verdicts: Sequence[int], precision: float, floor: float) -> float:
    """The lowest probability at which the detections above it have that precision; 1 where they never have it.

    Args:
        scores: probabilities of detections.
        verdicts: of `metrics`; NEITHER is left out.
        precision: the share of detections that are to be right.
        floor: below the lowest of them.
    """
    values, hits = _ranked(scores, verdicts)
    last_of_value = np.append(np.diff(values) != 0, True)[: len(values)]
    precise = last_of_value & (hits >= precision * np.arange(1, len(values) + 1))
    return _halfway(values, int(np.flatnonzero(precise)[-1]), floor) if precise.any() else 1.0


def _ranked(scores: Sequence[float], verdicts: Sequence[int]) -> tuple[Floats, NDArray[np.int64]]:
    """Scores, falling, and how many are right up to each; without what is NEITHER."""
    evaluated = sorted(((s, v == RIGHT) for s, v in zip(scores, verdicts, strict=True) if v != NEITHER), reverse=True)
    values = np.array([score for score, _ in evaluated], dtype=np.float64)
    return values, np.cumsum([right for _, right in evaluated], dtype=np.int64)


def _halfway(values: Floats, last: int, floor: float) -> float:
    """Between the last of the falling scores that is taken and the next one, in logits."""
    following = values[last + 1] if last + 1 < len(values) else min(floor, values[last])
    lower, upper = (np.log(p / (1 - p)) for p in np.clip([following, values[last]], 1e-6, 1 - 1e-6))
    return round(float(1 / (1 + np.exp(-(lower + upper) / 2))), 6)
