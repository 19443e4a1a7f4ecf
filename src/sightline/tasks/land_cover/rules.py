"""The plain baseline: a class is where one or two indices lie in an interval. Fitted on the training set.

Only for classes that such a rule can tell (water, trees, crops, bare tracks); nothing is answered for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, RootModel, model_validator

from sightline.tasks.land_cover.bands import INDICES, Bands, index_channels
from sightline.tasks.land_cover.bits import plane
from sightline.tasks.land_cover.examples import StoredExamples
from sightline.tasks.land_cover.params import RuleParams
from sightline.tasks.land_cover.shapes import CLASSES

FEATURES = (*INDICES, "brightness")
"""The indices, and the mean of the bands."""

_LEAST_GAIN = 0.01
"""Of Jaccard on the training set, for another condition."""

Floats = NDArray[np.float32]


class Condition(NamedTuple):
    """`low <= feature <= high`."""

    feature: str
    low: float
    high: float


class Rule(RootModel[tuple[Condition, ...]]):
    """Where all of its conditions hold; in a card a list of (feature, low, high)."""

    model_config = ConfigDict(frozen=True)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """All of them."""
        return self.root

    @model_validator(mode="after")
    def _features_are_known(self) -> Rule:
        if not {one.feature for one in self.conditions} <= set(FEATURES):
            raise ValueError(f"a rule has conditions on {', '.join(FEATURES)}")
        return self

    def __call__(self, features: Floats) -> NDArray[np.bool_]:
        """(5, ...) features in the order of FEATURES -> (...)."""
        inside = np.ones(features.shape[1:], dtype=bool)
        for one in self.conditions:
            values = features[FEATURES.index(one.feature)]
            inside &= (values >= one.low) & (values <= one.high)
        return inside


Rules = Mapping[int, Rule]
"""Index into CLASSES -> its rule."""


def rule_features(bands: Bands) -> Floats:
    """(8, h, w) -> (5, h, w)."""
    return np.concatenate([index_channels(bands), bands.mean(axis=0, keepdims=True)])


def fit_rules(examples: StoredExamples, params: RuleParams, seed: int) -> dict[int, Rule]:
    """A rule for each of the params' classes that occurs in the training set.

    The first condition is the interval with the highest Jaccard over all pixels that are looked at; another one is
    added as long as it helps.
    """
    features, bits = [], []
    for index in range(len(examples)):
        found = rule_features(examples.bands(index)).reshape(len(FEATURES), -1)
        rng = np.random.default_rng([seed, index])
        drawn = rng.choice(found.shape[1], min(params.pixels_per_tile, found.shape[1]), replace=False)
        features.append(found[:, drawn])
        bits.append(examples[index][1].ravel()[drawn])
    values, classes = np.concatenate(features, axis=1), np.concatenate(bits)
    rules = {}
    for name in params.classes:
        truth = plane(classes, CLASSES.index(name))
        if truth.any():
            rules[CLASSES.index(name)] = _fit(values, truth, params)
    return rules


def _fit(values: Floats, truth: NDArray[np.bool_], params: RuleParams) -> Rule:
    rule, reached = Rule(()), 0.0
    for _ in range(params.conditions):
        inside = rule(values)
        used = {one.feature for one in rule.conditions}
        tried = [
            (_best_interval(values[index][inside], truth[inside], int(truth.sum()), params.quantiles), name)
            for index, name in enumerate(FEATURES)
            if name not in used
        ]
        (jaccard, low, high), name = max(tried)
        if rule.conditions and jaccard < reached + _LEAST_GAIN:
            break
        rule, reached = Rule((*rule.conditions, Condition(name, low, high))), jaccard
    return rule


def _best_interval(
    values: Floats, truth: NDArray[np.bool_], present: int, quantiles: int
) -> tuple[float, float, float]:
    """(Jaccard, low, high) of the best interval between quantiles of the class and of all."""
    levels = np.linspace(0, 1, quantiles)
    edges = np.unique(np.concatenate([np.quantile(values, levels), np.quantile(values[truth], levels)]))
    if len(edges) < 2:
        return 0.0, -1.0, 1.0
    all_pixels, hits = (
        np.concatenate([[0], np.histogram(part, edges)[0].cumsum()]) for part in (values, values[truth])
    )
    answered = all_pixels[None, :] - all_pixels[:, None]
    found = hits[None, :] - hits[:, None]
    jaccard = np.triu(found / np.maximum(present + answered - found, 1))
    low, high = np.unravel_index(int(jaccard.argmax()), jaccard.shape)
    # Beyond the outermost values of the training set the rule goes on.
    return (
        float(jaccard[low, high]),
        -1.0 if low == 0 else float(edges[low]),
        1.0 if high == len(edges) - 1 else float(edges[high]),
    )
