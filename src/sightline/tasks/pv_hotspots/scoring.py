"""From what was measured on a module to the probability that it is defected.

A logistic function of features whose coefficients are not negative: more of any feature never makes a module
healthier. With one feature it only rescales it, so the plain baseline and the network alone keep their own ranking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.vision.thresholds import best_cut

Floats = NDArray[np.float64]
Features = Mapping[str, Floats]
"""Name -> (n,) values of n modules."""


@dataclass(frozen=True)
class Scorer:
    """`probability = logistic(intercept + sum(coefficient * feature))`."""

    intercept: float
    coefficients: Mapping[str, float]

    def probability(self, features: Features) -> Floats:
        """(n,) of n modules."""
        odds = self.intercept + sum(factor * features[name] for name, factor in self.coefficients.items())
        return np.asarray(1 / (1 + np.exp(-np.asarray(odds, dtype=np.float64))))


def fit_scorer(prior: Scorer, features: Features, labels: NDArray[np.int64], strength: float) -> Scorer:
    """Adapt `prior` to modules with known labels (n,), 1 where defected; deterministic.

    `strength` weighs the squared distance from the prior's coefficients against the log-likelihood. It is what keeps
    the scores of fits comparable that saw different frames: a frame must not decide how high all its modules rank.
    """
    from scipy.optimize import minimize

    names = tuple(prior.coefficients)
    values = np.stack([np.ones(len(labels)), *(features[name] for name in names)], axis=1)
    expected = np.array([prior.intercept, *prior.coefficients.values()])
    signs = 2.0 * labels - 1

    def loss(theta: Floats) -> tuple[float, Floats]:
        margin, away = signs * (values @ theta), theta - expected
        pull = -signs / (1 + np.exp(np.clip(margin, -500, 500)))
        return float(np.logaddexp(0, -margin).sum() + strength * away @ away / 2), values.T @ pull + strength * away

    bounds = [(None, None), *[(0.0, None)] * len(names)]
    theta = minimize(loss, expected, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Scorer(float(theta[0]), dict(zip(names, (float(value) for value in theta[1:]), strict=True)))


def best_threshold(probability: Floats, labels: NDArray[np.int64]) -> float:
    """The probability at which labels are told best (largest F1; halfway to the next lower one); 0.5 without any."""
    if not labels.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    ranked, found = probability[order], np.cumsum(labels[order])
    best = best_cut(ranked, found, int(labels.sum()))
    following = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + following) / 2)
