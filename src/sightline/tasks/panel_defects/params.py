"""Parameters of the tasks: their sections of params.yaml, typed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from sightline.params import Frozen, Sha256, TaskParams, check_candidates
from sightline.tasks.panel_defects.synthetic.farm_sample import FarmSampleParams
from sightline.tasks.panel_defects.synthetic.sample import SampleParams
from sightline.vision.losses import LossName
from sightline.vision.networks import DecoderName, EncoderName, check_weights
from sightline.vision.training import ScheduleParams

PIXELS = "pixels"
"""The plain baseline: a classifier of single pixels by colour and texture."""


class InputParams(Frozen):
    """How a picture becomes windows of the network."""

    scale: float = Field(gt=0, le=4, description="of the picture's own pixels, before it is windowed")
    window_px: int = Field(ge=32, multiple_of=32, description="side of the network's input")
    longest_px: int = Field(
        ge=256, description="longest side that is windowed: larger pictures are made smaller for it"
    )
    overlap_px: int = Field(ge=0, description="of neighbouring windows, for pictures that are larger")
    least_region_px: float = Field(ge=0, description="smaller regions get no polygon; the mask has them")


class AugmentParams(Frozen):
    """What is done to a window in training. Every window is also turned by right angles and mirrored."""

    zoom: tuple[float, float] = Field(description="bounds, drawn evenly on a log scale")
    gain: float = Field(ge=0, lt=1, description="most change of brightness, as a share")
    band_gain: float = Field(ge=0, lt=1, description="the same for each band by itself")
    contrast: float = Field(ge=0, lt=1, description="most change of contrast, as a share")
    noise: float = Field(ge=0, description="most white noise, in standard deviations of the band")
    cutmix: float = Field(ge=0, le=1, description="share of windows that get a rectangle of another")


class NetworkParams(Frozen):
    """One network: its encoder, its decoder and how long it is trained.

    Networks with the same of all are the same network.
    """

    encoder: EncoderName = Field(description="the network's contracting part")
    decoder: DecoderName = Field(description="its expanding part: a U-Net's, or a feature pyramid")
    input: InputParams | None = Field(default=None, description="in place of the recipe's")
    scratch: ScheduleParams = Field(description="where no earlier fit is continued")
    continued: ScheduleParams = Field(description="where one is")


class PixelParams(Frozen):
    """The plain baseline: extremely randomised trees (scikit-learn) on single pixels."""

    pixels_per_image: int = Field(ge=1, description="drawn from each image")
    trees: int = Field(ge=1)
    pixels_per_tree: int = Field(ge=1)
    pixels_per_leaf: int = Field(ge=1)
    features_share: float = Field(gt=0, le=1, description="of the features, that a split chooses among")
    balance: float = Field(ge=0, le=1, description="exponent of 1 / frequency, for classes")
    sigmas_px: tuple[Annotated[float, Field(gt=0, le=64)], ...] = Field(min_length=1, description="of the surroundings")


class TrainParams(Frozen):
    """A training recipe."""

    input: InputParams
    augment: AugmentParams
    loss: LossName = Field(description="what training minimises")
    balance: float = Field(ge=0, le=1, description="exponent of 1 / frequency, for classes and strata")
    priors: tuple[Annotated[float, Field(ge=-1, le=1)], ...] = Field(
        min_length=1, description="exponents of frequency, tried on validation as weights of the answer"
    )
    decoder_channels: tuple[int, int, int, int, int] = Field(description="of a U-Net's decoder")
    networks: dict[str, NetworkParams] = Field(min_length=1, description="candidate -> its network")
    pixels: PixelParams
    weights: dict[str, str] = Field(description="encoder -> a .safetensors file, or imagenet")
    weights_sha256: dict[str, Sha256] = Field(description="of the files in weights")

    @model_validator(mode="after")
    def _weights_have_digests(self) -> TrainParams:
        check_weights(self.weights, self.weights_sha256)
        return self

    def input_of(self, candidate: str) -> InputParams:
        """How a candidate sees a picture."""
        network = self.networks.get(candidate)
        return (network and network.input) or self.input


class GateParams(Frozen):
    """Limits of the gate before training."""

    side_px: tuple[float, float] = Field(description="sides of a picture")
    foreground_share_mean: tuple[float, float] = Field(description="mean share of pixels that are not background")


class _SegmentationParams(TaskParams):
    """What both sections have, with the training recipe of the profile in force."""

    gate: GateParams
    train: TrainParams

    @model_validator(mode="after")
    def _candidates_have_recipes(self) -> Self:
        check_candidates(self.candidates, self.train.networks, PIXELS)
        return self


class Params(_SegmentationParams):
    """The section `panel_defects`."""

    domain: ClassVar[str] = "panel_defects"
    sample: SampleParams


class FarmParams(_SegmentationParams):
    """The section `solar_farms`."""

    domain: ClassVar[str] = "solar_farms"
    sample: FarmSampleParams
