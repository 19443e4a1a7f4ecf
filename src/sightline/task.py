"""One concept: the Task. Read this file first.

A task is everything that is particular to one vision problem: how its data lie on disk, which networks compete,
how a prediction is evaluated. Whatever is the same for all problems (versions, gates, registry, promotion, serving,
drift) is written once in the platform and knows a task only through the two protocols below.

    task = open_task("pv_hotspots", params)        # sightline.tasks
    manifest = task.load(root)                     # what is there, a row a sample; no pixels yet
    model = task.train("fused", data, work, progress)
    rows = task.evaluate(model, manifest, progress)   # sufficient statistics, a row a sample
    task.score(rows, weights)                      # pooled metrics; the bootstrap only changes the weights
    model.save(directory); task.restore(directory)
    model.predict([model.read(path, limits)])

There are no base classes: a task is any object with these attributes. Parameters go into constructors, data into
verbs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypedDict, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType, TypeVar

from sightline.limits import USUAL, Cost, Limits
from sightline.upstream import Upstream

Json = TypeAliasType("Json", "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None")
"""What `json.dumps` takes. What is read by its keys is parsed into a type of its own first."""


# ---------------------------------------------------------------------------------------------------- samples


CONTEXT = "context"
"""The role, in `Sample.files`, of a document that tells of inputs what they do not hold themselves and what is no label
either: where they lie. It goes into a set by excerpts alone, and stays when labels are corrected."""


@dataclass(frozen=True)
class Sample:
    """One labelled sample, as the manifest lists it. Nothing of it is decoded yet.

    Attributes:
        id: unique within its set (the file stem, as a rule).
        set: the folder below `data/<task>/` it lies in (`sample`, `real`, or what a user named).
        files: role -> path relative to the set's folder, POSIX separators; the first is the input.
        sha256: of the input file's bytes.
        labels_sha256: of the label file's bytes, or of this sample's share of a common label file.
        group: samples that must never be separated by a split (a flight, a scene, a site).
        stratum: what a split balances (a class, a camera).
        problem: why the sample cannot be used; empty when it can.
        figures: numbers the gate asks about (width, boxes, share of defects ...).
        split: train, validation or test, once the platform has assigned it.
        fold: 0 .. folds-1, once the platform has assigned it; -1 before.
    """

    id: str
    set: str
    files: Mapping[str, str]
    sha256: str
    labels_sha256: str
    group: str
    stratum: str
    problem: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    split: str = ""
    fold: int = -1

    @property
    def key(self) -> str:
        """`set/id`, unique within the task."""
        return f"{self.set}/{self.id}"

    @property
    def input_file(self) -> str:
        """The file a model would read, relative to the set's folder."""
        return next(iter(self.files.values()))


@dataclass(frozen=True)
class Manifest:
    """Samples of one or more sets below `root` (`data/<task>`); whoever reads their files does so within `limits`."""

    root: Path
    samples: tuple[Sample, ...]
    limits: Limits = USUAL

    def __len__(self) -> int:
        return len(self.samples)

    def path(self, sample: Sample, role: str | None = None) -> Path:
        """Absolute path of a sample's file (its input unless `role` says otherwise)."""
        name = sample.input_file if role is None else sample.files[role]
        return self.root / sample.set / name

    def where(self, keep: Callable[[Sample], bool]) -> Manifest:
        """The samples for which `keep(sample)` holds, in their order."""
        return replace(self, samples=tuple(s for s in self.samples if keep(s)))

    def __add__(self, other: Manifest) -> Manifest:
        if other.root != self.root:
            raise ValueError(f"manifests of two roots cannot be joined: {self.root} and {other.root}")
        return replace(self, samples=self.samples + other.samples)

    def digest(self) -> str:
        """SHA-256 over the identity and content of all samples; independent of where `root` is."""
        lines = [f"{s.key} {s.sha256} {s.labels_sha256} {s.group}" for s in self.samples]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


ModelT = TypeVar("ModelT", bound="Model", default=Any)
"""A task's own model; `Any` to who opened a task by its name and hands its models back to it alone."""


@dataclass(frozen=True)
class TrainingData(Generic[ModelT]):
    """What one fit may look at.

    `validation` may be empty: a task then trains for its fixed number of epochs. `start` is a model of the same
    candidate to continue from (pre-training is nothing but an earlier fit). `share` is how much of a schedule's steps
    it takes, from 0 to 1: all of them but in a demonstration.
    """

    train: Manifest
    validation: Manifest
    start: ModelT | None = None
    share: float = 1.0


# ------------------------------------------------------------------------------------------------------ evaluating


@dataclass(frozen=True)
class Row:
    """What evaluating one sample left: enough to compute any pooled metric, and nothing that could not be stored.

    `statistics` is JSON: numbers, strings, lists. `row` is the prediction's flat row (the reference for drift) and
    `embedding` its embedding.
    """

    key: str
    sha256: str
    group: str
    stratum: str
    statistics: Mapping[str, Json]
    row: Mapping[str, float | int | str] = field(default_factory=dict)
    embedding: tuple[float, ...] = ()


Rows = Sequence[Row]


@final
class Curve(TypedDict):
    """A line in a plot; `x` and `y` are of one length."""

    x: Sequence[float]
    y: Sequence[float]
    xlabel: str
    ylabel: str


@final
class Matrix(TypedDict):
    """A confusion matrix: rows the label, columns the answer, `labels` of both."""

    matrix: Sequence[Sequence[float]]
    labels: Sequence[str]


@final
class Table(TypedDict):
    """Cells below the names of their columns; None is an empty one."""

    columns: Sequence[str]
    rows: Sequence[Sequence[float | str | None]]


Plot = Curve | Matrix | Table


def save_rows(rows: Rows, path: Path) -> None:
    """Write rows as JSON lines (a row a line, keys sorted: the same rows give the same bytes)."""
    text = "".join(json.dumps(vars(row), sort_keys=True, allow_nan=False) + "\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def load_rows(path: Path) -> list[Row]:
    """Read what `save_rows` wrote."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        values = json.loads(line)
        rows.append(Row(**{**values, "embedding": tuple(values["embedding"])}))
    return rows


# ------------------------------------------------------------------------------------------------------ the gate


@dataclass(frozen=True)
class Expectation:
    """One question the gate asks of the manifest; `gate` translates it.

    The manifest becomes a table with the columns id, set, file, problem, sha256, group, stratum, split, fold and
    one for each of the samples' figures.

    kind:
        between: every value of `column` lies in [low, high];
        one_of: every value of `column` is in `values`;
        unique: no value of `column` occurs twice;
        mean_between: the mean of `column` lies in [low, high];
        rows_between: the number of rows lies in [low, high].
    """

    kind: Literal["between", "one_of", "unique", "mean_between", "rows_between"]
    why: str
    column: str = ""
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    severity: Literal["critical", "warning"] = "critical"


# ------------------------------------------------------------------------------------------------------ models


class Card(BaseModel):
    """The JSON card of a saved model (`card.json` in its directory).

    Everything that predicting needs and weights do not hold. Floats in `preprocessing` and `thresholds` are those
    that training chose.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    candidate: str
    classes: tuple[str, ...]
    formats: tuple[str, ...]  # what `read` takes, as media types
    preprocessing: dict[str, Json]
    thresholds: dict[str, float]
    provenance: dict[str, Json]  # seed, parameters, digest of the training manifest; `note`: what people must know
    files: dict[str, str] = {}  # file name -> SHA-256, checked by `restore`
    conditions: dict[str, str] = {}  # what a user may tell of an input besides its bytes: name -> what it means

    @property
    def digest(self) -> str:
        """SHA-256 of the card, and so of the weights that it lists: of the whole model."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


@runtime_checkable
class Input(Protocol):
    """What `Model.read` returns; each task has its own class with at least these."""

    @property
    def sha256(self) -> str:
        """Of the bytes that were read."""
        ...

    @property
    def statistics(self) -> Mapping[str, float]:
        """Figures of the input as it came in (level, contrast, sharpness, colour): what drift looks at."""
        ...


@dataclass(frozen=True)
class Finding:
    """One thing that a model found, as a report lists it.

    Attributes:
        kind: its class.
        score: how sure the model is, 0 .. 1; 1 where it does not say.
        box: x0, y0, x1, y1 in pixels of the input.
        severity: high, medium, low or unknown; empty where the task knows none.
        figures: what was measured, units in the names (`rise_k`, `area_px`); `lon`, `lat` where the model knows them.
    """

    kind: str
    score: float
    box: tuple[float, float, float, float]
    severity: str = ""
    figures: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Prediction:
    """One answer.

    Attributes:
        row: flat figures for the log, drift and tables; the same keys for every answer of a model. Includes the
            input's statistics under `input_*` and the answer's under `output_*`.
        embedding: (d,) float32, what the network made of the input.
        document: the answer itself as JSON (boxes, polygons ...), what the endpoint returns.
        exports: file name suffix -> JSON of interchange formats the answer has (`coco.json`, `geojson`).
        rasters: name -> (h, w) uint8 or uint16 of the input's size, where the answer has such: `mask` holds the class
            of each pixel. Written and sent as PNG.
        found: what was found, in a few words for a table: "41 modules, 2 hot, largest rise 12.3 K".
        summary: the figures of it, units in the names; every answer of a model has the same keys, or fewer.
        findings: the single things, the worst first; empty where an answer is no list of things.
    """

    row: Mapping[str, float | int | str]
    embedding: NDArray[np.float32]
    document: dict[str, Json]
    exports: Mapping[str, Json] = field(default_factory=dict)
    rasters: Mapping[str, NDArray[np.uint8] | NDArray[np.uint16]] = field(default_factory=dict)
    found: str = ""
    summary: Mapping[str, float | int | str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


InputT = TypeVar("InputT", bound=Input, default=Any)
"""What a model reads; `Any` to who opened a task by its name and hands what `read` returned back to the same model."""


class Model(Protocol[InputT]):
    """A trained model with its own pre- and post-processing, so that all who use it get the same answer."""

    @property
    def card(self) -> Card:
        """What predicting needs besides the weights, and where they come from."""
        ...

    def read(self, source: Path | bytes, limits: Limits) -> InputT:
        """Decode one input. Raises DataRejected, naming the file, before decoding whole what breaks `limits`."""
        ...

    def weigh(self, source: Path | bytes, limits: Limits, conditions: Mapping[str, float], /) -> Cost:
        """What reading and answering one input will take under these conditions.

        In a few milliseconds, whatever the input: nothing is decoded. Raises DataRejected where `read` would for what
        the head says, and RequestError where a condition cannot be.
        """
        ...

    def example(self) -> bytes:
        """A small input that `read` takes, of noise: what an endpoint warms a new version with, and times it by."""
        ...

    def predict(self, batch: Sequence[InputT]) -> list[Prediction]:
        """Answer inputs of this model's `read`, in order. The answer does not depend on the batch they come in."""
        ...

    def draw(self, source: InputT, prediction: Prediction) -> NDArray[np.uint8]:
        """A picture (h, w, 3) RGB of an input of `read` with the answer drawn on it."""
        ...

    def save(self, directory: Path) -> None:
        """Write `card.json` and the weights (no pickle) into `directory`, which exists and is empty."""
        ...


class Progress(Protocol):
    """Where a task tells of its progress. The platform turns it into progress bars and tracked metrics."""

    def advance(self, done: int, total: int, what: str) -> None:
        """`what` names the phase in a few words: "epoch 3/20"."""
        ...

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Figures after a step (an epoch)."""
        ...


class Task(Protocol[ModelT]):
    """One vision problem. `sightline.tasks.open_task` makes it from its parameters."""

    @property
    def name(self) -> str:
        """Also the name in the registry, in stages and in endpoints."""
        ...

    @property
    def curves(self) -> Mapping[str, tuple[str, str]]:
        """Those of `plots` in which candidates are compared: name -> what its two axes are."""
        ...

    @property
    def upstream(self) -> Upstream | None:
        """Where the published data are; None where nothing is published."""
        ...

    def sample(self, root: Path, progress: Progress) -> None:
        """Write the synthetic set in the upstream's real layout into `root`, the same bits for the same seed."""
        ...

    def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
        """List the set in `root` (`data/<task>/<set>`): no pixel kept, no split assigned.

        Bad samples, and what breaks the limits, are listed with their `problem`. Raises DataMissing where the layout is
        not found at all.
        """
        ...

    def source(self, data: Manifest, sample: Sample) -> Path | bytes:
        """What `Model.read` takes for this sample: its input file, or its bytes where one file holds many samples."""
        ...

    def expectations(self) -> Sequence[Expectation]:
        """What the gate asks, beyond what it asks of every task."""
        ...

    def train(self, candidate: str, data: TrainingData[ModelT], work: Path, progress: Progress) -> ModelT:
        """Fit one candidate.

        `work` is private to this task, data, parameters and code, and shared by the candidates: what two
        candidates have in common is kept in a subfolder and trained once. Killed and called again with the same
        `work`, it continues from the last checkpoint.
        """
        ...

    def evaluate(self, model: ModelT, data: Manifest, progress: Progress) -> Rows:
        """Compare the model's answers with the labels, a row a sample, in the manifest's order."""
        ...

    def score(self, rows: Rows, weights: NDArray[np.float64]) -> dict[str, float]:
        """Pooled metrics of weighted rows; `weights` (n,) counts how often each row is drawn. NaN where undefined."""
        ...

    def plots(self, rows: Rows) -> Mapping[str, Plot]:
        """Curves, confusion matrices and tables for a person to look at, by name."""
        ...

    def picture(self, model: ModelT, data: Manifest, sample: Sample) -> NDArray[np.uint8]:
        """(h, w, 3) RGB for the reports: the sample, its labels and the model's answer, so that one can compare."""
        ...

    @staticmethod
    def restore(directory: Path) -> ModelT:
        """Read a saved model: the directory and nothing else. Raises ModelRejected where it does not fit."""
        ...
