"""Stage 1: one query follows one faulty cell through a video (after SeqFormer, Wu et al., 2022), frame by frame.

An instance query stands for a cell in the whole video. In each layer of the decoder it is split into a box query for
each frame, which looks around its box there; what the box queries bring back is averaged into the instance query, by
weights that each of them tells itself. SeqFormer averages over the whole video. Here a frame's instance query is
averaged over that frame and those before it, `window` in all: so a video can be answered while it runs, from
a memory of fixed size, and a frame's answer is the same whether its successors are there or not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sightline.tasks.battery_faults.attention import build_attention, pixel_centres
from sightline.tasks.battery_faults.params import NetworkParams
from sightline.tasks.battery_faults.pyramid import LEVELS, Features, build_feedforward, build_pyramid

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


MASK_STRIDE = 8
"""Pixels that one of a coarse mask covers: the finest level of the pyramid."""

_DYNAMIC_CHANNELS = 8
_RARE = 0.01
"""Probability of a fault that each query begins with."""


@dataclass(frozen=True)
class Memory:
    """What is kept of earlier frames, at most `window - 1` of them, for each layer of the decoder.

    Attributes:
        boxes: one tensor (n, s, q, width) a layer: box queries of s frames.
        scores: one (n, s, q) a layer: logits of their weights.
    """

    boxes: tuple[Tensor, ...] = ()
    scores: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Layer:
    """What one layer of the decoder answers about n clips of t frames with q queries.

    Attributes:
        logits: (n, t, q), of a fault, as of each frame.
        boxes: (n, t, q, 4), centre and size as shares of width and height (filled up; see `pyramid.MULTIPLE`).
        queries: (n, t, q, width): the instance queries, from which masks are made.
    """

    logits: Tensor
    boxes: Tensor
    queries: Tensor


@dataclass(frozen=True)
class Answer:
    """What stage 1 says of n clips of t frames.

    Attributes:
        layers: of the decoder; the last one counts, the others are trained along.
        features: of the n t frames.
        mask_features: (n, t, c, h / 8, w / 8).
    """

    layers: tuple[Layer, ...]
    features: Features
    mask_features: Tensor

    @property
    def last(self) -> Layer:
        """The answer that counts."""
        return self.layers[-1]


def build_query_network(params: NetworkParams) -> Module:
    """Stage 1: frames (n, t, 3, h, w) and a `Memory` -> `Answer` and the `Memory` for the frames that come next.

    Frames may come one at a time or in clips of any length: the answer is the same. Its method `masks` gives the coarse
    masks of chosen queries. Weights are drawn at random.
    """
    import torch

    class QueryNetwork(torch.nn.Module):
        """See `build_query_network`."""

        def __init__(self) -> None:
            super().__init__()
            self.pyramid = build_pyramid(params)
            self.content = torch.nn.Parameter(torch.randn(params.queries, params.width) * 0.1)
            self.position = torch.nn.Parameter(torch.randn(params.queries, params.width) * 0.1)
            self.first_boxes = torch.nn.Parameter(_first_boxes(params.queries))
            self.layers = torch.nn.ModuleList(_build_layer(params) for _ in range(params.decoder_layers))
            self.fault = torch.nn.Linear(params.width, 1)
            self.fault.bias.data.fill_(-math.log((1 - _RARE) / _RARE))
            self.mask_head: Any = build_mask_head(params.width)

        def forward(self, frames: Tensor, memory: Memory | None = None) -> tuple[Answer, Memory]:
            count, length = frames.shape[:2]
            features = self.pyramid(frames.flatten(0, 1))
            queries = self.content.expand(count, length, -1, -1)
            boxes = self.first_boxes.sigmoid().expand(count, length, -1, -1)
            layers, kept = [], []
            for number, layer in enumerate(self.layers):
                past = (memory.boxes[number], memory.scores[number]) if memory and memory.boxes else None
                queries, boxes, seen = layer(queries, self.position, boxes, features, past)
                layers.append(Layer(self.fault(queries).squeeze(-1), boxes, queries))
                boxes = boxes.detach()
                kept.append(seen)
            mask_features = self.mask_head.features(features).unflatten(0, (count, length))
            return (
                Answer(tuple(layers), features, mask_features),
                Memory(tuple(one for one, _ in kept), tuple(one for _, one in kept)),
            )

        def masks(self, mask_features: Tensor, queries: Tensor, boxes: Tensor) -> Tensor:
            """Coarse masks of m pairs of a frame and a query: logits (m, h / 8, w / 8).

            Args:
                mask_features: (m, c, h / 8, w / 8), the frames'.
                queries: (m, width).
                boxes: (m, 4).
            """
            logits: Tensor = self.mask_head(mask_features, queries, boxes)
            return logits

    return QueryNetwork()


# -------------------------------------------------------------------------------------------------------- decoder


def _first_boxes(queries: int) -> Tensor:
    """Logits of boxes that stand side by side, each a third of the frame wide: cells of a pack do so."""
    import torch

    centres = (torch.arange(queries) + 0.5) / queries
    return torch.logit(torch.stack([centres, torch.full_like(centres, 0.5)] + [torch.full_like(centres, 0.4)] * 2, 1))


def _build_layer(params: NetworkParams) -> Module:
    import torch

    class DecoderLayer(torch.nn.Module):
        """Instance queries talk; their box queries look at their frames; what these saw is averaged over the past."""

        def __init__(self) -> None:
            super().__init__()
            width = params.width
            self.among = torch.nn.MultiheadAttention(width, params.heads, batch_first=True)
            self.among_norm = torch.nn.LayerNorm(width)
            self.attention = build_attention(width, params.heads, LEVELS, params.points)
            self.attention_norm = torch.nn.LayerNorm(width)
            self.forward_part = build_feedforward(width, params.feedforward)
            self.weight = torch.nn.Linear(width, 1)
            self.average_norm = torch.nn.LayerNorm(width)
            self.average_part = build_feedforward(width, params.feedforward)
            self.box = torch.nn.Sequential(
                torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU()
            )
            self.moved = torch.nn.Linear(width, 4)
            torch.nn.init.zeros_(self.moved.weight)
            torch.nn.init.zeros_(self.moved.bias)

        def forward(
            self,
            queries: Tensor,
            position: Tensor,
            boxes: Tensor,
            features: Features,
            past: tuple[Tensor, Tensor] | None,
        ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
            count, length = queries.shape[:2]
            flat, flat_boxes = queries.flatten(0, 1), boxes.flatten(0, 1)
            placed = flat + position
            flat = self.among_norm(flat + self.among(placed, placed, flat, need_weights=False)[0])
            seen = self.attention(flat + position, flat_boxes, features.memory, features.sizes)
            box_queries = self.forward_part(self.attention_norm(flat + seen))
            moved = torch.special.logit(flat_boxes, eps=1e-4) + self.moved(self.box(box_queries)).float()
            box_queries = box_queries.unflatten(0, (count, length))
            scores = self.weight(box_queries).squeeze(-1)
            average, kept = average_past(box_queries, scores, past, params.window)
            queries = self.average_part(self.average_norm(flat.unflatten(0, (count, length)) + average))
            return queries, moved.sigmoid().unflatten(0, (count, length)), kept

    return DecoderLayer()


def average_past(
    values: Tensor, scores: Tensor, past: tuple[Tensor, Tensor] | None, window: int
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Each frame's average over itself and the frames before it, by the softmax of their scores.

    Args:
        values: (n, t, q, d).
        scores: (n, t, q).
        past: the same two of frames that came before, (n, s, ...); None: none.
        window: frames averaged at most.

    Returns:
        (n, t, q, d), and what is `past` for the frames that come next, of at most `window - 1` frames.
    """
    import torch

    length = values.shape[1]
    if past is not None:
        values, scores = torch.cat([past[0], values], dim=1), torch.cat([past[1], scores], dim=1)
    kept = max(values.shape[1] - window + 1, 0)
    missing = max(window - 1 - (values.shape[1] - length), 0)
    padded = torch.nn.functional.pad(values, (0, 0, 0, 0, missing, 0)).unfold(1, window, 1)[:, -length:]
    weights = torch.nn.functional.pad(scores.float(), (0, 0, missing, 0), value=-math.inf).unfold(1, window, 1)
    weights = weights[:, -length:].softmax(dim=-1).to(values.dtype)
    return (padded * weights[:, :, :, None]).sum(dim=-1), (values[:, kept:], scores[:, kept:])


# ------------------------------------------------------------------------------------------------------ mask head


def build_mask_head(width: int) -> Module:
    """Masks by three convolutions of 1 x 1 whose weights each query tells (CondInst; Tian et al., 2020)."""
    import torch

    channels = _DYNAMIC_CHANNELS

    class MaskHead(torch.nn.Module):
        """See `build_mask_head`."""

        def __init__(self) -> None:
            super().__init__()
            self.smooth = torch.nn.Conv2d(width, width, 3, padding=1)
            self.norm = torch.nn.GroupNorm(8, width)
            self.narrow = torch.nn.Conv2d(width, channels, 1)
            self.told = torch.nn.Sequential(
                torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, sum(_dynamic_sizes()))
            )

        def features(self, features: Features) -> Tensor:
            """The pyramid's levels summed at the size of its finest: (n, c, h / 8, w / 8)."""
            finest = features.level(0)
            for number in range(1, LEVELS):
                finest = finest + torch.nn.functional.interpolate(
                    features.level(number), size=features.sizes[0], mode="bilinear"
                )
            narrow: Tensor = self.narrow(torch.relu(self.norm(self.smooth(finest))))
            return narrow

        def forward(self, mask_features: Tensor, queries: Tensor, boxes: Tensor) -> Tensor:
            return dynamic_masks(mask_features, self.told(queries), boxes.detach())

    return MaskHead()


def _dynamic_sizes() -> tuple[int, ...]:
    """Weights and biases of the three convolutions; the first also sees where a pixel lies in the query's box."""
    channels = _DYNAMIC_CHANNELS
    return ((channels + 2) * channels, channels, channels * channels, channels, channels, 1)


def dynamic_masks(features: Tensor, told: Tensor, boxes: Tensor) -> Tensor:
    """Masks of m queries, each with convolutions of its own.

    Args:
        features: (m, c, h, w).
        told: (m, 169): the weights and biases.
        boxes: (m, 4): places are counted from the centre, in halves of the size.

    Returns:
        Logits (m, h, w).
    """
    import torch

    count, channels, height, width = features.shape
    places = pixel_centres((height, width), features)
    inside = 2 * (places - boxes[:, None, :2]) / boxes[:, None, 2:].clamp(min=0.02)
    values = torch.cat([features.flatten(2), inside.clamp(-4, 4).transpose(1, 2).to(features.dtype)], dim=1)
    first, first_bias, second, second_bias, third, third_bias = torch.split(told, list(_dynamic_sizes()), dim=1)
    values = torch.relu(torch.bmm(first.view(count, channels, -1), values) + first_bias[:, :, None])
    values = torch.relu(torch.bmm(second.view(count, channels, channels), values) + second_bias[:, :, None])
    logits = torch.bmm(third.view(count, 1, channels), values) + third_bias[:, :, None]
    return logits.view(count, height, width)
