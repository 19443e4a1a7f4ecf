"""The small network: a chain of convolutions at the input's size that corrects the bicubic enlargement.

Of the kind of SRVGG (Real-ESRGAN's small networks): PReLU between plain convolutions, then a pixel shuffle. It starts
as the bicubic enlargement itself, because its last convolution starts at zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from torch.nn import Conv2d, Module


FACTOR = 4
"""How many times finer the answer is."""

_REACH_PX = 2
"""Pixels on each side that the bicubic enlargement looks at."""


def build_compact(features: int, depth: int) -> Module:
    """The network: (n, 3, h, w) float32 of 0 .. 1 -> (n, 3, 4 h, 4 w), not clipped.

    Args:
        features: channels between the convolutions.
        depth: convolutions between the first and the last.

    Returns:
        A `torch.nn.Module`. Under autocast the convolutions use the lower precision; the bicubic part stays float32.
    """
    import torch

    def convolution(inputs: int, outputs: int) -> Conv2d:
        layer = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
        # For PReLU's first slope: torch's own start shrinks what passes, so that deep chains hardly learn.
        torch.nn.init.kaiming_normal_(layer.weight, a=0.25)
        assert layer.bias is not None
        torch.nn.init.zeros_(layer.bias)
        return layer

    def layers() -> Iterator[Module]:
        for inputs in (3, *(features,) * depth):
            yield convolution(inputs, features)
            yield torch.nn.PReLU(features)
        last = convolution(features, 3 * FACTOR**2)
        torch.nn.init.zeros_(last.weight)
        yield last

    class Compact(torch.nn.Module):
        """See `build_compact`."""

        kernel: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(*layers())
            self.register_buffer("kernel", torch.from_numpy(bicubic_kernel()), persistent=False)

        def forward(self, image: Tensor) -> Tensor:
            correction = self.body(image - 0.5)
            with torch.autocast(image.device.type, enabled=False):
                padded = torch.nn.functional.pad(image.float(), (_REACH_PX,) * 4, mode="replicate")
                enlarged = torch.nn.functional.conv2d(padded, self.kernel, groups=3)
            return torch.nn.functional.pixel_shuffle(enlarged + correction.float(), FACTOR)

    return Compact()


def reach_px(depth: int) -> int:
    """How far a pixel of the answer looks, in pixels of the input."""
    return max(depth + 2, _REACH_PX)


def bicubic_kernel() -> NDArray[np.float32]:
    """(48, 1, 5, 5): the bicubic enlargement (Keys, 1981; a = -0.5) as a convolution of each channel.

    Row c * 16 + y * 4 + x gives the pixel (y, x) of channel c among the 4 x 4 that a pixel becomes.
    """
    where = (np.arange(FACTOR) + 0.5) / FACTOR - 0.5  # of the finer pixels' centres, in pixels of the input
    distance = np.abs(where[:, None] - np.arange(-_REACH_PX, _REACH_PX + 1))
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
    phases = np.einsum("ya,xb->yxab", weights, weights).reshape(FACTOR**2, 1, *(2 * _REACH_PX + 1,) * 2)
    return np.tile(phases, (3, 1, 1, 1)).astype(np.float32)
