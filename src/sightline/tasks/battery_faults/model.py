"""A trained model of this task: reading, answering whole videos and running ones, drawing, saving and restoring."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from sightline import stopping
from sightline.capabilities import Frame, check_probability
from sightline.limits import Cost, Limits
from sightline.task import Prediction
from sightline.tasks.battery_faults.answer import Answer, FrameAnswer
from sightline.tasks.battery_faults.clip import FORMATS, Clip, clip_extent, read_clip
from sightline.tasks.battery_faults.drawing import FAULTY, HEALTHY, UNKNOWN, chart, mark, pack_view
from sightline.tasks.battery_faults.metrics import Told
from sightline.tasks.battery_faults.params import NetworkParams, RefineParams
from sightline.tasks.battery_faults.rule import RuleMethod, RuleParams
from sightline.tasks.battery_faults.runs import read_runs
from sightline.tasks.battery_faults.session import PackSession
from sightline.tasks.battery_faults.thermometer import CONDITIONS, picture_of, read_scale
from sightline.tasks.battery_faults.verdict import Method, Thresholds
from sightline.vision.calibration import Calibration
from sightline.vision.images import noise_picture
from sightline.vision.saved import ModelKind, SavedModel, SavedRecipe

if TYPE_CHECKING:
    from torch.nn import Module

    from sightline.video.writing import Movie

NAME = "battery_faults"
CLASSES = ("cell",)
WEIGHTS = "stages.safetensors"

ADJUSTABLE = {"threshold": "least score of a pack that is called faulty, 0 to 1"}

_EXAMPLE = (3, 96, 160)  # frames, height and width
_COLOURS = {"faulty": FAULTY, "healthy": HEALTHY, "cannot_say": UNKNOWN}
_CHART_PX = 320  # height of what is drawn below a frame
_FRAMES_AT_ONCE = 6  # decoded frames, floats of them and masks, that are in memory at a time
_UNTOLD = 1000  # frames of a video whose head does not say how many it has, as it is weighed
_FILM_FPS = 5.0  # of a film whose frames have no times


class Recipe(SavedRecipe):
    """All that turns frames into scores.

    Attributes:
        method: the plain rule, stage 1 alone (`query`), or both stages (`refined`).
        rule: of the plain candidate; also where the pack and its cells are.
        network, refine: the shapes of both stages; None for the rule.
        calibration: from a pack's raw score to a probability.
    """

    method: Literal["rule", "query", "refined"]
    rule: RuleParams
    network: NetworkParams | None = None
    refine: RefineParams | None = None
    calibration: Calibration = Calibration()

    @property
    def files(self) -> set[str]:
        """Of a model of this recipe."""
        return set() if self.method == "rule" else {WEIGHTS}


KIND = ModelKind(NAME, Recipe, CLASSES, FORMATS, CONDITIONS, thresholds=("healthy", "faulty"))


@dataclass
class BatteryModel(SavedModel[Recipe]):
    """See `sightline.task.Model` and `sightline.capabilities.Streaming`."""

    @staticmethod
    def kind_of(_: str, /) -> ModelKind[Recipe]:
        """See `SavedModel`."""
        return KIND

    @property
    def thresholds(self) -> Thresholds:
        """On the score of a pack."""
        return Thresholds(self.card.thresholds["healthy"], self.card.thresholds["faulty"])

    @property
    def adjustable(self) -> Mapping[str, str]:
        """See `sightline.capabilities.Adjustable`."""
        return ADJUSTABLE

    def adjusted(self, values: Mapping[str, float]) -> BatteryModel:
        """The same model with another threshold. Raises ParamsError where it is no probability."""
        if "threshold" not in values:
            return self
        faulty = check_probability(values["threshold"])
        thresholds = {"faulty": faulty, "healthy": min(self.card.thresholds["healthy"], faulty)}
        return replace(self, card=self.card.model_copy(update={"thresholds": {**self.card.thresholds, **thresholds}}))

    @cached_property
    def stages(self) -> Module:
        """The networks, which all sessions share."""
        from sightline.tasks.battery_faults.stages import load_stages

        recipe = self.recipe
        assert recipe.network is not None
        assert recipe.refine is not None
        return load_stages(recipe.network, recipe.refine, self.files[WEIGHTS])

    def _method(self) -> Method:
        recipe = self.recipe
        if recipe.method == "rule":
            return RuleMethod(recipe.rule)
        from sightline.tasks.battery_faults.networks import Networks

        assert recipe.network is not None
        return Networks(self.stages, recipe.method == "refined", recipe.network.width, recipe.rule)

    # ------------------------------------------------------------------------------------------------ reading

    def read(self, source: Path | bytes, limits: Limits) -> Clip:
        """Open a video; its frames are decoded when they are answered. Raises as `clip.read_clip`."""
        return read_clip(source, limits)

    def weigh(self, source: Path | bytes, limits: Limits, conditions: Mapping[str, float]) -> Cost:
        """What answering a video takes, by its head alone. Raises as `read` and `under`."""
        read_scale(conditions)
        extent = clip_extent(source, limits)
        frame_px = math.prod(extent.size)
        all_px = frame_px * (_UNTOLD if extent.frames is None else extent.frames)
        return Cost(extent.size, all_px, all_px, _FRAMES_AT_ONCE * frame_px * (3 + 4 + 4))

    def example(self) -> bytes:
        """A ZIP of a few frames of noise: they have no scale, so nothing is said of them."""
        frames, height, width = _EXAMPLE
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for number in range(frames):
                entry = zipfile.ZipInfo(f"{number:04d}.png")  # the same bytes whenever it is made
                archive.writestr(entry, noise_picture(3, height, width, 255))
        return packed.getvalue()

    def under(self, source: Clip, conditions: Mapping[str, float]) -> Clip:
        """The video with what its numbers mean; see `sightline.capabilities.Conditioned`."""
        return source.under(conditions)

    # --------------------------------------------------------------------------------------------- answering

    def open(self, conditions: Mapping[str, float]) -> PackSession:
        """A new memory for one camera; see `sightline.capabilities.Streaming`."""
        return PackSession(self._method(), self.thresholds, read_scale(conditions), self.recipe.calibration)

    def predict(self, batch: Sequence[Clip]) -> list[Prediction]:
        """Answer videos, each frame by frame, as a stream of them would be."""
        return [self._session(source).close() for source in batch]

    def tell(self, source: Clip) -> tuple[Told, Prediction]:
        """A video as it is evaluated, and its answer."""
        session = self._session(source)
        return session.told(), session.close()

    def told(self, source: Clip) -> Told:
        """A video as it is evaluated, without the documents of an answer."""
        return self._session(source).told()

    def _session(self, source: Clip) -> PackSession:
        session = self.open(source.conditions)
        for frame in source.frames():
            stopping.check()
            session.look(frame)
        return session

    # ------------------------------------------------------------------------------------------------ drawing

    def draw(self, source: Clip, prediction: Prediction) -> NDArray[np.uint8]:
        """The frame in which the fault is seen best, the temperatures over time, and the pack."""
        session, shown = self.open(source.conditions), shown_frame(prediction)
        for frame in source.frames():
            seen = session.push(frame)
            if frame.number == shown:
                break
        return _with_charts(self.mark(frame, seen), prediction)

    def mark(self, frame: Frame, prediction: Prediction) -> NDArray[np.uint8]:
        """A frame with the answer to it; see `sightline.capabilities.Marking`."""
        answer = FrameAnswer.model_validate(prediction.document)
        masks = {
            one.cell: read_runs(one.mask.model_dump(), frame.pixels.shape[:2], "mask").decode()
            for one in answer.cells
            if one.mask is not None and answer.verdict == "faulty"
        }
        said = f"frame {answer.frame}: {prediction.found} (score {answer.score:.2f})"
        return mark(picture_of(frame), masks, said, _COLOURS[answer.verdict])

    def film(self, source: Clip, path: Path, /) -> tuple[Prediction, NDArray[np.uint8]]:
        """The whole video with outlines and what could be said by then; see `sightline.capabilities.Filming`."""
        from sightline.video.writing import Movie

        with Movie(path) as movie:
            return self._drawn(source, movie)

    def predict_drawn(self, source: Clip) -> tuple[Prediction, NDArray[np.uint8]]:
        """The answer to a video, and what `draw` draws of it, in one pass."""
        return self._drawn(source, None)

    def _drawn(self, source: Clip, movie: Movie | None) -> tuple[Prediction, NDArray[np.uint8]]:
        session, top = self.open(source.conditions), np.empty((0, 0, 3), np.uint8)
        for frame in source.frames():
            stopping.check()
            prediction = session.push(frame)
            is_shown = session.shown_frame == frame.number
            if movie is None and not is_shown:
                continue
            drawn = self.mark(frame, prediction)
            top = drawn if is_shown else top
            if movie is not None:
                movie.add(drawn, frame.number / _FILM_FPS if frame.time_s is None else frame.time_s)
        prediction = session.close()
        return prediction, _with_charts(top, prediction)


def shown_frame(prediction: Prediction) -> int:
    """The frame of a video in which its fault is seen best."""
    return Answer.model_validate(prediction.document).shown_frame


def _with_charts(top: NDArray[np.uint8], prediction: Prediction) -> NDArray[np.uint8]:
    """A marked frame, and below it the temperatures over time beside the pack."""
    width = top.shape[1]
    answer = Answer.model_validate(prediction.document)
    curves = np.array([[np.nan if k is None else k for k in row] for row in answer.temperatures.kelvin], np.float64)
    times, unit, onset = _axis(answer)
    wide = max(width * 3 // 5, 1)
    drawn = chart(curves.reshape(len(times), -1), times, unit, onset, (_CHART_PX, wide))
    told = {fault.cell: fault.rise_k for fault in answer.faults}
    rises = [told.get(cell) or rise for cell, rise in _rises(curves)]
    pack = pack_view(rises, frozenset(told), (_CHART_PX, width - wide))
    return np.concatenate([top, np.concatenate([drawn, pack], axis=1)])


def _axis(answer: Answer) -> tuple[NDArray[np.float64], str, float | None]:
    """When the listed frames were taken, in which unit, and the first onset; by numbers where frames have no times."""
    told = answer.temperatures
    seconds = [time_s for time_s in told.times_s if time_s is not None]
    timed = len(seconds) == len(told.frames)
    onsets = [fault.onset_s if timed else fault.onset_frame for fault in answer.faults]
    onset = min((one for one in onsets if one is not None), default=None)
    return np.array(seconds if timed else told.frames, dtype=np.float64), "s" if timed else "frame", onset


def _rises(curves: NDArray[np.float64]) -> Iterator[tuple[int, float]]:
    """Cell -> its highest temperature over that of the coolest; NaN where it was never seen."""
    seen = [float(np.nanmax(column)) if np.isfinite(column).any() else float("nan") for column in curves.T]
    coolest = min((kelvin for kelvin in seen if np.isfinite(kelvin)), default=0.0)
    yield from ((cell, kelvin - coolest) for cell, kelvin in enumerate(seen, start=1))
