"""What the answers of several tasks have in common, as types: see `sightline.tasks.answer_model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sightline.task import Finding

Box = Annotated[
    list[float], Field(min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels of the image, from its corner")
]


def box_of(box: Sequence[float]) -> tuple[float, float, float, float]:
    """A `Box` as `Finding` has it."""
    x0, y0, x1, y1 = box
    return x0, y0, x1, y1


Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Document(BaseModel):
    """Base of what a model answers as JSON: a field for each key, with its unit and its meaning.

    Clients are told of it by the endpoint's OpenAPI. Nothing is validated while a request is answered: a test holds the
    type against real answers.
    """

    model_config = ConfigDict(frozen=True)


class Words(TypedDict):
    """What a prediction says of its answer for tables and reports: see `sightline.task.Prediction`."""

    found: str
    summary: Mapping[str, float | int | str]
    findings: tuple[Finding, ...]


class Image(Document):
    """The image that was answered."""

    width: int = Field(ge=1, description="pixels")
    height: int = Field(ge=1, description="pixels")
    sha256: str = Field(description="SHA-256 of the image's bytes, in hexadecimal digits")


IMAGE: dict[str, JsonValue] = {
    "width": 640,
    "height": 512,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
"""For examples."""
