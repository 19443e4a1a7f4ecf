from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.drift.twosample import categories_p_value, mmd_p_value


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def rejections(p_values: list[float], level: float) -> int:
    return sum(p <= level for p in p_values)


def test_mmd_holds_its_level_where_nothing_has_shifted() -> None:
    draws = rng(1)
    p_values = [mmd_p_value(draws.normal(size=(25, 6)), draws.normal(size=(15, 6)), 99, draws) for _ in range(300)]
    # 300 trials at 5 %: more than 26 happen once in 1,000 times
    assert rejections(p_values, 0.05) <= 26


@pytest.mark.parametrize("kind", ["place", "spread", "dependence"])
def test_mmd_sees_a_shift_of_any_kind(kind: str) -> None:
    draws = rng(2)
    current = draws.normal(size=(60, 2))
    if kind == "place":
        current += 1.0
    elif kind == "spread":
        current *= 3.0
    else:
        current[:, 1] = current[:, 0]
    assert mmd_p_value(draws.normal(size=(200, 2)), current, 199, draws) == 1 / 200


def test_mmd_of_equal_rows_finds_nothing() -> None:
    assert mmd_p_value(np.ones((10, 3)), np.ones((10, 3)), 99, rng(0)) == 1.0


@given(st.integers(0, 2**31), st.integers(2, 12), st.integers(2, 12))
def test_mmd_is_a_p_value_and_repeats_with_its_seed(seed: int, n: int, m: int) -> None:
    data = rng(seed)
    first, second = data.normal(size=(n, 3)), data.normal(size=(m, 3))
    p_value = mmd_p_value(first, second, 19, rng(seed))
    assert 1 / 20 <= p_value <= 1
    assert p_value == mmd_p_value(first, second, 19, rng(seed))


def test_categories_hold_their_level_even_where_they_are_rare() -> None:
    draws = rng(3)
    names = [f"level {n}" for n in range(20)]
    p_values = [
        categories_p_value(draws.choice(names, 30).tolist(), draws.choice(names, 20).tolist(), 199, draws)
        for _ in range(300)
    ]
    assert rejections(p_values, 0.05) <= 26


def test_a_new_category_is_seen() -> None:
    assert categories_p_value(["iron"] * 40, ["rainbow"] * 20, 9999, rng(0)) == 1 / 10_000
    assert categories_p_value(["iron"] * 40, ["iron"] * 20, 9999, rng(0)) == 1.0
