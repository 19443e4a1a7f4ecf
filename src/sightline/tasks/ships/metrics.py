"""What is evaluated: chips by their middle, scenes by the ships that were found, as rows that pool.

A detection is right where a ship's middle lies within 30 m of it. The highest takes its nearest ship first, and a ship
is found once: a second detection of it is wrong. One that lies on a vessel of another kind (smaller than 160 m, or at
berth) is neither right nor wrong. All are kept down to the scan's floor, so that the same rows give precision and
recall at the model's threshold, and average precision over all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sightline.geometry import box_iou
from sightline.task import Curve, Json, Plot, Rows, Table
from sightline.tasks.ships.detections import Detection
from sightline.tasks.ships.labels import Box
from sightline.vision.evaluation import curve
from sightline.vision.masks import ratio_of

Floats = NDArray[np.float64]

NEAR_M = 30.0
"""How far a detection may be from a ship's middle."""

RIGHT, WRONG, NEITHER = 1, 0, -1
"""What a detection is."""

_IOU = 0.5


class Matched(NamedTuple):
    """A detection held against the labels.

    Attributes:
        score: of the detection.
        near: what it is by distance: RIGHT, WRONG or NEITHER.
        boxed: what it is by the overlap of its box.
        off_m: metres from its ship; -1 where it has none.
    """

    score: float
    near: int
    boxed: int
    off_m: float


class Chip(BaseModel):
    """Of one chip: the probability of a ship in its middle, and whether there is one (1 or 0)."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["chip"] = "chip"
    probability: float
    ship: int
    threshold: float

    @property
    def answered(self) -> bool:
        """Whether the model says that there is a ship."""
        return self.probability >= self.threshold


class Scene(BaseModel):
    """Of one scene: how many ships it has, and its detections, the highest score first."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["scene"] = "scene"
    ships: int
    threshold: float
    detections: tuple[Matched, ...]

    @property
    def taken(self) -> list[Matched]:
        """The detections that the model reports."""
        return [one for one in self.detections if one.score >= self.threshold]

    @property
    def counted(self) -> int:
        """Ships that the answer counts, without those on vessels that are not asked for."""
        return sum(one.near != NEITHER for one in self.taken)


_Kind = TypeVar("_Kind", Chip, Scene)

_STATISTICS: TypeAdapter[Chip | Scene] = TypeAdapter(Annotated[Chip | Scene, Field(discriminator="kind")])


def chip_statistics(probability: float, ship: bool, threshold: float) -> dict[str, Json]:
    """A `Chip` as JSON."""
    return Chip(probability=round(probability, 6), ship=int(ship), threshold=threshold).model_dump(mode="json")


def scene_statistics(
    found: Sequence[Detection], boxes: Sequence[Box], gsd_m: float, threshold: float
) -> dict[str, Json]:
    """`match_scene` as JSON."""
    return match_scene(found, boxes, gsd_m, threshold).model_dump(mode="json")


def match_scene(found: Sequence[Detection], boxes: Sequence[Box], gsd_m: float, threshold: float) -> Scene:
    """What the detections of one scene are."""
    ranked = sorted(found, key=lambda one: (-one.score, one.y, one.x))
    ships, others = ([box for box in boxes if (box.kind == "ship") == wanted] for wanted in (True, False))
    by_distance, off_m = _by_distance(ranked, ships, others, NEAR_M / gsd_m)
    by_box = _by_box(ranked, ships, others)
    matched = (
        Matched(round(one.score, 6), near, boxed, round(off * gsd_m, 2))
        for one, near, boxed, off in zip(ranked, by_distance, by_box, off_m, strict=True)
    )
    return Scene(ships=len(ships), threshold=threshold, detections=tuple(matched))


def _by_distance(
    ranked: Sequence[Detection], ships: Sequence[Box], others: Sequence[Box], near_px: float
) -> tuple[list[int], list[float]]:
    """What each detection is, and how far in pixels it is from its ship; a negative number where it has none."""
    left = list(ships)
    verdicts, off = [], []
    for one in ranked:
        nearest = min(left, key=lambda box: _distance(one, box), default=None)
        if nearest is not None and _distance(one, nearest) <= near_px:
            left.remove(nearest)
            verdicts.append(RIGHT)
            off.append(_distance(one, nearest))
        else:
            verdicts.append(NEITHER if _on_other(one, others, near_px) else WRONG)
            off.append(-1.0)
    return verdicts, off


def _distance(one: Detection, box: Box) -> float:
    return float(np.hypot(one.x - (box.x0 + box.x1) / 2, one.y - (box.y0 + box.y1) / 2))


def _on_other(one: Detection, others: Sequence[Box], near_px: float) -> bool:
    """Whether it lies on a vessel that is not asked for, or as near to its middle as a ship would have to be."""
    within = any(box.x0 <= one.x <= box.x1 and box.y0 <= one.y <= box.y1 for box in others)
    return within or any(_distance(one, box) <= near_px for box in others)


def _by_box(ranked: Sequence[Detection], ships: Sequence[Box], others: Sequence[Box]) -> list[int]:
    """What each detection is by the intersection over union of its box."""
    shares = box_iou(_boxes(ranked), _corners(ships)) if ships else np.zeros((len(ranked), 0))
    near_other = [_on_other(one, others, 0.0) for one in ranked]
    free, verdicts = np.ones(len(ships), dtype=bool), []
    for row, ignored in zip(shares, near_other, strict=True):
        candidates = np.where(free, row, -1.0)
        best = int(candidates.argmax()) if len(candidates) else -1
        if best >= 0 and candidates[best] >= _IOU:
            free[best] = False
            verdicts.append(RIGHT)
        else:
            verdicts.append(NEITHER if ignored else WRONG)
    return verdicts


def _boxes(found: Sequence[Detection]) -> Floats:
    return np.array([one.box for one in found], dtype=np.float64).reshape(-1, 4)


def _corners(boxes: Sequence[Box]) -> Floats:
    return np.array([[box.x0, box.y0, box.x1, box.y1] for box in boxes], dtype=np.float64).reshape(-1, 4)


# --------------------------------------------------------------------------------------------------------- pooled


class Pool:
    """The rows as arrays, made once: the bootstrap only changes the weights."""

    def __init__(self, statistics: Sequence[Mapping[str, Json]]) -> None:
        read = [_STATISTICS.validate_python(one) for one in statistics]
        chips, scenes = _numbered(read, Chip), _numbered(read, Scene)
        self._chip_rows = np.array([row for row, _ in chips], dtype=np.intp)
        self._chips = np.array([[one.ship, one.answered] for _, one in chips], dtype=bool).reshape(-1, 2)
        self._scene_rows = np.array([row for row, _ in scenes], dtype=np.intp)
        self._ships = np.array([one.ships for _, one in scenes], dtype=np.float64)
        self._off_count = np.array([abs(one.counted - one.ships) for _, one in scenes], dtype=np.float64)
        listed = [(row, *found, found.score >= one.threshold) for row, one in scenes for found in one.detections]
        self._found = np.array(listed, dtype=np.float64).reshape(-1, 6)

    def score(self, weights: Floats) -> dict[str, float]:
        """Pooled metrics; NaN where there is nothing to evaluate."""
        return {**self._of_detections(weights), **self._of_chips(weights)}

    def _of_chips(self, weights: Floats) -> dict[str, float]:
        own = weights[self._chip_rows]
        ship, answer = self._chips.T
        hits, wrong, missed = (float(own @ one) for one in (ship & answer, ~ship & answer, ship & ~answer))
        right = hits + float(own @ (~ship & ~answer))
        return {
            "chip_accuracy": _ratio(right, float(own.sum())),
            "chip_f1": _ratio(2 * hits, 2 * hits + wrong + missed),
            "chip_accuracy_majority": _ratio(max(float(own @ ship), float(own @ ~ship)), float(own.sum())),
        }

    def _of_detections(self, weights: Floats) -> dict[str, float]:
        own = weights[self._scene_rows]
        ships = float(own @ self._ships)
        each = weights[self._found[:, 0].astype(np.intp)]
        kept = self._found[:, 5] > 0
        hits, wrong = (float(each @ (kept & (self._found[:, 2] == verdict))) for verdict in (RIGHT, WRONG))
        off_m = kept & (self._found[:, 2] == RIGHT)
        return {
            "f1": _ratio(2 * hits, hits + wrong + ships),
            "precision": _ratio(hits, hits + wrong),
            "recall": _ratio(hits, ships),
            "ap_30m": average_precision(self._found[:, 1], self._found[:, 2], each, ships),
            "ap50": average_precision(self._found[:, 1], self._found[:, 3], each, ships),
            "count_error_mean": _ratio(float(own @ self._off_count), float(own.sum())),
            "position_error_m": _ratio(float(each[off_m] @ self._found[off_m, 4]), hits),
            "ships": ships,
        }


def _numbered(read: Sequence[Chip | Scene], kind: type[_Kind]) -> list[tuple[int, _Kind]]:
    """Those of one kind, each with the number of its row."""
    return [(row, one) for row, one in enumerate(read) if isinstance(one, kind)]


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")


def precision_recall(scores: Floats, verdicts: Floats, weights: Floats, ships: float) -> tuple[Floats, Floats]:
    """Precision and recall with the threshold at each score, falling; detections of equal score come together."""
    evaluated = (verdicts != NEITHER) & (weights > 0)
    order = np.argsort(-scores[evaluated], kind="stable")
    ranked, right, share = scores[evaluated][order], verdicts[evaluated][order] == RIGHT, weights[evaluated][order]
    hits, taken = np.cumsum(share * right), np.cumsum(share)
    last = np.append(np.diff(ranked) != 0, True)[: len(ranked)]
    return ratio_of(hits[last], taken[last]), hits[last] / ships if ships else hits[last] * np.nan


def average_precision(scores: Floats, verdicts: Floats, weights: Floats, ships: float) -> float:
    """The area under precision over recall, precision being the best at that recall or beyond; NaN without ships."""
    if ships <= 0:
        return float("nan")
    precision, recall = precision_recall(scores, verdicts, weights, ships)
    if not len(recall):
        return 0.0
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * best))


# ---------------------------------------------------------------------------------------------------------- plots


def plots(rows: Rows) -> dict[str, Plot]:
    """The chips' confusion matrix, the detections' precision over recall, and a table of the scenes."""
    made: dict[str, Plot] = {}
    read = [(row.key, _STATISTICS.validate_python(row.statistics)) for row in rows]
    chips = [one for _, one in read if isinstance(one, Chip)]
    if chips:
        matrix = np.zeros((2, 2), dtype=int)
        for one in chips:
            matrix[one.ship, int(one.answered)] += 1
        made["confusion"] = {"matrix": matrix.tolist(), "labels": ["no-ship", "ship"]}
    scenes = {key: one for key, one in read if isinstance(one, Scene)}
    if scenes:
        made["precision_recall"] = _curve(list(scenes.values()))
        made["scenes"] = _table(scenes)
    return made


CURVES = {"precision_recall": ("recall of ships (30 m)", "precision")}


def _curve(scenes: Sequence[Scene]) -> Curve:
    found = np.array([one[:2] for scene in scenes for one in scene.detections], dtype=np.float64).reshape(-1, 2)
    ships = float(sum(scene.ships for scene in scenes))
    precision, recall = precision_recall(found[:, 0], found[:, 1], np.ones(len(found)), ships)
    kept = np.isfinite(precision) & np.isfinite(recall)
    x, y = (np.round(values[kept], 4).tolist() for values in (recall, precision))
    return curve(x, y, CURVES["precision_recall"])


def _table(scenes: Mapping[str, Scene]) -> Table:
    rows: list[list[float | str | None]] = []
    for key, scene in scenes.items():
        verdicts = [one.near for one in scene.taken]
        right, wrong = verdicts.count(RIGHT), verdicts.count(WRONG)
        rows.append([key, scene.ships, scene.counted, right, wrong, scene.ships - right])
    return {"columns": ["scene", "ships", "counted", "right", "wrong", "missed"], "rows": rows}
