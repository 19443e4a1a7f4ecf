"""What a model version was trained and evaluated on, and so how familiar an input is to it: read from its evaluation.

training.csv      the samples that the final model has seen
metrics.json      the sets that it was evaluated on
reference.jsonl   figures and embeddings of labelled samples; versions from before it was written have none
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sightline.drift.familiarity import Familiarity, Reference
from sightline.errors import ModelRejected
from sightline.task import Json, Prediction, Row, load_rows

SYNTHETIC = "sample"
"""The set that `sightline data sample` writes; every other one was taken in by a person."""

REFERENCE = "reference.jsonl"


@dataclass(frozen=True)
class Part:
    """How many samples of a set."""

    set: str
    n: int

    @property
    def kind(self) -> Literal["synthetic", "real"]:
        """Where they are from."""
        return "synthetic" if self.set == SYNTHETIC else "real"

    def document(self) -> dict[str, Json]:
        """As JSON."""
        return {"set": self.set, "kind": self.kind, "n": self.n}

    def __str__(self) -> str:
        return f"{self.n} {self.kind} ({self.set})"


@dataclass(frozen=True)
class Background:
    """What is known of a version besides its weights.

    Attributes:
        trained: the sets that the final model has seen, and how many samples of each.
        evaluated: the sets that it was evaluated on.
        data_version: of the registry; empty where there is none.
        reference: what inputs are compared with.
    """

    trained: tuple[Part, ...] = ()
    evaluated: tuple[Part, ...] = ()
    data_version: str = ""
    reference: Reference = field(default_factory=lambda: Reference(()))

    @property
    def only_synthetic(self) -> bool:
        """Whether it has never seen anything real."""
        return bool(self.trained) and all(part.kind == "synthetic" for part in self.trained)

    def __str__(self) -> str:
        if not self.trained:
            return "what it was trained on is not known"
        said = f"trained on {_list(self.trained)}; evaluated on {_list(self.evaluated)}"
        warning = "; it has never seen a real input" if self.only_synthetic else ""
        return said + (f"; data {self.data_version[:8]}" if self.data_version else "") + warning

    def document(self) -> dict[str, Json]:
        """As JSON, for an answer and for what is told of a model."""
        return {
            "trained_on": [part.document() for part in self.trained],
            "evaluated_on": [part.document() for part in self.evaluated],
            "data_version": self.data_version,
            "only_synthetic": self.only_synthetic if self.trained else None,
            "summary": str(self),
        }

    def familiarity(self, prediction: Prediction) -> Familiarity:
        """How far the input of this answer lies from what the model knows."""
        return self.reference.familiarity(prediction.row, prediction.embedding)

    def attached(self, prediction: Prediction) -> dict[str, Json]:
        """What an answer says of this: `familiarity` of its input, and the model's `background`."""
        return {"familiarity": self.familiarity(prediction).document(), "background": self.document()}


UNKNOWN = Background()
"""Of a model that comes without its evaluation."""


def _list(parts: Sequence[Part]) -> str:
    return " and ".join(str(part) for part in parts) or "nothing"


def read_background(evaluation: Path, data_version: str = "") -> Background:
    """What the evaluation of a version says of it.

    Args:
        evaluation: the folder that the stage `evaluate` has left.
        data_version: as the registry has it.

    Raises:
        ModelRejected: a file of it cannot be read.
    """
    with readable(evaluation):
        return Background(_trained(evaluation), _evaluated(evaluation), data_version, Reference(_rows(evaluation)))


def trained_on(evaluation: Path) -> tuple[Part, ...]:
    """The sets that the final model of an evaluation has seen. Raises ModelRejected where they cannot be read."""
    with readable(evaluation):
        return _trained(evaluation)


def main_sets(evaluation: Path) -> tuple[str, ...]:
    """The sets that promotion looks at. Raises ModelRejected where they cannot be read."""
    with readable(evaluation):
        return tuple(_metrics(evaluation)["main"])


def reference_rows(evaluation: Path) -> list[Row]:
    """Figures and embeddings of labelled samples, all by the final model.

    Versions from before these were kept have the evaluated rows instead. With folds these were embedded by the folds'
    networks, whose spaces are not the final one's: their embeddings are left out.

    Raises:
        ModelRejected: they cannot be read.
    """
    with readable(evaluation):
        return _rows(evaluation)


@contextmanager
def readable(evaluation: Path) -> Iterator[None]:
    """Around what reads an evaluation: raises ModelRejected in place of whatever a broken file makes it raise."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRejected(
            f"the evaluation of this version cannot be read ({error})",
            where=evaluation,
            way_out="Remove this folder, it is fetched again; or train and register the model anew.",
        ) from error


def _trained(evaluation: Path) -> tuple[Part, ...]:
    with (evaluation / "training.csv").open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        if "key" not in (lines.fieldnames or ()):
            raise ValueError("training.csv has no column `key`")
        seen = Counter(line["key"].partition("/")[0] for line in lines)
    return tuple(Part(name, n) for name, n in seen.items())


def _metrics(evaluation: Path) -> dict[str, Json]:
    return dict(json.loads((evaluation / "metrics.json").read_text(encoding="utf-8")))


def _evaluated(evaluation: Path) -> tuple[Part, ...]:
    return tuple(Part(name, int(part["n"])) for name, part in _metrics(evaluation)["sets"].items())


def _rows(evaluation: Path) -> list[Row]:
    if (evaluation / REFERENCE).is_file():
        return load_rows(evaluation / REFERENCE)
    rows = load_rows(evaluation / "rows.jsonl")
    if _metrics(evaluation).get("protocol") == "folds":
        return [Row(row.key, row.sha256, row.group, row.stratum, {}, row.row) for row in rows]
    return rows
