"""Which chips show the same place: they must lie on one side of a split.

The published records name no place, the chips of a site are cut anew around random points each year, and the numbers
of the chips do not agree between years. Three things link chips, within and between files:

- a list of their coordinates, where it has one entry for each chip (the lists that were published beside the records
  have more entries than there are chips, so they do not tell which is which);
- an outline of a farm that lies whole in both chips, compared by its area and second moments: it is the same
  wherever in the chip it lies;
- the same bytes.

What this cannot find: the same empty land without coordinates, and farms that every chip cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.panel_defects.duplicates import Links, chained, connected, joined, spread

Coordinates = NDArray[np.float64]
"""(n, 2) longitude and latitude in degrees."""

EARTH_RADIUS_M = 6_371_000.0
LEAST_OUTLINE_PX = 60
"""Smaller farms look too much alike."""

_MOST_PAIRS = 4_000_000
"""Of close points, held at once; where there are more, the neighbours of so many points are:"""
_BLOCK = 256

OUTLINE_TOLERANCE = 0.05
"""By which the logarithms of two outlines' areas and moments may differ."""


def farm_outlines(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(k, 4) log area, log major and minor moment, and direction of each farm that lies whole in a (h, w) mask."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    cut = set(np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])).tolist())
    rows = []
    for number, window in enumerate(ndimage.find_objects(labels, max_label=count), start=1):
        y, x = np.nonzero(labels[window] == number)
        if number in cut or len(x) < LEAST_OUTLINE_PX:
            continue
        xx, yy, xy = np.var(x), np.var(y), np.mean((x - x.mean()) * (y - y.mean()))
        spread = np.hypot((xx - yy) / 2, xy)
        major, minor = (xx + yy) / 2 + spread, (xx + yy) / 2 - spread
        # A direction of a round farm means nothing: it counts as far as the farm is long.
        direction = np.arctan2(2 * xy, xx - yy) / 2 * (1 - minor / major)
        rows.append([np.log(len(x)), np.log(major), np.log(max(minor, 0.1)), direction])
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def places(
    names: Sequence[str],
    coordinates: Coordinates,
    outlines: Sequence[NDArray[np.float64]],
    contents: Sequence[str],
    reach_m: float,
) -> list[str]:
    """The place of each chip: the smallest name of those it is linked with.

    Args:
        names: of the n chips.
        coordinates: (n, 2) of their centres; NaN where unknown.
        outlines: of the farms in each (`farm_outlines`).
        contents: digest of each; empty where unknown.
        reach_m: centres closer than this belong to one place.
    """
    owners = np.repeat(np.arange(len(names)), [len(rows) for rows in outlines])
    points = np.concatenate([np.zeros((0, 4)), *outlines])
    located = np.nonzero(np.isfinite(coordinates).all(axis=1))[0]
    known = np.nonzero(np.array(contents, dtype=str) != "")[0]
    _, content = np.unique(np.array(contents, dtype=str)[known], return_inverse=True)
    found = [
        (owners, links_within(points, OUTLINE_TOLERANCE, norm=np.inf)),
        (located, links_within(_on_sphere(coordinates[located]), reach_m, norm=2)),
        (known, chained(content)),
    ]
    first, second = (np.concatenate([whose[links[end]] for whose, links in found]) for end in (0, 1))
    return connected(names, first, second)


def links_within(points: NDArray[np.float64], distance: float, norm: float, most_pairs: int = _MOST_PAIRS) -> Links:
    """Fewer links than points, that join what all pairs within `distance` do: of these a crowded place has no end."""
    from scipy.spatial import KDTree

    distinct, place = np.unique(points, axis=0, return_inverse=True)
    tree = KDTree(distinct)
    links = chained(np.zeros(0, dtype=np.int64))
    if not len(distinct) or tree.count_neighbors(tree, distance, p=norm) <= most_pairs:
        pairs = tree.query_pairs(distance, p=norm, output_type="ndarray") if len(distinct) else np.zeros((0, 2), int)
        return spread(joined(len(distinct), links, (pairs[:, 0], pairs[:, 1])), place)
    for start in range(0, len(distinct), _BLOCK):
        near = KDTree(distinct[start : start + _BLOCK]).sparse_distance_matrix(
            tree, distance, p=norm, output_type="ndarray"
        )
        links = joined(len(distinct), links, (near["i"] + start, near["j"]))
    return spread(links, place)


def _on_sphere(degrees: Coordinates) -> NDArray[np.float64]:
    longitude, latitude = np.radians(degrees).T
    unit = [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
    return np.stack(unit, axis=1) * EARTH_RADIUS_M
