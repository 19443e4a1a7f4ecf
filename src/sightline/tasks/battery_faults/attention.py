"""Multi-scale deformable attention (Zhu et al., Deformable DETR, 2021) in plain torch.

A query looks at a few places of each level of a pyramid instead of at all of them; where, and how much each place
counts, is told by the query itself. Places are sampled with `grid_sample`, so that no compiled kernel is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


Sizes = Sequence[tuple[int, int]]
"""(h, w) of each level of a pyramid."""


def deformable_attention(values: Tensor, sizes: Sizes, places: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of values sampled between pixels (bilinear; zero outside).

    Args:
        values: (n, sum of h w, heads, d), the levels one after another, each by rows.
        sizes: of the levels.
        places: (n, q, heads, levels, points, 2), x and y as shares of the width and height.
        weights: (n, q, heads, levels, points).

    Returns:
        (n, q, heads d).
    """
    import torch

    count, _, heads, depth = values.shape
    queries = places.shape[1]
    grid = (2 * places - 1).transpose(1, 2).flatten(0, 1)
    sampled = []
    for level, part in enumerate(torch.split(values, [height * width for height, width in sizes], dim=1)):
        picture = part.permute(0, 2, 3, 1).reshape(count * heads, depth, *sizes[level])
        sampled.append(torch.nn.functional.grid_sample(picture, grid[:, :, level], align_corners=False))
    spread = weights.transpose(1, 2).reshape(count * heads, 1, queries, *weights.shape[3:])
    summed = (torch.stack(sampled, dim=3) * spread).sum(dim=(3, 4))
    return summed.reshape(count, heads * depth, queries).transpose(1, 2)


def build_attention(width: int, heads: int, levels: int, points: int) -> Module:
    """The layer around `deformable_attention`.

    (n, q, width) queries, (n, q, 4) boxes around which they look (centre, size; shares), (n, places, width) memory and
    the sizes of its levels -> (n, q, width). A box without size stands for a point: offsets are then counted in pixels
    of each level, otherwise in halves of the box.
    """
    import torch

    class Attention(torch.nn.Module):
        """See `build_attention`."""

        def __init__(self) -> None:
            super().__init__()
            self.offsets = torch.nn.Linear(width, heads * levels * points * 2)
            self.weights = torch.nn.Linear(width, heads * levels * points)
            self.values = torch.nn.Linear(width, width)
            self.joined = torch.nn.Linear(width, width)
            torch.nn.init.zeros_(self.offsets.weight)
            torch.nn.init.zeros_(self.weights.weight)
            torch.nn.init.zeros_(self.weights.bias)
            self.offsets.bias.data.copy_(_first_offsets(heads, levels, points))

        def forward(self, query: Tensor, boxes: Tensor, memory: Tensor, sizes: Sizes) -> Tensor:
            count, queries, _ = query.shape
            shape = (count, queries, heads, levels, points)
            offsets = self.offsets(query).view(*shape, 2)
            weights = self.weights(query).view(*shape[:3], -1).softmax(dim=-1).view(shape)
            centre, extent = boxes[:, :, None, None, None, :2], boxes[:, :, None, None, None, 2:]
            pixels = torch.tensor([[width, height] for height, width in sizes], dtype=boxes.dtype, device=boxes.device)
            places = centre + torch.where(extent > 0, offsets / points * extent / 2, offsets / pixels[:, None])
            values = self.values(memory).view(count, -1, heads, width // heads)
            joined: Tensor = self.joined(deformable_attention(values, sizes, places, weights))
            return joined

    return Attention()


def _first_offsets(heads: int, levels: int, points: int) -> Tensor:
    """Each head looks into a direction of its own, each point a step further."""
    import torch

    angles = torch.arange(heads) * (2 * math.pi / heads)
    towards = torch.stack([angles.cos(), angles.sin()], dim=-1)
    towards = towards / towards.abs().amax(dim=-1, keepdim=True)
    steps = torch.arange(1, points + 1, dtype=towards.dtype)
    return (towards[:, None, None] * steps[:, None]).expand(heads, levels, points, 2).flatten()


def sine_positions(places: Tensor, width: int) -> Tensor:
    """Positions as sines and cosines: (..., 2) shares of width and height -> (..., width)."""
    import torch

    quarter = width // 4
    wavelengths = 10_000 ** (torch.arange(quarter, device=places.device, dtype=torch.float32) / quarter)
    phases = places[..., None].float() * (2 * math.pi) * 16 / wavelengths
    return torch.cat([phases.sin(), phases.cos()], dim=-1).flatten(-2)


def pixel_centres(size: tuple[int, int], like: Tensor) -> Tensor:
    """Centres of the pixels of a level by rows: (h w, 2), x and y as shares; on the device of `like`."""
    import torch

    height, width = size
    y, x = torch.meshgrid(
        (torch.arange(height, device=like.device) + 0.5) / height,
        (torch.arange(width, device=like.device) + 0.5) / width,
        indexing="ij",
    )
    return torch.stack([x, y], dim=-1).flatten(0, 1)
