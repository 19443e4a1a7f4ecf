"""What of a stream is kept: 25 frames a second are two million rows a day, and next to all say the same."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sightline.stores.predictions import Answer, Frame, Predictions

_ROUNDING = 1e-9  # 75 frames of 0.04 s are 3 s


@dataclass(frozen=True)
class Keep:
    """A rule: the first frame, then one in so many seconds, and whatever must be kept.

    Attributes:
        every_s: by the stream's own clock; 0: every frame; infinity: the first, and what must be kept.
    """

    every_s: float = 0.0

    def slot(self, frame: Frame) -> float:
        """Frames of one slot are kept once."""
        return (frame.at_s / self.every_s + _ROUNDING) // 1 if self.every_s else math.nan  # equal to nothing


@dataclass
class _Position:
    """How far a stream is: the slot of the last row, and what came since."""

    slot: float | None = None
    uncounted: int = 0
    latest: Answer | None = None


class StreamLog:
    """Writes of the answers to one stream what its rule keeps; of one thread.

    Args:
        predictions: where they are written.
        keep: the rule.
    """

    def __init__(self, predictions: Predictions, keep: Keep) -> None:
        self._predictions = predictions
        self._keep = keep
        self._at = _Position()

    def log(self, answers: Sequence[Answer]) -> list[str | None]:
        """Write some of the answers to the next frames, in one transaction; their ids, None for those not kept.

        Raises:
            BackendError: they cannot be written. Nothing was: the same answers may be given again.
        """
        at, kept = replace(self._at), []
        for answer in answers:
            frame = answer.frame or Frame("", 0, 0.0, must_keep=True)
            at.uncounted += 1
            if frame.must_keep or self._keep.slot(frame) != at.slot:
                kept.append(_standing_for(answer, at.uncounted))
                at = _Position(self._keep.slot(frame))
            else:
                at.latest = answer
        ids = dict(zip((one.id for one in kept), self._predictions.log(kept), strict=True))
        self._at = at
        return [ids.get(answer.id) for answer in answers]

    def close(self) -> str | None:
        """Write the last answer, which stands for those that were not kept since the last row; its id, None where none.

        Raises:
            BackendError: it cannot be written.
        """
        if self._at.latest is None:
            return None
        (key,) = self._predictions.log([_standing_for(self._at.latest, self._at.uncounted)])
        self._at = _Position()
        return key


def _standing_for(answer: Answer, count: int) -> Answer:
    return answer if answer.frame is None else replace(answer, frame=replace(answer.frame, answers=count))
