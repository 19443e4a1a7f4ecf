"""From logits to probabilities, and from probabilities to an answer: fitted on labelled chips and scenes.

The probability is Platt's (1999): a logistic of the logit, fitted with his smoothed targets, which keep it finite where
all examples are told apart. What it is fitted on are the peaks that the scan finds and the middles of chips, as those
are what it will be asked about. The threshold is the one of the largest F1 of the peaks, halfway (in logits) to the
next lower one: on scenes that were learnt from all ships stand far above all else, and the middle is the safest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sightline.tasks.ships.metrics import NEITHER, RIGHT
from sightline.vision.thresholds import best_cut

Floats = NDArray[np.float64]

UNKNOWN = 0.5
"""The threshold where there are no ships to fit it on."""

_LEAST_SLOPE = 0.1


@dataclass(frozen=True)
class Calibration:
    """`probability = logistic(slope * logit + offset)`."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, logit: ArrayLike) -> Floats:
        """Probabilities of logits of any shape."""
        odds = np.clip(self.slope * np.asarray(logit, dtype=np.float64) + self.offset, -500, 500)
        return np.asarray(1 / (1 + np.exp(-odds)))


def fit_calibration(logits: Floats, labels: NDArray[np.int64]) -> Calibration:
    """Platt's logistic of (n,) logits, 1 where there is a ship; that of the logits themselves where one kind lacks."""
    from scipy.optimize import minimize

    ships, others = int(labels.sum()), int((1 - labels).sum())
    if not ships or not others:
        return Calibration()
    target = np.where(labels == 1, (ships + 1) / (ships + 2), 1 / (others + 2))

    def loss(theta: Floats) -> tuple[float, Floats]:
        margin = theta[0] * logits + theta[1]
        away = 1 / (1 + np.exp(-np.clip(margin, -500, 500))) - target
        value = np.logaddexp(0, margin) - target * margin
        return float(value.mean()), np.array([(away * logits).mean(), away.mean()])

    bounds = [(_LEAST_SLOPE, None), (None, None)]
    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Calibration(round(float(slope), 6), round(float(offset), 6))


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
