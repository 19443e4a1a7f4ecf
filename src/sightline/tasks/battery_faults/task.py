"""The task `battery_faults`: see `sightline.task`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.limits import USUAL, Limits
from sightline.resampling import Pooled
from sightline.task import Expectation, Manifest, Plot, Progress, Rows, Sample, TrainingData
from sightline.tasks.battery_faults import metrics
from sightline.tasks.battery_faults.data import STRATA, UPSTREAM, excerpt, load_manifest, read_truth, source_of
from sightline.tasks.battery_faults.drawing import UNKNOWN, mark
from sightline.tasks.battery_faults.model import NAME, BatteryModel, shown_frame
from sightline.tasks.battery_faults.params import Params
from sightline.tasks.battery_faults.thermometer import picture_of
from sightline.upstream import Upstream
from sightline.vision.evaluation import Evaluated, rows_of


class BatteryFaults:
    """The faulty cell of a battery pack, in infrared video from a moving camera."""

    name = NAME
    upstream: Upstream | None = UPSTREAM

    def __init__(self, params: Params) -> None:
        self.params = params
        self.curves: Mapping[str, tuple[str, str]] = metrics.CURVES
        self._pooled = Pooled(lambda rows: metrics.Pool([row.statistics for row in rows]))

    def sample(self, root: Path, progress: Progress) -> None:
        """Write the synthetic set."""
        from sightline.tasks.battery_faults.synthetic.sample import write_sample

        write_sample(root, self.params.sample, progress)

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        """List the set in `root`."""
        return load_manifest(root, limits)

    def source(self, data: Manifest, sample: Sample) -> Path | bytes:
        """The folder of the video's frames."""
        return source_of(data, sample)

    def excerpt(self, document: Path, samples: Sequence[Sample], rest: bool = False) -> bytes | None:
        """See `sightline.capabilities.Excerpting`."""
        return excerpt(document, samples, rest)

    def expectations(self) -> Sequence[Expectation]:
        """Sizes, lengths, and that there are healthy and faulty videos as was asked for."""
        gate = self.params.gate
        return (
            Expectation("between", "frames have a usable width", "width", *gate.side_px),
            Expectation("between", "frames have a usable height", "height", *gate.side_px),
            Expectation("between", "videos are long enough to tell a rise", "frames", *gate.frames),
            Expectation("one_of", "what a split balances", "stratum", values=STRATA),
            Expectation("mean_between", "there are healthy and faulty videos", "faulty", *gate.faulty_share_mean),
        )

    def train(self, candidate: str, data: TrainingData[BatteryModel], work: Path, progress: Progress) -> BatteryModel:
        """Fit one candidate; see `fit.fit_model`."""
        from sightline.tasks.battery_faults.fit import fit_model

        return fit_model(candidate, data, self.params.train, self.params.seed, work, progress)

    def evaluate(self, model: BatteryModel, data: Manifest, progress: Progress) -> Rows:
        """Compare the model's answers with the labels, a row a video."""
        return rows_of(self._evaluated(model, data), len(data), "video", progress)

    def _evaluated(self, model: BatteryModel, data: Manifest) -> Iterator[Evaluated]:
        for sample in data.samples:
            told, prediction = model.tell(model.read(self.source(data, sample), data.limits))
            yield sample, metrics.video_statistics(told, read_truth(data, sample)), prediction

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        """Pooled metrics; see `metrics.Pool.score`."""
        return self._pooled(rows).score(weights)

    def plots(self, rows: Rows) -> Mapping[str, Plot]:
        """Precision over recall, detection over the rise, reliability, verdicts, visibility, and each video."""
        return metrics.plots(rows)

    def picture(self, model: BatteryModel, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        """A frame with its labelled cell, above the model's answer to the whole video."""
        clip, video = model.read(self.source(data, sample), data.limits), read_truth(data, sample)
        prediction, drawn = model.predict_drawn(clip)
        shown = shown_frame(prediction)
        frame = next(frame for frame in clip.frames() if frame.number == shown)
        truths = {track.cell or 0: track.masks[shown] for track in video.tracks}
        masks = {cell: runs.decode() for cell, runs in truths.items() if runs is not None}
        said = f"frame {shown}, as it is labelled: {'faulty' if video.facts.faults else 'healthy'}"
        labelled = mark(picture_of(frame), masks, said, UNKNOWN)
        return np.concatenate([labelled, drawn])

    @staticmethod
    def restore(directory: Path) -> BatteryModel:
        """Read a saved model. Raises ModelMissing or ModelRejected."""
        return BatteryModel.restore(directory)
