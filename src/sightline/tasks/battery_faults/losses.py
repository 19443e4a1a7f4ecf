"""What stage 1 is taught: focal loss of class and mask, L1 and GIoU of boxes, Dice of masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sightline.tasks.battery_faults.matching import Matched, Targets, giou, match
from sightline.tasks.battery_faults.params import LossParams
from sightline.tasks.battery_faults.query import MASK_STRIDE, Answer, Layer

if TYPE_CHECKING:
    from torch import Tensor


class MaskTeller(Protocol):
    """What of stage 1 tells masks; see `query.build_query_network`."""

    def masks(self, mask_features: Tensor, queries: Tensor, boxes: Tensor) -> Tensor:
        """Coarse masks of pairs of a frame and a query."""
        ...


def focal(logits: Tensor, wanted: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss (Lin et al., 2017) of each logit; `wanted` is 0 or 1."""
    import torch

    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    probability = logits.sigmoid()
    missed = probability * (1 - wanted) + (1 - probability) * wanted
    return (alpha * wanted + (1 - alpha) * (1 - wanted)) * missed**gamma * entropy


def dice(logits: Tensor, wanted: Tensor) -> Tensor:
    """1 - Dice of each of m masks (m, h, w): (m,)."""
    probability, wanted = logits.sigmoid().flatten(1), wanted.flatten(1)
    return 1 - (2 * (probability * wanted).sum(dim=1) + 1) / (probability.sum(dim=1) + wanted.sum(dim=1) + 1)


def stage_one_losses(
    network: MaskTeller, answer: Answer, targets: Targets, params: LossParams
) -> tuple[dict[str, Tensor], Matched]:
    """The weighted parts, each the mean over the decoder's layers; and how the last layer was matched."""
    parts: dict[str, Tensor] = {}
    matched = None
    for layer in answer.layers:
        matched = match(layer, targets, params)
        for name, value in _layer_losses(network, answer, layer, targets, matched).items():
            part = getattr(params, name) * value / len(answer.layers)
            parts[name] = parts[name] + part if name in parts else part
    assert matched is not None
    return parts, matched


def _layer_losses(
    network: MaskTeller, answer: Answer, layer: Layer, targets: Targets, matched: Matched
) -> dict[str, Tensor]:
    boxes = layer.boxes[matched.clip, :, matched.query].float()  # (m, t, 4)
    present = targets.present[matched.clip, matched.fault]  # (m, t)
    pairs, frames = present.nonzero(as_tuple=True)
    count = max(len(pairs), 1)
    fault = {"fault": _class_loss(layer, targets, matched) / count}
    if not len(pairs):
        return fault
    clips, queries, faults = matched.clip[pairs], matched.query[pairs], matched.fault[pairs]
    wanted = targets.boxes[clips, faults, frames]
    shown = boxes[pairs, frames]
    masks = targets.masks[clips, faults, frames].float()
    coarse = network.masks(answer.mask_features[clips, frames], layer.queries[clips, frames, queries], shown)
    logits = enlarge(coarse.float())
    return {
        **fault,
        "box": (shown - wanted).abs().sum() / count,
        "giou": (1 - giou(shown, wanted)).sum() / count,
        "mask": focal(logits, masks).mean(dim=(1, 2)).sum() / count,
        "dice": dice(logits, masks).sum() / count,
    }


def enlarge(coarse: Tensor) -> Tensor:
    """Coarse masks (m, h / 8, w / 8) at the size of the frames: (m, h, w)."""
    import torch

    return torch.nn.functional.interpolate(coarse[:, None], scale_factor=MASK_STRIDE, mode="bilinear")[:, 0]


def _class_loss(layer: Layer, targets: Targets, matched: Matched) -> Tensor:
    """Summed over frames and queries. A fault is to be told from the first frame on in which it shows.

    Where it is hidden later on, its query may say what it likes: a fault that nobody sees is none to be missed, and
    one that was seen is none to be denied.
    """
    import torch

    wanted, counted = torch.zeros_like(layer.logits.float()), torch.ones_like(layer.logits.float())
    present = targets.present[matched.clip, matched.fault]
    began = present.long().cummax(dim=1).values.bool()
    wanted[matched.clip, :, matched.query] = present.float()
    counted[matched.clip, :, matched.query] = (present | ~began).float()
    return (focal(layer.logits.float(), wanted) * counted).sum()
