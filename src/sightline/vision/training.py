"""The training loop of segmentation networks: a number of steps, resumable, its batches prepared beside it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.task import Progress
from sightline.vision.checkpoints import Checkpoints
from sightline.vision.hardware import SHORT_SPIN, wires_bfloat16

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import Optimizer


State: TypeAlias = "dict[str, Tensor]"
"""Parameter name -> tensor, on the CPU."""


class ScheduleParams(Frozen):
    """One schedule of the optimiser (AdamW; a linear warm-up, then half a cosine down to `min_lr_ratio`)."""

    steps: int = Field(ge=1, description="of the optimiser")
    batch: int = Field(ge=1, description="inputs a step")
    learning_rate: float = Field(gt=0, description="the highest, after the warm-up")
    weight_decay: float = Field(ge=0, description="of AdamW")
    warmup_steps: int = Field(ge=0, description="while the learning rate rises")
    min_lr_ratio: float = Field(gt=0, le=1, description="of the learning rate, at the end")
    ema_decay: float = Field(ge=0, lt=1, description="decay a step of the moving average of the weights")
    report_every: int = Field(ge=1, description="steps between two reports, each with a checkpoint")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        description="of the network's arithmetic; auto: bfloat16 where the processor has it"
    )

    def shortened(self, share: float) -> Self:
        """The same for a share of the steps, with as much of a warm-up in proportion; itself where that is all."""
        if share == 1:
            return self
        steps = max(round(self.steps * share), 1)
        fewer = {"steps": steps, "warmup_steps": round(self.warmup_steps * share)}
        return self.model_copy(update={**fewer, "report_every": min(self.report_every, steps)})


class Batches(Protocol):
    """Where inputs come from. The same number gives the same batch, so a resumed training sees what it would have."""

    def __call__(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.generic]]:
        """Inputs (n, bands, h, w) and their truth, as the loss wants it."""
        ...


@dataclass(frozen=True)
class Fitting:
    """What one training needs besides its network.

    Attributes:
        batches: see `Batches`.
        loss: of logits and truth.
        validate: figures of the averaged network, asked for at each report.
    """

    batches: Batches
    loss: Callable[[Tensor, Tensor], Tensor]
    validate: Callable[[Module], Mapping[str, float]]


def train_network(network: Module, fitting: Fitting, schedule: ScheduleParams, work: Path, progress: Progress) -> State:
    """Train to the end of the schedule, from the newest checkpoint in `work` where there is one.

    Returns:
        The moving average of the weights. Killed and called again, it gives the same bits as without the kill.
    """
    os.environ.setdefault(*SHORT_SPIN)
    import torch

    device = choose_device()
    mixed = choose_precision(schedule.precision, device) == "bfloat16"
    network.to(device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    checkpoints = Checkpoints(work)
    done = _resume(checkpoints, network, optimiser, average)
    total = 0.0
    for step, (inputs, truth) in _prepared(fitting.batches, done, schedule.steps):
        for group in optimiser.param_groups:
            group["lr"] = schedule.learning_rate * share_of_rate(step, schedule)
        total += _step(network, optimiser, fitting.loss, (inputs, truth), mixed, device)
        _update_average(average, network.state_dict(), min(schedule.ema_decay, (1 + step) / (10 + step)))
        if (step + 1) % schedule.report_every == 0 or step + 1 == schedule.steps:
            count = step % schedule.report_every + 1
            figures = {"loss": total / count, **_validated(network, average, fitting.validate)}
            total = 0.0
            progress.advance(step + 1, schedule.steps, f"step {step + 1}/{schedule.steps}")
            progress.metrics(step + 1, figures)
            _keep(checkpoints, work, (network.state_dict(), optimiser.state_dict(), average), step + 1)
    return {name: value.detach().float().cpu().contiguous().clone() for name, value in average.items()}


def choose_device() -> torch.device:
    """CUDA, else Apple's GPU, else the CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def choose_precision(given: str, device: torch.device) -> str:
    """What `auto` stands for on this machine."""
    if given != "auto":
        return given
    return "bfloat16" if wires_bfloat16(device) else "float32"


def share_of_rate(step: int, schedule: ScheduleParams) -> float:
    """Share of the learning rate at a step, counted from 0."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    along = (step - schedule.warmup_steps) / max(schedule.steps - schedule.warmup_steps, 1)
    return schedule.min_lr_ratio + (1 - schedule.min_lr_ratio) * (1 + float(np.cos(np.pi * along))) / 2


def _prepared(
    batches: Batches, first: int, steps: int
) -> Iterator[tuple[int, tuple[NDArray[np.generic], NDArray[np.generic]]]]:
    """Each step's batch; the next one is made while the network works on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as maker:
        coming = maker.submit(batches, first) if first < steps else None
        for step in range(first, steps):
            assert coming is not None
            ready = coming.result()
            coming = maker.submit(batches, step + 1) if step + 1 < steps else None
            yield step, ready


def _step(
    network: Module,
    optimiser: Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[NDArray[np.generic], NDArray[np.generic]],
    mixed: bool,
    device: torch.device,
) -> float:
    import torch

    inputs, truth = (torch.from_numpy(part).to(device) for part in batch)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
        logits, _ = network(inputs)
    value = loss(logits.float(), truth)
    optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(value)
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)  # a batch without a rare class can give a steep step
    optimiser.step()
    return float(value.detach())


def _update_average(average: State, now: Mapping[str, Tensor], decay: float) -> None:
    import torch

    for name, value in average.items():
        if value.dtype.is_floating_point:
            value.lerp_(now[name].detach(), 1 - decay)
        else:
            torch.Tensor.copy_(value, now[name])


def _validated(
    network: Module, average: State, validate: Callable[[Module], Mapping[str, float]]
) -> Mapping[str, float]:
    """Figures of the averaged weights; the network goes on with its own."""
    own = {name: value.detach().clone() for name, value in network.state_dict().items()}
    network.load_state_dict(average)
    network.eval()
    try:
        return validate(network)
    finally:
        network.load_state_dict(own)
        network.train()


def _keep(checkpoints: Checkpoints, work: Path, states: tuple[State, dict[str, object], State], done: int) -> None:
    import torch

    path = work / "last.pt"
    torch.save(dict(zip(("network", "optimiser", "average"), states, strict=True)) | {"done": done}, path)
    checkpoints.keep(path)


def _resume(checkpoints: Checkpoints, network: Module, optimiser: Optimizer, average: State) -> int:
    """How many steps were done; the states are put in place."""
    import torch

    newest = checkpoints.newest()
    if newest is None:
        return 0
    found = torch.load(newest, map_location="cpu", weights_only=True)
    network.load_state_dict(found["network"])
    optimiser.load_state_dict(found["optimiser"])
    for name, value in average.items():
        value.copy_(found["average"][name])
    return int(found["done"])
