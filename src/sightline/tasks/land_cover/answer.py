"""What the model answers as JSON, as a type: see `model.LandCoverModel.answer`."""

from __future__ import annotations

from pydantic import ConfigDict, Field, JsonValue

from sightline.vision.answers import IMAGE, Document, Image, Share


class ClassCover(Document):
    """How much of the ground one class covers."""

    share: Share = Field(description="of the pixels that have data")
    area_px: int = Field(ge=0, description="area in pixels of the image")
    area_m2: float | None = Field(description="area in square metres; null where `gsd_m` is not known")
    polygons: int = Field(ge=0, description="how many; as WKT and GeoJSON they are in the exports")


class Classes(Document):
    """The ten classes. They overlap: a tree may stand in a field."""

    buildings: ClassCover
    misc_structures: ClassCover
    roads: ClassCover
    tracks: ClassCover
    trees: ClassCover
    crops: ClassCover
    waterways: ClassCover
    standing_water: ClassCover
    large_vehicles: ClassCover
    small_vehicles: ClassCover


_NOTHING: dict[str, JsonValue] = {"share": 0.0, "area_px": 0, "area_m2": 0.0, "polygons": 0}


class Answer(Document):
    """What covers the ground of a tile or a scene of eight bands."""

    image: Image
    gsd_m: float | None = Field(description="metres a pixel, as the user told; null where nobody did")
    no_data: Share = Field(description="share of the pixels that the file lacks")
    classes: Classes

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "image": IMAGE,
                    "gsd_m": 0.3,
                    "no_data": 0.0,
                    "classes": {
                        **dict.fromkeys(Classes.model_fields, _NOTHING),
                        "buildings": {"share": 0.05, "area_px": 16384, "area_m2": 1474.56, "polygons": 12},
                    },
                }
            ]
        }
    )
