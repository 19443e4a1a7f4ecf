"""Evaluating boxes: sufficient statistics a frame, and pooled metrics of weighted frames.

Average precision as COCO defines it (101 recall points, greedy matching by score): pooled over all frames of a split,
so it is no mean of per-frame figures. The weights say how often each frame is drawn by the bootstrap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sightline.geometry import box_iou
from sightline.task import Json, Plot, Rows
from sightline.tasks.pv_hotspots.data import CLASSES, Labels
from sightline.vision.average_precision import IOU_THRESHOLDS, Ranked, Ranking, ranked_statistics
from sightline.vision.evaluation import curve

Floats = NDArray[np.float64]

FALSE_ALARMS_PER_IMAGE = 0.1

KINDS = ("module", *CLASSES)
"""What is evaluated: modules whatever their class, and each class."""


@dataclass(frozen=True)
class Detections:
    """Boxes of one frame with what the model thinks of them.

    Attributes:
        boxes: (n, 4) x0, y0, x1, y1 in pixels.
        objectness: (n,) probability of being a module.
        defect: (n,) probability of the module's being defected.
    """

    boxes: Floats
    objectness: Floats
    defect: Floats

    def scores(self, kind: str) -> Floats:
        """(n,) by which the boxes are ranked when `kind` is evaluated."""
        match kind:
            case "module":
                return self.objectness
            case "defected":
                return self.defect
            case _:
                return self.objectness * (1 - self.defect)


class TrueModules(BaseModel):
    """Label and defect probability of each true module; the probability is 0 where it was not found."""

    model_config = ConfigDict(frozen=True)

    label: tuple[int, ...]
    score: tuple[float, ...]


class FrameStatistics(BaseModel):
    """What evaluating one frame leaves.

    Attributes:
        module, non_defected, defected: the boxes as each of KINDS.
        modules: the true ones.
        confusion: rows truth, columns answer at a threshold, the last of each meaning "no module".
    """

    model_config = ConfigDict(frozen=True)

    module: Ranked
    non_defected: Ranked
    defected: Ranked
    modules: TrueModules
    confusion: tuple[tuple[int, ...], ...]

    def ranked(self, kind: str) -> Ranked:
        """The boxes as this one of KINDS."""
        return {"module": self.module, "non_defected": self.non_defected, "defected": self.defected}[kind]


def frame_statistics(found: Detections, labels: Labels, threshold: float) -> dict[str, Json]:
    """`FrameStatistics` as JSON, with the answer at `threshold`."""
    statistics: dict[str, Json] = {}
    for kind in KINDS:
        chosen = labels.boxes if kind == "module" else labels.boxes[labels.classes == CLASSES.index(kind)]
        statistics[kind] = ranked_statistics(box_iou(found.boxes, chosen), found.scores(kind), len(chosen))
    partner = _partners(found, labels)
    seen = np.append(found.defect, 0.0)[partner]  # the index -1 reads the 0 of a module that was missed
    statistics["modules"] = {"label": labels.classes.tolist(), "score": _rounded(seen)}
    statistics["confusion"] = _confusion(found, labels, partner, threshold)
    return statistics


def _rounded(values: Floats) -> list[float]:
    return [round(float(value), 7) for value in values]


def _partners(found: Detections, labels: Labels) -> NDArray[np.int64]:
    """(m,) index of the box that found each true module at an overlap of one half; -1 where none did."""
    partner = np.full(len(labels.boxes), -1, dtype=np.int64)
    overlap = box_iou(found.boxes, labels.boxes)
    for index in np.argsort(-found.objectness, kind="stable"):
        candidates = np.where(partner < 0, overlap[index], -1.0)
        if len(candidates) and candidates.max() >= IOU_THRESHOLDS[0]:
            partner[int(candidates.argmax())] = index
    return partner


def _confusion(found: Detections, labels: Labels, partner: NDArray[np.int64], threshold: float) -> list[list[int]]:
    nothing = len(CLASSES)
    answer = np.append((found.defect >= threshold).astype(np.int64), nothing)
    matrix = np.zeros((nothing + 1, nothing + 1), dtype=np.int64)
    np.add.at(matrix, (labels.classes, answer[partner]), 1)
    alone = np.setdiff1d(np.arange(len(found.boxes)), partner)
    np.add.at(matrix, (np.full(len(alone), nothing), answer[alone]), 1)
    rows: list[list[int]] = matrix.tolist()
    return rows


# ------------------------------------------------------------------------------------------------- pooled metrics


class Pool:
    """The statistics of all frames made into arrays once, so that a thousand resamples take seconds."""

    def __init__(self, statistics: Sequence[Mapping[str, Json]]) -> None:
        frames = [FrameStatistics.model_validate(frame) for frame in statistics]
        self.rankings = {kind: Ranking.of([frame.ranked(kind) for frame in frames]) for kind in KINDS}
        modules = [frame.modules for frame in frames]
        self._frame = np.repeat(np.arange(len(modules)), [len(part.label) for part in modules])
        self._label = np.array([label for part in modules for label in part.label], dtype=np.float64)
        scores = np.array([score for part in modules for score in part.score], dtype=np.float64)
        self._distinct, self._place = np.unique(scores, return_inverse=True)

    def score(self, weights: Floats) -> dict[str, float]:
        """Pooled metrics; NaN where a class has no true box."""
        precision = {kind: self.rankings[kind].average_precision(weights) for kind in KINDS}
        return {
            "ap50_defected": precision["defected"][0],
            "ap50_95_defected": float(np.mean(precision["defected"])),
            "ap50_non_defected": precision["non_defected"][0],
            "ap50_95_non_defected": float(np.mean(precision["non_defected"])),
            "map50": float(np.mean([precision[name][0] for name in CLASSES])),
            "ap50_module": precision["module"][0],
            "ap50_95_module": float(np.mean(precision["module"])),
            "recall_defected_at_fa_0_1": _recall_at_false_alarms(self.rankings["defected"], weights),
            "auc_module": self._auc(weights),
        }

    def _auc(self, weights: Floats) -> float:
        """Probability that a defected module scores above a healthy one (ties count half)."""
        drawn = weights[self._frame]
        size = len(self._distinct)
        positive = np.bincount(self._place, drawn * self._label, minlength=size)
        negative = np.bincount(self._place, drawn * (1 - self._label), minlength=size)
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative / 2
        return float((positive * below).sum() / pairs) if pairs else float("nan")


def _recall_at_false_alarms(ranking: Ranking, weights: Floats) -> float:
    """Largest recall at an IoU of one half with at most FALSE_ALARMS_PER_IMAGE, pooled."""
    truth = float(ranking.truth @ weights)
    if truth == 0:
        return float("nan")
    drawn = weights[ranking.row]
    hits = ranking.hits[0]
    allowed = np.cumsum(drawn * ~hits) <= FALSE_ALARMS_PER_IMAGE * weights.sum()
    # Boxes with the same score stand or fall together: a threshold cannot tell them apart.
    last_of_score = np.append(np.diff(ranking.score) != 0, True)[: len(hits)]
    reachable = np.cumsum(drawn * hits)[allowed & last_of_score]
    return float(reachable.max() / truth) if len(reachable) else 0.0


CURVES = {"precision_recall_defected": ("recall of defected modules (IoU 0.5)", "precision")}


def plots(rows: Rows) -> dict[str, Plot]:
    """The precision-recall curve on `defected` at an IoU of one half, and the confusion matrix."""
    name, ranking = "precision_recall_defected", Pool([row.statistics for row in rows]).rankings["defected"]
    ones = np.ones(len(rows))
    recall, precision = ranking.curves(ones, max(float(ranking.truth.sum()), 1.0))
    confusion = np.sum([np.array(row.statistics["confusion"]) for row in rows], axis=0)
    return {
        name: curve(_rounded(recall[0]), _rounded(precision[0]), CURVES[name]),
        "confusion": {"matrix": confusion.tolist(), "labels": [*CLASSES, "no module"]},
    }
