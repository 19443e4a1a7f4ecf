"""One thing that several pictures show is one thing: findings joined by where they lie on the ground.

That needs the ground of each picture, and positions that are better than the things are large. Where that is not so,
findings are counted as they are, and what is told says that a thing may be counted more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.pipeline.answer_paths import SavedFinding
from sightline.shots import Shot
from sightline.shots.ground import offsets_of

if TYPE_CHECKING:
    from shapely import Polygon

_OVERLAP = 0.25
"""Least intersection over union, on the ground, of two boxes that show one thing."""

_ERROR_SHARE = 0.5
"""Most of the smaller side of a thing by which its picture's position may be off."""

_SMALL_QUANTILE = 0.1
"""Of the things' smaller sides: one sliver must not keep all others apart."""

_EDGE_PX = 2.0
"""What ends so near to the frame is cut off by it, and tells nothing of how large a thing is."""

Seen = tuple[Sequence[SavedFinding], Shot, tuple[int, int] | None]
"""The findings of a picture, how it was taken, and its width and height."""


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
        return Repeats(apart, True, "Fewer than two pictures show findings.")
    shapes, owners = _ground_shapes(pictures)
    if len(shapes) < sum(counts):
        return Repeats(apart, False, f"{_MAY_REPEAT}: {_why_not_placed(pictures)}.")
    if vague := _why_too_vague(pictures, shapes):
        return Repeats(apart, False, f"{_MAY_REPEAT}: {vague}.")
    joined = _join(shapes, owners, [finding["kind"] for findings, _, _ in pictures for finding in findings])
    things = len(set(joined))
    said = f"{sum(counts):,} findings show {things:,} thing{'' if things == 1 else 's'}, by position and overlap."
    return Repeats(_numbered(counts, joined), True, said)


def _why_too_vague(pictures: Sequence[Seen], shapes: Sequence[Polygon]) -> str:
    """Why the positions do not tell one thing from the next; empty where they do."""
    side_m = _small_side_m(shapes, [_is_cut_off(one, size) for findings, _, size in pictures for one in findings])
    worst_m = _position_error_m(pictures)
    if worst_m is not None and worst_m <= _ERROR_SHARE * side_m:
        return ""
    known = "is not known" if worst_m is None else f"is {worst_m:.2g} m"
    return f"the error of the positions {known}, and the things are as small as {side_m:.2g} m"


def _position_error_m(pictures: Sequence[Seen]) -> float | None:
    """The largest error of the positions of pictures that show something; None where that of one is not known."""
    errors = [shot.position_error_m for findings, shot, _ in pictures if findings]
    known = [error for error in errors if error is not None]
    return max(known) if known and len(known) == len(errors) else None


_MAY_REPEAT = "A thing that several pictures show may be counted more than once"
_WANTED = "height above ground, direction and lens of each picture"


def _why_not_placed(pictures: Sequence[Seen]) -> str:
    unplaced = [one for findings, _, _ in pictures for one in findings if not one.get("ground")]
    if all("lon" in one.get("figures", ()) for one in unplaced):
        return "the accuracy of the pictures' georeferences is not known"
    return f"their position on the ground is not known ({_WANTED})"


def _numbered(counts: Sequence[int], flat: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    ends = np.cumsum([0, *counts])
    return tuple(tuple(flat[a:b]) for a, b in pairwise(ends))


def _ground_shapes(pictures: Sequence[Seen]) -> tuple[list[Polygon], list[int]]:
    """Polygons in metres about the first picture, and the number of the picture that each finding is of."""
    from shapely import Polygon

    shapes, owners = [], []
    origin: NDArray[np.float64] | None = None
    for number, (findings, _, _) in enumerate(pictures):
        for finding in findings:
            ground = finding.get("ground")
            if not ground:
                continue
            corners = np.asarray(ground, dtype=np.float64)
            origin = corners[0] if origin is None else origin
            shapes.append(Polygon(offsets_of(corners, origin, float(origin[1]))))
            owners.append(number)
    return shapes, owners


def _is_cut_off(finding: SavedFinding, size: tuple[int, int] | None) -> bool:
    if size is None:
        return False
    x0, y0, x1, y1 = map(float, finding["box"])
    return min(x0, y0, size[0] - x1, size[1] - y1) < _EDGE_PX


def _small_side_m(shapes: Sequence[Polygon], cut_off: Sequence[bool]) -> float:
    """The smaller side of a small thing, of those that are whole in their picture, if any is."""
    sides = [np.hypot(*np.diff(np.asarray(one.exterior.coords), axis=0).T).min() for one in shapes]
    whole = [side for side, cut in zip(sides, cut_off, strict=True) if not cut]
    return float(np.quantile(whole or sides, _SMALL_QUANTILE))


def _join(shapes: Sequence[Polygon], owners: Sequence[int], kinds: Sequence[str]) -> list[int]:
    """A number a finding, the same for those of one kind that overlap from picture to picture.

    Union-find, the closest overlaps first, and never two findings of one picture: neighbours that each overlap a box
    between them in a third picture are two things.
    """
    parents = list(range(len(shapes)))
    seen_in = [{owner} for owner in owners]

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    for first, second in _overlapping(shapes, owners, kinds):
        one, other = root(first), root(second)
        if one != other and seen_in[one].isdisjoint(seen_in[other]):
            parents[other] = one
            seen_in[one] |= seen_in[other]
    return [root(number) for number in range(len(shapes))]


def _overlapping(shapes: Sequence[Polygon], owners: Sequence[int], kinds: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of one kind and two pictures that overlap enough, by falling intersection over union."""
    from shapely import STRtree, area, intersection

    firsts, seconds = STRtree(shapes).query(shapes, predicate="intersects")
    of, kind, polygons = np.asarray(owners), np.asarray(kinds), np.asarray(shapes)
    wanted = (firsts < seconds) & (of[firsts] != of[seconds]) & (kind[firsts] == kind[seconds])
    firsts, seconds = firsts[wanted], seconds[wanted]
    shared = area(intersection(polygons[firsts], polygons[seconds]))
    whole = area(polygons[firsts]) + area(polygons[seconds]) - shared
    overlaps = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    order = [i for i in np.lexsort((seconds, firsts, -overlaps)) if overlaps[i] >= _OVERLAP]
    return [(int(firsts[i]), int(seconds[i])) for i in order]
