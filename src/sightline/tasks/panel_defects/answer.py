"""What the models of the two tasks answer as JSON, as types: see `model.SegmentationModel.answer`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from sightline.vision.answers import IMAGE, Box, Document, Image, Probability, Share


class _Segmentation(Document):
    image: Image
    no_data: Share = Field(description="share of the pixels that the file lacks; they count nothing")
    note: str = Field(description="what a person should look into; empty where there is nothing")
    certainty: Probability = Field(description="mean probability of the class that each pixel got")


class _Region(Document):
    area_px: float = Field(ge=0, description="area of the region in pixels of the image")
    box: Box


# ------------------------------------------------------------------------------------------------- panel_defects


class PanelShares(Document):
    """Share of each class of the pixels that have data; together they are 1."""

    background: Share
    bird_drop: Share = Field(alias="bird-drop")
    dusty: Share
    electrical_damage: Share = Field(alias="electrical-damage")
    physical_damage: Share = Field(alias="physical-damage")
    snow_covered: Share = Field(alias="snow-covered")


class PanelRegion(_Region):
    """A connected region of one class."""

    kind: Literal["bird-drop", "dusty", "electrical-damage", "physical-damage", "snow-covered"] = Field(alias="class")


def _example(shares: dict[str, JsonValue], kind: str) -> dict[str, JsonValue]:
    region: dict[str, JsonValue] = {"class": kind, "area_px": 6553.5, "box": [10.0, 20.0, 120.0, 96.0]}
    return {"image": IMAGE, "no_data": 0.0, "note": "", "shares": shares, "certainty": 0.91, "regions": [region]}


class Answer(_Segmentation):
    """What covers or damages the solar panels on a photograph."""

    shares: PanelShares
    regions: list[PanelRegion] = Field(description="the largest first; as polygons they are in the exports")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                _example(
                    {
                        "background": 0.98,
                        "bird-drop": 0.02,
                        "dusty": 0.0,
                        "electrical-damage": 0.0,
                        "physical-damage": 0.0,
                        "snow-covered": 0.0,
                    },
                    "bird-drop",
                )
            ]
        }
    )


# --------------------------------------------------------------------------------------------------- solar_farms


class FarmShares(Document):
    """Share of each class of the pixels that have data; together they are 1."""

    background: Share
    solar_panel: Share


class FarmRegion(_Region):
    """A connected region of solar panels."""

    kind: Literal["solar_panel"] = Field(alias="class")


class FarmAnswer(_Segmentation):
    """Where a Sentinel-2 chip shows solar farms."""

    shares: FarmShares
    regions: list[FarmRegion] = Field(description="the largest first; as polygons they are in the exports")

    model_config = ConfigDict(
        json_schema_extra={"examples": [_example({"background": 0.98, "solar_panel": 0.02}, "solar_panel")]}
    )
