"""Parameters of the task: its section of params.yaml, typed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.params import Frozen, Sha256, TaskParams, check_candidates
from sightline.tasks.land_cover.synthetic.sample import SampleParams
from sightline.vision.networks import EncoderName, check_weights
from sightline.vision.training import ScheduleParams

RULES = "rules"
"""The plain baseline: thresholds on indices, pixel by pixel."""

ClassName = Literal[
    "buildings", "misc_structures", "roads", "tracks", "trees",
    "crops", "waterways", "standing_water", "large_vehicles", "small_vehicles",
]  # fmt: skip


class InputParams(Frozen):
    """How a tile becomes windows of the network."""

    window_px: int = Field(ge=32, multiple_of=32, description="side of the network's input")
    overlap_px: int = Field(ge=0, description="of neighbouring windows")
    indices: bool = Field(description="NDWI, NDVI, CCCI and EVI beside the eight bands")

    @model_validator(mode="after")
    def _windows_advance(self) -> InputParams:
        if self.overlap_px >= self.window_px:
            raise ValueError("overlap_px is smaller than window_px")
        return self


class AugmentParams(Frozen):
    """What is done to a window in training. Every window is also turned by right angles and mirrored."""

    focus: float = Field(ge=0, le=1, description="share of the windows that show an object of a class")
    balance: float = Field(ge=0, le=1, description="exponent of 1 / frequency by which that class is drawn")
    gain: float = Field(ge=0, lt=1, description="most change of brightness, as a share")
    band_gain: float = Field(ge=0, lt=1, description="the same for each band by itself")
    noise: float = Field(ge=0, description="most white noise, in standard deviations of the channel")


class NetworkParams(Frozen):
    """One network: its encoder and how long it is trained."""

    encoder: EncoderName = Field(description="the network's contracting part")
    scratch: ScheduleParams = Field(description="where no earlier fit is continued")
    continued: ScheduleParams = Field(description="where one is")


class RuleParams(Frozen):
    """The plain baseline: which classes have a rule, and how it is fitted on the training set."""

    classes: tuple[ClassName, ...]
    conditions: int = Field(ge=1, le=4, description="most intervals in a rule")
    quantiles: int = Field(ge=4, le=200, description="bounds that are tried, of the class and of all pixels")
    pixels_per_tile: int = Field(ge=100, description="most that are looked at")


class ThresholdParams(Frozen):
    """What is tried for each class, together."""

    probability: tuple[float, ...] = Field(min_length=1)
    area_px: tuple[int, ...] = Field(min_length=1, description="smaller patches go")


class TrainParams(Frozen):
    """A training recipe."""

    input: InputParams
    augment: AugmentParams
    smooth: float = Field(gt=0, description="of the soft Jaccard in the loss")
    decoder_channels: tuple[int, int, int, int, int] = Field(description="of a U-Net's decoder")
    networks: dict[str, NetworkParams] = Field(min_length=1, description="candidate -> its network")
    rules: RuleParams
    rules_may_replace: tuple[ClassName, ...] = Field(description="in a network's answer, where they win on validation")
    thresholds: ThresholdParams
    weights: dict[str, str] = Field(description="encoder -> a .safetensors file, or imagenet")
    weights_sha256: dict[str, Sha256] = Field(description="of the files in weights")

    @model_validator(mode="after")
    def _names_fit(self) -> TrainParams:
        check_weights(self.weights, self.weights_sha256)
        if not set(self.rules_may_replace) <= set(self.rules.classes):
            raise ValueError("rules_may_replace names classes that have no rule")
        return self


class GateParams(Frozen):
    """Limits of the gate before training."""

    side_px: tuple[float, float] = Field(description="sides of a tile")
    highest: tuple[float, float] = Field(description="a tile's brightest value, of 0 .. 1")
    no_data: float = Field(ge=0, le=1, description="most of a tile that may be without data")
    overhang: float = Field(ge=0, description="how far polygons may leave a tile, in its sides")
    trees_share_mean: tuple[float, float] = Field(description="mean share of the tiles' area")


class Params(TaskParams):
    """The section `land_cover`, with the training recipe of the profile in force."""

    sample: SampleParams
    gate: GateParams
    train: TrainParams

    @model_validator(mode="after")
    def _candidates_have_recipes(self) -> Params:
        check_candidates(self.candidates, self.train.networks, RULES)
        return self
