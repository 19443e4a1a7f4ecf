"""From what was measured on a module to the probability that it is defected.

A logistic regression whose coefficients are not negative: more of any feature never makes a module healthier. With
one feature it only rescales it, so the plain baseline and the network alone keep their own ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json

Floats = NDArray[np.float64]
Features = Mapping[str, Floats]
"""Name -> (n,) values of n modules."""


@dataclass(frozen=True)
class Scorer:
    """`probability = logistic(intercept + sum(coefficient * (feature - centre) / spread))`."""

    features: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float

    def probability(self, features: Features) -> Floats:
        """(n,) of n modules."""
        values = np.stack([features[name] for name in self.features], axis=-1)
        standard = (values - np.array(self.centre)) / np.array(self.spread)
        return np.asarray(1 / (1 + np.exp(-(self.intercept + standard @ np.array(self.coefficients)))))

    def document(self) -> Json:
        """As JSON, for the card."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Json]) -> Scorer:
        """Read what `document` wrote."""
        lists = {name: tuple(document[name]) for name in ("features", "centre", "spread", "coefficients")}
        return cls(**lists, intercept=float(document["intercept"]))


def fit_scorer(
    names: Sequence[str], features: Features, labels: NDArray[np.int64], ridge: float, prior: Mapping[str, float]
) -> Scorer:
    """Fit to modules with known labels (n,); deterministic.

    Args:
        names: which features to use.
        features: of each module.
        labels: 1 where defected.
        ridge: weight of the squared distance of the coefficients from `prior`.
        prior: coefficients to stay near to, of standardised features; 0 where it has none.
    """
    from scipy.optimize import minimize

    values = np.stack([features[name] for name in names], axis=-1)
    centre = values.mean(axis=0) if len(values) else np.zeros(len(names))
    spread = np.maximum(values.std(axis=0), 1e-6) if len(values) else np.ones(len(names))
    standard = (values - centre) / spread
    expected = np.array([prior.get(name, 0.0) for name in names])
    signs = 2.0 * labels - 1

    def loss(theta: Floats) -> tuple[float, Floats]:
        margin = signs * (theta[0] + standard @ theta[1:])
        slack = theta[1:] - expected
        pull = -signs / (1 + np.exp(np.clip(margin, -500, 500)))
        gradient = np.concatenate([[pull.sum()], standard.T @ pull + ridge * slack])
        gradient[0] += 1e-3 * theta[0]
        return float(np.logaddexp(0, -margin).sum() + ridge * slack @ slack / 2 + 5e-4 * theta[0] ** 2), gradient

    start = np.concatenate([[-3.0], np.maximum(expected, 0.5)])
    bounds = [(None, None), *[(1e-3 if len(names) == 1 else 0.0, None)] * len(names)]
    theta = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return Scorer(
        features=tuple(names),
        centre=tuple(float(value) for value in centre),
        spread=tuple(float(value) for value in spread),
        coefficients=tuple(float(value) for value in theta[1:]),
        intercept=float(theta[0]),
    )


def best_threshold(probability: Floats, labels: NDArray[np.int64]) -> float:
    """The probability at which labels are told best (largest F1; halfway to the next lower one); 0.5 without any."""
    if not labels.any():
        return 0.5
    order = np.argsort(-probability, kind="stable")
    ranked, found = probability[order], np.cumsum(labels[order])
    f1 = 2 * found / (np.arange(1, len(order) + 1) + labels.sum())
    last_of_value = np.append(np.diff(ranked) != 0, True)
    best = int(np.argmax(np.where(last_of_value, f1, -1.0)))
    following = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + following) / 2)
