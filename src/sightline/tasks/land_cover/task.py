"""The task `land_cover`: see `sightline.task`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.limits import USUAL, Limits
from sightline.resampling import Pooled
from sightline.task import Expectation, Manifest, Plot, Progress, Rows, Sample, TrainingData
from sightline.tasks.land_cover import metrics
from sightline.tasks.land_cover.bands import BANDS, picture
from sightline.tasks.land_cover.bits import pack
from sightline.tasks.land_cover.colours import coloured
from sightline.tasks.land_cover.data import UPSTREAM, excerpt, load_manifest, read_mask
from sightline.tasks.land_cover.model import LandCoverModel
from sightline.tasks.land_cover.params import Params
from sightline.tasks.land_cover.synthetic.sample import write_sample
from sightline.tasks.land_cover.tile import read_tile
from sightline.upstream import Upstream
from sightline.vision.evaluation import Evaluated, rows_of


class LandCover:
    """Ten overlapping classes in tiles of eight bands."""

    name = "land_cover"
    upstream: Upstream | None = UPSTREAM

    def __init__(self, params: Params) -> None:
        self.params = params
        self.curves: Mapping[str, tuple[str, str]] = {}
        self._pooled = Pooled(lambda rows: metrics.Pool([row.statistics for row in rows]))

    def sample(self, root: Path, progress: Progress) -> None:
        """Write the synthetic set."""
        write_sample(root, self.params.sample, progress)

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        """List the set in `root`."""
        return load_manifest(root, limits)

    def source(self, data: Manifest, sample: Sample) -> Path:
        """The sample's file."""
        return data.path(sample)

    def excerpt(self, document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
        """See `sightline.capabilities.Excerpting`."""
        return excerpt(document, samples, rest)

    def expectations(self) -> Sequence[Expectation]:
        """Bands, sizes and level of the tiles, that labels fit their tiles, and that there is something to learn."""
        gate, bands = self.params.gate, len(BANDS)
        low, high = gate.side_px
        return (
            Expectation("between", "tiles have all bands", "bands", bands, bands),
            Expectation("between", "tiles have a usable width", "width", low, high),
            Expectation("between", "tiles have a usable height", "height", low, high),
            Expectation("between", "tiles are neither dark nor of another scale", "highest", *gate.highest),
            Expectation("between", "most of a tile has data", "no_data", 0, gate.no_data),
            Expectation("between", "polygons lie in their tiles", "overhang", 0, gate.overhang),
            Expectation("mean_between", "some of it is trees, not all", "share_trees", *gate.trees_share_mean),
        )

    def train(
        self, candidate: str, data: TrainingData[LandCoverModel], work: Path, progress: Progress
    ) -> LandCoverModel:
        """Fit one candidate; see `train.train_model`."""
        from sightline.tasks.land_cover.train import train_model

        return train_model(candidate, data, self.params.train, self.params.seed, work, progress)

    def evaluate(self, model: LandCoverModel, data: Manifest, progress: Progress) -> Rows:
        """Compare the model's answers with the labels, a row a tile."""
        return rows_of(self._evaluated(model, data), len(data), "tile", progress)

    def _evaluated(self, model: LandCoverModel, data: Manifest) -> Iterator[Evaluated]:
        for sample in data.samples:
            tile = read_tile(self.source(data, sample), data.limits)
            truth = read_mask(data, sample, (tile.bands.shape[1], tile.bands.shape[2]))
            found = model.segment(tile.bands)
            masks = model.cutoffs.masks(found.probabilities)
            statistics = metrics.tile_counts(truth, masks, found.probabilities)
            yield sample, statistics, model.answer(tile, model.answer_of(masks, found.embedding))

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        """Pooled metrics; see `metrics.Pool.score`."""
        return self._pooled(rows).score(weights)

    def plots(self, rows: Rows) -> Mapping[str, Plot]:
        """The table of classes."""
        return metrics.plots(rows)

    def picture(self, model: LandCoverModel, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        """The tile, its labels and the model's answer, side by side."""
        tile = read_tile(self.source(data, sample), data.limits)
        truth = read_mask(data, sample, (tile.bands.shape[1], tile.bands.shape[2]))
        found = model.cutoffs.masks(model.segment(tile.bands).probabilities)
        return np.concatenate([picture(tile.bands), coloured(pack(truth)), coloured(pack(found))], axis=1)

    @staticmethod
    def restore(directory: Path) -> LandCoverModel:
        """Read a saved model. Raises ModelMissing or ModelRejected."""
        return LandCoverModel.restore(directory)
