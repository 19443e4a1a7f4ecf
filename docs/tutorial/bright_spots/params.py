"""Its section of params.yaml, typed."""

from __future__ import annotations

from pydantic import Field

from sightline.params import Frozen, TaskParams


class SampleParams(Frozen):
    """The synthetic set."""

    pictures: int = Field(default=90, ge=10)
    size_px: int = Field(default=32, ge=8)
    contrast: float = Field(default=60.0, gt=0, description="mean height of a spot, in grey levels")


class GateParams(Frozen):
    """What data must be like to be trained on."""

    min_spot_share: float = Field(default=0.1, ge=0, le=1)
    max_spot_share: float = Field(default=0.9, ge=0, le=1)


class TrainParams(Frozen):
    """The recipe."""

    thresholds: int = Field(default=64, ge=2, description="how many thresholds are tried")


class BrightSpotsParams(TaskParams):
    """The whole section."""

    sample: SampleParams = SampleParams()
    gate: GateParams = GateParams()
    train: TrainParams = TrainParams()
