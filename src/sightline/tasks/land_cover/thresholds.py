"""What makes classes of probabilities: a threshold and a least area for each, fitted where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.land_cover.shapes import CLASSES

Masks = NDArray[np.bool_]
"""(10, h, w)."""

UNKNOWN = 0.5
"""Threshold of a class that is nowhere in the truth."""


@dataclass(frozen=True)
class Cutoffs:
    """From which probability on a pixel is of a class, and how many pixels a patch needs (four neighbours).

    Attributes:
        probability: (10,).
        area_px: (10,).
    """

    probability: tuple[float, ...] = (UNKNOWN,) * len(CLASSES)
    area_px: tuple[int, ...] = (0,) * len(CLASSES)

    def above(self, probabilities: NDArray[np.float32]) -> Masks:
        """(10, h, w) probabilities -> where they reach their thresholds, patches of all sizes."""
        return np.asarray(probabilities >= np.array(self.probability, dtype=np.float32)[:, None, None])

    def masks(self, probabilities: NDArray[np.float32]) -> Masks:
        """(10, h, w): the patches that are large enough."""
        masks = self.above(probabilities)
        for index, least in enumerate(self.area_px):
            if least > 1:
                labels, sizes = _patches(masks[index])
                masks[index] &= np.concatenate([[False], sizes >= least])[labels]
        return masks

    def document(self) -> dict[str, float]:
        """For the card's `thresholds`."""
        named = zip(CLASSES, self.probability, self.area_px, strict=True)
        return {
            key: value
            for name, probability, area in named
            for key, value in ((name, probability), (f"{name}_area_px", float(area)))
        }

    @classmethod
    def from_document(cls, document: Mapping[str, float]) -> Cutoffs:
        """Read what `document` wrote. Raises KeyError where a class is missing."""
        areas = tuple(round(document[f"{name}_area_px"]) for name in CLASSES)
        return cls(tuple(float(document[name]) for name in CLASSES), areas)


def _patches(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(h, w) numbers of the patches from 1, 0 outside; (n,) their pixels."""
    import cv2

    _, labels, figures, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    return np.asarray(labels, dtype=np.int32), figures[1:, cv2.CC_STAT_AREA].astype(np.int64)


class Trial:
    """Counts of every threshold with every least area, summed over tiles."""

    def __init__(self, probability: tuple[float, ...], area_px: tuple[int, ...]) -> None:
        self._probability, self._area_px = probability, area_px
        shape = (len(CLASSES), len(probability), len(area_px))
        self._hits, self._answered = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self._truth = np.zeros(len(CLASSES), dtype=np.int64)

    def add(self, probabilities: NDArray[np.float32], truth: Masks) -> None:
        """One tile: (10, h, w) each."""
        self._truth += truth.sum(axis=(1, 2))
        for kind in range(len(CLASSES)):
            for number, threshold in enumerate(self._probability):
                labels, sizes = _patches(probabilities[kind] >= np.float32(threshold))
                hits = np.bincount(labels[truth[kind]], minlength=len(sizes) + 1)[1:]
                for place, least in enumerate(self._area_px):
                    large = sizes >= least
                    self._hits[kind, number, place] += hits[large].sum()
                    self._answered[kind, number, place] += sizes[large].sum()

    def present(self, kind: int) -> bool:
        """Whether a class occurred in the truth."""
        return bool(self._truth[kind] > 0)

    def best(self, kind: int) -> tuple[float, float, int]:
        """(Jaccard, threshold, least area) of the best pair for a class; 0, UNKNOWN and 0 where no pair hits it."""
        hits, answered = self._hits[kind], self._answered[kind]
        if not hits.any():
            return 0.0, UNKNOWN, 0
        jaccard = hits / (self._truth[kind] + answered - hits)
        number, place = np.unravel_index(int(jaccard.argmax()), jaccard.shape)
        return float(jaccard[number, place]), self._probability[number], self._area_px[place]
