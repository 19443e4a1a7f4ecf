"""What both stages see of a frame: features of a residual network, and a pyramid through which they have talked.

frames -> ResNet (He et al., 2016): stem at 1/2, then 1/4 ... 1/32
       -> four levels 1/8 ... 1/64 of one width
       -> an encoder of deformable attention, in which each place looks at all levels
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sightline.tasks.battery_faults.attention import Sizes, build_attention, pixel_centres, sine_positions
from sightline.tasks.battery_faults.params import NetworkParams

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


LEVELS = 4
CHANNELS = 3
"""Of an input: kelvin over the pack's median, divided by `examples.SPAN_K` and clipped; shading; valid."""

MULTIPLE = 8
"""Sides are filled up to it, so that the grid of the coarse masks covers whole pixels."""

_FAINT = 0.03
"""Share of the temperature channel below which it is seen on a linear scale, above on a logarithmic one."""


@dataclass(frozen=True)
class Features:
    """Of n frames.

    Attributes:
        frames: (n, 3, h, w) as given, filled up to `MULTIPLE`.
        stem: (n, c, h / 2, w / 2).
        early: (n, c, h / 4, w / 4).
        memory: (n, places, width), the levels of the pyramid one after another.
        sizes: of these levels.
    """

    frames: Tensor
    stem: Tensor
    early: Tensor
    memory: Tensor
    sizes: Sizes

    def level(self, index: int) -> Tensor:
        """One level of the pyramid as a picture (n, width, h, w)."""
        import torch

        parts = torch.split(self.memory, [height * width for height, width in self.sizes], dim=1)
        return torch.unflatten(parts[index].transpose(1, 2), 2, self.sizes[index])

    def picked(self, frames: Tensor) -> Features:
        """Those of some frames (m,), which may be named more than once."""
        return replace(
            self,
            frames=self.frames[frames],
            stem=self.stem[frames],
            early=self.early[frames],
            memory=self.memory[frames],
        )

    def detached(self) -> Features:
        """The same, through which nothing is learnt."""
        return replace(self, stem=self.stem.detach(), early=self.early.detach(), memory=self.memory.detach())


def fill_up(pictures: Tensor) -> Tensor:
    """Pictures (..., h, w) with zeros below and to the right, up to sides of `MULTIPLE`."""
    import torch

    height, width = pictures.shape[-2:]
    return torch.nn.functional.pad(pictures, (0, -width % MULTIPLE, 0, -height % MULTIPLE))


def spread_faint(frames: Tensor) -> Tensor:
    """Frames with one channel more, in which a rise of a tenth of a kelvin is not lost beside one of 30 K."""
    import torch

    return torch.cat([frames, torch.asinh(frames[:, :1] / _FAINT) / 3], dim=1)


def build_pyramid(params: NetworkParams) -> Module:
    """Frames (n, 3, h, w) -> `Features`; weights are drawn at random."""
    import timm
    import torch

    class Pyramid(torch.nn.Module):
        """See `build_pyramid`."""

        def __init__(self) -> None:
            super().__init__()
            backbone: Any = timm.create_model(  # timm tells no types
                params.backbone,
                pretrained=False,
                features_only=True,
                in_chans=CHANNELS + 1,
                channels=[params.backbone_width * factor for factor in (1, 2, 4, 8)],
            )
            self.backbone: Any = backbone
            channels = backbone.feature_info.channels()
            self.stem_channels, self.early_channels = channels[:2]
            self.levels = torch.nn.ModuleList(
                [_projection(inputs, params.width, 1) for inputs in channels[2:]]
                + [_projection(channels[-1], params.width, 2)]
            )
            self.level_embedding = torch.nn.Parameter(torch.randn(LEVELS, params.width) * 0.02)
            self.layers = torch.nn.ModuleList(_build_layer(params) for _ in range(params.encoder_layers))

        def forward(self, frames: Tensor) -> Features:
            filled = fill_up(frames)
            stem, early, *deep = self.backbone(spread_faint(filled))
            maps = [level(part) for level, part in zip(self.levels, [*deep, deep[-1]], strict=True)]
            sizes = [(int(part.shape[2]), int(part.shape[3])) for part in maps]
            places = [pixel_centres(size, filled) for size in sizes]
            positions = torch.cat(
                [sine_positions(one, params.width) + own for one, own in zip(places, self.level_embedding, strict=True)]
            )
            memory = torch.cat([part.flatten(2).transpose(1, 2) for part in maps], dim=1)
            boxes = torch.nn.functional.pad(torch.cat(places), (0, 2)).expand(len(memory), -1, -1)
            for layer in self.layers:
                memory = layer(memory, positions, boxes, sizes)
            return Features(filled, stem, early, memory, sizes)

    return Pyramid()


def _projection(inputs: int, width: int, stride: int) -> Module:
    import torch

    side = 3 if stride == 2 else 1
    return torch.nn.Sequential(
        torch.nn.Conv2d(inputs, width, side, stride=stride, padding=side // 2), torch.nn.GroupNorm(8, width)
    )


def _build_layer(params: NetworkParams) -> Module:
    import torch

    class EncoderLayer(torch.nn.Module):
        """Each place looks at some places of all levels, then is transformed by itself."""

        def __init__(self) -> None:
            super().__init__()
            self.attention = build_attention(params.width, params.heads, LEVELS, params.points)
            self.norm = torch.nn.LayerNorm(params.width)
            self.forward_part = build_feedforward(params.width, params.feedforward)

        def forward(self, memory: Tensor, positions: Tensor, boxes: Tensor, sizes: Sizes) -> Tensor:
            seen = self.attention(memory + positions, boxes, memory, sizes)
            transformed: Tensor = self.forward_part(self.norm(memory + seen))
            return transformed

    return EncoderLayer()


def build_feedforward(width: int, hidden: int) -> Module:
    """(..., width) -> the same, normalised: two layers beside which the input passes."""
    import torch

    class Feedforward(torch.nn.Module):
        """See `build_feedforward`."""

        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = torch.nn.Linear(width, hidden), torch.nn.Linear(hidden, width)
            self.norm = torch.nn.LayerNorm(width)

        def forward(self, values: Tensor) -> Tensor:
            normed: Tensor = self.norm(values + self.outer(torch.relu(self.inner(values))))
            return normed

    return Feedforward()
