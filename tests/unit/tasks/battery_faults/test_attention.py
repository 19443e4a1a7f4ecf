"""Deformable attention is what its definition says."""

from __future__ import annotations

import math

import pytest

from sightline.tasks.battery_faults.attention import (
    build_attention,
    deformable_attention,
    pixel_centres,
    sine_positions,
)

SIZES = [(5, 7), (3, 4)]


def slow_attention(values, sizes, places, weights):
    """The definition, place by place: values between pixel centres are bilinear, zero outside."""
    import torch

    count, _, heads, depth = values.shape
    answer = torch.zeros(count, places.shape[1], heads, depth, dtype=values.dtype)
    for n in range(count):
        for query in range(places.shape[1]):
            for head in range(heads):
                start = 0
                for level, (height, width) in enumerate(sizes):
                    for point in range(places.shape[4]):
                        x = float(places[n, query, head, level, point, 0]) * width - 0.5
                        y = float(places[n, query, head, level, point, 1]) * height - 0.5
                        for row in (math.floor(y), math.floor(y) + 1):
                            for column in (math.floor(x), math.floor(x) + 1):
                                if 0 <= row < height and 0 <= column < width:
                                    share = (1 - abs(y - row)) * (1 - abs(x - column))
                                    value = values[n, start + row * width + column, head]
                                    answer[n, query, head] += weights[n, query, head, level, point] * share * value
                    start += height * width
    return answer.flatten(2)


def test_it_is_the_sum_over_places_written_as_loops():
    import torch

    drawn = torch.Generator().manual_seed(0)
    values = torch.randn(1, 47, 2, 3, generator=drawn, dtype=torch.float64)
    places = torch.rand(1, 3, 2, 2, 3, 2, generator=drawn, dtype=torch.float64) * 1.4 - 0.2  # some lie outside
    weights = torch.rand(1, 3, 2, 2, 3, generator=drawn, dtype=torch.float64)
    fast = deformable_attention(values, SIZES, places, weights)
    torch.testing.assert_close(fast, slow_attention(values, SIZES, places, weights))


def test_a_fresh_layer_looks_around_its_box_and_nowhere_else():
    """Heads look into directions of their own, within the box; a box without size stands for single pixels."""
    import torch

    torch.manual_seed(0)
    layer = build_attention(width=8, heads=4, levels=2, points=2)
    memory = torch.zeros(1, 47, 8)
    near = pixel_centres((5, 7), memory)[:, 0] < 0.5
    memory[0, :35][near] = torch.randn(int(near.sum()), 8)  # only the left half of the finest level holds anything
    query = torch.zeros(1, 2, 8)
    boxes = torch.tensor([[[0.2, 0.5, 0.3, 0.6], [0.8, 0.5, 0.3, 0.6]]])
    left, right = layer(query, boxes, memory, SIZES)[0]
    nothing_left, nothing_right = layer(query, boxes, torch.zeros_like(memory), SIZES)[0]
    assert not torch.allclose(left, nothing_left, atol=1e-3)
    torch.testing.assert_close(right, nothing_right)


def test_places_and_their_sines():
    import torch

    centres = pixel_centres((2, 4), torch.zeros(1))
    assert centres.tolist()[0] == [0.125, 0.25]
    assert centres.tolist()[-1] == [0.875, 0.75]
    positions = sine_positions(centres, 16)
    assert positions.shape == (8, 16)
    assert len(torch.unique(positions.round(decimals=4), dim=0)) == 8


@pytest.mark.parametrize("point", [(0.5, 0.5), (0.1, 0.9)])
def test_a_level_is_looked_at_in_its_own_pixels(point):
    """A point's first offsets are one and two pixels of each level, so further in coarse ones."""
    import torch

    layer = build_attention(width=8, heads=4, levels=2, points=1)
    offsets = layer.offsets.bias.view(4, 2, 1, 2)
    assert offsets.abs().amax(dim=-1).flatten().tolist() == pytest.approx([1.0] * 8)
    boxes = torch.tensor([[[*point, 0.0, 0.0]]])
    assert layer(torch.zeros(1, 1, 8), boxes, torch.randn(1, 47, 8), SIZES).isfinite().all()
