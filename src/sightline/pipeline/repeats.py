"""One thing that several pictures show is one thing: findings joined by where they lie on the ground.

That needs the ground of each picture, and positions that are better than the things are large. Where that is not so,
findings are counted as they are, and what is told says that a thing may be counted more than once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.shots import Shot
from sightline.shots.ground import offsets_of
from sightline.task import Json

_OVERLAP = 0.25
"""Least intersection over union, on the ground, of two boxes that show one thing."""

_ERROR_SHARE = 0.5
"""Most of the smaller side of a thing by which its picture's position may be off."""

Seen = tuple[Sequence[Mapping[str, Json]], Shot, NDArray[np.float64] | None]
"""The findings of a picture, how it was taken, and its corners on the ground."""


@dataclass(frozen=True)
class Repeats:
    """Which findings show the same thing.

    Attributes:
        places: for each picture, the number of the thing that each of its findings shows.
        known: whether findings were joined; else each counts as a thing of its own.
        why: in a sentence, what was done or why it could not be done.
    """

    places: tuple[tuple[int, ...], ...]
    known: bool
    why: str


def find_repeats(pictures: Sequence[Seen]) -> Repeats:
    """Join the findings of all pictures by position and overlap."""
    counts = [len(findings) for findings, _, _ in pictures]
    apart = _numbered(counts, list(range(sum(counts))))
    if sum(count > 0 for count in counts) < 2:
        return Repeats(apart, True, "No two pictures show findings.")
    shapes, owners = _ground_shapes(pictures)
    if len(shapes) < sum(counts):
        return Repeats(apart, False, f"{_MAY_REPEAT}: where they lie on the ground is not known ({_WANTED}).")
    errors = [shot.position_error_m for findings, shot, _ in pictures if findings]
    side_m = min(_smaller_side_m(shape) for shape in shapes)
    worst_m = max((error for error in errors if error is not None), default=None)
    if worst_m is None or None in errors or worst_m > _ERROR_SHARE * side_m:
        known = "is not known" if worst_m is None or None in errors else f"is {worst_m:.2g} m"
        return Repeats(
            apart, False, f"{_MAY_REPEAT}: the error of the positions {known}, and the things are {side_m:.2g} m small."
        )
    joined = _join(shapes, owners, [finding["kind"] for findings, _, _ in pictures for finding in findings])
    things = len(set(joined))
    return Repeats(
        _numbered(counts, joined), True, f"{sum(counts)} findings show {things} things, by position and overlap."
    )


_MAY_REPEAT = "A thing that several pictures show may be counted more than once"
_WANTED = "height above ground, direction and lens of each picture"


def _numbered(counts: Sequence[int], flat: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    ends = np.cumsum([0, *counts])
    return tuple(tuple(flat[a:b]) for a, b in pairwise(ends))


def _ground_shapes(pictures: Sequence[Seen]) -> tuple[list[Any], list[int]]:
    """Polygons in metres about the first picture, and the number of the picture that each finding is of."""
    from shapely import Polygon

    shapes, owners = [], []
    origin: NDArray[np.float64] | None = None
    for number, (findings, _, _) in enumerate(pictures):
        for finding in findings:
            if not finding.get("ground"):
                continue
            corners = np.asarray(finding["ground"], dtype=np.float64)
            origin = corners[0] if origin is None else origin
            shapes.append(Polygon(offsets_of(corners, origin, float(origin[1]))))
            owners.append(number)
    return shapes, owners


def _smaller_side_m(shape: Any) -> float:
    sides = np.hypot(*np.diff(np.asarray(shape.exterior.coords), axis=0).T)
    return float(sides.min())


def _join(shapes: Sequence[Any], owners: Sequence[int], kinds: Sequence[str]) -> list[int]:
    """A number a finding, the same for those of one kind that overlap from picture to picture (union-find)."""
    from shapely import STRtree

    parents = list(range(len(shapes)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    firsts, seconds = STRtree(shapes).query(shapes, predicate="intersects")
    for first, second in zip(firsts.tolist(), seconds.tolist(), strict=True):
        if first >= second or owners[first] == owners[second] or kinds[first] != kinds[second]:
            continue
        shared = shapes[first].intersection(shapes[second]).area
        if shared >= _OVERLAP * (shapes[first].area + shapes[second].area - shared):
            parents[root(second)] = root(first)
    return [root(number) for number in range(len(shapes))]
