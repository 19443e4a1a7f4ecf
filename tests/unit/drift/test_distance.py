from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.drift.comparison import Observation, Side
from sightline.drift.distance import most_distant, nearest_distances


@given(st.integers(0, 2**31), st.integers(1, 30), st.integers(1, 30))
def test_nearest_distances_are_those_of_all_pairs(seed: int, n: int, m: int) -> None:
    data = np.random.default_rng(seed)
    rows, others = data.normal(size=(n, 4)), data.normal(size=(m, 4))
    expected = np.linalg.norm(rows[:, None] - others[None], axis=2).min(axis=1)
    assert nearest_distances(rows, others) == pytest.approx(expected, abs=1e-6)


def test_frames_of_one_flight_are_no_neighbours() -> None:
    rows = np.array([[0.0], [0.1], [5.0], [5.1]])
    assert nearest_distances(rows, rows, np.array(["a", "a", "b", "b"])) == pytest.approx([5.0, 4.9, 4.9, 5.0])
    assert np.isinf(nearest_distances(rows[:2], rows[:2], np.array(["a", "a"]))).all()


def side(*values: tuple[str, float, float]) -> Side:
    """Observations of (name, a figure, an embedding), each a group of its own."""
    found = [Observation(name, f"sha {name}", name, {"input_x": x}, [seen]) for name, x, seen in values]
    return Side(found, 100, np.random.default_rng(0))


def test_figures_and_embeddings_count_in_equal_parts() -> None:
    reference = side(*((f"ref{n}", float(n), n / 10) for n in range(10)))
    current = side(("usual", 4.0, 0.4), ("odd figure", 14.0, 0.4), ("odd to the network", 4.0, 1.4))
    found = most_distant(reference, current, ["input_x"], 3)
    assert [item.name for item in found][2] == "usual"
    assert found[0].distance == pytest.approx(found[1].distance)
    assert [item.name for item in most_distant(reference, current, [], 1)] == ["odd to the network"]
