"""What an endpoint answers of streams, as types, for its OpenAPI."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from sightline.serving.answers import Said


class _OfCamera(Said):
    """What every answer about frames has, besides what the model says."""

    model_config = ConfigDict(frozen=True, extra="allow")

    verdict: str = Field(description="The model's word.")
    task: str
    version: int = Field(description="The model version that answered.")
    data_version: str = Field(description="Of the data that it was trained on; empty where it is not known.")
    camera: str
    sha256: str = Field(description="Of the frame's bytes; of those of all frames in their order, for the whole.")
    prediction_id: str | None = Field(description="Of its row in the ledger; null where the rule does not keep it.")
    unlogged: str | None = Field(description="Why the ledger could not be written; null where nothing went wrong.")


class FrameAnswer(_OfCamera):
    """What can be said after a frame."""

    frame: int = Field(description="Its number, from 0; those that were skipped or refused count.")
    time_s: float = Field(description="Seconds after the first frame.")
    changed: bool = Field(description="The verdict is another than before; so is the first one. Always in the ledger.")
    skipped: int = Field(description="Frames that had to make room for this one since the last answer.")
    restarted: str | None = Field(description="Why what was remembered was let go; null where it was not.")


class WholeAnswer(_OfCamera):
    """The answer to all frames of a camera."""

    frames: int = Field(description="That were answered.")
    refused: int = Field(description="That could not be read, or be of this camera.")
    skipped: int = Field(description="That had to make room for newer ones.")


class StreamState(Said):
    """What is remembered of a camera."""

    camera: str
    version: int
    frames: int
    refused: int
    skipped: int
    verdict: str | None
    since_s: float = Field(description="When it began, Unix time.")
    idle_s: float = Field(description="Seconds since its last frame.")
    connected: bool = Field(description="A websocket sends its frames.")


class StreamOverview(Said):
    """All cameras that are remembered."""

    task: str
    cameras: list[StreamState]
    most: int = Field(description="That can be remembered at a time.")
