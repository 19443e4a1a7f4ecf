"""Training of the two learned stages on clips: resumable, on the CPU or a graphics card.

Stage 2 is trained beside stage 1, on its coarse masks, from `refine_from` of the steps on; nothing that it learns
changes stage 1, so that masks with and without stage 2 can be compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.task import Progress
from sightline.tasks.battery_faults.augment import Clips, Drawn, shown
from sightline.tasks.battery_faults.examples import StoredClips
from sightline.tasks.battery_faults.losses import enlarge, stage_one_losses
from sightline.tasks.battery_faults.matching import Matched, Targets
from sightline.tasks.battery_faults.params import LearnedParams, LearningParams
from sightline.tasks.battery_faults.quadtree import stage_two_losses
from sightline.tasks.battery_faults.query import Answer
from sightline.tasks.battery_faults.stages import build_stages, put_weights
from sightline.tasks.battery_faults.validate import validate
from sightline.vision.checkpoints import Checkpoints
from sightline.vision.hardware import SHORT_SPIN
from sightline.vision.training import State, choose_device, choose_precision, share_of_rate

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module
    from torch.optim import AdamW


_AHEAD = 4
"""Batches that are made beside the network's work."""


@dataclass(frozen=True)
class Learner:
    """A training under way.

    Attributes:
        stages: both, on the device.
        average: moving average of their weights.
        optimiser: of both.
        device: where they are.
        mixed: whether layers compute in bfloat16.
    """

    stages: Module
    average: State
    optimiser: AdamW
    device: torch.device
    mixed: bool


def train_stages(
    videos: StoredClips,
    held_out: StoredClips,
    params: LearnedParams,
    seed: int,
    work: Path,
    progress: Progress,
    start: bytes | None = None,
) -> bytes:
    """Train both stages to the end of the schedule, from the newest checkpoint in `work` where there is one.

    Args:
        videos: to learn from.
        held_out: looked at on the way; nothing is chosen by them.
        params: of the networks and their training.
        seed: of weights and clips.
        work: folder of the checkpoints.
        progress: told of each step, of losses and figures on `held_out`.
        start: weights of an earlier training to begin with, as safetensors; None: drawn at random.

    Returns:
        The moving average of the weights, as safetensors. On the CPU, killed and called again, the same bits as
        without the kill.

    Raises:
        ModelRejected: the weights to begin with are of other networks.
    """
    os.environ.setdefault(*SHORT_SPIN)
    from safetensors.torch import save

    work.mkdir(parents=True, exist_ok=True)
    schedule = params.learning
    learner = _begin(params, seed, start)
    checkpoints = Checkpoints(work)
    done = _resume(checkpoints, learner)
    clips = Clips(videos, params.augment, schedule.batch, schedule.frames, seed)
    totals: dict[str, float] = {}
    for step, drawn in _prepared(clips, done, schedule.steps):
        losses = _step(learner, drawn, params, step)
        totals = {name: totals.get(name, 0.0) + value for name, value in losses.items()}
        progress.advance(step + 1, schedule.steps, f"step {step + 1}/{schedule.steps}")
        if (step + 1) % schedule.report_every == 0 or step + 1 == schedule.steps:
            count = step % schedule.report_every + 1
            figures = {f"loss_{name}": value / count for name, value in totals.items()}
            progress.metrics(step + 1, {**figures, **_validated(learner, held_out)})
            totals = {}
            _keep(checkpoints, work, learner, step + 1)
    return save({name: value.detach().cpu().contiguous().clone() for name, value in learner.average.items()})


def _begin(params: LearnedParams, seed: int, start: bytes | None) -> Learner:
    import torch

    torch.manual_seed(seed)
    device = choose_device()
    stages = build_stages(params.network, params.refine)
    if start is not None:
        put_weights(stages, start)
    stages.to(device).train()
    schedule = params.learning
    slow = [value for name, value in stages.named_parameters() if "backbone" in name]
    fast = [value for name, value in stages.named_parameters() if "backbone" not in name]
    groups = [
        {"params": slow, "highest": schedule.backbone_learning_rate},
        {"params": fast, "highest": schedule.learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True)
    average = {name: value.detach().clone() for name, value in stages.state_dict().items()}
    return Learner(stages, average, optimiser, device, choose_precision(schedule.precision, device) == "bfloat16")


def _prepared(clips: Callable[[int], Drawn], first: int, steps: int) -> Iterator[tuple[int, Drawn]]:
    """Each step's batch; the next ones are made while the network works on this one."""
    with ThreadPoolExecutor(_AHEAD, thread_name_prefix="clips") as makers:
        coming = [makers.submit(clips, step) for step in range(first, min(first + _AHEAD, steps))]
        for step in range(first, steps):
            ready = coming.pop(0).result()
            if step + _AHEAD < steps:
                coming.append(makers.submit(clips, step + _AHEAD))
            yield step, ready


def _step(learner: Learner, drawn: Drawn, params: LearnedParams, step: int) -> dict[str, float]:
    """One step of the optimiser; returns the parts of the loss."""
    import torch

    schedule = params.learning
    for group in learner.optimiser.param_groups:
        group["lr"] = group["highest"] * share_of_rate(step, schedule)
    frames, targets = shown(drawn, learner.device)
    refine = step >= schedule.refine_from * schedule.steps
    with torch.autocast(learner.device.type, dtype=torch.bfloat16, enabled=learner.mixed):
        parts = stage_losses(learner.stages, frames, targets, params, refine)
    total = torch.stack(list(parts.values())).sum()
    learner.optimiser.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    _clip(learner.stages, schedule)
    learner.optimiser.step()
    _update_average(learner.average, learner.stages, min(schedule.ema_decay, (1 + step) / (10 + step)))
    told = torch.stack([total, *parts.values()]).detach().cpu().tolist()
    return dict(zip(("total", *parts), told, strict=True))


def stage_losses(
    stages: Module, frames: Tensor, targets: Targets, params: LearnedParams, refine: bool
) -> dict[str, Tensor]:
    """The weighted parts of the loss of both stages; of stage 1 alone where `refine` is false."""
    query: Any = stages.get_submodule("query")  # torch tells no types of a module's own methods
    answer, _ = query(frames)
    parts, matched = stage_one_losses(query, answer, targets, params.loss)
    pairs = _pairs(targets, matched)
    if refine and len(pairs[0]):
        fine = _refinement(stages, answer, targets, pairs)
        parts |= {name: getattr(params.loss, name) * value for name, value in fine.items()}
    return parts


Pairs = tuple["Tensor", "Tensor", "Tensor", "Tensor"]


def _pairs(targets: Targets, matched: Matched) -> Pairs:
    """Clip, frame, query and fault of each mask that the last layer is to tell."""
    rows, frames = targets.present[matched.clip, matched.fault].nonzero(as_tuple=True)
    return matched.clip[rows], frames, matched.query[rows], matched.fault[rows]


def _refinement(stages: Module, answer: Answer, targets: Targets, pairs: Pairs) -> dict[str, Tensor]:
    """Losses of stage 2 on the coarse masks of stage 1, through which nothing is learnt."""
    import torch

    query: Any = stages.get_submodule("query")  # torch tells no types of a module's own methods
    refiner = stages.get_submodule("refiner")
    clips, frames, queries, faults = pairs
    last, length = answer.last, targets.present.shape[2]
    with torch.no_grad():
        told, boxes = last.queries[clips, frames, queries], last.boxes[clips, frames, queries]
        coarse = enlarge(query.masks(answer.mask_features[clips, frames], told, boxes).float())
    truth = targets.masks[clips, faults, frames]
    refined = refiner(answer.features.detached().picked(clips * length + frames), coarse, truth)
    return stage_two_losses(refined, coarse, truth)


def _clip(stages: Module, schedule: LearningParams) -> None:
    """Each stage by itself: the steps of one are not to depend on the other's."""
    import torch

    for stage in stages.children():
        torch.nn.utils.clip_grad_norm_(stage.parameters(), schedule.clip_norm)


def _update_average(average: State, stages: Module, decay: float) -> None:
    import torch

    now = stages.state_dict()
    floats = [name for name, value in average.items() if value.dtype.is_floating_point]
    torch._foreach_lerp_([average[name] for name in floats], [now[name].detach() for name in floats], 1 - decay)
    for name in average.keys() - set(floats):
        average[name].copy_(now[name])


def _validated(learner: Learner, held_out: StoredClips) -> dict[str, float]:
    """Figures of the averaged weights; the training goes on with its own."""
    own = {name: value.detach().clone() for name, value in learner.stages.state_dict().items()}
    learner.stages.load_state_dict(learner.average)
    learner.stages.eval()
    try:
        return validate(learner.stages, held_out, learner.device)
    finally:
        learner.stages.load_state_dict(own)
        learner.stages.train()


def _keep(checkpoints: Checkpoints, work: Path, learner: Learner, done: int) -> None:
    import torch

    states = {
        "stages": learner.stages.state_dict(),
        "average": learner.average,
        "optimiser": learner.optimiser.state_dict(),
    }
    torch.save({**states, "done": done}, work / "last.pt")
    checkpoints.keep(work / "last.pt")


def _resume(checkpoints: Checkpoints, learner: Learner) -> int:
    """How many steps were done; the states are put in place."""
    import torch

    newest = checkpoints.newest()
    if newest is None:
        return 0
    found = torch.load(newest, map_location="cpu", weights_only=True)
    learner.stages.load_state_dict(found["stages"])
    learner.optimiser.load_state_dict(found["optimiser"])
    for name, value in learner.average.items():
        value.copy_(found["average"][name])
    return int(found["done"])
