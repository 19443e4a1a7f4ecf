"""The tasks `panel_defects` and `solar_farms`: see `sightline.task`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.limits import USUAL, Limits
from sightline.resampling import Pooled
from sightline.task import Expectation, Manifest, Plot, Progress, Rows, Sample, TrainingData
from sightline.tasks.panel_defects import metrics
from sightline.tasks.panel_defects.domain import DOMAINS
from sightline.tasks.panel_defects.model import SegmentationModel
from sightline.tasks.panel_defects.params import FarmParams, Params
from sightline.upstream import Upstream
from sightline.vision.evaluation import Evaluated, rows_of


class PanelDefects:
    """Segmentation of panels' defects in photographs, or of solar farms in satellite chips, as the parameters say."""

    def __init__(self, params: Params | FarmParams) -> None:
        self.params = params
        self.domain = DOMAINS[params.domain]
        self.name = params.domain
        self.curves: Mapping[str, tuple[str, str]] = {}
        self._pooled = Pooled(lambda rows: metrics.Pool([row.statistics for row in rows], self.domain.classes))

    @property
    def upstream(self) -> Upstream | None:
        """Where the published data are."""
        return self.domain.upstream

    def sample(self, root: Path, progress: Progress) -> None:
        """Write the synthetic set."""
        self.domain.write_sample(root, self.params.sample, progress)

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        """List the set in `root`."""
        return self.domain.load(root, limits)

    def source(self, data: Manifest, sample: Sample) -> Path | bytes:
        """The sample's file, or its record's bytes where one file holds many."""
        return self.domain.source(data, sample)

    def excerpt(self, document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
        """See `sightline.capabilities.Excerpting`."""
        return self.domain.excerpt(document, samples, rest)

    def expectations(self) -> Sequence[Expectation]:
        """Sizes, and that there is something to learn."""
        gate = self.params.gate
        low, high = gate.side_px
        share_low, share_high = gate.foreground_share_mean
        return (
            Expectation("between", "pictures have a usable width", "width", low, high),
            Expectation("between", "pictures have a usable height", "height", low, high),
            Expectation(
                "mean_between", "some of it is not background, not all", self.domain.foreground, share_low, share_high
            ),
        )

    def train(
        self, candidate: str, data: TrainingData[SegmentationModel], work: Path, progress: Progress
    ) -> SegmentationModel:
        """Fit one candidate; see `train.train_model`."""
        from sightline.tasks.panel_defects.train import train_model

        return train_model(candidate, data, self.domain, self.params.train, self.params.seed, work, progress)

    def evaluate(self, model: SegmentationModel, data: Manifest, progress: Progress) -> Rows:
        """Compare the model's answers with the labels, a row a picture."""
        return rows_of(self._evaluated(model, data), len(data), "picture", progress)

    def _evaluated(self, model: SegmentationModel, data: Manifest) -> Iterator[Evaluated]:
        for sample, picture, truth in self.domain.labelled(data):
            found = model.segment(picture)
            statistics = metrics.picture_statistics(truth, found.mask, len(self.domain.classes), picture.valid)
            yield sample, statistics, model.answer(picture, found)

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        """Pooled metrics; see `metrics.Pool.score`."""
        return self._pooled(rows).score(weights)

    def plots(self, rows: Rows) -> Mapping[str, Plot]:
        """The confusion matrix and the classification report."""
        return metrics.plots(rows, self.domain.classes)

    def picture(self, model: SegmentationModel, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        """The picture, its labels and the model's answer, side by side."""
        picture = model.read(self.source(data, sample), data.limits)
        truth = model.overlay(picture, self.domain.labels(data, sample))
        answer = model.overlay(picture, model.segment(picture).mask)
        return np.concatenate([picture.display, truth, answer], axis=1)

    @staticmethod
    def restore(directory: Path) -> SegmentationModel:
        """Read a saved model. Raises ModelMissing or ModelRejected."""
        return SegmentationModel.restore(directory)
