"""A model that answers while the video runs, for tests of the platform: has a bright spot been there for two frames?

A clip is a video file, a folder of pictures, or the bytes of one picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from sightline.capabilities import Frame
from sightline.errors import DataRejected, RequestError
from sightline.limits import Cost, Limits
from sightline.task import Card, Prediction
from sightline.video.opening import open_frames
from sightline.video.pictures import picture_pixels
from sightline.vision.images import noise_picture, probe

IN_A_ROW = 2


class ToyStreamAnswer(BaseModel):
    """Whether there is a bright spot."""

    verdict: str
    frames: int
    peak: float
    onset: int | None


def watcher_card(task: str = "toy_stream") -> Card:
    return Card(
        task=task,
        candidate="threshold",
        classes=("dark", "spot"),
        formats=("image/png", "image/jpeg", "image/tiff"),
        preprocessing={},
        thresholds={"level": 100.0},
        provenance={},
        conditions={"gain": "what each level is multiplied by"},
    )


@dataclass(frozen=True)
class ToyClip:
    frames: tuple[Frame, ...]
    sha256: str

    @property
    def statistics(self) -> dict[str, float]:
        return {"mean": float(np.mean([frame.pixels.mean() for frame in self.frames]))}


@dataclass
class ToySession:
    """What is remembered: a few numbers, however many frames there were."""

    level: float
    gain: float = 1.0
    size: tuple[int, ...] = ()
    frames: int = 0
    total: float = 0.0
    peak: float = 0.0
    row: int = 0
    onset: int | None = None
    closed: bool = field(default=False)

    def push(self, frame: Frame) -> Prediction:
        if self.size and frame.pixels.shape != self.size:
            raise DataRejected(f"a frame of {frame.pixels.shape} among those of {self.size}")
        self.size = frame.pixels.shape
        peak = self.gain * float(frame.pixels.max())
        self.frames += 1
        self.total += float(frame.pixels.mean())
        self.peak = max(self.peak, peak)
        self.row = self.row + 1 if peak > self.level else 0
        if self.row >= IN_A_ROW and self.onset is None:
            self.onset = frame.number
        return said("spot" if self.row >= IN_A_ROW else "dark", self)

    def close(self) -> Prediction:
        if not self.frames:
            raise DataRejected("there was no frame")
        self.closed = True
        return said("dark" if self.onset is None else "spot", self)


def said(verdict: str, facts: Any) -> Prediction:
    mean = facts.total / facts.frames
    return Prediction(
        row={"input_mean": mean, "output_spot": int(verdict == "spot")},
        embedding=np.array([facts.peak, mean], dtype=np.float32),
        document={"verdict": verdict, "frames": facts.frames, "peak": facts.peak, "onset": facts.onset},
        exports={"peaks.json": {"peak": facts.peak}},
        found=f"{verdict}, peak {facts.peak:g}",
    )


class ToyWatcher:
    """Takes and forgets; `predict` looks at all frames at once, so that the contract compares two ways."""

    def __init__(self, card: Card | None = None) -> None:
        self.card = card or watcher_card()

    def read(self, source: Path | bytes, limits: Limits) -> ToyClip:
        if isinstance(source, bytes):
            frames = (Frame(picture_pixels(source, limits, "body"), 0, 0.0),)
            return ToyClip(frames, hashlib.sha256(source).hexdigest())
        return ToyClip(tuple(open_frames(str(source), limits)), hashlib.sha256(str(source).encode()).hexdigest())

    def weigh(self, source: Path | bytes, limits: Limits, conditions: Mapping[str, float]) -> Cost:
        head = probe(source if isinstance(source, bytes) else source.read_bytes(), "body")
        return Cost((head.height, head.width), head.pixels, head.pixels, 3 * head.pixels)

    def example(self) -> bytes:
        return noise_picture(3, 8, 8, 60)

    def predict(self, batch: Sequence[ToyClip]) -> list[Prediction]:
        return [self._predict(clip) for clip in batch]

    def _predict(self, clip: ToyClip) -> Prediction:
        if not clip.frames:
            raise DataRejected("there was no frame")
        peaks = np.array([frame.pixels.max() for frame in clip.frames], dtype=float)
        bright = peaks > self.card.thresholds["level"]
        found = np.flatnonzero(bright[1:] & bright[:-1]) + 1
        facts = ToySession(0.0)
        facts.frames, facts.peak = len(peaks), float(peaks.max())
        facts.total = float(sum(frame.pixels.mean() for frame in clip.frames))
        facts.onset = clip.frames[found[0]].number if len(found) else None
        return said("spot" if len(found) else "dark", facts)

    def draw(self, source: ToyClip, prediction: Prediction) -> NDArray[np.uint8]:
        return self.mark(source.frames[-1], prediction)

    def mark(self, frame: Frame, prediction: Prediction) -> NDArray[np.uint8]:
        drawn: NDArray[np.uint8] = np.asarray(frame.pixels, dtype=np.uint8).copy()
        drawn[:2] = 255 if prediction.document["verdict"] == "spot" else 0
        return drawn

    def save(self, directory: Path) -> None:
        (directory / "card.json").write_text(self.card.model_dump_json(), encoding="utf-8")

    def open(self, conditions: Mapping[str, float]) -> ToySession:
        if conditions.get("gain", 1.0) <= 0:
            raise RequestError("a gain is above 0", where="gain", way_out="Give another.", status=422)
        return ToySession(self.card.thresholds["level"], conditions.get("gain", 1.0))
