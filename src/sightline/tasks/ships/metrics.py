"""What is evaluated: chips by their middle, scenes by the vessels that were found, as rows that pool.

A vessel is found where a detection lies within 30 m of its middle; within its box where that holds its wake too. The
highest detection takes its nearest vessel first, and a vessel is found once: a second detection of it is wrong. What
lies on a vessel of less than 20 m is neither right nor wrong.

Where and how long a vessel is: as its label says; for a wrong detection, as the answer says. So the figures of open
water count the vessels there, found or missed, and what is answered to lie there and is none; those of a class of
lengths likewise. What the answer says of vessels that it finds is evaluated apart (`where_accuracy`,
`size_class_accuracy`). A wrong detection that is answered to lie alongside counts where anything alongside is labelled;
elsewhere nobody knows. All are kept down to the scan's floor, so that the same rows give precision and recall at the
model's thresholds, and average precision over all of them.
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
from sightline.tasks.ships.labels import SIZE_CLASSES, Box, size_class_of
from sightline.vision.evaluation import curve
from sightline.vision.masks import ratio_of

Floats = NDArray[np.float64]

NEAR_M = 30.0
"""How far a detection may be from a ship's middle."""

RIGHT, WRONG, NEITHER = 1, 0, -1
"""What a detection is."""

_IOU = 0.5


OPEN_WATER, ALONGSIDE = 0, 1
"""Where something lies."""

UNKNOWN = -1
"""A class of lengths that is not known, or whether the answer agrees where there is nothing to agree with."""


class Matched(NamedTuple):
    """A detection held against the labels.

    Attributes:
        score: of the detection.
        near: what it is by distance: RIGHT, WRONG or NEITHER.
        boxed: what it is by the overlap of its box.
        off_m: metres from its vessel; -1 where it has none.
        place: where it lies: as its label says, or the answer where it has none.
        size: its class of lengths, likewise; UNKNOWN where the label does not tell.
        said_place: where the answer says that it lies.
        said_size: what class the answer puts it to.
    """

    score: float
    near: int
    boxed: int
    off_m: float
    place: int = OPEN_WATER
    size: int = UNKNOWN
    said_place: int = OPEN_WATER
    said_size: int = UNKNOWN


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
    """Of one scene: how many vessels it has, and its detections, the highest score first.

    Attributes:
        ships: in open water.
        alongside: the others.
        sizes: those in open water by their class of lengths; fewer than `ships` where it is not known of all.
        boxed: those in open water whose extent is known.
        threshold, alongside_threshold: of what is answered to lie there.
    """

    model_config = ConfigDict(frozen=True)

    kind: Literal["scene"] = "scene"
    ships: int
    alongside: int = 0
    sizes: tuple[int, ...] = (0,) * len(SIZE_CLASSES)
    boxed: int = 0
    threshold: float
    alongside_threshold: float = 1.0
    detections: tuple[Matched, ...]

    def takes(self, one: Matched) -> bool:
        """Whether the model reports a detection."""
        return one.score >= (self.alongside_threshold if one.said_place == ALONGSIDE else self.threshold)

    @property
    def taken(self) -> list[Matched]:
        """The detections that the model reports."""
        return [one for one in self.detections if self.takes(one)]

    @property
    def counted(self) -> int:
        """Vessels that the answer counts in open water, without those that are too short to be asked for."""
        return sum(one.near != NEITHER and one.said_place == OPEN_WATER for one in self.taken)


_Kind = TypeVar("_Kind", Chip, Scene)

_STATISTICS: TypeAdapter[Chip | Scene] = TypeAdapter(Annotated[Chip | Scene, Field(discriminator="kind")])


def chip_statistics(probability: float, ship: bool, threshold: float) -> dict[str, Json]:
    """A `Chip` as JSON."""
    return Chip(probability=round(probability, 6), ship=int(ship), threshold=threshold).model_dump(mode="json")


def scene_statistics(
    found: Sequence[Detection], boxes: Sequence[Box], gsd_m: float, thresholds: tuple[float, float]
) -> dict[str, Json]:
    """`match_scene` as JSON."""
    return match_scene(found, boxes, gsd_m, thresholds).model_dump(mode="json")


def match_scene(
    found: Sequence[Detection], boxes: Sequence[Box], gsd_m: float, thresholds: tuple[float, float] = (0.0, 0.0)
) -> Scene:
    """What the detections of one scene are; the thresholds are those of open water and of what lies alongside."""
    ranked = sorted(found, key=lambda one: (-one.score, one.y, one.x))
    asked, short = ([box for box in boxes if box.is_asked_for(gsd_m) == wanted] for wanted in (True, False))
    lying = [box.where for box in asked]
    vessels = _by_distance(ranked, asked, gsd_m)
    by_box = _by_box(ranked, asked, boxes, gsd_m)
    matched = []
    for one, vessel, boxed in zip(ranked, vessels, by_box, strict=True):
        said = ALONGSIDE if one.where == "alongside" else OPEN_WATER
        length_m = one.length_px * gsd_m
        said_size = SIZE_CLASSES.index(size_class_of(length_m))
        score = round(one.score, 6)
        if vessel is not None:
            place, size, off_m = _place(vessel), _size(vessel, gsd_m), round(_distance(one, vessel) * gsd_m, 2)
            matched.append(Matched(score, RIGHT, boxed, off_m, place, size, said, said_size))
            continue
        unknowable = said == ALONGSIDE and "alongside" not in lying
        near = NEITHER if unknowable or _on_any(one, short, NEAR_M / gsd_m) else WRONG
        matched.append(Matched(score, near, NEITHER if unknowable else boxed, -1.0, said, said_size, said, said_size))
    open_water = [box for box in asked if box.where == "open_water"]
    sizes = [_size(box, gsd_m) for box in open_water]
    return Scene(
        ships=len(open_water),
        alongside=len(asked) - len(open_water),
        sizes=tuple(sizes.count(size) for size in range(len(SIZE_CLASSES))),
        boxed=sum(_has_extent(box, gsd_m) for box in open_water),
        threshold=thresholds[0],
        alongside_threshold=thresholds[1],
        detections=tuple(matched),
    )


def _place(box: Box) -> int:
    return ALONGSIDE if box.where == "alongside" else OPEN_WATER


def _size(box: Box, gsd_m: float) -> int:
    found = box.size_class(gsd_m)
    return UNKNOWN if found is None else SIZE_CLASSES.index(found)


def _has_extent(box: Box, gsd_m: float) -> bool:
    return not box.is_point and not box.holds_wake(gsd_m)


def _by_distance(ranked: Sequence[Detection], asked: Sequence[Box], gsd_m: float) -> list[Box | None]:
    """The vessel that each detection finds; None where it finds none."""
    left = list(asked)
    vessels: list[Box | None] = []
    for one in ranked:
        near = [box for box in left if _distance(one, box) * gsd_m <= NEAR_M or _within_wake(one, box, gsd_m)]
        nearest = min(near, key=lambda box: _distance(one, box), default=None)
        if nearest is not None:
            left.remove(nearest)
        vessels.append(nearest)
    return vessels


def _distance(one: Detection, box: Box) -> float:
    return float(np.hypot(one.x - (box.x0 + box.x1) / 2, one.y - (box.y0 + box.y1) / 2))


def _within(one: Detection, box: Box) -> bool:
    return box.x0 <= one.x <= box.x1 and box.y0 <= one.y <= box.y1


def _within_wake(one: Detection, box: Box, gsd_m: float) -> bool:
    return box.holds_wake(gsd_m) and _within(one, box)


def _on_any(one: Detection, boxes: Sequence[Box], near_px: float) -> bool:
    """Whether it lies on one of some vessels, or as near to its middle as a vessel would have to be."""
    return any(_within(one, box) or _distance(one, box) <= near_px for box in boxes)


def _by_box(ranked: Sequence[Detection], asked: Sequence[Box], boxes: Sequence[Box], gsd_m: float) -> list[int]:
    """What each detection is by the intersection over union of its box with those in open water."""
    ships = [box for box in asked if box.where == "open_water" and _has_extent(box, gsd_m)]
    others = [box for box in boxes if box not in ships]
    shares = box_iou(_boxes(ranked), _corners(ships)) if ships else np.zeros((len(ranked), 0))
    near_other = [_on_any(one, others, 0.0 if not others else NEAR_M / gsd_m) for one in ranked]
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
        counts = [(one.ships, one.alongside, one.boxed, *one.sizes) for _, one in scenes]
        self._counts = np.array(counts, dtype=np.float64).reshape(-1, 3 + len(SIZE_CLASSES))
        self._off_count = np.array([abs(one.counted - one.ships) for _, one in scenes], dtype=np.float64)
        listed = [(row, *found, one.takes(found)) for row, one in scenes for found in one.detections]
        self._found = _Found(np.array(listed, dtype=np.float64).reshape(-1, 2 + len(Matched._fields)))

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
        own, found = weights[self._scene_rows], self._found
        ships, alongside, boxed, *sizes = (float(value) for value in own @ self._counts)
        each = weights[found.rows]
        in_open, hits = found.place == OPEN_WATER, found.taken & (found.near == RIGHT)
        of_open = _rates(each, hits & in_open, found.taken & in_open & (found.near == WRONG), ships)
        made = {"f1": of_open["f1"], "precision": of_open["precision"], "recall": of_open["recall"]}
        for number, (name, count) in enumerate(zip(SIZE_NAMES, sizes, strict=True)):
            one = in_open & (found.size == number)
            rates = _rates(each, hits & one, found.taken & one & (found.near == WRONG), count)
            made |= {f"f1_{name}": rates["f1"], f"recall_{name}": rates["recall"], f"ships_{name}": count}
        berthed = _rates(each, hits & ~in_open, found.taken & ~in_open & (found.near == WRONG), alongside)
        made |= {f"{name}_alongside": value for name, value in berthed.items()}
        right_size, known_size = hits & (found.size == found.said_size), hits & (found.size != UNKNOWN)
        open_near = np.where(in_open, found.near, NEITHER)
        open_off = hits & in_open
        return {
            **made,
            "ap_30m": average_precision(found.score, open_near, each, ships),
            "ap50": average_precision(found.score, np.where(in_open, found.boxed, NEITHER), each, boxed),
            "size_class_accuracy": _ratio(float(each @ right_size), float(each @ known_size)),
            "where_accuracy": _ratio(float(each @ (hits & (found.place == found.said_place))), float(each @ hits)),
            "count_error_mean": _ratio(float(own @ self._off_count), float(own.sum())),
            "position_error_m": _ratio(float(each[open_off] @ found.off_m[open_off]), float(each @ open_off)),
            "ships": ships,
            "ships_alongside": alongside,
        }


SIZE_NAMES = ("20_50m", "50_160m", "160m")
"""Of the classes of lengths, in names of metrics."""


class _Found:
    """Detections as columns: the number of the scene's row, what `Matched` has, and whether they are reported."""

    def __init__(self, listed: Floats) -> None:
        self.rows = listed[:, 0].astype(np.intp)
        self.score, self.near, self.boxed, self.off_m = listed[:, 1:5].T
        self.place, self.size, self.said_place, self.said_size = listed[:, 5:9].T
        self.taken = listed[:, 9] > 0


def _rates(each: Floats, right: NDArray[np.bool_], wrong: NDArray[np.bool_], ships: float) -> dict[str, float]:
    hits, false = float(each @ right), float(each @ wrong)
    return {
        "f1": _ratio(2 * hits, hits + false + ships),
        "precision": _ratio(hits, hits + false),
        "recall": _ratio(hits, ships),
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


CURVES = {"precision_recall": ("recall of vessels in open water (30 m)", "precision")}


def _curve(scenes: Sequence[Scene]) -> Curve:
    in_open = (one for scene in scenes for one in scene.detections if one.place == OPEN_WATER)
    found = np.array([one[:2] for one in in_open], dtype=np.float64).reshape(-1, 2)
    ships = float(sum(scene.ships for scene in scenes))
    precision, recall = precision_recall(found[:, 0], found[:, 1], np.ones(len(found)), ships)
    kept = np.isfinite(precision) & np.isfinite(recall)
    x, y = (np.round(values[kept], 4).tolist() for values in (recall, precision))
    return curve(x, y, CURVES["precision_recall"])


def _table(scenes: Mapping[str, Scene]) -> Table:
    """In open water; and how many lie alongside, and of these are found."""
    rows: list[list[float | str | None]] = []
    for key, scene in scenes.items():
        verdicts = [one.near for one in scene.taken if one.place == OPEN_WATER]
        right, wrong = verdicts.count(RIGHT), verdicts.count(WRONG)
        berthed = sum(one.near == RIGHT and one.place == ALONGSIDE for one in scene.taken)
        rows.append([key, scene.ships, scene.counted, right, wrong, scene.ships - right, scene.alongside, berthed])
    columns = ["scene", "ships", "counted", "right", "wrong", "missed", "alongside", "alongside found"]
    return {"columns": columns, "rows": rows}
