"""From what a method tells of each frame to what is said of the pack: one way for all candidates.

A method (the rule, or the networks) tells a probability for each cell that it sees. A cell's score is the lower one of
its two newest frames, so that one noisy frame is no alarm; a short does not heal, so the highest score counts. From
`faulty` on the pack is faulty, below `healthy` it is healthy, in between nobody can say. Nobody can say either where
no temperature was told, the pack was not in sight, or a cell was never seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from sightline.tasks.battery_faults.runs import Mask
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.vision.calibration import Calibration

Verdict = Literal["healthy", "faulty", "cannot_say"]
Reason = Literal["", "no_frames", "no_scale", "pack_out_of_view", "cell_not_seen", "between_thresholds"]

REASONS: dict[Reason, str] = {
    "": "",
    "no_frames": "there was no frame",
    "no_scale": "no frame tells temperatures: it has no colour bar, and its counts have no scale",
    "pack_out_of_view": "the pack was not in sight",
    "cell_not_seen": "a cell was not seen well enough from this path",
    "between_thresholds": "the score lies between that of a healthy and that of a faulty pack",
}
"""In words, for people."""

NEWEST = 2
"""Frames in a row in which a cell must look faulty."""

_LEAST = 1e-6

LEAST_SEEN = 3
"""Frames in which a cell must have been seen before it is called healthy; fewer where the video is shorter."""


@dataclass(frozen=True)
class CellView:
    """One cell in one frame.

    Attributes:
        probability: of a fault, by this frame and what the method remembers; not calibrated yet.
        kelvin: of its warmest place (a high percentile, so that one pixel does not count).
        mask: (h, w) where it is in the frame; None where that is not asked for.
        coarse: the same before it was refined; None where there is no such stage.
        building: newest frames, this one included, since evidence against the cell began to build up; 0: there is none,
            or the method does not tell.
    """

    probability: float
    kelvin: float
    mask: Mask | None = None
    coarse: Mask | None = None
    building: int = 0


@dataclass(frozen=True)
class FrameView:
    """What a method tells of one frame.

    Attributes:
        reason: why it can tell nothing; empty where it can.
        cells: number -> the cell; those that are not in sight are absent.
        count: cells of the pack.
        embedding: (d,) of the frame; empty where the method has none.
    """

    reason: Reason = ""
    cells: Mapping[int, CellView] = field(default_factory=dict)
    count: int = 3
    embedding: tuple[float, ...] = ()


class Method(Protocol):
    """How a candidate looks at the frames of one camera, one after another; what it remembers is bounded."""

    @property
    def width(self) -> int:
        """Values of its embeddings."""
        ...

    def push(self, thermal: Thermal) -> FrameView:
        """What it tells of the next frame."""
        ...


@dataclass(frozen=True)
class Thresholds:
    """On the score of a pack: below `healthy` it is healthy, from `faulty` on it is faulty."""

    healthy: float
    faulty: float


@dataclass(frozen=True)
class Standing:
    """What can be said after some frames.

    Attributes:
        verdict: see `Verdict`.
        reason: why nothing can be said; empty where something can.
        cell: the faulty one, or the one with the highest score; None before any was seen.
        score: the highest so far.
        faulty: cell -> its score, of all that passed the threshold.
        since: the frame at which the verdict became `faulty`; None where it has not.
    """

    verdict: Verdict
    reason: Reason
    cell: int | None
    score: float
    faulty: Mapping[int, float]
    since: int | None


def logit_of(probability: float) -> float:
    """Its log odds, finite for 0 and 1 too."""
    kept = min(max(probability, _LEAST), 1 - _LEAST)
    return float(np.log(kept / (1 - kept)))


class Judge:
    """Keeps the scores of one camera's cells, in bounded memory.

    Args:
        thresholds: of the model, on calibrated scores.
        calibration: from a method's probability, as a logit, to the probability of a fault.
    """

    def __init__(self, thresholds: Thresholds, calibration: Calibration) -> None:
        self._thresholds, self._calibration = thresholds, calibration
        self._newest: dict[int, deque[float]] = {}
        self._highest: dict[int, float] = {}
        self._seen: dict[int, int] = {}
        self._reasons: dict[Reason, int] = {}
        self._frames, self._count = 0, 0
        self._since: int | None = None

    def push(self, view: FrameView, number: int) -> Standing:
        """What can be said after this frame too; `number` is its place in the video."""
        self._frames += 1
        self._count = max(self._count, view.count if not view.reason else 0)
        if view.reason:
            self._reasons[view.reason] = self._reasons.get(view.reason, 0) + 1
        for cell, one in view.cells.items():
            newest = self._newest.setdefault(cell, deque(maxlen=NEWEST))
            newest.append(one.probability)
            self._seen[cell] = self._seen.get(cell, 0) + 1
            lasting = min(newest) if len(newest) == NEWEST else 0.0
            self._highest[cell] = max(self._highest.get(cell, 0.0), self._calibrated(lasting))
        standing = self.standing
        if standing.verdict == "faulty" and self._since is None:
            self._since = number
            return self.standing
        return standing

    def _calibrated(self, probability: float) -> float:
        return float(self._calibration(logit_of(probability)))

    def looks_faulty(self, probability: float) -> bool:
        """Whether a cell of this probability in one frame is drawn and listed as faulty there."""
        return self._calibrated(probability) >= (self._thresholds.healthy + self._thresholds.faulty) / 2

    @property
    def scores(self) -> Mapping[int, float]:
        """Cell -> its highest score so far."""
        return dict(self._highest)

    @property
    def standing(self) -> Standing:
        """What can be said by now."""
        faulty = {cell: score for cell, score in self._highest.items() if score >= self._thresholds.faulty}
        score = max(self._highest.values(), default=0.0)
        cell = max(self._highest, key=lambda one: self._highest[one], default=None)
        verdict, reason = self._verdict(score)
        return Standing(verdict, reason, cell, score, faulty, self._since)

    def _verdict(self, score: float) -> tuple[Verdict, Reason]:
        if not self._frames:
            return "cannot_say", "no_frames"
        if not self._highest:
            return "cannot_say", max(self._reasons, key=lambda one: self._reasons[one], default="pack_out_of_view")
        if score >= self._thresholds.faulty:
            return "faulty", ""
        if score >= self._thresholds.healthy:
            return "cannot_say", "between_thresholds"
        enough = min(LEAST_SEEN, self._frames)
        if any(self._seen.get(cell, 0) < enough for cell in range(1, self._count + 1)):
            return "cannot_say", "cell_not_seen"
        return "healthy", ""
