"""Parameters of the enlargement: a part of the task's section of params.yaml, typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.params import Frozen
from sightline.vision.training import ScheduleParams


class DegradeParams(Frozen):
    """How a scene is made four times coarser, for pairs of a coarse and a fine picture.

    A Gaussian blur (the optics), the mean of 4 x 4 pixels (the detector), white noise, rounding to 8 bits. With a
    Gaussian of 0.5 px the whole passes a fifth of the contrast at the coarse picture's highest frequency, as cameras
    of this kind do.
    """

    blur_px: tuple[float, float] = Field(
        default=(0.4, 0.6), description="standard deviation of the blur in training, least and most, in coarse pixels"
    )
    noise: tuple[float, float] = Field(
        default=(0.0, 2.0), description="standard deviation of the noise in training, least and most, in grey levels"
    )
    evaluated_blur_px: float = Field(default=0.5, ge=0, description="the same where the answer is evaluated")
    evaluated_noise: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _ranges_ascend(self) -> DegradeParams:
        for name in ("blur_px", "noise"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"{name} is a least and a most, 0 or more")
        return self


class UpscaleParams(Frozen):
    """The fast network: its size, its training, and where weights of the large one lie."""

    features: int = Field(default=64, ge=4, le=256, description="channels between the convolutions")
    depth: int = Field(default=6, ge=0, le=64, description="convolutions between the first and the last")
    crop_px: int = Field(default=32, ge=8, description="side of the coarse pictures in training")
    loss: Literal["charbonnier", "l1", "mse"] = "charbonnier"
    degrade: DegradeParams = DegradeParams()
    schedule: ScheduleParams = ScheduleParams(
        steps=2000, batch=16, learning_rate=0.001, weight_decay=0.0, warmup_steps=100, ema_decay=0.999, report_every=250
    )
    weights: str = Field(default="", description="RealESRGAN_x4plus.pth, for the choice realesrgan; empty: none")
    weights_sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""

    @model_validator(mode="after")
    def _weights_are_known(self) -> UpscaleParams:
        if bool(self.weights) != bool(self.weights_sha256):
            raise ValueError("weights and weights_sha256 are given together")
        return self
