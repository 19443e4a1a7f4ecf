"""Masks as run lengths, as COCO and YouTube-VIS write them: down the columns, the first run outside the mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.task import Json

Mask = NDArray[np.bool_]

_BITS, _MORE, _SIGN, _FIRST = 5, 0x20, 0x10, 48
_LONGEST = 13  # characters of a run: more than 64 bits are no run
_WAY_OUT = "Export the annotations again, or remove this video from the document."


@dataclass(frozen=True)
class RunLengths:
    """One mask.

    Attributes:
        counts: pixels of each run down the columns, outside and inside by turns; the first may be 0.
        size: (h, w); the runs add up to h * w.
    """

    counts: tuple[int, ...]
    size: tuple[int, int]

    @classmethod
    def encode(cls, mask: Mask) -> RunLengths:
        """The runs of a mask (h, w)."""
        flat = np.asarray(mask, dtype=bool).ravel(order="F")
        edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        counts = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
        if len(flat) and flat[0]:
            counts = [0, *counts]
        return cls(tuple(counts), (mask.shape[0], mask.shape[1]))

    def decode(self) -> Mask:
        """The mask (h, w)."""
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(self.size, order="F")

    @property
    def area_px(self) -> int:
        """Pixels inside."""
        return sum(self.counts[1::2])

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1 in pixels, the last two exclusive; zeros where nothing is inside."""
        ends = np.cumsum(self.counts)
        starts, ends = ends[:-1:2], ends[1::2]
        starts, ends = starts[starts < ends], ends[starts < ends]
        if not len(starts):
            return 0, 0, 0, 0
        height = self.size[0]
        columns, last = starts // height, (ends - 1) // height
        whole = bool((columns < last).any())  # a run that goes on in the next column touches both rims
        top = 0 if whole else int((starts % height).min())
        bottom = height if whole else int(((ends - 1) % height).max()) + 1
        return int(columns.min()), top, int(last.max()) + 1, bottom

    def document(self) -> dict[str, Json]:
        """As YouTube-VIS writes it, uncompressed."""
        return {"counts": list(self.counts), "size": list(self.size)}

    @property
    def compressed(self) -> str:
        """The counts as COCO packs them into a string."""
        text: list[str] = []
        for number, count in enumerate(self.counts):
            _pack(count - (self.counts[number - 2] if number > 2 else 0), text)
        return "".join(text)


def read_runs(document: Json, size: tuple[int, int], where: str) -> RunLengths:
    """The runs that a document gives, plain or compressed.

    Args:
        document: {"counts": list or string, "size": [h, w]}.
        size: (h, w) of the video.
        where: what messages call it: file and field.

    Raises:
        DataRejected: it is no such thing, or its runs do not fill the frame.
    """
    if not isinstance(document, Mapping) or "counts" not in document:
        raise DataRejected("the mask has no counts", where=where, way_out=_WAY_OUT)
    stated = document.get("size", list(size))
    if not isinstance(stated, list) or stated != list(size):
        raise DataRejected(
            f"the mask's size is {str(stated)[:40]}, the video's is {list(size)} (height, width)",
            where=f"{where}.size",
            way_out=_WAY_OUT,
        )
    counts = _counts(document["counts"], f"{where}.counts")
    if sum(counts) != size[0] * size[1]:
        raise DataRejected(
            f"the mask's runs add up to {sum(counts)} pixels, the frame has {size[0] * size[1]}",
            where=f"{where}.counts",
            way_out=_WAY_OUT,
        )
    return RunLengths(counts, size)


def _counts(given: Json, where: str) -> tuple[int, ...]:
    if isinstance(given, str):
        return _unpacked(given, where)
    if not isinstance(given, list) or not all(type(count) is int and count >= 0 for count in given):
        raise DataRejected("the mask's runs are not a list of whole numbers from 0 on", where=where, way_out=_WAY_OUT)
    return tuple(given)


def _pack(value: int, text: list[str]) -> None:
    """Five bits a character, the lowest first; a sixth says that more follow."""
    while True:
        bits = value & 0x1F
        value >>= _BITS
        more = value != (-1 if bits & _SIGN else 0)
        text.append(chr((bits | _MORE if more else bits) + _FIRST))
        if not more:
            return


def _unpacked(text: str, where: str) -> tuple[int, ...]:
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - _FIRST
        if not 0 <= bits < 2 * _MORE or shift >= _LONGEST * _BITS:
            raise DataRejected("the mask's compressed runs are broken", where=where, way_out=_WAY_OUT)
        value |= (bits & 0x1F) << shift
        shift += _BITS
        if bits & _MORE:
            continue
        if bits & _SIGN:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift or any(count < 0 for count in counts):
        raise DataRejected("the mask's compressed runs are broken", where=where, way_out=_WAY_OUT)
    return tuple(counts)
