"""The task: hot spots on photovoltaic modules, from infrared. See README.md beside this file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.limits import USUAL, Limits
from sightline.resampling import Pooled
from sightline.task import Expectation, Manifest, Plot, Progress, Rows, Sample, TrainingData
from sightline.tasks.pv_hotspots import metrics
from sightline.tasks.pv_hotspots.data import load_manifest, read_labels
from sightline.tasks.pv_hotspots.drawing import draw_labels
from sightline.tasks.pv_hotspots.model import NAME, HotspotModel
from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.synthetic.sample import write_sample
from sightline.upstream import Upstream
from sightline.vision.evaluation import Evaluated, rows_of


class PvHotspots:
    """See `sightline.task.Task`."""

    name = NAME
    curves: Mapping[str, tuple[str, str]] = metrics.CURVES
    upstream = Upstream("kaggle", "marcosgabriel/photovoltaic-system-thermography", "as stated on the dataset's page")

    def __init__(self, params: Params) -> None:
        self.params = params
        self._pooled = Pooled(lambda rows: metrics.Pool([row.statistics for row in rows]))

    def sample(self, root: Path, progress: Progress) -> None:
        """Write the synthetic set into `root`."""
        write_sample(root, self.params.sample, progress)

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        """List the set in `root`. Raises DataMissing where the layout is not found."""
        return load_manifest(root, limits)

    def source(self, data: Manifest, sample: Sample) -> Path:
        """The sample's thermogram."""
        return data.path(sample)

    def expectations(self) -> Sequence[Expectation]:
        """What the gate asks of frames and boxes."""
        gate = self.params.gate
        return (
            Expectation("between", "a thermogram's width", "width", *gate.side_px),
            Expectation("between", "a thermogram's height", "height", *gate.side_px),
            Expectation("between", "a frame shows modules, and not the whole farm", "modules", *gate.modules),
            Expectation("between", "boxes lie inside the frame", "boxes_outside", 0, 0),
            Expectation("between", "the picture shows a difference of temperature", "level_spread", gate.level_spread),
            Expectation(
                "mean_between", "defects are rare, and not absent", "defected_share", *gate.defected_share_mean
            ),
            Expectation("one_of", "what a split balances", "stratum", values=("defects", "none")),
            Expectation(
                "between",
                "boxes are large enough to look at",
                "smallest_side_px",
                gate.smallest_module_px,
                severity="warning",
            ),
        )

    def train(self, candidate: str, data: TrainingData[HotspotModel], work: Path, progress: Progress) -> HotspotModel:
        """Fit one candidate; see `train.train_model`."""
        from sightline.tasks.pv_hotspots.train import train_model

        return train_model(candidate, data, self.params.train, self.params.seed, work, progress)

    def evaluate(self, model: HotspotModel, data: Manifest, progress: Progress) -> Rows:
        """Compare the model's answers with the labels, a row a frame."""
        return rows_of(self._evaluated(model, data), len(data), "frame", progress)

    def _evaluated(self, model: HotspotModel, data: Manifest) -> Iterator[Evaluated]:
        for sample in data.samples:
            thermogram = model.read(data.path(sample), data.limits)
            height, width = thermogram.level.shape
            labels = read_labels(data.path(sample, "labels"), width, height)
            modules = model.modules(thermogram)
            statistics = metrics.frame_statistics(modules.detections, labels, model.card.thresholds["defected"])
            yield sample, statistics, model.answer(thermogram, modules)

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        """Pooled metrics; see `metrics.Pool.score`."""
        return self._pooled(rows).score(weights)

    def plots(self, rows: Rows) -> Mapping[str, Plot]:
        """The precision-recall curve and the confusion matrix."""
        return metrics.plots(rows)

    def picture(self, model: HotspotModel, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        """The labelled modules, and beside them the model's answer."""
        thermogram = model.read(data.path(sample), data.limits)
        height, width = thermogram.level.shape
        labels = read_labels(data.path(sample, "labels"), width, height)
        answer = model.draw(thermogram, model.predict([thermogram])[0])
        return np.concatenate([draw_labels(thermogram.picture, labels), answer], axis=1)

    @staticmethod
    def restore(directory: Path) -> HotspotModel:
        """Read a saved model. Raises ModelMissing or ModelRejected."""
        return HotspotModel.restore(directory)
