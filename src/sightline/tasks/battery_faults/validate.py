"""A look at how far a training is: some clips of videos that it does not learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.augment import plain_clip, shown
from sightline.tasks.battery_faults.examples import StoredClips
from sightline.tasks.battery_faults.losses import enlarge
from sightline.tasks.battery_faults.matching import Targets
from sightline.tasks.battery_faults.query import Answer
from sightline.vision.masks import boundary_counts, mean_of

if TYPE_CHECKING:
    import torch
    from torch.nn import Module


_VIDEOS = 32
_FRAMES = 4
"""Looked at of each video, evenly spread."""


def validate(stages: Module, videos: StoredClips, device: torch.device) -> dict[str, float]:
    """Figures of at most 32 videos; none where there are none.

    `auc`: how often a clip with a fault in its last frame has a higher score there than one without; `iou_coarse` and
    `iou_refined`: of the likeliest query's mask with the fault that it covers best, over frames that show one;
    `border_coarse` and `border_refined`: F1 of the borders within one pixel.
    """
    import torch

    scores: list[tuple[float, bool]] = []
    rows: list[tuple[float, ...]] = []
    for index in range(min(len(videos), _VIDEOS)):
        clip = videos[index]
        chosen = np.linspace(0, len(clip.kelvin) - 1, _FRAMES).round().astype(np.int64)
        frames, targets = shown(plain_clip(clip, chosen), device)
        with torch.inference_mode():
            answer, _ = stages.get_submodule("query")(frames)
            best = int(answer.last.logits[0, -1].argmax())
            scores.append((float(answer.last.logits[0, -1, best]), bool(targets.present[0, :, -1].any())))
            rows += _mask_rows(stages, answer, targets, best)
    figures = np.array(rows, dtype=np.float64).reshape(-1, 4)
    names = ("iou_coarse", "iou_refined", "border_coarse", "border_refined")
    found = {"auc": _auc(scores)} | {name: mean_of(figures[:, place]) for place, name in enumerate(names)}
    return {f"validation_{name}": value for name, value in found.items() if np.isfinite(value)}


def _mask_rows(stages: Module, answer: Answer, targets: Targets, best: int) -> list[tuple[float, ...]]:
    """IoU and F1 of the border, of each frame that shows a fault, without and with stage 2."""
    query: Any = stages.get_submodule("query")  # torch tells no types of a module's own methods
    refiner = stages.get_submodule("refiner")
    frames = targets.present[0].any(dim=0).nonzero()[:, 0]
    if not len(frames):
        return []
    last = answer.last
    coarse = enlarge(
        query.masks(answer.mask_features[0, frames], last.queries[0, frames, best], last.boxes[0, frames, best])
    )
    refined = refiner(answer.features.picked(frames), coarse).logits
    rows: list[tuple[float, ...]] = []
    for place, frame in enumerate(frames.tolist()):
        truths = [mask.cpu().numpy() for mask in targets.masks[0, :, frame] if mask.any()]
        masks = [(one[place] > 0).cpu().numpy() for one in (coarse, refined)]
        truth = max(truths, key=lambda one: _iou(one, masks[0]))
        rows.append((*(_iou(truth, mask) for mask in masks), *(_border(truth, mask) for mask in masks)))
    return rows


def _iou(truth: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
    return float((truth & mask).sum() / max((truth | mask).sum(), 1))


def _border(truth: NDArray[np.bool_], mask: NDArray[np.bool_]) -> float:
    hits_mask, of_mask, hits_truth, of_truth = boundary_counts(truth, mask, 1.0)
    precision, recall = hits_mask / max(of_mask, 1), hits_truth / max(of_truth, 1)
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _auc(scores: list[tuple[float, bool]]) -> float:
    """Mann and Whitney's; NaN where one of the two kinds is missing."""
    with_fault = np.array([score for score, fault in scores if fault])
    without = np.array([score for score, fault in scores if not fault])
    if not len(with_fault) or not len(without):
        return float("nan")
    above = with_fault[:, None] - without
    return float(((above > 0) + (above == 0) / 2).mean())
