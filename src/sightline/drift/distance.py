"""How far inputs lie from the reference: the distance to its nearest row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.drift.comparison import Distant, Side
from sightline.drift.twosample import squared_distances

Floats = NDArray[np.float64]


def embedding_distances(reference: Side, current: Side) -> tuple[Floats, Floats] | None:
    """Distances of the embeddings to the nearest of the reference: its own rows' (of other groups), the current ones'.

    None where not all have an embedding of one length.
    """
    seen, now = reference.embeddings(), current.embeddings()
    if not seen.shape[1] == now.shape[1] > 0:
        return None
    return nearest_distances(seen, seen, reference.groups()), nearest_distances(now, seen)


def most_distant(reference: Side, current: Side, columns: Sequence[str], count: int) -> tuple[Distant, ...]:
    """The current inputs that lie furthest from the reference, furthest first.

    Args:
        reference: what is usual.
        current: the current answers.
        columns: the numbers that count, in equal parts with the embeddings.
        count: how many to name.
    """
    spaces = [embedding_distances(reference, current)]
    if columns:
        seen, now = _standardised(reference, current, columns)
        spaces.append((nearest_distances(seen, seen, reference.groups()), nearest_distances(now, seen)))
    ratios = [distances / max(float(np.median(usual)), 1e-9) for usual, distances in filter(None, spaces)]
    distance = np.mean(ratios, axis=0)
    furthest = np.argsort(-distance, kind="stable")[:count]
    found = [(current.observations[index], float(distance[index])) for index in furthest]
    return tuple(Distant(observation.name, observation.sha256, ratio) for observation, ratio in found)


def _standardised(reference: Side, current: Side, columns: Sequence[str]) -> tuple[Floats, Floats]:
    """(n, columns) of both in standard deviations of the reference, ten at most; what is missing counts as usual."""
    seen = np.stack([reference.figures(name) for name in columns], axis=1)
    now = np.stack([current.figures(name) for name in columns], axis=1)
    mean, spread = np.nanmean(seen, axis=0), np.nanstd(seen, axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    return tuple(np.clip(np.nan_to_num((side - mean) / spread), -10, 10) for side in (seen, now))


def nearest_distances(rows: Floats, others: Floats, groups: NDArray[np.str_] | None = None) -> Floats:
    """(n,) distance of each row of (n, d) to the nearest of (m, d).

    Args:
        rows: whose distances are asked for.
        others: what they are near to.
        groups: (n,) where `rows` and `others` are the same: rows of one group are no neighbours of each other (frames
            of one flight). A row without others is infinitely far.
    """
    result = np.empty(len(rows))
    for start in range(0, len(rows), 1000):  # 1,000 at a time: there may be many
        part = slice(start, start + 1000)
        squared = squared_distances(rows[part], others)
        if groups is not None:
            squared[groups[part, None] == groups[None, :]] = np.inf
        result[part] = np.sqrt(squared.min(axis=1))
    return result
