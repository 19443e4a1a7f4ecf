"""What the model answers as JSON, as a type: see `model.ShipModel.answer`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from sightline.tasks.ships.labels import SizeClass, Where
from sightline.vision.answers import IMAGE, Box, Document, Image, Probability

Point = Annotated[list[float], Field(min_length=2, max_length=2, description="x, y in pixels of the image")]


class Ship(Document):
    """One vessel."""

    box: Box
    score: Probability = Field(description="probability that this is a vessel")
    center: Point
    polygon: list[Point] = Field(min_length=4, max_length=4, description="corners of its oriented rectangle")
    lon: float | None = Field(default=None, description="degrees east, WGS 84; only where the image is georeferenced")
    lat: float | None = Field(default=None, description="degrees north, WGS 84; only where the image is georeferenced")
    length_m: float = Field(ge=0, description="metres")
    size_class: SizeClass = Field(description="metres from end to end; what seems shorter than 20 m is put to 20-50")
    where: Where = Field(description="in open water, or alongside a quay or another vessel")
    beam_m: float = Field(ge=0, description="width in metres")


class Answer(Document):
    """The vessels of 20 m and more in a satellite picture."""

    image: Image
    gsd_m: float = Field(gt=0, description="metres a pixel that lengths are told by")
    gsd_from: Literal["file", "user", "assumed"] = Field(
        description="who says so: the file or what lies beside it, the user, or nobody"
    )
    georeferenced: bool = Field(description="whether ships have `lon` and `lat`")
    georeference: str = Field(description="the file that tells the place, or why none is used")
    probability_middle: Probability = Field(description="that the middle of the image shows a ship, for small chips")
    count: int = Field(ge=0, description="vessels found")
    too_coarse: str = Field(description="what cannot be told in pixels of this size; empty where all can be")
    alongside_told: bool = Field(
        description="whether vessels alongside are answered: not by a model that is too often wrong there"
    )
    ships: list[Ship]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "image": IMAGE,
                    "gsd_m": 3.0,
                    "gsd_from": "file",
                    "georeferenced": True,
                    "georeference": "GeoTIFF",
                    "probability_middle": 0.01,
                    "count": 1,
                    "too_coarse": "",
                    "alongside_told": True,
                    "ships": [
                        {
                            "box": [101.2, 64.0, 121.9, 150.4],
                            "score": 0.9731,
                            "center": [111.5, 107.2],
                            "polygon": [[104.1, 64.0], [121.9, 66.3], [118.9, 150.4], [101.2, 148.1]],
                            "lon": -5.421133,
                            "lat": 36.13312,
                            "length_m": 252.4,
                            "size_class": "160+",
                            "where": "open_water",
                            "beam_m": 53.6,
                        }
                    ],
                }
            ]
        }
    )
