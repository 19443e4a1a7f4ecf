"""The small network starts as the bicubic enlargement, and sees as far as it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.maps.upscaling.compact import bicubic_kernel, build_compact, reach_px


def enlarged(network, planes):
    with torch.inference_mode():
        return network(torch.from_numpy(planes[None]))[0].numpy()


def trained(features=6, depth=3):
    """A network whose corrections are not zero."""
    torch.manual_seed(5)
    network = build_compact(features, depth).eval()
    torch.nn.init.normal_(network.body[-1].weight, std=0.1)
    return network


def test_it_starts_as_the_bicubic_enlargement():
    planes = np.random.default_rng(0).random((3, 14, 11), dtype=np.float32)
    answer = enlarged(build_compact(8, 2), planes)
    assert answer.shape == (3, 56, 44)
    for channel, plane in zip(answer, planes, strict=True):
        picture = np.asarray(Image.fromarray(plane).resize((44, 56), Image.Resampling.BICUBIC))
        np.testing.assert_allclose(channel[8:-8, 8:-8], picture[8:-8, 8:-8], atol=1e-5)  # borders are told otherwise


def test_the_kernel_keeps_levels():
    np.testing.assert_allclose(bicubic_kernel().sum(axis=(1, 2, 3)), 1, atol=1e-6)


@pytest.mark.parametrize("depth", [0, 3])
def test_it_looks_as_far_as_it_says(depth):
    network, size, at = trained(depth=depth), 31, 15
    planes = np.random.default_rng(1).random((3, size, size), dtype=np.float32)
    changed = planes.copy()
    changed[:, at, at] += 0.5
    rows = np.flatnonzero(np.abs(enlarged(network, changed) - enlarged(network, planes)).max(axis=(0, 2)) > 1e-7)
    assert rows.min() // 4 >= at - reach_px(depth)
    assert rows.max() // 4 <= at + reach_px(depth)
    assert rows.max() // 4 - rows.min() // 4 > 2  # and it does look


def test_lower_precision_leaves_the_bicubic_part_alone():
    planes = np.random.default_rng(2).random((3, 9, 9), dtype=np.float32)
    network = build_compact(8, 2)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = network(torch.from_numpy(planes[None]))[0]
    assert mixed.dtype == torch.float32
    np.testing.assert_array_equal(mixed.numpy(), enlarged(network, planes))
