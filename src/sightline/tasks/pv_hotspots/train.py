"""Training: one detector, shared by all candidates, then what turns its boxes into probabilities.

work/detector/                 shared: checkpoints, then the finished weights and graphs
    detector.safetensors  detector.onnx  detector.int8.onnx  finished.json
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.files import require_weights, sha256_file, write_json
from sightline.geometry import box_iou
from sightline.task import Manifest, Progress, Sample, TrainingData
from sightline.tasks.pv_hotspots.augment import Frame, Windows
from sightline.tasks.pv_hotspots.data import Labels, read_labels
from sightline.tasks.pv_hotspots.detector import Boxes, Detector, fit_frame
from sightline.tasks.pv_hotspots.feature import Floats, Measured, box_rise, measure_modules
from sightline.tasks.pv_hotspots.metrics import Detections, Pool, frame_statistics
from sightline.tasks.pv_hotspots.model import (
    GRAPHS,
    KIND,
    WEIGHTS,
    HotspotModel,
    Recipe,
    module_features,
)
from sightline.tasks.pv_hotspots.params import FusionParams, ScoreParams, TrainParams
from sightline.tasks.pv_hotspots.scoring import Scorer, best_threshold, fit_scorer
from sightline.tasks.pv_hotspots.thermogram import Thermogram, read_thermogram
from sightline.vision.examples import require_usable
from sightline.vision.saved import provenance_of

if TYPE_CHECKING:
    from sightline.tasks.pv_hotspots.yolo import State

Data = TrainingData[HotspotModel]


def train_model(
    candidate: str, data: Data, params: TrainParams, seed: int, work: Path, progress: Progress
) -> HotspotModel:
    """Fit one candidate; see `sightline.task.Task.train`.

    Raises:
        DataRejected: no sample can be used.
        ParamsError: the weights that params name are not there or not those.
    """
    examples = [_read_example(data.train, sample) for sample in require_usable(data.train, "frame", "labels")]
    folder = work / "detector"
    files = _finished_files(folder, lambda: _train_detector(examples, data, params, seed, folder, progress))
    progress.advance(1, 1, "scores")
    recipe, threshold = fit_recipe(candidate, files[GRAPHS["float32"]], examples, params)
    provenance = provenance_of(data, params, seed, len(examples))
    return HotspotModel(KIND.make_card(candidate, recipe, files, {"defected": threshold}, provenance), files)


@dataclass(frozen=True)
class Example:
    """One labelled frame."""

    thermogram: Thermogram
    labels: Labels

    @property
    def frame(self) -> Frame:
        """What the detector is trained on."""
        return Frame(self.thermogram.level, self.labels.polygons, self.labels.classes)


def _read_example(manifest: Manifest, sample: Sample) -> Example:
    thermogram = read_thermogram(manifest.path(sample), manifest.limits)
    height, width = thermogram.level.shape
    return Example(thermogram, read_labels(manifest.path(sample, "labels"), width, height))


# ------------------------------------------------------------------------------------------------------ detector


def _finished_files(work: Path, train: Callable[[], None]) -> dict[str, bytes]:
    """The weights and graphs, trained unless an earlier candidate did."""
    done = work / "finished.json"
    if not done.exists():
        work.mkdir(parents=True, exist_ok=True)
        train()
        names = [WEIGHTS, *GRAPHS.values()]
        write_json(done, {name: sha256_file(work / name) for name in names})
        shutil.rmtree(work / "ultralytics", ignore_errors=True)
        shutil.rmtree(work / "checkpoint", ignore_errors=True)
    digests = json.loads(done.read_text(encoding="utf-8"))
    for name, digest in digests.items():
        if sha256_file(work / name) != digest:
            raise DataRejected(
                "the weights of a finished training were changed",
                where=work / name,
                way_out=f"Delete {work} and train again.",
            )
    return {name: (work / name).read_bytes() for name in digests}


def _train_detector(
    examples: Sequence[Example],
    data: Data,
    params: TrainParams,
    seed: int,
    work: Path,
    progress: Progress,
) -> None:
    from sightline.tasks.pv_hotspots import yolo
    from sightline.tasks.pv_hotspots.quantise import quantise_graph

    yolo.prepare_environment()  # before torch is imported
    from safetensors.torch import save_file

    start = _start_state(data, params, work)
    schedule = (params.scratch if start is None else params.continued).shortened(data.share)
    windows = Windows([example.frame for example in examples], schedule.windows, params.augment, params.input, seed)
    state = yolo.train_detector(windows, params, schedule, start, work, progress)
    save_file(state, work / WEIGHTS)
    progress.advance(0, 1, "graphs")
    yolo.export_graph(state, params.input, work / GRAPHS["float32"])
    spread = np.linspace(0, len(examples) - 1, min(params.calibration_frames, len(examples))).round().astype(int)
    pictures = [fit_frame(examples[index].thermogram.level, params.input)[0] for index in spread]
    quantise_graph(work / GRAPHS["float32"], pictures, work / GRAPHS["int8"])
    progress.advance(1, 1, "graphs")


def _start_state(data: Data, params: TrainParams, work: Path) -> State | None:
    """The weights to begin with: those of the earlier fit, else those that params name, else none."""
    from sightline.tasks.pv_hotspots.yolo import read_start

    if data.start is not None:
        if not isinstance(data.start, HotspotModel):
            raise DataRejected(
                "the model to start from is not of this task", way_out="Start from a model of pv_hotspots."
            )
        path = work / "start.safetensors"
        path.write_bytes(data.start.files[WEIGHTS])
        return read_start(path)
    if not params.weights:
        return None
    path = Path(params.weights).expanduser()
    require_weights(path, params.weights_sha256, f"train.weights: {path}")
    return read_start(path)


# -------------------------------------------------------------------------------------------------------- scores


@dataclass(frozen=True)
class _Seen:
    """What the detector found in one frame, and the truth: label (n,) is -1 where no module was."""

    example: Example
    found: Boxes
    measured: Measured
    label: NDArray[np.int64]


def fit_recipe(candidate: str, graph: bytes, examples: Sequence[Example], params: TrainParams) -> tuple[Recipe, float]:
    """Choose the shrink, fit the scorer and set the threshold, all on the frames that were trained on."""
    detector = Detector(graph, params.input, params.detection)
    seen = [_look(example, detector, params) for example in examples]
    shrink = choose_shrink(seen, params.region.shrink_grid)
    features, labels = _pool_features(seen, shrink)
    scorer = choose_scorer(candidate, features, labels, params.fusion)
    threshold = best_threshold(scorer.probability(features), labels)
    recipe = Recipe(
        input=params.input,
        detection=params.detection,
        region=params.region,
        shrink=shrink,
        scorer=scorer,
        precision=params.precision,
    )
    return recipe, threshold


def choose_scorer(
    candidate: str, features: dict[str, Floats], labels: NDArray[np.int64], params: FusionParams
) -> Scorer:
    """The candidate's score: as params have it, or for `fused` near to that."""
    given: ScoreParams = getattr(params, candidate)
    scorer = Scorer(given.intercept, dict(given.coefficients.items()))
    return fit_scorer(scorer, features, labels, params.strength) if candidate == "fused" else scorer


def _look(example: Example, detector: Detector, params: TrainParams) -> _Seen:
    found = detector(example.thermogram.level)
    measured = measure_modules([example.thermogram.level], found.boxes, params.region)[0]
    label = np.full(len(found.boxes), -1, dtype=np.int64)
    if len(example.labels.boxes) and len(label):
        overlap = box_iou(found.boxes, example.labels.boxes)
        best = overlap.argmax(axis=1)
        label = np.where(overlap.max(axis=1) >= 0.5, example.labels.classes[best], -1)
    return _Seen(example, found, measured, label)


def choose_shrink(seen: Sequence[_Seen], grid: Sequence[float]) -> float:
    """The shrink with which the plain feature has the highest AP50 on `defected`; the first of equals."""
    ones = np.ones(len(seen))
    precision = []
    for shrink in grid:
        rises = [box_rise(one.example.thermogram.level, one.found.boxes, shrink) for one in seen]
        ranked = [
            Detections(one.found.boxes, one.found.objectness, rise) for one, rise in zip(seen, rises, strict=True)
        ]
        pool = Pool([frame_statistics(found, one.example.labels, 0.5) for found, one in zip(ranked, seen, strict=True)])
        precision.append(pool.score(ones)["ap50_defected"])
    return float(grid[int(np.argmax(np.nan_to_num(precision)))])


def _pool_features(seen: Sequence[_Seen], shrink: float) -> tuple[dict[str, Floats], NDArray[np.int64]]:
    """Features and labels (n,) of all boxes that found a module."""
    parts = [module_features(one.example.thermogram, one.found, one.measured, shrink) for one in seen]
    known = np.concatenate([one.label for one in seen]) >= 0
    features = {name: np.concatenate([part[name] for part in parts])[known] for name in parts[0]}
    return features, np.concatenate([one.label for one in seen])[known]
