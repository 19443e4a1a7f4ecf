"""Parameters of the task: its section of params.yaml, typed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from sightline.params import Frozen, TaskParams, check_candidates
from sightline.tasks.battery_faults.rule import RuleParams
from sightline.tasks.battery_faults.synthetic.field import FieldParams
from sightline.tasks.battery_faults.synthetic.heat import GridParams
from sightline.tasks.battery_faults.synthetic.pack import PackParams
from sightline.tasks.battery_faults.synthetic.path import PathName, PathParams
from sightline.tasks.battery_faults.synthetic.scene import MaterialParams, ShortParams, UnevenParams
from sightline.vision.training import ScheduleParams


class FluentParams(Frozen):
    """The look `fluent`, and how the camera goes in it."""

    width_px: int = Field(ge=32, le=4096)
    height_px: int = Field(ge=32, le=4096)
    focal_px: float = Field(gt=0)
    oversampling: int = Field(ge=1, le=4, description="rays a pixel along each side")
    path: PathParams


class SyntheticParams(Frozen):
    """Everything the synthetic set depends on."""

    seed: int = Field(ge=0)
    videos: int = Field(ge=1, le=9999)
    frames: int = Field(ge=2, le=1000, description="of a video")
    frame_s: float = Field(gt=0, description="between frames; a stamp of the published videos is taken as a second")
    healthy_share: float = Field(ge=0, le=1, description="of the videos")
    two_faults_share: float = Field(ge=0, le=1, description="of the videos; the others have one faulty cell")
    field_share: float = Field(ge=0, le=1, description="of the videos, as a real camera shows them")
    packs: int = Field(ge=1, description="geometries; the first is the nominal one")
    paths: tuple[PathName, ...] = Field(min_length=1, description="in turn; each is a group of its own")
    png_level: int = Field(ge=0, le=9, description="how hard frames are packed")
    pack: PackParams
    material: MaterialParams
    grid: GridParams
    short: ShortParams
    uneven: UnevenParams = Field(description="of the look `field` alone")
    fluent: FluentParams
    field: FieldParams
    field_path: PathParams


class NetworkParams(Frozen):
    """Stage 1: the network that follows a faulty cell (see `query`)."""

    backbone: Literal["resnet18", "resnet50"]
    backbone_width: int = Field(ge=8, description="channels of the residual network's first blocks; 64 as published")
    width: int = Field(ge=16, multiple_of=16, description="channels of the pyramid and of the queries")
    heads: int = Field(ge=1, description="of each attention")
    points: int = Field(ge=1, description="places that a head looks at in each level")
    feedforward: int = Field(ge=16, description="hidden channels of the layers between attentions")
    encoder_layers: int = Field(ge=1)
    decoder_layers: int = Field(ge=1)
    queries: int = Field(ge=1, description="faults that can be told at a time, many times over")
    window: int = Field(ge=1, le=5, description="frames over which a query is averaged, the newest among them")

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> NetworkParams:
        if self.width % self.heads:
            raise ValueError("width must be a multiple of heads")
        return self


class RefineParams(Frozen):
    """Stage 2: the network that refines a mask's border (see `quadtree`)."""

    width: int = Field(ge=16, multiple_of=16, description="channels of a node")
    heads: int = Field(ge=1)
    layers: int = Field(ge=1, description="of the transformer over the nodes")
    feedforward: int = Field(ge=16)
    most_roots: int = Field(ge=1, description="squares of 4 px that are split at most, each into 4 nodes")
    most_splits: int = Field(ge=1, description="squares of 2 px that are split at most, each into 4 nodes")


class LossParams(Frozen):
    """What each part of the loss counts for; class, box and giou also in the matching."""

    fault: float = Field(ge=0, description="focal loss of the class")
    box: float = Field(ge=0, description="L1 of centre and size")
    giou: float = Field(ge=0)
    mask: float = Field(ge=0, description="focal loss of the mask's pixels")
    dice: float = Field(ge=0)
    incoherence: float = Field(ge=0, description="stage 2: where the mask is refined")
    nodes: float = Field(ge=0, description="stage 2: labels of the nodes")


class AugmentParams(Frozen):
    """What is done to a clip before the networks see it in training. Temperatures are left alone."""

    flip: bool = Field(description="half of the clips are mirrored, left to right")
    scale: tuple[float, float] = Field(description="bounds of the size of what is cut out, against the pack's box")
    shift: float = Field(ge=0, le=0.3, description="most that a cut is moved, as a share of the box")
    occluded: float = Field(ge=0, le=1, description="share of the clips of which a rectangle is hidden")
    farthest: int = Field(ge=1, description="frames of the video between two of a clip, at most")


class LearningParams(ScheduleParams):
    """One schedule of the optimiser; inputs are clips."""

    frames: int = Field(ge=1, description="of a clip")
    backbone_learning_rate: float = Field(gt=0, description="the highest, of the residual network")
    clip_norm: float = Field(gt=0, description="largest norm of a step's gradient")
    refine_from: float = Field(ge=0, lt=1, description="share of the steps after which stage 2 is trained too")


class LearnedParams(Frozen):
    """The two learned stages and how they are trained."""

    network: NetworkParams
    refine: RefineParams
    loss: LossParams
    augment: AugmentParams
    learning: LearningParams = Field(description="where no earlier fit is continued")
    continued: LearningParams = Field(description="where one is")

    @property
    def continued_from(self) -> LearnedParams:
        """The same, for a training that begins with the weights of an earlier one."""
        return self.model_copy(update={"learning": self.continued})


RULE = "rule"
"""The plain baseline: each cell against its siblings."""

LEARNED = ("refined", "query")
"""Both stages, and stage 1 alone; they share one training."""


class TrainParams(Frozen):
    """One training recipe."""

    learned: LearnedParams
    rule: RuleParams
    calibrated_on: int = Field(
        ge=4, description="videos at most that a network's probabilities and thresholds are fitted on"
    )


class GateParams(Frozen):
    """Limits that the gate asks of the data."""

    side_px: tuple[float, float] = Field(description="of a frame")
    frames: tuple[float, float] = Field(description="of a video")
    faulty_share_mean: tuple[float, float] = Field(description="of the videos, bounds of the share with a fault")


class Params(TaskParams):
    """The task's section of params.yaml."""

    sample: SyntheticParams
    gate: GateParams
    train: TrainParams

    @model_validator(mode="after")
    def _candidates_are_known(self) -> Params:
        check_candidates(self.candidates, LEARNED, RULE)
        return self
