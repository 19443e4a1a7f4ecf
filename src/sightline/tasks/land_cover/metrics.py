"""What is evaluated: ten overlapping masks against ten, as counts that pool.

`jaccard_mean` is the competition's: true positives, false positives and false negatives of each class are summed over
all tiles, and the mean is taken over the classes that are in truth or answer (`classes_evaluated` says how many). The
competition sums the areas of polygons, which here run along the edges of pixels; so areas are counts of pixels.

`jaccard_soft_pooled` is the reference project's: of probabilities, and pooled over classes, so that the large ones
decide. Perfect trees and crops alone would reach some 0.82 on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json, Plot, Rows
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.vision.evaluation import class_table
from sightline.vision.masks import mean_of, ratio_of

Floats = NDArray[np.float64]


def tile_counts(
    truth: NDArray[np.bool_], answer: NDArray[np.bool_], probabilities: NDArray[np.float32]
) -> dict[str, Json]:
    """Of one tile, from (10, h, w) each.

    pixels: of the tile; counts: [class][true positives, false positives, false negatives]; soft: [class][sum of
    probability where the truth is, sum of probability, sum of truth].
    """
    hits, answered, present = ((masks).sum(axis=(1, 2)) for masks in (truth & answer, answer, truth))
    inside = [float(plane[where].sum(dtype=np.float64)) for plane, where in zip(probabilities, truth, strict=True)]
    whole = probabilities.sum(axis=(1, 2), dtype=np.float64)
    return {
        "pixels": int(truth[0].size),
        "counts": np.stack([hits, answered - hits, present - hits], axis=1).tolist(),
        "soft": [[round(i, 3), round(float(w), 3), int(p)] for i, w, p in zip(inside, whole, present, strict=True)],
    }


class Pool:
    """The counts of all tiles as arrays, made once: the bootstrap only changes the weights."""

    def __init__(self, statistics: Sequence[Mapping[str, Json]]) -> None:
        self._pixels = np.array([one["pixels"] for one in statistics], dtype=np.float64)
        self._counts = np.array([one["counts"] for one in statistics], dtype=np.float64)
        self._soft = np.array([one["soft"] for one in statistics], dtype=np.float64)

    def score(self, weights: Floats) -> dict[str, float]:
        """Pooled metrics; NaN where a class is in neither truth nor answer."""
        counts = np.tensordot(weights, self._counts, axes=1)
        jaccard = jaccard_of(counts)
        inside, whole, present = np.tensordot(weights, self._soft, axes=1).sum(axis=0)
        return {
            "jaccard_mean": mean_of(jaccard),
            "classes_evaluated": float(np.count_nonzero(~np.isnan(jaccard))),
            **{f"jaccard_{name}": float(value) for name, value in zip(CLASSES, jaccard, strict=True)},
            "jaccard_soft_pooled": float(inside / (whole + present - inside)) if whole + present > 0 else float("nan"),
            "jaccard_mean_majority": _jaccard_of_majority(counts, float(weights @ self._pixels)),
        }


def jaccard_of(counts: Floats) -> Floats:
    """(10,) of (10, 3) true positives, false positives, false negatives."""
    return ratio_of(counts[:, 0], counts.sum(axis=1))


def _jaccard_of_majority(counts: Floats, pixels: float) -> float:
    """Answering the most frequent class everywhere and no other: its share of the pixels, over the classes present."""
    present = counts[:, 0] + counts[:, 2]
    if not present.any():
        return float("nan")
    return float(present.max() / pixels / np.count_nonzero(present))


def plots(rows: Rows) -> dict[str, Plot]:
    """A table: precision, recall and Jaccard of each class, its pixels, and in how many tiles it is."""
    each = np.array([row.statistics["counts"] for row in rows], dtype=np.float64)
    counts = each.sum(axis=0)
    present = each[:, :, 0] + each[:, :, 2]
    shares = {
        "precision": ratio_of(counts[:, 0], counts[:, 0] + counts[:, 1]),
        "recall": ratio_of(counts[:, 0], counts[:, 0] + counts[:, 2]),
        "jaccard": jaccard_of(counts),
    }
    seen = {"pixels": present.sum(axis=0), "tiles": np.count_nonzero(present, axis=0)}
    return {"classes": class_table(CLASSES, shares, seen)}
