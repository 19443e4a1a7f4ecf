"""What is evaluated: masks against masks, as counts that pool.

IoU and F1 of a class are computed from its true positives, false positives and false negatives summed over all
pictures (dataset-global). A class that is in neither truth nor answer has none (NaN) and is left out of means; so the
IoU of an empty mask answered by an empty mask counts nowhere. `iou_image` is the other convention: the mean over
pictures of each picture's mean over the classes present in its truth or answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json, Plot, Rows, Table
from sightline.vision.evaluation import class_table
from sightline.vision.masks import boundary_counts, f1_of, intersection_counts, iou_of, mean_of, ratio_of

Floats = NDArray[np.float64]
Mask = NDArray[np.uint8]

BOUNDARY_SHARE = 0.0075
"""Tolerance of the boundary F1 as a share of the picture's diagonal (Csurka et al., 2013)."""


def picture_statistics(
    truth: Mask, answer: Mask, classes: int, valid: NDArray[np.bool_] | None = None
) -> dict[str, Json]:
    """Counts of one picture: `confusion` [truth][answer] in pixels, `boundary` [class][4]: see `boundary_counts`.

    Where there are no data (`valid` is False), nothing is counted, and `answer` is background.
    """
    if valid is not None:
        truth = np.where(valid, truth, np.uint8(0))
    tolerance_px = max(1, round(BOUNDARY_SHARE * float(np.hypot(*truth.shape))))
    confusion = intersection_counts(truth, answer, classes)
    if valid is not None:
        confusion[0, 0] -= (~valid).sum()
    boundary = [
        [int(count) for count in boundary_counts(truth == index, answer == index, tolerance_px)]
        if confusion[index].sum() + confusion[:, index].sum()
        else [0, 0, 0, 0]
        for index in range(classes)
    ]
    return {"confusion": confusion.tolist(), "boundary": boundary}


def confusion_of(truth: Mask, answer: Mask, classes: int) -> dict[str, Json]:
    """Counts of one picture without its boundaries."""
    return {"confusion": intersection_counts(truth, answer, classes).tolist(), "boundary": [[0, 0, 0, 0]] * classes}


class Pool:
    """The counts of all pictures as arrays, made once: the bootstrap only changes the weights."""

    def __init__(self, statistics: Sequence[Mapping[str, Json]], classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._confusion = np.array([one["confusion"] for one in statistics], dtype=np.float64)
        self._boundary = np.array([one["boundary"] for one in statistics], dtype=np.float64)
        self._image_iou = np.array([mean_of(iou_of(one)) for one in self._confusion])

    def score(self, weights: Floats) -> dict[str, float]:
        """Pooled metrics; NaN where a class is in neither truth nor answer."""
        confusion = np.tensordot(weights, self._confusion, axes=1)
        iou, f1 = iou_of(confusion), f1_of(confusion)
        boundary = _boundary_f1(np.tensordot(weights, self._boundary, axes=1))
        total = confusion.sum()
        return {
            "iou_mean": mean_of(iou),
            "iou_mean_foreground": mean_of(iou[1:]),
            **{f"iou_{name}": float(value) for name, value in zip(self.classes, iou, strict=True)},
            "iou_image": float(weights @ self._image_iou / weights.sum()),
            "f1_mean": mean_of(f1),
            "boundary_f1_mean_foreground": mean_of(boundary[1:]),
            "pixel_accuracy": float(np.trace(confusion) / total),
            "majority_accuracy": float(confusion.sum(axis=1).max() / total),
            "iou_mean_majority": _iou_of_majority(confusion),
        }


def _iou_of_majority(confusion: Floats) -> float:
    """Mean IoU of answering the most frequent class everywhere: its share of pixels, and 0 for the others."""
    present = confusion.sum(axis=1)
    return float(present.max() / present.sum() / np.count_nonzero(present))


def _boundary_f1(counts: Floats) -> Floats:
    """(classes,) harmonic mean of the shares of boundary pixels that find the other boundary."""
    precision, recall = ratio_of(counts[:, 0], counts[:, 1]), ratio_of(counts[:, 2], counts[:, 3])
    absent = (counts[:, 1] == 0) & (counts[:, 3] == 0)
    precision, recall = np.nan_to_num(precision), np.nan_to_num(recall)
    both = ratio_of(2 * precision * recall, precision + recall)
    return np.where(absent, np.nan, np.nan_to_num(both))


def plots(rows: Rows, classes: Sequence[str]) -> dict[str, Plot]:
    """The confusion matrix in shares of each true class, and the classification report."""
    confusion = np.sum([np.array(row.statistics["confusion"], dtype=np.float64) for row in rows], axis=0)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    return {
        "confusion": {"matrix": np.round(shares, 3).tolist(), "labels": list(classes)},
        "classification_report": _report(confusion, classes),
    }


def _report(confusion: Floats, classes: Sequence[str]) -> Table:
    """Precision, recall, F1, IoU and number of pixels of each class."""
    hits, present = np.diagonal(confusion), confusion.sum(axis=1)
    shares = {
        "precision": ratio_of(hits, confusion.sum(axis=0)),
        "recall": ratio_of(hits, present),
        "f1": f1_of(confusion),
        "iou": iou_of(confusion),
    }
    return class_table(classes, shares, {"pixels": present})
