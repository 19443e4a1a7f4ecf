"""The task: what the platform asks of it, verb by verb."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.limits import USUAL, Limits
from sightline.task import Card, Expectation, Manifest, Model, Plot, Progress, Row, Rows, Sample, TrainingData

from .data import load, write_sample
from .model import Threshold, feature, restore
from .params import BrightSpotsParams


class BrightSpots:
    """Two candidates: the peak over the median, and the mean as the plain baseline."""

    name = "bright_spots"
    upstream = None  # nothing is published

    def __init__(self, params: BrightSpotsParams) -> None:
        self.params = params
        self.curves: Mapping[str, tuple[str, str]] = {}

    def sample(self, root: Path, progress: Progress) -> None:
        """Write the synthetic set."""
        write_sample(root, self.params.sample, self.params.seed, progress)

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        """List a set."""
        return load(root, limits)

    def source(self, data: Manifest, sample: Sample) -> Path:
        """The sample's picture."""
        return data.path(sample)

    def expectations(self) -> Sequence[Expectation]:
        """What the gate asks beyond what it asks of every task."""
        gate = self.params.gate
        low, high = gate.min_spot_share, gate.max_spot_share
        return (
            Expectation("between", "a spot is three pixels wide", column="width", low=8, high=4096),
            Expectation("mean_between", "both classes must be there to be learnt", column="spot", low=low, high=high),
        )

    def train(self, candidate: str, data: TrainingData, work: Path, progress: Progress) -> Model:  # noqa: ARG002
        """Try thresholds and keep the one with the fewest errors.

        It takes milliseconds, so nothing is kept in `work`; a network writes its checkpoints there and goes on from
        them. One threshold gains nothing from an earlier fit, so `data.start` is not looked at.
        """
        card = Card(
            task=self.name,
            candidate=candidate,
            classes=("empty", "spot"),
            formats=("image/png",),
            preprocessing={},
            thresholds={"spot": 0.0},
            provenance={"seed": self.params.seed, "training": data.train.digest()},
        )
        read = Threshold(card).read
        samples = data.train.samples
        pixels = [read(data.train.path(sample), data.train.limits).pixels for sample in samples]
        values = np.array([feature(candidate, picture) for picture in pixels])
        truth = np.array([sample.figures["spot"] for sample in samples])
        tried = np.linspace(values.min(), values.max(), self.params.train.thresholds)
        errors = ((values[None, :] > tried[:, None]) != truth[None, :]).mean(axis=1)
        progress.metrics(0, {"train_error": float(errors.min())})
        return Threshold(card.model_copy(update={"thresholds": {"spot": float(tried[errors.argmin()])}}))

    def evaluate(self, model: Model, data: Manifest, progress: Progress) -> Rows:
        """Answer and truth, a row a picture."""
        rows = []
        for number, sample in enumerate(data.samples, start=1):
            picture = model.read(data.path(sample), data.limits)
            answer = model.predict([picture])[0]
            statistics = {"truth": int(sample.figures["spot"]), "answer": answer.row["output_spot"]}
            embedding = tuple(float(value) for value in answer.embedding)
            rows.append(Row(sample.key, sample.sha256, sample.group, sample.stratum, statistics, answer.row, embedding))
            progress.advance(number, len(data), "evaluating")
        return rows

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        """Accuracy, and recall of spots (NaN where no spot is)."""
        truth = np.array([row.statistics["truth"] for row in rows], dtype=np.float64)
        answer = np.array([row.statistics["answer"] for row in rows], dtype=np.float64)
        spots = float((weights * truth).sum())
        found = float((weights * truth * answer).sum())
        right = float((weights * (truth == answer)).sum())
        return {"accuracy": right / float(weights.sum()), "recall": found / spots if spots else float("nan")}

    def plots(self, rows: Rows) -> Mapping[str, Plot]:
        """The confusion matrix."""
        matrix = np.zeros((2, 2), dtype=int)
        truth, answer = (
            np.array([row.statistics[name] for row in rows], dtype=np.intp) for name in ("truth", "answer")
        )
        np.add.at(matrix, (truth, answer), 1)
        return {"confusion": {"matrix": matrix.tolist(), "labels": ["empty", "spot"]}}

    def picture(self, model: Model, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        """The picture with the answer; its label is in its name."""
        source = model.read(data.path(sample), data.limits)
        return model.draw(source, model.predict([source])[0])

    @staticmethod
    def restore(directory: Path) -> Model:
        """Read a saved model: from its directory alone, without parameters."""
        return restore(directory, BrightSpots.name)
