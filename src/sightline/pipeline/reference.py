"""The reference of a version: figures and embeddings of labelled samples, by the model that will answer.

What a model answers is only worth comparing with rows of models that had not seen them. What goes in may be compared
with all samples, also those that it was trained on, and these are many more groups: enough to notice what lies outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sightline.errors import DataRejected
from sightline.pipeline.project import Project
from sightline.task import Manifest, Model, Progress, Row, Sample

MOST_MAIN, MOST_OTHERS = 120, 60
"""Samples of the sets that promotion looks at, and of those that a model was only pre-trained on."""

_MOST_BYTES = 256 * 2**20
"""Of all inputs together: predicting a large scene takes long."""


def refer(project: Project, model: Model, manifest: Manifest, main: tuple[str, ...], progress: Progress) -> list[Row]:
    """Rows of at most some 180 labelled samples, of as many groups as can be; the same choice for the same seed.

    Args:
        project: the task.
        model: the one that will answer.
        manifest: all labelled samples.
        main: the sets that promotion looks at.
        progress: told how far it is.
    """
    chosen = _choose(manifest, main, project.params.seed)
    rows: list[Row] = []
    left = _MOST_BYTES
    for number, sample in enumerate(chosen, start=1):
        progress.advance(number, len(chosen), "the reference for drift")
        source = project.task.source(manifest, sample)
        left -= source.stat().st_size if isinstance(source, Path) else len(source)
        if rows and left < 0:
            break
        row = _row(project, model, source, sample)
        rows += [row] if row else []
    return rows


def _choose(manifest: Manifest, main: tuple[str, ...], seed: int) -> list[Sample]:
    good = [sample for sample in manifest.samples if not sample.problem]
    of_main = spread([sample for sample in good if sample.set in main], MOST_MAIN, seed)
    return of_main + spread([sample for sample in good if sample.set not in main], MOST_OTHERS, seed)


def spread(samples: Sequence[Sample], most: int, seed: int) -> list[Sample]:
    """At most `most` samples, drawn: one of each group, then a second of each, and so on."""
    order = np.random.default_rng(seed).permutation(len(samples))
    taken: dict[tuple[str, str], int] = {}
    ranked: list[tuple[int, Sample]] = []
    for index in order:
        group = (samples[index].set, samples[index].group)
        ranked.append((taken.get(group, 0), samples[index]))
        taken[group] = taken.get(group, 0) + 1
    return [sample for _, sample in sorted(ranked, key=lambda item: item[0])[:most]]


def _row(project: Project, model: Model, source: Path | bytes, sample: Sample) -> Row | None:
    """Of one sample; None where the endpoint would refuse it too (its limits are not those of training)."""
    try:
        prediction = model.predict([model.read(source, project.settings.limits)])[0]
    except DataRejected:
        return None
    figures = {name: value for name, value in prediction.row.items() if name.startswith("input_")}
    embedding = tuple(float(f"{value:.6g}") for value in prediction.embedding.tolist())
    finite = {name: value for name, value in figures.items() if isinstance(value, str) or np.isfinite(value)}
    return Row(sample.key, sample.sha256, sample.group, sample.stratum, {}, finite, embedding)
