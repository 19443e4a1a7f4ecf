"""Parameters of the task: its section of params.yaml, typed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sightline.params import Frozen, TaskParams
from sightline.tasks.pv_hotspots.synthetic.sample import SampleParams

FeatureName = Literal["network", "box", "neighbours", "region"]

CANDIDATES = ("fused", "network", "feature")


class InputParams(Frozen):
    """How a frame's level becomes the three channels of the network's input."""

    width_px: int = Field(ge=64, multiple_of=32, description="frames of other sizes are fitted into it")
    height_px: int = Field(ge=64, multiple_of=32)
    low_percentile: float = Field(ge=0, lt=50, description="of the frame's level: 0 of the first channel")
    high_percentile: float = Field(gt=50, le=100, description="1 of the first channel, before the gain")
    level_gain: float = Field(gt=0)
    level_offset: float
    contrast_sigma_px: tuple[float, float] = Field(description="size of the surroundings")
    contrast_gain: tuple[float, float]


class RegionParams(Frozen):
    """Which pixels of a module are looked at for its physical feature."""

    erode_px: int = Field(ge=0, description="taken off the parallelogram on all sides")
    min_px: int = Field(ge=1, description="with fewer left, the parallelogram is not eroded")
    shrink_grid: tuple[float, ...] = Field(min_length=1, description="shares by which boxes may be shrunk")
    neighbours: int = Field(ge=1, description="modules around, for the rise over them")


class AugmentParams(Frozen):
    """What is done to a frame before the network sees it in training. Colours are left alone: hue is temperature."""

    window_px: tuple[int, int] = Field(description="height and width of what is cut out")
    flips: bool
    rotation_deg: float = Field(ge=0, le=180)
    scale: tuple[float, float] = Field(description="bounds, drawn evenly on a log scale")
    contrast: tuple[float, float] = Field(description="factor on the range of the level")
    offset: float = Field(ge=0, description="most the range is moved, as a share of it")
    noise: float = Field(ge=0, description="most white noise, as a share of the range")
    column_noise: float = Field(ge=0, description="the same for each column as a whole")
    mosaic: float = Field(ge=0, le=1, description="share of inputs put together of four")
    defect_weight: float = Field(ge=1, description="how much more often frames with defects are drawn")
    defect_focus: float = Field(ge=0, le=1, description="share of their windows that show a defect")


class ScheduleParams(Frozen):
    """One schedule of the optimiser."""

    epochs: int = Field(ge=1)
    windows: int = Field(ge=1, description="inputs an epoch")
    batch: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    freeze: int = Field(ge=0, le=22, description="first layers that stay as they are")

    def shortened(self, share: float) -> ScheduleParams:
        """The same for a share of the epochs."""
        return self.model_copy(update={"epochs": max(round(self.epochs * share), 1)})


class DetectionParams(Frozen):
    """Which of the network's boxes are kept."""

    min_objectness: float = Field(gt=0, lt=1)
    nms_iou: float = Field(gt=0, lt=1)
    max_boxes: int = Field(ge=1)


class ScoreParams(Frozen):
    """A logistic score: what the features of a module weigh (see `model.module_features`)."""

    intercept: float
    coefficients: dict[FeatureName, Annotated[float, Field(ge=0)]]


class FusionParams(Frozen):
    """How the candidates' probabilities are made of the features."""

    fused: ScoreParams
    network: ScoreParams
    feature: ScoreParams
    strength: float = Field(gt=0, description="with which a fit keeps `fused` near to these values")


class TrainParams(Frozen):
    """A training recipe."""

    input: InputParams
    region: RegionParams
    augment: AugmentParams
    scratch: ScheduleParams = Field(description="where no earlier fit is continued")
    continued: ScheduleParams = Field(description="where one is")
    detection: DetectionParams
    fusion: FusionParams
    weights: str = Field(description="a .safetensors or .pt file to start from; empty: none")
    weights_sha256: str = Field(pattern="^([0-9a-f]{64})?$")
    class_gain: float = Field(gt=0, description="of the classification loss; boxes have 7.5")
    class_weights: tuple[float, float] = Field(description="of the classification loss")
    precision: Literal["float32", "int8"] = Field(description="of the served network")
    calibration_frames: int = Field(ge=1, description="frames that int8 is calibrated on")

    @model_validator(mode="after")
    def _weights_have_a_digest(self) -> TrainParams:
        if bool(self.weights) != bool(self.weights_sha256):
            raise ValueError("weights and weights_sha256 are given together or not at all")
        return self


class GateParams(Frozen):
    """Limits of the gate before training."""

    modules: tuple[float, float] = Field(description="modules in a frame")
    defected_share_mean: tuple[float, float] = Field(description="mean over all frames")
    side_px: tuple[float, float] = Field(description="sides of a frame")
    smallest_module_px: float = Field(ge=0, description="shorter side of the smallest box; a warning")
    level_spread: float = Field(gt=0, description="range 5 .. 95 % of a frame: else there is no picture")


class Params(TaskParams):
    """The section `pv_hotspots`, with the training recipe of the profile in force."""

    sample: SampleParams
    gate: GateParams
    train: TrainParams

    @model_validator(mode="after")
    def _candidates_are_known(self) -> Params:
        unknown = [name for name in self.candidates if name not in CANDIDATES]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: a candidate is one of {', '.join(CANDIDATES)}")
        return self
