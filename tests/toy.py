"""A whole task in a hundred lines, for tests of the platform: is there a bright spot in a small grey image?

`<stem>.png` with `<stem>.txt` beside it (0 or 1). The candidate `threshold` learns a level; `constant` always says no.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from sightline.errors import DataMissing, DataRejected, ModelRejected
from sightline.limits import USUAL, Cost, Limits
from sightline.params import Frozen, TaskParams
from sightline.pipeline.project import Project
from sightline.settings import Settings
from sightline.splits import assign, write_splits
from sightline.task import Card, Expectation, Manifest, Prediction, Progress, Row, Rows, Sample, TrainingData
from sightline.vision.images import noise_picture
from tests.parameters import changed, platform_params

SIDE = 12


class ToyParams(TaskParams):
    train: Frozen


_PLATFORM = changed(
    platform_params(),
    seed=1,
    candidates=("threshold", "constant"),
    evaluate={"resamples": 100, "pictures": 2},
    promotion={"metric": "accuracy", "floor": 0.6, "margin": 0.02},
)
PARAMS = ToyParams(**dict(_PLATFORM), train=Frozen())


class Silent:
    """Progress that nobody reads; keeps the metrics."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, dict[str, float]]] = []

    def advance(self, done: int, total: int, what: str) -> None: ...

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.seen.append((step, dict(values)))


@dataclass(frozen=True)
class ToyInput:
    pixels: NDArray[np.uint8]
    sha256: str

    @property
    def statistics(self) -> dict[str, float]:
        return {"mean": float(self.pixels.mean())}


class ToyAnswer(BaseModel):
    """Whether there is a bright spot."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"spot": True, "peak": 190.0}]})

    spot: bool
    peak: float = Field(description="grey levels")


class ToyModel:
    def __init__(self, card: Card) -> None:
        self.card = card

    def read(self, source: Path | bytes, limits: Limits) -> ToyInput:
        content = source if isinstance(source, bytes) else source.read_bytes()
        try:
            pixels = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
        except OSError as error:
            raise DataRejected("this is not an image", where=source if isinstance(source, Path) else "body") from error
        return ToyInput(pixels, hashlib.sha256(content).hexdigest())

    def weigh(self, source: Path | bytes, limits: Limits, _: Mapping[str, float]) -> Cost:
        content = source if isinstance(source, bytes) else source.read_bytes()
        try:
            width, height = Image.open(io.BytesIO(content)).size
        except OSError as error:
            raise DataRejected("this is not an image", where=source if isinstance(source, Path) else "body") from error
        return Cost((height, width), height * width, height * width, 2 * height * width)

    def example(self) -> bytes:
        return noise_picture(3, 8, 8, 255)

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        level = self.card.thresholds["level"]
        answers = []
        for item in batch:
            peak = float(item.pixels.max())
            answers.append(
                Prediction(
                    row={"input_mean": item.statistics["mean"], "output_spot": int(peak > level)},
                    embedding=np.array([peak, item.pixels.mean()], dtype=np.float32),
                    document={"spot": peak > level, "peak": peak},
                )
            )
        return answers

    adjustable: Mapping[str, str] = {"threshold": "level from which on a peak is a spot"}

    def adjusted(self, values: Mapping[str, float]) -> ToyModel:
        return ToyModel(self.card.model_copy(update={"thresholds": {"level": values["threshold"]}}))

    def draw(self, source: ToyInput, prediction: Prediction) -> NDArray[np.uint8]:
        return np.repeat(source.pixels[..., None], 3, axis=2)

    def save(self, directory: Path) -> None:
        (directory / "card.json").write_text(self.card.model_dump_json(), encoding="utf-8")


class ToyTask:
    name = "toy"
    curves: Mapping[str, tuple[str, str]] = {}
    upstream = None

    def __init__(self, params: ToyParams = PARAMS) -> None:
        self.params = params
        self.trainings: list[str] = []
        self.shares: list[float] = []

    def sample(self, root: Path, progress: Progress) -> None:
        write_set(root, groups=6, frames=4, seed=self.params.seed)

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        images = sorted(root.glob("*.png"))
        if not images:
            raise DataMissing("no *.png is here", where=root)
        return Manifest(root.parent, tuple(self._sample(root, path) for path in images), limits)

    def _sample(self, root: Path, path: Path) -> Sample:
        label = path.with_suffix(".txt")
        problem = "" if label.is_file() else f"{label.name} is missing"
        text = label.read_text() if label.is_file() else ""
        return Sample(
            id=path.stem,
            set=root.name,
            files={"image": path.name, "label": label.name},
            sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            labels_sha256=hashlib.sha256(text.encode()).hexdigest(),
            group=path.stem.split("-")[0],
            stratum=text.strip() or "?",
            problem=problem,
            figures={"spot": float(text or 0)},
        )

    def source(self, data: Manifest, sample: Sample) -> Path:
        return data.path(sample)

    def picture(self, model: Any, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        source = model.read(data.path(sample), Limits())
        return np.asarray(model.draw(source, model.predict([source])[0]))

    def expectations(self) -> Sequence[Expectation]:
        return [Expectation("mean_between", "both kinds are there", column="spot", low=0.05, high=0.95)]

    def train(self, candidate: str, data: TrainingData, work: Path, progress: Progress) -> ToyModel:
        self.trainings.append(f"{work.name} {candidate}")
        self.shares.append(data.share)
        level = 255.0
        if candidate == "threshold":
            peaks = {0.0: [0.0], 1.0: [255.0]}
            for sample in data.train.samples:
                pixels = np.asarray(Image.open(data.train.path(sample)))
                peaks[sample.figures["spot"]].append(float(pixels.max()))
            level = (max(peaks[0.0]) + min(peaks[1.0])) / 2
        progress.metrics(1, {"level": level})
        return ToyModel(
            Card(
                task=self.name,
                candidate=candidate,
                classes=("no", "spot"),
                formats=("image/png",),
                preprocessing={},
                thresholds={"level": level},
                provenance={},
            )
        )

    def evaluate(self, model: Any, data: Manifest, progress: Progress) -> Rows:
        rows = []
        for sample in data.samples:
            prediction = model.predict([model.read(data.path(sample), Limits())])[0]
            right = float(prediction.document["spot"] == bool(sample.figures["spot"]))
            rows.append(
                Row(
                    sample.key,
                    sample.sha256,
                    sample.group,
                    sample.stratum,
                    statistics={"right": right},
                    row=prediction.row,
                    embedding=tuple(prediction.embedding.tolist()),
                )
            )
        return rows

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        right = np.array([row.statistics["right"] for row in rows])
        return {"accuracy": float(np.average(right, weights=weights)) if len(rows) else float("nan")}

    def plots(self, rows: Rows) -> dict[str, Any]:
        right = sum(row.statistics["right"] for row in rows)
        return {
            "confusion": {"matrix": [[right, 0], [len(rows) - right, 0]], "labels": ["right", "wrong"]},
            "curve": {"x": [0, 1], "y": [0, 1], "xlabel": "x", "ylabel": "y"},
        }

    def restore(self, directory: Path) -> ToyModel:
        try:
            return ToyModel(Card.model_validate_json((directory / "card.json").read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ModelRejected("no usable card.json", where=directory) from error


def write_set(root: Path, groups: int, frames: int, seed: int, brightness: int = 0) -> None:
    """Write `groups` x `frames` images; every other frame has a spot."""
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for group in range(groups):
        for frame in range(frames):
            pixels = rng.integers(0, 60, (SIDE, SIDE)).astype(np.uint8) + np.uint8(brightness)
            if frame % 2:
                pixels[rng.integers(SIDE), rng.integers(SIDE)] = 190
            stem = root / f"g{seed}x{group}-{frame}"
            Image.fromarray(pixels).save(stem.with_suffix(".png"))
            stem.with_suffix(".txt").write_text(str(frame % 2))


def toy_project(root: Path, *sets: str, params: ToyParams = PARAMS) -> Project:
    """A project folder with the toy task and these sets, split; no DVC, no git."""
    settings = Settings(root=root)
    (root / "params.yaml").write_text("profile: cpu\n")
    project = Project(settings, params, ToyTask(params))
    for number, name in enumerate(sets):
        write_set(project.data / name, groups=6, frames=4, seed=number + 1)
    split_again(project)
    return project


def split_again(project: Project) -> None:
    """Give every group of the sets that are there a split."""
    samples = [s for name in project.sets() for s in project.task.load(project.data / name).samples]
    if samples:
        write_splits(project.data / "splits.csv", assign(samples, project.params.data))
