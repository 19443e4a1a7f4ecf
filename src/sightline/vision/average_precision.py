"""Average precision as COCO defines it: greedy matching by score, ten thresholds of overlap, 101 recall points.

Pooled over all samples of a split, so it is no mean of per-sample figures; weights say how often each sample is drawn
by the bootstrap. What overlaps (boxes, masks, tubes of masks through a video) is the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sightline.task import Json

Floats = NDArray[np.float64]

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0, 1, 101)


def match(overlap: Floats, scores: Floats) -> NDArray[np.bool_]:
    """(n, 10) whether each answer finds a truth of its own at each of IOU_THRESHOLDS.

    Answers choose in the order of their scores, each the free truth it overlaps most.

    Args:
        overlap: (n, m) intersection over union of answers and truths.
        scores: (n,) of the answers.
    """
    hits = np.zeros((len(scores), len(IOU_THRESHOLDS)), dtype=np.bool_)
    if not overlap.size:
        return hits
    for level, threshold in enumerate(IOU_THRESHOLDS):
        free = np.ones(overlap.shape[1], dtype=np.bool_)
        for index in np.argsort(-scores, kind="stable"):
            candidates = np.where(free, overlap[index], -1.0)
            best = int(candidates.argmax())
            if candidates[best] >= threshold:
                free[best], hits[index, level] = False, True
    return hits


class Ranked(BaseModel):
    """The answers to one sample: how many truths it has, and of each answer its score and its hits, a bit for each of
    IOU_THRESHOLDS.
    """

    model_config = ConfigDict(frozen=True)

    truth: int
    score: tuple[float, ...]
    hits: tuple[int, ...]


def ranked_statistics(overlap: Floats, scores: Floats, truths: int) -> dict[str, Json]:
    """`Ranked` as JSON."""
    hits = match(overlap, scores) @ (1 << np.arange(len(IOU_THRESHOLDS)))
    return {
        "truth": truths,
        "score": [round(float(value), 7) for value in scores],
        "hits": [int(value) for value in hits],
    }


@dataclass(frozen=True)
class Ranking:
    """All answers of all samples, best first.

    Attributes:
        row: (n,) which sample each answer is of.
        score: (n,) of the answers.
        hits: (10, n) see `match`.
        truth: (samples,) how many truths each has.
    """

    row: NDArray[np.int64]
    score: Floats
    hits: NDArray[np.bool_]
    truth: Floats

    @classmethod
    def of(cls, parts: Sequence[Ranked]) -> Ranking:
        """From those of all samples."""
        row = np.repeat(np.arange(len(parts)), [len(part.score) for part in parts])
        score = np.array([value for part in parts for value in part.score], dtype=np.float64)
        bits = np.array([value for part in parts for value in part.hits], dtype=np.int64)
        order = np.argsort(-score, kind="stable")
        hits = (bits[order][None] >> np.arange(len(IOU_THRESHOLDS))[:, None]) & 1 == 1
        truth = np.array([part.truth for part in parts], dtype=np.float64)
        return cls(row[order], score[order], hits, truth)

    def curves(self, weights: Floats, truths: float) -> tuple[Floats, Floats]:
        """Recall and precision (10, n) after each answer, of so many truths in all."""
        drawn = weights[self.row]
        found = np.cumsum(self.hits * drawn, axis=1)
        answers = np.cumsum(drawn)
        return found / truths, np.divide(found, answers, out=np.zeros_like(found), where=answers > 0)

    def average_precision(self, weights: Floats) -> list[float]:
        """At each of IOU_THRESHOLDS; NaN without a truth."""
        truths = float(self.truth @ weights)
        if truths == 0:
            return [float("nan")] * len(IOU_THRESHOLDS)
        recall, precision = self.curves(weights, truths)
        values = []
        for level in range(len(IOU_THRESHOLDS)):
            envelope = np.append(np.maximum.accumulate(precision[level, ::-1])[::-1], 0.0)
            values.append(float(envelope[np.searchsorted(recall[level], RECALL_POINTS)].mean()))
        return values

    def average_recall(self, weights: Floats) -> float:
        """Mean over IOU_THRESHOLDS of the recall of all answers; NaN without a truth."""
        truths = float(self.truth @ weights)
        return float((self.hits @ weights[self.row]).mean() / truths) if truths else float("nan")
