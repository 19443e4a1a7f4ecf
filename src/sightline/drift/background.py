"""What a model version was trained and evaluated on, and so how familiar an input is to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sightline.drift.familiarity import Familiarity, Reference
from sightline.evaluation import read_metrics, reference_rows, seen_samples
from sightline.task import Json, Prediction

SYNTHETIC = "sample"
"""The set that `sightline data sample` writes; every other one was taken in by a person."""


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
        warning = "; the model has never seen a real input" if self.only_synthetic else ""
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
    evaluated = {name: measured.n for name, measured in read_metrics(evaluation).sets.items()}
    return Background(trained_on(evaluation), _parts(evaluated), data_version, Reference(reference_rows(evaluation)))


def trained_on(evaluation: Path) -> tuple[Part, ...]:
    """The sets that the final model of an evaluation has seen. Raises ModelRejected where they cannot be read."""
    return _parts(seen_samples(evaluation))


def _parts(samples: Mapping[str, int]) -> tuple[Part, ...]:
    return tuple(Part(name, n) for name, n in samples.items())
