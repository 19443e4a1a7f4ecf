"""Properties of tiling: the same as a plain implementation on the whole scene, whatever the batch and the reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sightline.vision.tiling import Predict, Tiling, blend

Floats = NDArray[np.float32]

WINDOWS = st.integers(1, 13).flatmap(lambda window: st.tuples(st.just(window), st.integers(0, window - 1)))
PLANS = st.builds(lambda sides, batch: Tiling(*sides, batch), WINDOWS, st.integers(1, 5))
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def scene_of(size: tuple[int, int], seed: int) -> Floats:
    return np.random.default_rng(seed).normal(0, 1, (2, *size)).astype(np.float32)


def blended(scene: Floats, predict: Predict, channels: int, plan: Tiling, block_px: int = 10**6) -> Floats:
    """The whole answer; the scene is read from blocks of `block_px` rows."""
    height, width = scene.shape[1:]

    def read(top: int, left: int, rows: int, columns: int) -> Floats:
        assert min(top, left) >= 0
        assert min(rows, columns) >= 1
        assert top + rows <= height
        assert left + columns <= width
        ends = [*range(top - top % block_px + block_px, top + rows, block_px), top + rows]
        parts = [scene[:, start:end, left : left + columns] for start, end in zip([top, *ends], ends, strict=False)]
        return np.concatenate(parts, axis=1)

    parts = list(blend(read, predict, height, width, channels, plan))
    starts = np.cumsum([0, *(rows.shape[1] for _, rows in parts)])
    assert [top for top, _ in parts] == starts[:-1].tolist()
    return np.concatenate([rows for _, rows in parts], axis=1)


def plain(scene: Floats, predict: Predict, channels: int, plan: Tiling) -> Floats:
    """The same in memory: pad the scene, predict each window, sum up, divide by the sum of the weights."""
    height, width = scene.shape[1:]
    side, stride = plan.window_px, plan.stride_px
    tops = range(0, max(height - plan.overlap_px, 1), stride)
    lefts = range(0, max(width - plan.overlap_px, 1), stride)
    beyond = (max(tops[-1] + side - height, 0), max(lefts[-1] + side - width, 0))
    padded = np.pad(scene, ((0, 0), (0, beyond[0]), (0, beyond[1])), mode="reflect")
    hann = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    answer, weights = np.zeros((channels, *padded.shape[1:])), np.zeros(padded.shape[1:])
    for top in tops:
        for left in lefts:
            part = np.s_[top : top + side, left : left + side]
            answer[:, *part] += predict(padded[None, :, *part])[0] * np.outer(hann, hann)
            weights[part] += np.outer(hann, hann)
    return np.asarray((answer / weights)[:, :height, :width], dtype=np.float32)


def place_dependent(windows: NDArray[Any]) -> Floats:
    """Three channels that depend on where in the window a pixel lies, as near the border of a network's input."""
    side = windows.shape[-1]
    place = np.add.outer(np.arange(side), 2 * np.arange(side)).astype(np.float32)
    return np.stack([windows[:, 0] * place, windows[:, 1] + place, windows.mean(axis=(1,)) ** 2], axis=1)


@settings(max_examples=150, deadline=None)
@given(size=SIZES, plan=PLANS, seed=st.integers(0, 99), block_px=st.integers(1, 50))
def test_as_a_plain_implementation(size: tuple[int, int], plan: Tiling, seed: int, block_px: int) -> None:
    scene = scene_of(size, seed)
    answer = blended(scene, place_dependent, 3, plan, block_px)
    assert answer.dtype == np.float32
    assert np.allclose(answer, plain(scene, place_dependent, 3, plan), rtol=1e-4, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(size=SIZES, plan=PLANS, batch=st.integers(1, 9), block_px=st.integers(1, 50))
def test_batch_and_blocks_change_no_bit(size: tuple[int, int], plan: Tiling, batch: int, block_px: int) -> None:
    scene = scene_of(size, 0)
    other = Tiling(plan.window_px, plan.overlap_px, batch)
    first = blended(scene, place_dependent, 3, plan)
    assert np.array_equal(first, blended(scene, place_dependent, 3, other, block_px))


@settings(max_examples=80, deadline=None)
@given(size=SIZES, plan=PLANS, seed=st.integers(0, 99))
def test_identity_gives_the_scene_and_a_constant_a_constant(size: tuple[int, int], plan: Tiling, seed: int) -> None:
    scene = scene_of(size, seed)
    assert np.allclose(blended(scene, lambda windows: windows, 2, plan), scene, rtol=1e-5, atol=1e-6)
    constant = blended(scene, lambda windows: np.full((len(windows), 1, *windows.shape[2:]), 0.7, np.float32), 1, plan)
    assert np.allclose(constant, 0.7, rtol=1e-6)
