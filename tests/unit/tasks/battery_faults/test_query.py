"""Stage 1 answers a video frame by frame as it answers the clip."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.battery_faults.examples import look_at
from sightline.tasks.battery_faults.query import average_past, build_query_network, dynamic_masks
from tests.unit.tasks.battery_faults.packs import TINY, look


@pytest.fixture(scope="module")
def network():
    import torch

    torch.manual_seed(0)
    return build_query_network(TINY.network).eval()


@pytest.fixture(scope="module")
def frames():
    """Seven frames: more than the window."""
    import torch

    shown = [look_at(one.thermal, one.pack)[0] for one in (look(step % 3, step) for step in range(7))]
    return torch.from_numpy(np.stack(shown))[None]


@pytest.mark.parametrize("lengths", [[1] * 7, [3, 4], [6, 1]])
def test_frames_one_at_a_time_are_answered_as_the_clip(network, frames, lengths):
    import torch

    with torch.inference_mode():
        whole, _ = network(frames)
        memory, parts = None, []
        for part in frames.split(lengths, dim=1):
            answer, memory = network(part, memory)
            parts.append(answer)
    assert len(memory.boxes) == TINY.network.decoder_layers
    assert {one.shape[1] for one in memory.boxes} == {TINY.network.window - 1}
    for name in ("logits", "boxes", "queries"):
        together = torch.cat([getattr(part.last, name) for part in parts], dim=1)
        torch.testing.assert_close(together, getattr(whole.last, name), atol=1e-4, rtol=1e-4)
    masks = torch.cat([part.mask_features for part in parts], dim=1)
    torch.testing.assert_close(masks, whole.mask_features, atol=1e-4, rtol=1e-4)


def test_an_answer_knows_its_past_and_not_its_future(network, frames):
    import torch

    other = frames.clone()
    other[:, 5] = 0
    with torch.inference_mode():
        before, after = network(frames)[0].last.logits, network(other)[0].last.logits
    torch.testing.assert_close(before[:, :5], after[:, :5])
    assert not torch.allclose(before[:, 6], after[:, 6], atol=1e-5)


def test_the_average_over_the_past_is_the_softmax_over_the_window():
    import torch

    values = torch.arange(4.0).view(1, 4, 1, 1)
    average, (kept, scores) = average_past(values, torch.zeros(1, 4, 1), None, window=3)
    assert average.flatten().tolist() == pytest.approx([0, 0.5, 1, 2])
    assert kept.flatten().tolist() == [2, 3]
    assert scores.shape == (1, 2, 1)
    heavy = torch.tensor([0.0, 20.0]).view(1, 2, 1)
    weighted, _ = average_past(values[:, :2] + 5, heavy, None, window=5)
    assert weighted.flatten().tolist() == pytest.approx([5, 6], abs=1e-4)


def test_a_dynamic_mask_is_what_its_three_convolutions_say():
    """The first passes on where a pixel lies across the box, the rest tell whether that is within it."""
    import torch

    first = torch.zeros(8, 10)
    first[0, 8], first[1, 8] = 1, -1  # right of the centre, left of it: in halves of the box
    second = torch.zeros(8, 8)
    second[0, 0] = second[0, 1] = 1
    third = torch.zeros(1, 8)
    third[0, 0] = -1
    biases = torch.zeros(8), torch.zeros(8), torch.ones(1)
    told = torch.cat([part.flatten() for pair in zip((first, second, third), biases, strict=True) for part in pair])
    boxes = torch.tensor([[0.5, 0.5, 0.5, 0.1], [0.25, 0.5, 0.5, 0.1]])
    masks = dynamic_masks(torch.zeros(2, 8, 3, 8), told.expand(2, -1), boxes)
    assert (masks[0, 1] > 0).tolist() == [False] * 2 + [True] * 4 + [False] * 2
    assert (masks[1, 1] > 0).tolist() == [True] * 4 + [False] * 4
