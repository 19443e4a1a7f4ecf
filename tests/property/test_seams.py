"""Properties of seams: whatever the picture's size and the windows, the answer is that of the whole picture."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.maps.upscaling.seams import Windows, enlarge_pieces

PLANS = st.integers(1, 12).flatmap(
    lambda stride: st.builds(Windows, st.just(stride), st.integers(0, stride), st.integers(2, 5))
)
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
FACTOR = 2


def enlarge(window):
    """Looks at two pixels on each side (around its borders); every answer is a whole number."""
    total = sum(np.roll(window.astype(np.int64), (dy, dx), axis=(1, 2)) * (3 * dy + dx + 9)
                for dy in range(-2, 3) for dx in range(-2, 3))  # fmt: skip
    answer = total.repeat(FACTOR, axis=1).repeat(FACTOR, axis=2)
    answer[:, ::FACTOR] += 1
    return (answer % 256).astype(np.uint8)


def pieced(picture, plan):
    """The answer put together; each pixel is written once."""
    _, height, width = picture.shape
    reads = []

    def read(top, rows):
        assert 0 <= top < top + rows <= height
        reads.append(rows)
        return picture[:, top : top + rows]

    whole = np.zeros((3, FACTOR * height, FACTOR * width), dtype=np.uint8)
    times = np.zeros(whole.shape[1:], dtype=np.int64)
    places = []

    def answer(place, window):
        places.append(place)
        return enlarge(window)

    for piece in enlarge_pieces(read, answer, (height, width), FACTOR, plan):
        _, rows, columns = piece.pixels.shape
        part = np.s_[piece.top : piece.top + rows, piece.left : piece.left + columns]
        whole[:, *part] = piece.pixels
        times[part] += 1
    assert (times == 1).all()
    assert len(set(places)) == len(places) == plan.count(height, width)
    assert max(reads) <= plan.stride_px + plan.overlap_px + 2 * plan.context_px
    return whole


@settings(max_examples=60, deadline=None)
@given(size=SIZES, plan=PLANS, seed=st.integers(0, 2**32 - 1))
def test_windows_give_the_whole_answer(size, plan, seed):
    picture = np.random.default_rng(seed).integers(0, 256, (3, *size), dtype=np.uint8)
    reflected = np.pad(picture, ((0, 0), (8, 8), (8, 8)), mode="reflect" if min(size) > 1 else "edge")
    if min(size) == 1 < max(size):
        reflected = np.pad(
            np.pad(picture, ((0, 0), (8, 8), (0, 0)), mode="edge" if size[0] == 1 else "reflect"),
            ((0, 0), (0, 0), (8, 8)), mode="edge" if size[1] == 1 else "reflect",
        )  # fmt: skip
    whole = enlarge(reflected)[:, 8 * FACTOR : -8 * FACTOR, 8 * FACTOR : -8 * FACTOR]
    np.testing.assert_array_equal(pieced(picture, plan), whole)


@settings(max_examples=30, deadline=None)
@given(size=SIZES, stride=st.integers(1, 12), data=st.data())
def test_neighbours_pass_into_each_other(size, stride, data):
    """Where two windows disagree, what lies between lies between their answers; the sum of weights is one."""
    plan = Windows(stride, data.draw(st.integers(0, stride)), 0)
    picture = np.full((3, *size), 7, dtype=np.uint8)

    def constant(place, window):
        level = 100 + 20 * ((place[0] + place[1]) % 2)
        return np.full((3, FACTOR * window.shape[1], FACTOR * window.shape[2]), level, dtype=np.uint8)

    pieces = enlarge_pieces(lambda top, rows: picture[:, top : top + rows], constant, size, FACTOR, plan)
    for piece in pieces:
        assert 100 <= piece.pixels.min() <= piece.pixels.max() <= 120
