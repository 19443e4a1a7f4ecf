"""What is kept of a video for the answer to the whole of it: bounded, however long it is."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.verdict import FrameView

MOST = 1024
"""Moments that are kept. Where there are more frames, every second one is kept, then every fourth ..."""


@dataclass(frozen=True)
class Moment:
    """What was told of one frame.

    Attributes:
        frame: its place in the video; those that were dropped before it count.
        time_s: seconds after the first frame; None where the source does not tell.
        kelvin: cell -> its warmest place, of the cells in sight.
        rises_k: cell -> the same over the cooler cells in sight, see `rises_over_siblings`.
        masks: cell -> where it is in the frame, of those that look faulty there.
        coarse: the same before they were refined, where there is such a stage.
        suspected: the same of the other cells against which evidence builds up.
    """

    frame: int
    time_s: float | None
    kelvin: Mapping[int, float]
    rises_k: Mapping[int, float]
    masks: Mapping[int, RunLengths] = field(default_factory=dict)
    coarse: Mapping[int, RunLengths] = field(default_factory=dict)
    suspected: Mapping[int, RunLengths] = field(default_factory=dict)


def moment_of(frame: int, time_s: float | None, view: FrameView, faulty: AbstractSet[int]) -> Moment:
    """A frame as it is kept, with the masks of the cells that look faulty in it."""
    kelvin = {cell: one.kelvin for cell, one in view.cells.items() if np.isfinite(one.kelvin)}
    kept = {cell: one for cell, one in view.cells.items() if cell in faulty}
    suspected = {cell: one for cell, one in view.cells.items() if one.building and cell not in faulty}
    return Moment(
        frame,
        time_s,
        kelvin,
        rises_over_siblings(kelvin),
        {cell: RunLengths.encode(one.mask) for cell, one in kept.items() if one.mask is not None},
        {cell: RunLengths.encode(one.coarse) for cell, one in kept.items() if one.coarse is not None},
        {cell: RunLengths.encode(one.mask) for cell, one in suspected.items() if one.mask is not None},
    )


def rises_over_siblings(kelvin: Mapping[int, float]) -> dict[int, float]:
    """Cell -> kelvin over the coolest half of its siblings: their median would hide two faults among three cells."""
    level = float(np.quantile(list(kelvin.values()), 0.25, method="lower")) if kelvin else 0.0
    return {cell: value - level for cell, value in kelvin.items()}


class History:
    """The moments of a video, and the one at which its fault is seen best."""

    def __init__(self) -> None:
        self.frames, self.cells, self.every = 0, 0, 1
        self.best: Moment | None = None
        self._moments: list[Moment] = []
        self._began: dict[int, int] = {}  # cell -> the frame from which on the evidence built up that told it faulty
        self._embeddings: NDArray[np.float64] | None = None
        self._embedded = 0

    def add(self, moment: Moment, view: FrameView) -> None:
        """Keep a moment, or one of several."""
        self.cells = max([self.cells, view.count if not view.reason else 0, *view.cells])
        for cell in moment.masks:
            self._began.setdefault(cell, self.frames + 1 - max(view.cells[cell].building, 1))
        if view.embedding:
            values = np.array(view.embedding)
            self._embeddings = values if self._embeddings is None else self._embeddings + values
            self._embedded += 1
        if self.best is None or _clearness(moment) > _clearness(self.best):
            self.best = moment
        if self.frames % self.every == 0:
            self._moments.append(moment)
        self.frames += 1
        if len(self._moments) > MOST:
            self.every *= 2
            self._moments = self._moments[::2]

    @property
    def moments(self) -> tuple[Moment, ...]:
        """Those that were kept, in order."""
        return tuple(self._moments)

    @property
    def embedding(self) -> tuple[float, ...]:
        """Mean of the frames'; empty where there was none."""
        return () if self._embeddings is None else tuple((self._embeddings / self._embedded).tolist())

    def curves(self) -> NDArray[np.float64]:
        """(moments, cells) kelvin of the warmest places; NaN where a cell was not in sight."""
        values = np.full((len(self._moments), self.cells), np.nan)
        for row, moment in enumerate(self._moments):
            for cell, kelvin in moment.kelvin.items():
                values[row, cell - 1] = kelvin
        return values

    def masks(self, cell: int, coarse: bool = False) -> tuple[RunLengths | None, ...]:
        """Of one cell, one a moment; None where it is not in sight, or neither looks faulty nor was about to.

        `coarse`: before they were refined; None wherever there is no such stage.
        """
        if coarse:
            return tuple(one.coarse.get(cell) for one in self._moments)
        began = self._began.get(cell, self.frames)
        found = []
        for number, one in enumerate(self._moments):
            mask = one.masks.get(cell)
            before = one.suspected.get(cell) if number * self.every >= began else None
            found.append(before if mask is None else mask)
        return tuple(found)


def _clearness(moment: Moment) -> tuple[float, int]:
    """Moments with a mask first, the highest rise among them; else those in which most cells are in sight."""
    return max((moment.rises_k.get(cell, 0.0) for cell in moment.masks), default=-1.0), len(moment.kelvin)
