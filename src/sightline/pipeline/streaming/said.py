"""What is said after a frame, and of the whole at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sightline.capabilities import Frame
from sightline.files import finite
from sightline.task import Json, Prediction


@dataclass(frozen=True)
class Said:
    """One answer, on its way to the sinks.

    Attributes:
        camera: the name of its camera.
        prediction: the answer.
        sha256: of the frame's pixels; of all of them in their order, at the end.
        frame: it is the answer to; None: to the whole.
        changed: the verdict is another than before; so is the first one.
        kept: it is one of those that are written: a change, a sample, or the whole.
        dropped: frames that had to make room for this one since the last answer.
        counts: of the camera so far.
        time_s: when it was said (Unix time).
    """

    camera: str
    prediction: Prediction
    sha256: str
    frame: Frame | None
    changed: bool
    kept: bool
    dropped: int
    counts: Mapping[str, int]
    time_s: float
    identity: Mapping[str, Json] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether it is the answer to the whole video."""
        return self.frame is None

    @property
    def verdict(self) -> str:
        """The model's word."""
        return verdict_of(self.prediction)

    @property
    def at_s(self) -> float:
        """By the stream's own clock; of pictures without times each is a second."""
        return at_s_of(self.frame) if self.frame is not None else 0.0

    def document(self) -> dict[str, Json]:
        """As files, webhooks and programs get it."""
        frame = self.frame
        place: dict[str, Json] = {"whole": True} if frame is None else {"frame": frame.number, "time_s": frame.time_s}
        said: dict[str, Json] = {
            **self.prediction.document,
            "camera": self.camera,
            **place,
            "at": datetime.fromtimestamp(self.time_s, UTC).isoformat(timespec="milliseconds"),
            "changed": self.changed,
            "dropped": self.dropped,
            "found": self.prediction.found,
            **self.identity,
        }
        if frame is None:
            said["counts"] = dict(self.counts)
        return {name: finite(value) for name, value in said.items()}


def verdict_of(prediction: Prediction) -> str:
    """The word of an answer to a frame."""
    return str(prediction.document.get("verdict", ""))


def at_s_of(frame: Frame) -> float:
    """A frame's time by the stream's own clock; of pictures without times each is a second."""
    return float(frame.number) if frame.time_s is None else frame.time_s
