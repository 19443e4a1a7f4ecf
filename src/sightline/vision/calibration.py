"""From scores to probabilities, fitted where the truth is known.

The probability is Platt's (1999): a logistic of the logit, fitted with his smoothed targets, which keep it finite where
all examples are told apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

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
    """Platt's logistic of (n,) logits whose labels are 0 or 1; that of the logits themselves where one kind lacks."""
    from scipy.optimize import minimize

    wanted, others = int(labels.sum()), int((1 - labels).sum())
    if not wanted or not others:
        return Calibration()
    target = np.where(labels == 1, (wanted + 1) / (wanted + 2), 1 / (others + 2))

    def loss(theta: Floats) -> tuple[float, Floats]:
        margin = theta[0] * logits + theta[1]
        away = 1 / (1 + np.exp(-np.clip(margin, -500, 500))) - target
        value = np.logaddexp(0, margin) - target * margin
        return float(value.mean()), np.array([(away * logits).mean(), away.mean()])

    bounds = [(_LEAST_SLOPE, None), (None, None)]
    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return Calibration(round(float(slope), 6), round(float(offset), 6))
