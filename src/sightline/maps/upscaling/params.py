"""Parameters of the enlargement: the section `upscaling` of params.yaml, typed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sightline.params import Frozen, load_plain_section
from sightline.vision.training import ScheduleParams


class DegradeParams(Frozen):
    """How a scene is made four times coarser, for pairs of a coarse and a fine picture.

    A Gaussian blur (the optics), the mean of 4 x 4 pixels (the detector), white noise, rounding to 8 bits. With a
    Gaussian of 0.5 px the whole passes a fifth of the contrast at the coarse picture's highest frequency, as cameras
    of this kind do.
    """

    blur_px: tuple[float, float] = Field(
        description="standard deviation of the blur in training, least and most, in coarse pixels"
    )
    noise: tuple[float, float] = Field(
        description="standard deviation of the noise in training, least and most, in grey levels"
    )
    evaluated_blur_px: float = Field(ge=0, description="the same where the answer is evaluated")
    evaluated_noise: float = Field(ge=0)

    @model_validator(mode="after")
    def _ranges_ascend(self) -> DegradeParams:
        for name in ("blur_px", "noise"):
            least, most = getattr(self, name)
            if not 0 <= least <= most:
                raise ValueError(f"{name} is a least and a most, 0 or more")
        return self


class UpscaleParams(Frozen):
    """The section `upscaling`: the fast network, its size and its training."""

    features: int = Field(ge=4, le=256, description="channels between the convolutions")
    depth: int = Field(ge=0, le=64, description="convolutions between the first and the last")
    crop_px: int = Field(ge=8, description="side of the coarse pictures in training")
    loss: Literal["charbonnier", "l1", "mse"]
    degrade: DegradeParams
    schedule: ScheduleParams


def load_upscale_params(path: Path) -> UpscaleParams:
    """The section of a params.yaml.

    Raises:
        ParamsError: see `sightline.params.load_plain_section`.
    """
    return load_plain_section(path, "upscaling", UpscaleParams)
