"""Its section of params.yaml, typed."""

from __future__ import annotations

from pydantic import Field

from sightline.params import Frozen, TaskParams


class SampleParams(Frozen):
    """The synthetic set."""

    pictures: int = Field(ge=10)
    size_px: int = Field(ge=8)
    contrast: float = Field(gt=0, description="mean height of a spot, in grey levels")


class GateParams(Frozen):
    """What data must be like to be trained on."""

    min_spot_share: float = Field(ge=0, le=1)
    max_spot_share: float = Field(ge=0, le=1)


class TrainParams(Frozen):
    """The recipe."""

    thresholds: int = Field(ge=2, description="how many thresholds are tried")


class BrightSpotsParams(TaskParams):
    """The whole section."""

    sample: SampleParams
    gate: GateParams
    train: TrainParams
