"""What the answers of several tasks have in common, as types: see `sightline.tasks.answer_model`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sightline.task import Json

Box = Annotated[
    list[float], Field(min_length=4, max_length=4, description="x0, y0, x1, y1 in pixels of the image, from its corner")
]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Document(BaseModel):
    """Base of what a model answers as JSON: a field for each key, with its unit and its meaning.

    Clients are told of it by the endpoint's OpenAPI. Nothing is validated while a request is answered: a test holds the
    type against real answers.
    """

    model_config = ConfigDict(frozen=True)


class Image(Document):
    """The image that was answered."""

    width: int = Field(ge=1, description="pixels")
    height: int = Field(ge=1, description="pixels")
    sha256: str = Field(description="SHA-256 of the image's bytes, in hexadecimal digits")


IMAGE: Json = {
    "width": 640,
    "height": 512,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
}
"""For examples."""
