"""Both stages learn a tiny set, go on after a kill, and answer from their weights."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.errors import ModelRejected
from sightline.tasks.battery_faults.augment import Clips, plain_clip, shown
from sightline.tasks.battery_faults.examples import MARGIN, SPAN_K, look_at, put_back, widen
from sightline.tasks.battery_faults.params import LearnedParams
from sightline.tasks.battery_faults.stages import Follower, build_stages, distinct, load_stages
from sightline.tasks.battery_faults.train import stage_losses, train_stages
from tests.contract.subjects import Silent
from tests.parameters import changed
from tests.unit.tasks.battery_faults.packs import SIZE, TINY, look, stored

LEARNING = {
    "steps": 40,
    "batch": 2,
    "report_every": 5,
    "learning_rate": 0.003,
    "backbone_learning_rate": 0.003,
    "warmup_steps": 5,
}


class Listening(Silent):
    """Keeps the figures that it is told."""

    def __init__(self):
        super().__init__()
        self.told = {}

    def metrics(self, step, values):
        self.told[step] = dict(values)


class Killed(Exception):
    """Stands for the end of a process."""


class Killing(Silent):
    """Ends a training just after its first checkpoint."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def advance(self, done, total, what):
        if what.startswith("step") and done > self.step:
            raise Killed


# ------------------------------------------------------------------------------------------------------- examples


def test_a_network_is_shown_the_pack_in_kelvin_over_its_median():
    one = look(2, rise_k=5.0)
    channels, box = look_at(one.thermal, one.pack)
    assert channels.shape == (3, *SIZE)
    assert box == widen(one.pack, MARGIN) == (13, 14, 327, 126)
    middle = channels[0, 40:60]
    assert middle[:, 30:150] == pytest.approx(0, abs=1e-6)
    assert middle[:, 175:230] == pytest.approx(5 / SPAN_K, abs=1e-6)
    assert set(np.unique(channels[2])) == {0.0, 1.0}
    assert not channels[2, :4].any()
    assert (channels[0][channels[2] == 0] == 0).all()


def test_a_pack_at_the_frames_edge_is_shown_with_nothing_beside_it():
    one = look(0)
    channels, box = look_at(one.thermal, (-40, 20, 240, 120))
    assert box[0] < 0
    assert not channels[2, :, :30].any()
    assert channels[2, 40:60, 100:].all()
    nothing, _ = look_at(one.thermal, (900, 20, 1000, 120))
    assert not nothing.any()


def test_what_is_told_of_a_cut_goes_back_to_its_place():
    one = look(1)
    channels, box = look_at(one.thermal, one.pack)
    told = put_back((channels[0] > 0.4).astype(np.float32), box, one.thermal.size) >= 0.5
    truth = one.masks[0]
    assert (told & truth).sum() / (told | truth).sum() > 0.97


def test_stored_clips_are_shown_as_frames_are_when_they_are_answered(tmp_path):
    import torch

    videos = stored(tmp_path / "set", faults=(0, None))
    frames, targets = shown(plain_clip(videos[0], np.arange(2)), torch.device("cpu"))
    one = look(0)
    direct, _ = look_at(one.thermal, one.pack)
    assert np.abs(frames[0, 0].numpy() - direct).mean() < 0.02  # resampled twice: borders differ
    assert targets.present.tolist() == [[[True, True], [False, False]]]
    box = targets.boxes[0, 0, 0].numpy() * [272 / 268, 1, 272 / 268, 1]
    assert box == pytest.approx([(30 + 93 / 2 - 13) / 314, 0.5, 93 / 314, 100 / 112], abs=0.02)
    assert not shown(plain_clip(videos[1], np.arange(2)), torch.device("cpu"))[1].seen.any()


def test_no_temperature_is_changed_by_what_is_done_to_clips(tmp_path):
    import torch

    videos = stored(tmp_path / "set", faults=(1,))
    params = changed(TINY.augment, flip=True, scale=(0.8, 1.3), shift=0.1)
    for step in range(4):
        frames, _ = shown(Clips(videos, params, 2, 2, seed=0)(step), torch.device("cpu"))
        kelvin, valid = frames[:, :, 0].numpy(), frames[:, :, 2].numpy() > 0
        levels = np.minimum(np.abs(kelvin[valid]), np.abs(kelvin[valid] - 0.8))
        assert (levels > 0.01).mean() < 0.05  # only where two pixels of different temperature meet
        assert (kelvin[~valid] == 0).all()


def test_the_same_step_gives_the_same_batch_and_another_another(tmp_path):
    videos = stored(tmp_path / "set")
    clips = Clips(videos, TINY.augment, 3, 2, seed=5)
    assert (clips(7).affine == clips(7).affine).all()
    assert (clips(7).affine != clips(8).affine).any()


def test_what_is_hidden_is_not_to_be_told(tmp_path):
    import torch

    videos = stored(tmp_path / "set", faults=(1,))
    params = changed(TINY.augment, occluded=1.0)
    hidden = shown(Clips(videos, params, 8, 2, seed=0)(0), torch.device("cpu"))[1].masks.sum()
    free = shown(Clips(videos, TINY.augment, 8, 2, seed=0)(0), torch.device("cpu"))[1].masks.sum()
    assert hidden < 0.97 * free


# ------------------------------------------------------------------------------------------------------- training


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Weights after some 40 steps on four videos, and what was told on the way."""
    folder = tmp_path_factory.mktemp("trained")
    videos = stored(folder / "set")
    progress = Listening()
    params = changed(TINY, learning=LEARNING)
    weights = train_stages(videos, videos, params, 0, folder / "work", progress)
    return weights, progress.told


@pytest.mark.slow
def test_a_tiny_set_is_learnt(trained):
    _, told = trained
    assert told[40]["loss_total"] < 0.5 * told[5]["loss_total"]
    assert told[40]["loss_fault"] < 0.5 * told[5]["loss_fault"]
    assert told[40]["loss_box"] < 0.6 * told[5]["loss_box"]


def test_killed_and_called_again_it_gives_the_same_bits(tmp_path):
    videos = stored(tmp_path / "set", faults=(0, None), length=3)
    whole = train_stages(videos, videos, TINY, 3, tmp_path / "whole", Silent())
    with pytest.raises(Killed):
        train_stages(videos, videos, TINY, 3, tmp_path / "killed", Killing(2))
    assert train_stages(videos, videos, TINY, 3, tmp_path / "killed", Silent()) == whole


def test_an_earlier_training_is_gone_on_from(tmp_path):
    from safetensors.torch import load

    videos = stored(tmp_path / "set", faults=(0, None), length=3)
    start = weights_of(seed=5)
    still = changed(TINY, continued={"steps": 1, "learning_rate": 1e-9, "backbone_learning_rate": 1e-9})
    went_on = load(train_stages(videos, videos, still.continued_from, 0, tmp_path / "work", Silent(), start))
    for name, value in load(start).items():
        if "running" not in name and "batches" not in name:
            assert (went_on[name] - value).abs().max() < 1e-6, name


def test_stage_two_teaches_stage_one_nothing(tmp_path):
    """Masks with and without it are of the same stage 1."""
    import torch

    videos = stored(tmp_path / "set", faults=(0, 1), length=3)
    frames, targets = shown(Clips(videos, TINY.augment, 2, 2, seed=0)(0), torch.device("cpu"))
    gradients = []
    for refine in (False, True):
        torch.manual_seed(0)
        stages = build_stages(TINY.network, TINY.refine)
        parts = stage_losses(stages, frames, targets, TINY, refine)
        assert ("nodes" in parts) is refine
        sum(parts.values()).backward()
        gradients.append([one.grad for one in stages.get_submodule("query").parameters() if one.grad is not None])
        taught = [one.grad is not None for one in stages.get_submodule("refiner").parameters()]
        assert all(taught) if refine else not any(taught)
    assert len(gradients[0]) == len(list(stages.get_submodule("query").parameters()))
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)


# -------------------------------------------------------------------------------------------------------- answers


def weights_of(seed=0):
    import torch
    from safetensors.torch import save

    torch.manual_seed(seed)
    return save(build_stages(TINY.network, TINY.refine).state_dict())


def test_a_follower_tells_faults_with_masks_of_the_frames_size():
    follower = Follower(load_stages(TINY.network, TINY.refine, weights_of()), floor=0.0, most=2)
    one = look(1)
    frame, _ = look_at(one.thermal, one.pack)
    seen = follower.push(frame)
    assert 1 <= len(seen) <= 2
    assert seen[0].mask.shape == seen[0].coarse.shape == SIZE
    assert seen[0].score == pytest.approx(follower.scores.max())
    assert ((seen[0].mask >= 0) & (seen[0].mask <= 1)).all()
    plain = Follower(load_stages(TINY.network, TINY.refine, weights_of()), floor=0.0, most=2, refined=False).push(frame)
    assert (plain[0].mask == plain[0].coarse).all()
    assert (plain[0].coarse == seen[0].coarse).all()


def test_a_follower_remembers_until_it_is_told_to_forget():
    follower = Follower(load_stages(TINY.network, TINY.refine, weights_of()), floor=1.1, most=2)
    first, second = (look_at(one.thermal, one.pack)[0] for one in (look(0), look(2)))
    assert follower.push(first) == []  # nothing is that likely: healthy
    alone = follower.scores
    follower.push(second)
    after = follower.scores
    follower.forget()
    follower.push(second)
    assert np.abs(follower.scores - after).max() > 1e-7
    follower.forget()
    follower.push(first)
    assert (follower.scores == alone).all()


def test_queries_that_tell_the_same_fault_are_one():
    boxes = np.array([[0.2, 0.5, 0.3, 0.9], [0.21, 0.5, 0.3, 0.9], [0.8, 0.5, 0.3, 0.9]], np.float32)
    assert distinct(np.array([0.5, 0.6, 0.3], np.float32), boxes, 0.1, 5) == [1, 2]
    assert distinct(np.array([0.5, 0.6, 0.3], np.float32), boxes, 0.4, 5) == [1]
    assert distinct(np.array([0.5, 0.6, 0.3], np.float32), boxes, 0.1, 1) == [1]


@pytest.mark.parametrize("wrong", ["bytes", "network"])
def test_weights_of_something_else_are_refused(wrong):
    network = TINY.network if wrong == "bytes" else changed(TINY.network, width=64)
    with pytest.raises(ModelRejected, match="weights"):
        load_stages(network, TINY.refine, b"none" if wrong == "bytes" else weights_of())


# ------------------------------------------------------------------------------------------------------ full size

FULL = LearnedParams.model_validate(
    {
        **TINY.model_dump(),
        "network": {
            **{"backbone": "resnet50", "backbone_width": 64, "width": 256, "heads": 8, "points": 4},
            **{"feedforward": 1024, "encoder_layers": 6, "decoder_layers": 6, "queries": 300, "window": 5},
        },
        "refine": {
            **{"width": 256, "heads": 8, "layers": 3, "feedforward": 1024},
            **{"most_roots": 300, "most_splits": 600},
        },
    }
)


@pytest.mark.slow
def test_the_full_size_has_its_shapes_and_takes_a_step(tmp_path):
    import torch

    torch.manual_seed(0)
    stages = build_stages(FULL.network, FULL.refine)
    videos = stored(tmp_path / "set", faults=(0,), length=3)
    frames, targets = shown(Clips(videos, FULL.augment, 1, 2, seed=0)(0), torch.device("cpu"))
    answer, memory = stages.get_submodule("query")(frames)
    assert len(answer.layers) == 6
    assert answer.last.logits.shape == (1, 2, 300)
    assert answer.last.boxes.shape == (1, 2, 300, 4)
    assert answer.mask_features.shape == (1, 2, 8, 13, 34)
    assert memory.boxes[0].shape == (1, 2, 300, 256)
    optimiser = torch.optim.AdamW(stages.parameters(), lr=1e-4)
    before = [one.detach().clone() for one in stages.parameters()]
    parts = stage_losses(stages, frames, targets, FULL, refine=True)
    sum(parts.values()).backward()
    optimiser.step()
    assert all(bool(one.isfinite().all()) for one in stages.parameters())
    moved = [bool((old != new).any()) for old, new in zip(before, stages.parameters(), strict=True)]
    assert sum(moved) > 0.9 * len(moved)  # the boxes' layers wait for their last one, which begins at zero
