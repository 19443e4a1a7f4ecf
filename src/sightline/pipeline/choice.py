"""The choice among candidates: which of them is put forward to become champion, and how good that choice is.

It is made on the main sets (those that promotion looks at), never on others: with a holdout on their validation rows,
with folds on their out-of-fold rows. The best figure wins, unless a candidate that params.yaml names earlier lies
within noise of it (the one-standard-error rule of Breiman et al., 1984, with a paired bootstrap for the error).

A figure of the chosen one on the rows it was chosen by would flatter it. With a holdout it is taken from the test rows.
With folds the choice is nested (Stone, 1974; Varma and Simon, 2006): for each fold it is made on the rows of the other
folds alone, and the rows so chosen are pooled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ModelMissing
from sightline.evaluation import evaluated_rows, main_rows, read_metrics, validation_rows
from sightline.pipeline.project import Project
from sightline.pipeline.records import Better, ChoiceFigure, ChoiceRecord
from sightline.resampling import Difference, Figure, figures, paired_difference, resampling_unit
from sightline.task import Row, Rows
from sightline.tracking import Registry, Version

RULE = "the best on the main sets, the first named within noise of it"
"""Changes with the rule: a decision by another one is taken again."""

Metric = Callable[[Rows, NDArray[np.float64]], float]
"""The promotion metric of weighted rows; NaN where undefined."""


@dataclass(frozen=True)
class Criterion:
    """How candidates are compared: the metric, the confidence of "beyond noise", the seed of the draws."""

    metric: Metric
    confidence: float
    seed: int


@dataclass(frozen=True)
class Pick:
    """One candidate of several, and why.

    Attributes:
        figures: candidate -> the metric on the rows it was picked by; NaN where undefined.
        best: the candidate with the best figure; another was picked where that one lies within noise of it.
        difference: best minus picked; None where they are the same, or nothing is defined.
    """

    candidate: str
    best: str
    figures: Mapping[str, float]
    difference: Difference | None = None


@dataclass(frozen=True)
class Choice:
    """The version put forward.

    Attributes:
        rows: the test rows of the main sets that the choice is evaluated by; none of them had a say in it.
        figure: the promotion metric of these rows.
        reasons: the choice in words.
        record: the choice for the history and the run's table.
    """

    version: Version
    rows: tuple[Row, ...]
    figure: Figure
    reasons: tuple[str, ...]
    record: ChoiceRecord


# ------------------------------------------------------------------------------------------------------ the rule


def pick(candidates: Mapping[str, Rows], criterion: Criterion) -> Pick:
    """The best candidate, or the first named one that lies within noise of it; the first where nothing is defined.

    Args:
        candidates: name -> its rows, of the same samples in the same order; the first named first.
        criterion: how they are compared.

    Raises:
        ValueError: there is no candidate.
    """
    found = {
        name: criterion.metric(rows, np.ones(len(rows))) if rows else math.nan for name, rows in candidates.items()
    }
    defined = [name for name, figure in found.items() if math.isfinite(figure)]
    if not found:
        raise ValueError("there is no candidate to choose from")
    if not defined:
        first = next(iter(found))
        return Pick(first, first, found)
    best = max(defined, key=lambda name: found[name])  # of equals max keeps the first
    for name in defined[: defined.index(best)]:
        difference = paired_difference(
            candidates[best], candidates[name], criterion.metric, criterion.confidence, criterion.seed
        )
        if len(candidates[best]) < 2 or not difference.lower_bound > 0:  # also where the bound is undefined
            return Pick(name, best, found, difference)
    return Pick(best, best, found)


def pick_nested(candidates: Mapping[str, Rows], fold_of: Mapping[str, int], criterion: Criterion) -> dict[int, Pick]:
    """Fold -> the candidate picked by the rows of the other folds; empty where there is but one fold.

    Args:
        candidates: as for `pick`.
        fold_of: row key -> fold; rows without one have no say.
        criterion: how they are compared.
    """
    folds = sorted({fold_of[row.key] for rows in candidates.values() for row in rows if row.key in fold_of})
    if len(folds) < 2:
        return {}

    def outside(rows: Rows, fold: int) -> list[Row]:
        return [row for row in rows if fold_of.get(row.key, fold) != fold]

    return {fold: pick({name: outside(rows, fold) for name, rows in candidates.items()}, criterion) for fold in folds}


def pool(candidates: Mapping[str, Rows], fold_of: Mapping[str, int], picks: Mapping[int, Pick]) -> list[Row]:
    """The rows of each fold by the candidate picked for it, in the candidates' order of rows."""
    by_key = {name: {row.key: row for row in rows} for name, rows in candidates.items()}
    first = next(iter(candidates.values()))
    return [by_key[picks[fold_of[row.key]].candidate][row.key] for row in first if fold_of.get(row.key) in picks]


# ------------------------------------------------------------------------------------------------ of a project


def choose(project: Project, tracking: Registry, versions: Sequence[Version]) -> Choice:
    """Choose the candidates' version to put forward.

    Raises:
        ModelMissing: there is none.
    """
    if not versions:
        raise ModelMissing("no version is registered", where=project.name, way_out="Run `sightline run` first.")
    named = _in_named_order(project, versions)
    folders = {name: tracking.evaluation(version) for name, version in named.items()}
    metrics = read_metrics(next(iter(folders.values())))
    main, folded = metrics.main, metrics.protocol == "folds"
    criterion = _criterion(project)
    tested = _common_rows(folders, evaluated_rows, main)
    deciding = tested if folded else _common_rows(folders, validation_rows, main)
    final = pick(deciding, criterion)
    fold_of = _folds_of(project) if folded else {}
    picks = pick_nested(tested, fold_of, criterion)
    rows = pool(tested, fold_of, picks) if picks else tested[final.candidate]
    figure = _figure(project, rows)
    record = ChoiceRecord(
        rule=RULE,
        metric=project.params.promotion.metric,
        protocol=metrics.protocol,
        rows="out-of-fold" if folded else "validation",
        sets=main,
        n=len(deciding[final.candidate]),
        figures=dict(final.figures),
        chosen=final.candidate,
        best=final.best,
        difference=final.difference,
        folds={str(fold): one.candidate for fold, one in picks.items()},
        figure=ChoiceFigure(**vars(figure), unit=resampling_unit(rows) if rows else "sample"),
        better=_better_on_test(tested, final.candidate, criterion),
        versions={name: version.number for name, version in named.items()},
    )
    return Choice(named[final.candidate], tuple(rows), figure, tuple(explain(record)), record)


def explain(record: ChoiceRecord) -> list[str]:
    """A choice in words: by which rows and figures, whether noise decided, and how the choice itself was evaluated."""
    chosen, best, metric, found = record.chosen, record.best, record.metric, record.figures
    place = f"the {record.n} {record.rows} samples of {' and '.join(record.sets)}"
    if math.isnan(found[best]):
        lines = [f"{metric} is undefined on {place}, so {chosen} was chosen: it is the first in params.yaml"]
    else:
        shown = ", ".join(f"{name} {_shown(value)}" for name, value in found.items())
        lines = [f"{chosen} was chosen on {place} by {metric}: {shown}"]
    gap = record.difference
    if gap is not None:
        lines.append(
            f"{best} is ahead of {chosen} by {_shown(gap.value)}, which is within noise (one-sided bound "
            f"{_shown(gap.lower_bound)}): the one that params.yaml names first was chosen"
        )
    if len(set(record.folds.values())) > 1:
        picked = ", ".join(record.folds.values())
        lines.append(
            f"chosen for each fold on the other folds, the candidates are {picked}: the figure is pooled in this way"
        )
    return lines


def warn(record: ChoiceRecord) -> str:
    """What a person must know who expects the best of the test rows; empty where that one was chosen."""
    better = record.better
    if better is None:
        return ""
    noise = "beyond noise" if better.lower_bound > 0 else "within noise"
    return (
        f"{better.candidate} (version {record.versions[better.candidate]}) is better than "
        f"{record.chosen} on the {better.n} test samples of {' and '.join(record.sets)}: {record.metric} "
        f"{_shown(better.figure)} against {_shown(better.chosen_figure)}, which is {noise} "
        f"(one-sided bound of the difference {_shown(better.lower_bound)})"
    )


def _in_named_order(project: Project, versions: Sequence[Version]) -> dict[str, Version]:
    """Candidate -> version, in the order of params.yaml."""
    order = {name: place for place, name in enumerate(project.params.candidates)}
    named = {version.tags.get("candidate", str(version)): version for version in versions}
    return dict(sorted(named.items(), key=lambda item: order.get(item[0], len(order))))


def _folds_of(project: Project) -> dict[str, int]:
    """Sample key -> its fold."""
    return {sample.key: sample.fold for sample in project.load().samples}


def _common_rows(
    folders: Mapping[str, Path], read: Callable[[Path], Rows], main: tuple[str, ...]
) -> dict[str, list[Row]]:
    """The rows of the main sets' samples that every candidate was evaluated on, in the same order."""
    candidates = {name: main_rows(read(folder), main) for name, folder in folders.items()}
    by_key = {name: {(row.key, row.sha256): row for row in rows} for name, rows in candidates.items()}
    keys = [key for key in next(iter(by_key.values())) if all(key in rows for rows in by_key.values())]
    return {name: [rows[key] for key in keys] for name, rows in by_key.items()}


def _criterion(project: Project) -> Criterion:
    how = project.params.promotion

    def metric(rows: Rows, weights: NDArray[np.float64]) -> float:
        return float(project.task.score(rows, weights)[how.metric])

    return Criterion(metric, how.confidence, project.params.seed)


def _figure(project: Project, rows: Rows) -> Figure:
    how = project.params.evaluate
    found = figures(rows, project.task.score, how.resamples, how.confidence, project.params.seed)
    return found.get(project.params.promotion.metric, Figure(math.nan, math.nan, math.nan, len(rows)))


def _better_on_test(tested: Mapping[str, Rows], chosen: str, criterion: Criterion) -> Better | None:
    """The candidate with the best figure on the test rows, if that is another one."""
    found = {name: criterion.metric(rows, np.ones(len(rows))) if rows else math.nan for name, rows in tested.items()}
    defined = [name for name, figure in found.items() if math.isfinite(figure)]
    best = max(defined, key=lambda name: found[name], default=chosen)
    if best == chosen or found[best] == found[chosen]:
        return None
    difference = paired_difference(tested[best], tested[chosen], criterion.metric, criterion.confidence, criterion.seed)
    return Better(
        candidate=best,
        figure=found[best],
        chosen_figure=found[chosen],
        lower_bound=difference.lower_bound,
        n=difference.n,
    )


def _shown(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"
