"""The task `ships`: see `sightline.task`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.limits import USUAL, Limits
from sightline.resampling import Pooled
from sightline.task import Expectation, Json, Manifest, Plot, Progress, Rows, Sample, TrainingData
from sightline.tasks.ships import metrics
from sightline.tasks.ships.chips import GSD_M
from sightline.tasks.ships.data import UPSTREAM, excerpt, gsd_of, load_manifest, read_boxes, source_of
from sightline.tasks.ships.examples import is_chip, read_example
from sightline.tasks.ships.finder import Found
from sightline.tasks.ships.labels import Box
from sightline.tasks.ships.model import NAME, ShipModel, outlined
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.raster import Raster
from sightline.tasks.ships.synthetic.sample import write_sample
from sightline.upstream import Upstream
from sightline.vision.evaluation import Evaluated, rows_of

_POINT_PX = 5
"""How far a vessel of which only the middle is known is drawn around it."""


class Ships:
    """Vessels in satellite pictures: chips with one in their middle, and whole scenes."""

    name = NAME
    upstream: Upstream | None = UPSTREAM

    def __init__(self, params: Params) -> None:
        self.params = params
        self.curves: Mapping[str, tuple[str, str]] = metrics.CURVES
        self._pooled = Pooled(lambda rows: metrics.Pool([row.statistics for row in rows]))

    @property
    def nominal_gsd_m(self) -> float:
        """Metres a pixel that a model trained now would want; see `sightline.capabilities.Surveying`."""
        return self.params.train.input.gsd_m

    def sample(self, root: Path, progress: Progress) -> None:
        """Write the synthetic set."""
        write_sample(root, self.params.sample, progress)

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        """List the set in `root`."""
        return load_manifest(root, limits)

    def source(self, data: Manifest, sample: Sample) -> Path | bytes:
        """The sample's file, or the bytes of a chip where one file holds all."""
        return source_of(data, sample)

    def excerpt(self, document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
        """See `sightline.capabilities.Excerpting`."""
        return excerpt(document, samples, rest)

    def expectations(self) -> Sequence[Expectation]:
        """Sizes, and that there are chips or scenes as was asked for."""
        gate = self.params.gate
        low, high = gate.side_px
        return (
            Expectation("between", "pictures have a usable width", "width", low, high),
            Expectation("between", "pictures have a usable height", "height", low, high),
            Expectation("one_of", "what a split balances", "stratum", values=("chip-ship", "chip-no-ship", "scene")),
            Expectation("mean_between", "there are scenes to find ships in", "scene", *gate.scene_share_mean),
        )

    def train(self, candidate: str, data: TrainingData[ShipModel], work: Path, progress: Progress) -> ShipModel:
        """Fit one candidate; see `train.train_model`."""
        from sightline.tasks.ships.train import train_model

        return train_model(candidate, data, self.params.train, self.params.seed, work, progress)

    def evaluate(self, model: ShipModel, data: Manifest, progress: Progress) -> Rows:
        """Compare the model's answers with the labels, a row a chip or a scene."""
        return rows_of(self._evaluated(model, data), len(data), "picture", progress)

    def _evaluated(self, model: ShipModel, data: Manifest) -> Iterator[Evaluated]:
        for sample in data.samples:
            raster = self._raster(model, data, sample)
            found = model.find(raster)
            yield sample, _statistics(data, sample, raster, found, model), model.answer(raster, found)

    def _raster(self, model: ShipModel, data: Manifest, sample: Sample) -> Raster:
        """A sample's picture with the pixels that its labels tell, where it does not tell them itself."""
        raster, gsd_m = model.read(self.source(data, sample), data.limits), gsd_of(sample)
        return raster if raster.gsd_from == "file" or gsd_m == GSD_M else model.under(raster, {"gsd_m": gsd_m})

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        """Pooled metrics; see `metrics.Pool.score`."""
        return self._pooled(rows).score(weights)

    def plots(self, rows: Rows) -> Mapping[str, Plot]:
        """The chips' confusion matrix, the detections' precision over recall, and the table of scenes."""
        return metrics.plots(rows)

    def picture(self, model: ShipModel, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        """The picture with its labelled vessels, and beside it with the model's answer."""
        raster = self._raster(model, data, sample)
        step, pixels = raster.reduced()
        grown = _POINT_PX * step
        boxes = [
            b if not b.is_point else Box(b.kind, b.x0 - grown, b.y0 - grown, b.x1 + grown, b.y1 + grown)
            for b in read_example(data, sample).boxes
        ]
        corners = [np.array([[b.x0, b.y0], [b.x1, b.y0], [b.x1, b.y1], [b.x0, b.y1]]) for b in boxes]
        labels = outlined(pixels, corners, step, labelled=True)
        return np.concatenate([labels, model.draw(raster, model.predict([raster])[0])], axis=1)

    @staticmethod
    def restore(directory: Path) -> ShipModel:
        """Read a saved model. Raises ModelMissing or ModelRejected."""
        return ShipModel.restore(directory)


def _statistics(data: Manifest, sample: Sample, raster: Raster, found: Found, model: ShipModel) -> dict[str, Json]:
    if is_chip(sample):
        return metrics.chip_statistics(found.middle, bool(sample.figures["ship"]), model.chip_threshold)
    return metrics.scene_statistics(found.detections, read_boxes(data, sample), raster.gsd_m, model.thresholds)
