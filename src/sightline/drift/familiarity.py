"""How familiar is an input? How far it lies from what a model was trained and evaluated on, in a plain word.

Two looks, at a few hundred rows that a version keeps of its labelled samples (`Reference`):

- the distance of the embedding (what the network made of the input) to the nearest row, in standard deviations of each
  of its figures, against the distances that held-out groups of rows have to the others;
- the input's figures (`input_*`: level, contrast, colour) against the range of the reference's.

It is the distance that `sightline watch` knows, for a single answer. It says nothing of whether the answer is right: a
familiar input can be answered wrongly, and an unusual one rightly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sightline.drift.distance import nearest_distances
from sightline.task import Json, Row

Floats = NDArray[np.float64]
Word = Literal["familiar", "unusual", "unlike anything it was trained on", "not known"]

UNLIKE: Word = "unlike anything it was trained on"

MIN_GROUPS = 5
"""With fewer independent groups nobody can say how far apart usual inputs lie."""

_USUAL = 0.95  # of the reference's own distances: what lies farther is unusual
_FAR = 1.5  # times the reference's largest own distance: unlike
_EDGE = 0.1  # of its width a figure may lie beyond the reference's range: the range of so few rows is no hard border
_FOLDS = 10  # in which the reference's own distances are found
_CLIP = 5.0  # standard deviations; one odd figure of hundreds must not decide
_WIDTHS = 1.0  # beyond the range by as much as its whole width: unlike


@dataclass(frozen=True)
class Outside:
    """A figure of the input beyond the range of the reference.

    Attributes:
        value: the input's.
        low, high: the reference's range.
        widths: how far beyond it, in widths of the range; infinite where the range has none.
    """

    value: float
    low: float
    high: float
    widths: float


@dataclass(frozen=True)
class Familiarity:
    """How far one input lies from what the model knows.

    Attributes:
        word: the verdict.
        reason: in a sentence.
        quantile: share of the reference's own distances that are smaller, 0 .. 1; None where not known.
        distance: to the nearest row, over the median of the reference's own distances (1: usual); None likewise.
        outside: figures beyond the reference's range, farthest first.
        groups: independent groups that it was compared with.
    """

    word: Word
    reason: str
    quantile: float | None = None
    distance: float | None = None
    outside: Mapping[str, Outside] = field(default_factory=dict)
    groups: int = 0

    def document(self) -> dict[str, Json]:
        """As JSON, for an answer."""
        return {
            "word": self.word,
            "reason": self.reason,
            "distance": None if self.distance is None else round(self.distance, 3),
            "distance_quantile": None if self.quantile is None else round(self.quantile, 4),
            "outside": {
                name: {"value": one.value, "low": one.low, "high": one.high} for name, one in self.outside.items()
            },
            "groups": self.groups,
        }


class Reference:
    """What a version keeps of the samples that it knows: a few hundred rows, each with figures and an embedding.

    Args:
        rows: of labelled samples; `row` holds `input_*`, keys begin with the set.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        groups = np.array([f"{row.key.partition('/')[0]} {row.group}" for row in rows])
        self.groups = len(set(groups.tolist()))
        self._ranges = _ranges(rows)
        lengths = {len(row.embedding) for row in rows}
        whole = len(lengths) == 1 and max(lengths) > 0
        self._embeddings = np.array([row.embedding for row in rows]) if whole else np.empty((len(rows), 0))
        self._own = _held_out(self._embeddings, groups) if whole and self.groups >= MIN_GROUPS else np.empty(0)

    def familiarity(self, row: Mapping[str, float | int | str], embedding: NDArray[np.float32]) -> Familiarity:
        """How familiar an answered input is; takes well under a millisecond.

        Args:
            row: the answer's flat row.
            embedding: (d,), or empty.
        """
        if self.groups < MIN_GROUPS:
            return Familiarity("not known", self._too_little(), groups=self.groups)
        distance = self._distance(embedding)
        outside = self._outside(row)
        if distance is None and not self._ranges.keys() & row.keys():
            return Familiarity(
                "not known", "the version and this prediction have no statistic in common", groups=self.groups
            )
        quantile = None if distance is None else float(np.searchsorted(self._own, distance) / len(self._own))
        usual = float(np.median(self._own)) if len(self._own) else 0.0
        word = self._word(distance, outside)
        return Familiarity(
            word,
            _reason(word, distance, quantile, outside),
            quantile,
            None if distance is None else distance / max(usual, 1e-9),
            outside,
            self.groups,
        )

    def _too_little(self) -> str:
        if not self.groups:
            return "the version stores no statistics of its training samples"
        return (
            f"the version was trained on {self.groups} independent groups of samples; {MIN_GROUPS} are"
            " needed to say what is unusual"
        )

    def _distance(self, embedding: NDArray[np.float32]) -> float | None:
        """To the nearest row; None where the embeddings cannot be compared."""
        if not len(self._own) or len(embedding) != self._embeddings.shape[1] or not np.isfinite(embedding).all():
            return None
        return float(_distances(np.asarray(embedding, dtype=np.float64)[None], self._embeddings)[0])

    def _outside(self, row: Mapping[str, float | int | str]) -> dict[str, Outside]:
        found = {}
        for name, (low, high) in self._ranges.items():
            value = row.get(name)
            if not isinstance(value, int | float) or not np.isfinite(value):
                continue
            beyond, width = max(low - value, value - high), high - low
            if beyond > _EDGE * width and beyond > 1e-9 * max(abs(low), abs(high)):
                found[name] = Outside(float(value), low, high, beyond / width if width > 0 else float("inf"))
        return dict(sorted(found.items(), key=lambda item: -item[1].widths))

    def _word(self, distance: float | None, outside: Mapping[str, Outside]) -> Word:
        # A figure that never varied among the samples says nothing of how much it may vary: unusual, not more.
        widths = max((one.widths for one in outside.values() if np.isfinite(one.widths)), default=0.0)
        if (distance is not None and distance > _FAR * self._own[-1]) or widths > _WIDTHS:
            return UNLIKE
        if (distance is not None and distance > np.quantile(self._own, _USUAL)) or outside:
            return "unusual"
        return "familiar"


def _held_out(embeddings: Floats, groups: NDArray[np.str_]) -> Floats:
    """Sorted (n,) distances of the rows of some groups to all others: scaled by the others, as a new one is."""
    names, numbers = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[numbers] % _FOLDS
    found = [_distances(embeddings[fold == k], embeddings[fold != k]) for k in np.unique(fold)]
    return np.sort(np.concatenate(found))


def _distances(rows: Floats, known: Floats) -> Floats:
    """(n,) of each row to the nearest known one, in standard deviations of these, `_CLIP` at most in each figure."""
    mean, spread = known.mean(axis=0), known.std(axis=0)
    least = 0.05 * float(np.median(spread[spread > 0])) if (spread > 0).any() else 1.0
    scaled = [np.clip((side - mean) / np.maximum(spread, least), -_CLIP, _CLIP) for side in (rows, known)]
    return nearest_distances(*scaled)


def _ranges(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """Smallest and largest value of each figure that the rows have."""
    names = {name for row in rows for name, value in row.row.items() if _is_figure(name, value)}
    ranges = {}
    for name in sorted(names):
        values = np.array([row.row[name] for row in rows if _is_figure(name, row.row.get(name))], dtype=np.float64)
        values = values[np.isfinite(values)]
        if len(values):
            ranges[name] = (float(values.min()), float(values.max()))
    return ranges


def _is_figure(name: str, value: object) -> bool:
    return name.startswith("input_") and isinstance(value, int | float)


def _reason(word: Word, distance: float | None, quantile: float | None, outside: Mapping[str, Outside]) -> str:
    if word == "familiar":
        return "it looks like the samples that the model was trained and evaluated on"
    parts = []
    if distance is not None and quantile is not None and quantile >= _USUAL:
        parts.append(f"its embedding lies farther from all samples than {quantile:.0%} of them from each other")
    for name, one in list(outside.items())[:3]:
        parts.append(
            f"{name.removeprefix('input_')} is {one.value:.3g}, the samples have {one.low:.3g} to {one.high:.3g}"
        )
    return "; ".join(parts)
