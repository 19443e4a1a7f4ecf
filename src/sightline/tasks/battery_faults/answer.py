"""What the model answers as JSON, as types: to a whole video, and to a frame of one; see `session`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sightline.tasks.battery_faults.verdict import Reason, Verdict
from sightline.vision.answers import Box, Document, Probability

Scaled = Literal["colour_bar", "counts", "none"]
Cell = Annotated[int, Field(ge=1, description="number of the cell, from the left of the pack in its own frame")]
Kelvin = Annotated[float, Field(description="kelvin")]
Reasons = Annotated[Reason, Field(description="why nothing can be said; empty where something can")]
_SCORE = "of a fault: the highest by now, of the lower one of two frames in a row"


class Mask(Document):
    """Run lengths down the columns, the first outside the mask, packed as COCO packs them."""

    size: list[int] = Field(min_length=2, max_length=2, description="height, width")
    counts: str


class CellState(Document):
    """One cell in one frame."""

    cell: Cell
    probability: Probability = Field(description="of a fault, by this frame and what is remembered")
    kelvin: Kelvin | None = Field(description="of its warmest place; null where no temperature can be told")
    rise_k: Kelvin | None = Field(description="the same over the cooler siblings in sight")
    box: Box | None = Field(default=None, description="of a cell that looks faulty")
    mask: Mask | None = Field(default=None, description="of a cell that looks faulty")


class FrameAnswer(Document):
    """What is said after one frame of a stream."""

    verdict: Verdict
    reason: Reasons
    cell: Cell | None = Field(description="the faulty one, or the one with the highest score")
    score: Probability = Field(description=_SCORE)
    frame: int = Field(
        ge=0, description="place of the frame in the video, from 0; those that were dropped before it count"
    )
    time_s: float | None = Field(description="seconds after the first frame, where the source tells them")
    since_frame: int | None = Field(description="at which the verdict became `faulty`")
    cells: list[CellState] = Field(description="those in sight")


class VideoFacts(Document):
    """The video that was answered."""

    width: int
    height: int
    frames: int = Field(ge=1, description="that were looked at")
    every: int = Field(ge=1, description="which of them are listed: each, every second, every fourth ...")


class Fault(Document):
    """One faulty cell."""

    cell: Cell
    score: Probability = Field(description=_SCORE)
    rise_k: Kelvin | None = Field(description="highest over its cooler siblings")
    onset_frame: int | None = Field(description="first listed frame from which on evidence of it built up")
    onset_s: float | None = Field(description="the same in seconds, where the source tells them")
    box: Box | None = Field(description="in the frame `shown_frame`; null where it is not in sight there")


class Temperatures(Document):
    """The warmest place of each cell over time."""

    frames: list[int]
    times_s: list[float | None]
    kelvin: list[list[float | None]] = Field(description="a list a frame with a number a cell; null out of sight")


class Answer(Document):
    """The faulty cells of a battery pack in an infrared video."""

    video: VideoFacts
    verdict: Verdict
    reason: Reasons
    said: str = Field(description="the answer in words")
    cell: Cell | None = Field(description="the faulty one, or the one with the highest score")
    score: Probability = Field(description=_SCORE)
    since_frame: int | None = Field(description="at which the verdict became `faulty`")
    shown_frame: int = Field(description="in which the fault is seen best")
    faults: list[Fault]
    temperatures: Temperatures
    scale: Scaled = Field(description="what temperatures were told by")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "video": {"width": 1074, "height": 417, "frames": 2, "every": 1},
                    "verdict": "faulty",
                    "reason": "",
                    "said": "cell 1 is faulty, +9.2 K, since frame 1",
                    "cell": 1,
                    "score": 0.98,
                    "since_frame": 1,
                    "shown_frame": 1,
                    "faults": [
                        {
                            "cell": 1,
                            "score": 0.98,
                            "rise_k": 9.2,
                            "onset_frame": 1,
                            "onset_s": None,
                            "box": [338.0, 153.0, 473.0, 280.0],
                        }
                    ],
                    "temperatures": {
                        "frames": [0, 1],
                        "times_s": [None, None],
                        "kelvin": [[300.0, 300.0, None], [309.2, 300.0, 300.1]],
                    },
                    "scale": "colour_bar",
                }
            ]
        }
    )
