"""Losses of segmentation: the soft Jaccard, alone or with the cross-entropy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


LossName = Literal["jaccard", "jaccard+entropy"]


def exclusive_loss(name: LossName, class_weights: Sequence[float]) -> Callable[[Tensor, Tensor], Tensor]:
    """For classes that exclude each other: logits (n, classes, h, w) and indices (n, h, w) -> scalar.

    1 - soft Jaccard, the mean over classes of those present in the batch (pooled over its pixels); with `+entropy`
    the weighted cross-entropy is added. The Jaccard alone can fall into answering nothing but background.
    """
    import torch
    from segmentation_models_pytorch.losses import JaccardLoss

    jaccard = JaccardLoss(mode="multiclass", from_logits=True)
    weights = torch.tensor(class_weights, dtype=torch.float32)

    def loss(logits: Tensor, truth: Tensor) -> Tensor:
        value: Tensor = jaccard(logits, truth)
        if name == "jaccard":
            return value
        return value + torch.nn.functional.cross_entropy(logits, truth, weight=weights.to(logits.device))

    return loss


def overlapping_loss(smooth: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """For classes that may overlap: logits and masks (n, classes, h, w) -> scalar.

    -log(soft Jaccard) of the classes present in the batch, plus the binary cross-entropy of all. Absent classes
    are left out of the first part: with `smooth` 1 each would give about 16 and drown the rest.
    """
    import torch
    from segmentation_models_pytorch.losses import JaccardLoss

    jaccard = JaccardLoss(mode="multilabel", from_logits=True, log_loss=True, smooth=smooth)

    def loss(logits: Tensor, truth: Tensor) -> Tensor:
        truth = truth.to(logits.dtype)
        value: Tensor = jaccard(logits, truth)
        return value + torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)

    return loss
