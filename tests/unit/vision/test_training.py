"""The training loop: it learns, it continues where it was killed, and its schedule is what params say."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.panel_defects.params import FarmParams
from sightline.vision.training import Fitting, share_of_rate
from tests.parameters import changed, params_of
from tests.toy import Silent

SCRATCH = params_of("solar_farms", FarmParams).train.networks["unet"].scratch
SCHEDULE = changed(SCRATCH, steps=12, batch=2, learning_rate=0.01, warmup_steps=2, report_every=4)


def test_the_rate_warms_up_and_falls_to_its_last_share():
    schedule = changed(SCRATCH, steps=100, batch=1, learning_rate=1.0, warmup_steps=10, min_lr_ratio=0.1)
    shares = [share_of_rate(step, schedule) for step in range(100)]
    assert shares[0] == pytest.approx(0.1)
    assert max(shares) == shares[9] == pytest.approx(1.0)
    assert shares[9:] == sorted(shares[9:], reverse=True)
    assert shares[-1] == pytest.approx(0.1, abs=0.01)


def test_a_shorter_schedule_is_the_same_in_fewer_steps():
    schedule = changed(SCRATCH, steps=100, warmup_steps=10, report_every=50)
    shorter = schedule.shortened(0.3)
    assert (shorter.steps, shorter.warmup_steps, shorter.report_every) == (30, 3, 30)
    assert share_of_rate(29, shorter) == pytest.approx(share_of_rate(99, schedule), abs=0.01)
    assert schedule.shortened(1.0) == schedule
    assert schedule.shortened(0.001).steps == 1


def batches(step):
    """Bright pixels are class 1."""
    inputs = np.random.default_rng([5, step]).random((2, 1, 8, 8), dtype=np.float32)
    return inputs, (inputs[:, 0] > 0.5).astype(np.int64)


class Killed(Exception):
    """The process is gone."""


class Network:
    """Makes the same small network each time."""

    def __new__(cls):
        import torch

        torch.manual_seed(0)

        class Tiny(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Sequential(
                    torch.nn.Conv2d(1, 8, 1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1)
                )

            def forward(self, image):
                return self.layer(image), image.mean(dim=(2, 3))

        return Tiny()


def run(work, progress, made=batches, schedule=SCHEDULE):
    import torch

    from sightline.vision.training import train_network

    work.mkdir(exist_ok=True)
    fitting = Fitting(made, torch.nn.functional.cross_entropy, lambda _: {"validated": 1.0})
    return train_network(Network(), fitting, schedule, work, progress)


@pytest.mark.slow
def test_the_loss_falls_and_is_reported(tmp_path):
    progress = Silent()
    run(tmp_path, progress, schedule=SCHEDULE.model_copy(update={"steps": 80, "report_every": 20}))
    steps = [step for step, _ in progress.seen]
    losses = [values["loss"] for _, values in progress.seen]
    assert steps == [20, 40, 60, 80]
    assert losses[-1] < losses[0] / 2
    assert all(values["validated"] == 1.0 for _, values in progress.seen)


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [0, 5, 8, 11])
def test_a_killed_training_ends_with_the_same_bits(tmp_path, killed_at):
    import torch

    whole = run(tmp_path / "whole", Silent())

    def dying(step):
        if step == killed_at:
            raise Killed
        return batches(step)

    with pytest.raises(Killed):
        run(tmp_path / "killed", Silent(), dying)
    seen = []

    def watched(step):
        seen.append(step)
        return batches(step)

    resumed = run(tmp_path / "killed", Silent(), watched)
    assert seen[0] == killed_at // 4 * 4
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.slow
def test_a_checkpoint_that_was_changed_is_not_read(tmp_path):
    run(tmp_path, Silent())
    (kept,) = (tmp_path / "checkpoint").iterdir()
    kept.write_bytes(b"not what was written")
    progress = Silent()
    run(tmp_path, progress)
    assert progress.seen[0][0] == 4
