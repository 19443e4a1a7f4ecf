"""Which query is to tell which fault of a clip: the cheapest assignment (Kuhn, 1955, as DETR uses it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline.tasks.battery_faults.params import LossParams
from sightline.tasks.battery_faults.query import Layer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """The faults of n clips of t frames, filled up to k a clip.

    Attributes:
        masks: (n, k, t, h, w) bool, visible pixels of the faulty cells, filled up as the frames.
        boxes: (n, k, t, 4) float32, around the masks: centre and size as shares of width and height.
        present: (n, k, t) bool, where a mask has any pixel.
    """

    masks: Tensor
    boxes: Tensor
    present: Tensor

    @property
    def seen(self) -> Tensor:
        """(n, k) whether the fault shows in any frame; rows that only fill up do not."""
        return self.present.any(dim=2)


@dataclass(frozen=True)
class Matched:
    """Pairs of a query and a fault: (m,) indices of the clip, the query and the fault."""

    clip: Tensor
    query: Tensor
    fault: Tensor


def boxes_of(masks: Tensor) -> Tensor:
    """Boxes around masks (..., h, w): (..., 4) centre and size as shares; zeros where a mask is empty."""
    import torch

    edges = []
    for along, side in ((-2, masks.shape[-1]), (-1, masks.shape[-2])):  # x, then y
        hit = masks.any(dim=along)
        numbers = torch.arange(side, device=masks.device)
        first = torch.where(hit, numbers, side).amin(dim=-1)
        beyond = torch.where(hit, numbers + 1, 0).amax(dim=-1)
        edges.append((first / side, beyond / side))
    (x0, x1), (y0, y1) = edges
    boxes = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=-1)
    return torch.where(masks.any(dim=(-1, -2))[..., None], boxes, 0.0).float()


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al., 2019) of boxes (..., 4) that are broadcast against each other: (...)."""
    import torch

    low_first, high_first = first[..., :2] - first[..., 2:] / 2, first[..., :2] + first[..., 2:] / 2
    low_second, high_second = second[..., :2] - second[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2
    shared = (torch.minimum(high_first, high_second) - torch.maximum(low_first, low_second)).clamp(min=0).prod(dim=-1)
    union = first[..., 2:].prod(dim=-1) + second[..., 2:].prod(dim=-1) - shared
    hull = (torch.maximum(high_first, high_second) - torch.minimum(low_first, low_second)).prod(dim=-1)
    return shared / union.clamp(min=1e-9) - (hull - union) / hull.clamp(min=1e-9)


def costs(layer: Layer, targets: Targets, params: LossParams) -> Tensor:
    """What each query would cost as each fault, the mean over the frames in which the fault shows: (n, q, k)."""
    import torch

    logits, boxes = layer.logits.detach().float(), layer.boxes.detach().float()
    probability = logits.sigmoid()
    fault = 0.25 * (1 - probability) ** 2 * -torch.nn.functional.logsigmoid(logits)
    none = 0.75 * probability**2 * -torch.nn.functional.logsigmoid(-logits)
    wanted = targets.boxes.transpose(1, 2)[:, :, None]  # (n, t, 1, k, 4)
    offered = boxes[:, :, :, None]  # (n, t, q, 1, 4)
    each = (
        params.fault * (fault - none)[..., None]
        + params.box * (offered - wanted).abs().sum(dim=-1)
        - params.giou * giou(offered, wanted)
    )
    share = targets.present.transpose(1, 2).float()
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1)
    return (each * share[:, :, None]).sum(dim=1)


def match(layer: Layer, targets: Targets, params: LossParams) -> Matched:
    """The cheapest assignment of a query to each fault that shows, in each clip by itself."""
    import torch
    from scipy.optimize import linear_sum_assignment

    cost, seen = costs(layer, targets, params).cpu().numpy(), targets.seen.cpu().numpy()
    found: list[tuple[int, int, int]] = []
    for clip in range(len(cost)):
        faults = seen[clip].nonzero()[0]
        queries, columns = linear_sum_assignment(cost[clip][:, faults])
        found += [(clip, int(query), int(faults[column])) for query, column in zip(queries, columns, strict=True)]
    pairs = torch.tensor(found, dtype=torch.int64, device=layer.logits.device).reshape(-1, 3)
    return Matched(*pairs.unbind(dim=1))
