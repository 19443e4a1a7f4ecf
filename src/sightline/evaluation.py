"""What evaluating a candidate leaves in its folder, read at this one place.

metrics.json      figures with intervals, by set
rows.jsonl        the test rows of all sets (out of fold where there are folds)
validation.jsonl  those that the winner is chosen on
reference.jsonl   what inputs are compared with when the version is in use; older versions have none
training.csv      the samples that the final model has seen
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sightline.errors import DataMissing, ModelRejected
from sightline.resampling import Figure
from sightline.task import Json, Row, Rows, load_rows

METRICS, ROWS, VALIDATION, REFERENCE, TRAINING = (
    "metrics.json",
    "rows.jsonl",
    "validation.jsonl",
    "reference.jsonl",
    "training.csv",
)


class Measured(BaseModel):
    """The figures of a set.

    Attributes:
        n: its samples.
        unit: what the bootstrap draws: group or sample.
        metrics: name -> value with interval; NaN where undefined.
    """

    model_config = ConfigDict(frozen=True)

    n: int = 0
    unit: str = "sample"
    metrics: dict[str, Figure] = {}


class Metrics(BaseModel):
    """metrics.json.

    Attributes:
        protocol: how it was evaluated: on folds or on a holdout.
        main: the sets that promotion looks at; the first is the one that tables show.
        sets: the test figures of each set.
        validation: those of the samples that the winner is chosen on.
    """

    model_config = ConfigDict(frozen=True)

    protocol: str = ""
    main: tuple[str, ...] = Field(min_length=1)
    sets: dict[str, Measured]
    validation: Measured = Measured()

    @property
    def main_set(self) -> str:
        """The set that tables show."""
        return self.main[0]

    @property
    def main_measured(self) -> Measured:
        """The figures of that set."""
        return self.sets[self.main_set]

    def headline(self, metric: str) -> Figure:
        """One metric of that set."""
        return self.main_measured.metrics[metric]

    def document(self) -> dict[str, Json]:
        """As JSON, with NaN."""
        return self.model_dump()


def read_metrics(folder: Path) -> Metrics:
    """The metrics.json of an evaluation.

    Raises:
        DataMissing: it was not evaluated yet.
        ModelRejected: the file cannot be read.
    """
    if not folder.is_dir():
        raise DataMissing("there is no evaluation yet", where=folder, way_out="Run `sightline run` first.")
    with readable(folder):
        return Metrics.model_validate(json.loads((folder / METRICS).read_text(encoding="utf-8")))


def seen_inputs(folder: Path) -> frozenset[str]:
    """SHA-256 of the inputs that the final model was trained on. Raises ModelRejected where they cannot be read."""
    with readable(folder):
        return frozenset(line["sha256"] for line in _training(folder, "sha256"))


def seen_samples(folder: Path) -> dict[str, int]:
    """Set -> how many of its samples the final model was trained on. Raises ModelRejected as above."""
    with readable(folder):
        return dict(Counter(line["key"].partition("/")[0] for line in _training(folder, "key")))


def _training(folder: Path, column: str) -> list[dict[str, str]]:
    with (folder / TRAINING).open(newline="", encoding="utf-8") as file:
        lines = csv.DictReader(file)
        if column not in (lines.fieldnames or ()):
            raise ValueError(f"{TRAINING} has no column `{column}`")
        return list(lines)


def evaluated_rows(folder: Path) -> list[Row]:
    """The test rows of all sets. Raises ModelRejected where they cannot be read."""
    with readable(folder):
        return load_rows(folder / ROWS)


def validation_rows(folder: Path) -> list[Row]:
    """Those that the winner is chosen on. Raises ModelRejected where they cannot be read."""
    with readable(folder):
        return load_rows(folder / VALIDATION)


def reference_rows(folder: Path) -> list[Row]:
    """Figures and embeddings of labelled samples, all by the final model.

    Versions from before these were kept have the test rows instead. With folds these were embedded by the folds'
    networks, whose spaces are not the final one's: their embeddings are left out.

    Raises:
        ModelRejected: they cannot be read.
    """
    with readable(folder):
        if (folder / REFERENCE).is_file():
            return load_rows(folder / REFERENCE)
        rows = load_rows(folder / ROWS)
    if read_metrics(folder).protocol == "folds":
        return [Row(row.key, row.sha256, row.group, row.stratum, {}, row.row) for row in rows]
    return rows


def set_of(row: Row) -> str:
    """The set that a row's sample lies in."""
    return row.key.partition("/")[0]


def by_set(rows: Rows) -> dict[str, list[Row]]:
    """Set name -> its rows, in their order."""
    result: dict[str, list[Row]] = {}
    for row in rows:
        result.setdefault(set_of(row), []).append(row)
    return result


def main_rows(rows: Rows, main: tuple[str, ...]) -> list[Row]:
    """The rows of the sets that promotion looks at."""
    return [row for row in rows if set_of(row) in main]


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Around what reads an evaluation: raises ModelRejected in place of whatever a broken file makes it raise."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelRejected(
            f"the evaluation of this version cannot be read ({_reason(error)})",
            where=folder,
            way_out="Remove this folder: it is fetched again. Or train and register the model again.",
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{METRICS}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return str(error)
