"""COCO's run-length encoding of masks, as pycocotools, CVAT and SAM write it. Untrusted.

    {"size": [height, width], "counts": [outside, inside, outside ...]}     down the columns, from the left
    {"size": [height, width], "counts": "eW1m0..."}                         the same, packed into text

The text holds five bits of a number in a character from `0` on, the lowest first; the sixth bit says that more follow.
From the third number on they are differences to the number two before (`rleFrString` of cocoapi's maskApi.c).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.task import Json

_EXPORT_AGAIN = "Export the labels again from the labelling tool."


def read_runs(stated: Mapping[str, Json], size: tuple[int, int], where: str) -> tuple[int, ...]:
    """The lengths of the runs, outside first.

    Args:
        stated: the annotation's `segmentation`.
        size: (width, height) of the photograph as stated.
        where: what messages call it.

    Raises:
        DataRejected: it is of another size, or no such encoding; names the field.
    """
    width, height = size
    if stated.get("size") != [height, width]:
        what = f"the mask is of the size {stated.get('size')!r}, its photograph [{height}, {width}]"
        raise DataRejected(what, where=f"{where}.size", way_out=_EXPORT_AGAIN)
    counts = stated.get("counts")
    runs = _unpacked(counts) if isinstance(counts, str) else counts if isinstance(counts, list) else []
    if not all(type(run) is int and run >= 0 for run in runs) or sum(runs) != width * height:
        what = f"its runs are not lengths that add up to {width} x {height} pixels"
        raise DataRejected(what, where=f"{where}.counts", way_out=_EXPORT_AGAIN)
    return tuple(runs)


def _unpacked(text: str) -> list[int]:
    """The numbers of the packed form; none where the text is no such form."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:  # the sign of the last five bits is that of the number
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs if shift == 0 else []


def runs_mask(runs: tuple[int, ...], width: int, height: int) -> NDArray[np.bool_]:
    """(height, width): which pixels lie inside."""
    flat = np.zeros(width * height, dtype=bool)
    ends = list(accumulate(runs))
    for start, end in zip(ends[::2], ends[1::2], strict=False):
        flat[start:end] = True
    return flat.reshape(width, height).T
