"""Parameters of the task: its section of params.yaml, typed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.params import Frozen, Sha256, TaskParams, check_candidates
from sightline.tasks.ships.network import CELL_PX, PYRAMIDS, STRIDE, NetworkName
from sightline.tasks.ships.synthetic.sample import SampleParams
from sightline.vision.networks import check_weights
from sightline.vision.training import ScheduleParams

BLOBS = "blobs"
"""The plain baseline: what stands out from the sea and is as long as a ship."""


class InputParams(Frozen):
    """What the network looks at. All sides are pixels at the network's scale."""

    gsd_m: float = Field(ge=0.5, le=3.0, description="metres a pixel, to which every raster is brought")
    pooled_px: int = Field(ge=CELL_PX, multiple_of=CELL_PX, description="side of what the head averages")
    context_px: int = Field(ge=0, multiple_of=16, description="seen around it on each side")


class ScanParams(Frozen):
    """How a raster is scanned."""

    tile_px: int = Field(ge=2 * STRIDE, multiple_of=STRIDE, description="side of what is computed at once")
    context_px: int = Field(ge=0, multiple_of=16, description="of a tile on each side that is not kept")
    stride_px: int = Field(ge=CELL_PX, le=256, multiple_of=CELL_PX, description="from one window to the next")
    floor: float = Field(gt=0, lt=1, description="peaks below this probability are not looked at")
    separation_m: float = Field(gt=0, description="the lower of two peaks that are nearer is dropped")
    overlap: float = Field(gt=0, lt=1, description="the same for the intersection over union of boxes")

    @property
    def graph_stride_px(self) -> int:
        """Of the network that answers: the coarsest of those it can have."""
        return next(step for step in (STRIDE, STRIDE // 2, STRIDE // 4, CELL_PX) if self.stride_px % step == 0)

    @model_validator(mode="after")
    def _context_fits(self) -> ScanParams:
        if self.context_px % self.graph_stride_px:
            raise ValueError(f"context_px is a multiple of {self.graph_stride_px}, as stride_px is")
        return self


class WindowParams(Frozen):
    """What a network is trained on: crops of scenes and chips, each with the windows that fit in it."""

    side_px: int = Field(ge=STRIDE, multiple_of=STRIDE, description="of a crop, at the network's scale")
    stride_px: Literal[4, 8, 16, 32] = Field(description="from one window of a crop to the next")
    chips: float = Field(ge=0, le=1, description="share of the crops that are chips, where there are any")
    focus: float = Field(ge=0, le=1, description="share of the scenes' crops that show a ship")
    ship_m: float = Field(gt=0, description="a window is one of a ship whose centre is within this")
    sea_m: float = Field(gt=0, description="and one of no ship where all are farther; between: neither")
    hard_example_share: float = Field(gt=0, le=1, description="share of the windows without ships that is learnt from")
    smoothing: float = Field(ge=0, lt=0.5, description="of the labels")


class AugmentParams(Frozen):
    """What is done to a crop in training. Every crop is also turned by right angles and mirrored."""

    rotated: float = Field(ge=0, le=1, description="share that is turned by any angle and zoomed")
    zoom: tuple[float, float] = Field(description="bounds, drawn evenly on a log scale")
    coarse_share: float = Field(ge=0, le=1, description="share that is made coarser")
    coarsest: float = Field(ge=1, le=8, description="at most so many times")
    gamma: float = Field(ge=0, lt=2, description="most change of the gradation, as a logarithm; a third of it a colour")
    gain: float = Field(ge=0, lt=1, description="most change of brightness, as a share")
    band_gain: float = Field(ge=0, lt=1, description="the same for each colour by itself")
    saturation: float = Field(ge=0, lt=2, description="most change of the distance from grey, as a share")
    contrast: float = Field(ge=0, lt=1, description="most change of contrast, as a share")
    darkening: float = Field(ge=0, le=1, description="most that is taken away, in middle values of the crop")
    noise: float = Field(ge=0, description="most white noise, as a share of white")
    jpeg_share: float = Field(ge=0, le=1, description="share that is packed as JPEG")
    jpeg_quality: tuple[int, int] = Field(description="its bounds")
    random_erasing: float = Field(ge=0, le=1, description="share of crops that lose a rectangle")


class NetworkParams(Frozen):
    """One network: its size and how long it is trained.

    `head` is the warm-up: the head learns alone where the features come from elsewhere.
    """

    size: NetworkName = Field(description="a ConvNeXt of windows, or the encoder of a pyramid")
    head: ScheduleParams = Field(description="what stands on the features alone, where they come from elsewhere")
    scratch: ScheduleParams = Field(description="all, where no earlier fit is continued")
    continued: ScheduleParams = Field(description="all, where one is")


class BlobParams(Frozen):
    """The plain baseline: which blobs could be ships; how strongly they must stand out is fitted."""

    sea_px: int = Field(ge=16, description="side of the squares whose median is the sea's level")
    deviations: tuple[float, ...] = Field(min_length=1, description="tried")
    length_m: tuple[float, float]
    elongation: tuple[float, float]
    fill: float = Field(gt=0, le=1, description="least share of its rectangle that a blob covers")


class TrainParams(Frozen):
    """A training recipe."""

    input: InputParams
    scan: ScanParams
    windows: WindowParams
    augment: AugmentParams
    networks: dict[str, NetworkParams] = Field(min_length=1, description="candidate -> its network")
    blobs: BlobParams
    weights: dict[str, str] = Field(description="size -> imagenet, or a .safetensors file of timm's, to start from")
    weights_sha256: dict[str, Sha256] = Field(description="of the files in weights")

    @model_validator(mode="after")
    def _names_fit(self) -> TrainParams:
        check_weights(self.weights, self.weights_sha256)
        return self

    @model_validator(mode="after")
    def _sides_fit(self) -> TrainParams:
        if self.windows.side_px < self.input.pooled_px + 2 * self.input.context_px:
            raise ValueError("windows.side_px holds no window with its context")
        if self.scan.tile_px < self.input.pooled_px + 2 * self.scan.context_px:
            raise ValueError("scan.tile_px holds no window with its context")
        if self.windows.ship_m >= self.windows.sea_m:
            raise ValueError("windows.ship_m is less than windows.sea_m")
        return self

    def of(self, candidate: str) -> TrainParams:
        """The recipe of a candidate: the window and the steps of a pyramid are its cells."""
        if candidate not in self.networks or self.networks[candidate].size not in PYRAMIDS:
            return self
        step = {"stride_px": CELL_PX}
        parts = {
            "input": self.input.model_copy(update={"pooled_px": CELL_PX}),
            "scan": self.scan.model_copy(update=step),
            "windows": self.windows.model_copy(update=step),
        }
        return self.model_copy(update=parts)


class GateParams(Frozen):
    """Limits of the gate before training."""

    side_px: tuple[float, float] = Field(description="sides of a chip or a scene")
    scene_share_mean: tuple[float, float] = Field(description="share of the samples that are scenes")


class Params(TaskParams):
    """The section `ships`, with the training recipe of the profile in force."""

    sample: SampleParams
    gate: GateParams
    train: TrainParams

    @model_validator(mode="after")
    def _candidates_have_recipes(self) -> Params:
        check_candidates(self.candidates, self.train.networks, BLOBS)
        return self
