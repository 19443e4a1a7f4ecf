"""Photographs that show nearly the same picture: they must lie on one side of a split.

A difference hash (Krawetz, "Kind of like that", 2013) of 16 x 16 bits survives another size, JPEG quality and a small
change of brightness. Pictures within 16 of the 256 bits are near-duplicates, and what is linked by a chain of them
forms a group.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BITS = 256
DISTANCE_BITS = 16
"""Hamming distance within which two pictures are near-duplicates."""

_BLOCK = 128  # rows compared at once: 128 x n distances are the most that is held
_CELLS = 16

Links = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Indices of what is linked: the k-th of the one with the k-th of the other."""


def difference_hash(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(256,) bits of a picture, (h, w, 3) RGB or (h, w) grey: is each of 16 x 17 cells darker than its right neighbour.

    A cell is the mean of its pixels, in 32 bits: the answer does not depend on the machine.
    """
    import cv2

    grey = picture if picture.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey.astype(np.float32), (_CELLS + 1, _CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(cells[:, 1:] > cells[:, :-1]).ravel()


def near_duplicates(hashes: NDArray[np.bool_], distance_bits: int = DISTANCE_BITS) -> Links:
    """Links of rows of (n, bits) `hashes` that differ in `distance_bits` or fewer: two arrays of fewer than n indices.

    What a chain of such pairs joins, a chain of the links joins: n frames of one view make n (n - 1) / 2 pairs.
    """
    packed, place = np.unique(np.packbits(hashes, axis=1), axis=0, return_inverse=True)
    distinct = np.unpackbits(packed, axis=1, count=hashes.shape[1]).astype(bool)
    # With bits as +1 and -1 the product of two rows is bits - 2 * distance: one matrix product per block.
    signs = np.where(distinct, np.float32(1), np.float32(-1))
    least = hashes.shape[1] - 2 * distance_bits
    links = chained(np.zeros(0, dtype=np.int64))
    for start in range(0, len(signs), _BLOCK):
        rows, columns = np.nonzero(signs[start : start + _BLOCK] @ signs[start:].T >= least)
        later = columns > rows
        links = joined(len(signs), links, (rows[later] + start, columns[later] + start))
    return spread(links, place)


def joined(count: int, links: Links, more: Links) -> Links:
    """Fewer than `count` links that join what those and more do."""
    if not len(more[0]):
        return links
    first, second = (np.concatenate(both) for both in zip(links, more, strict=True))
    return chained(_components(count, first, second))


def chained(labels: NDArray[np.int64]) -> Links:
    """Links that join all that have the same of (n,) labels."""
    order = np.argsort(labels, kind="stable")
    same = labels[order[:-1]] == labels[order[1:]]
    return order[:-1][same], order[1:][same]


def spread(links: Links, place: NDArray[np.int64]) -> Links:
    """Links of distinct rows as links of all rows, whose k-th is the distinct one `place[k]`, and links of copies."""
    place = place.ravel()
    _, one_of = np.unique(place, return_index=True)
    copies = chained(place)
    return np.concatenate([one_of[links[0]], copies[0]]), np.concatenate([one_of[links[1]], copies[1]])


def _components(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    links = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(count, count))
    _, component = connected_components(links, directed=False)
    return np.asarray(component, dtype=np.int64)


def connected(names: Sequence[str], first: NDArray[np.int64], second: NDArray[np.int64]) -> list[str]:
    """The group of each of `names`, linked by pairs of indices: the smallest name among those it hangs together with.

    The answer does not depend on the order of the names or of the pairs.
    """
    if not names:
        return []
    component = _components(len(names), first, second).tolist()
    smallest: dict[int, str] = {}
    for name, number in zip(names, component, strict=True):
        smallest[number] = min(name, smallest.get(number, name))
    return [smallest[number] for number in component]
