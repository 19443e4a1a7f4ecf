"""What the model answers as JSON, as a type: see `model.HotspotModel.answer`."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from sightline.vision.answers import IMAGE, Box, Document, Image, Probability, Share


class Module(Document):
    """One solar module of a thermogram."""

    box: Box
    kind: Literal["non_defected", "defected"] = Field(alias="class", description="`defected`: hot, or hot in a part")
    score: Probability = Field(description="how sure the model is of `class`")
    defect_probability: Probability = Field(description="of `defected`, by the network and physics together")
    network_probability: Probability = Field(description="of `defected`, by the network alone")
    objectness: Probability = Field(description="how sure the network is that this is a module")
    rise: float = Field(description="hottest spot over the median of the modules around, in `rise_unit`")
    rise_within: float = Field(description="hottest spot over the module's own median, in `rise_unit`")
    rise_unit: Literal["K", "level"] = Field(
        description="K: kelvin; level: grey levels, where the file holds no temperatures"
    )
    flagged_by: Literal["", "network", "physics", "network and physics", "both together"] = Field(
        description="what alone suffices to call it defected; empty where it is not"
    )
    reason: str = Field(description="why it is called defected, in a sentence; empty where it is not")
    rise_calibrated: bool = Field(description="whether the user said that the camera's temperatures are calibrated")
    severity: Literal["unknown", "low", "medium", "high"] = Field(
        description="of a defected module, by its rise at 1000 W/m2: low below 10 K, medium below 20 K; unknown where "
        "irradiance or calibration are not known"
    )


class Answer(Document):
    """The modules of a thermogram, those that are most likely defected first."""

    image: Image
    radiometric: bool = Field(description="whether the file holds temperatures")
    thermogram: bool = Field(description="false: this looks like no thermogram, and nothing was measured")
    no_data: Share = Field(description="share of the pixels that the file lacks")
    note: str = Field(description="what to know of the file's temperatures; empty where there is nothing to say")
    modules: list[Module]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "image": IMAGE,
                    "radiometric": True,
                    "thermogram": True,
                    "no_data": 0.0,
                    "note": "",
                    "modules": [
                        {
                            "box": [212.4, 96.13, 254.08, 171.5],
                            "class": "defected",
                            "score": 0.981204,
                            "defect_probability": 0.981204,
                            "network_probability": 0.93811,
                            "objectness": 0.97031,
                            "rise": 12.31,
                            "rise_within": 11.7,
                            "rise_unit": "K",
                            "flagged_by": "network and physics",
                            "reason": "flagged by network and physics: the network gives 94% for defected; the hottest "
                            "spot is +12.3 K over the modules around and +11.7 K over the module's own median",
                            "rise_calibrated": True,
                            "severity": "medium",
                        }
                    ],
                }
            ]
        }
    )
