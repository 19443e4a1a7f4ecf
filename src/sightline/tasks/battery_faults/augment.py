"""Clips as a training sees them: drawn from videos, cut out anew, mirrored, partly hidden; no temperature moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.examples import MARGIN, SIZE, STORED_MARGIN, Clip, StoredClips
from sightline.tasks.battery_faults.matching import Targets, boxes_of
from sightline.tasks.battery_faults.params import AugmentParams
from sightline.tasks.battery_faults.pyramid import fill_up

if TYPE_CHECKING:
    import torch
    from torch import Tensor


FAULTS = 2
"""Most faulty cells of a clip that are learnt from."""

_LEAST_PX = 20
"""Pixels of a cell with fewer of which it is not seen."""

_ZOOM = (1 + 2 * MARGIN) / (1 + 2 * STORED_MARGIN)
"""Share of a stored cut that a network is shown."""


@dataclass(frozen=True)
class Drawn:
    """A batch of n clips of t frames as it was stored, and what is to be done to it.

    Attributes:
        kelvin: (n, t, h, w) float16, NaN where invalid.
        shading: (n, t, h, w) uint8.
        faults: (n, t, h, w) uint8, a bit a faulty cell.
        affine: (n, t, 2, 3) float32, from places of the cut to places of what is stored, both from -1 to 1.
        hidden: (n, 4) float32: x0, y0, x1, y1 of a hidden rectangle, as shares of the cut; empty where x1 <= x0.
        cover: (n, 3) float32: the channels of what hides it.
    """

    kelvin: NDArray[np.float16]
    shading: NDArray[np.uint8]
    faults: NDArray[np.uint8]
    affine: NDArray[np.float32]
    hidden: NDArray[np.float32]
    cover: NDArray[np.float32]


class Clips:
    """Random clips of videos. The same number gives the same batch.

    Args:
        videos: where clips are drawn from.
        params: what is done to them.
        batch, frames: clips a batch, and frames a clip; all clips have as many, so a short video repeats its last.
        seed: of all draws.
    """

    def __init__(self, videos: StoredClips, params: AugmentParams, batch: int, frames: int, seed: int) -> None:
        self._videos, self._params, self._batch, self._frames, self._seed = videos, params, batch, frames, seed

    def __call__(self, step: int) -> Drawn:
        """The batch of a step."""
        random = np.random.default_rng((self._seed, step))
        return _gathered([self._draw(random) for _ in range(self._batch)])

    def _draw(self, random: np.random.Generator) -> Drawn:
        params = self._params
        clip = self._videos[int(random.integers(len(self._videos)))]
        stride = int(random.integers(1, params.farthest + 1))
        start = int(random.integers(max(len(clip.kelvin) - stride * (self._frames - 1), 1)))
        chosen = np.minimum(start + stride * np.arange(self._frames), len(clip.kelvin) - 1)
        affine = _affine(random, params, self._frames)
        hidden, cover = np.zeros(4), np.zeros(3)
        if random.random() < params.occluded:
            corner, extent = random.random(2) * 0.9, random.uniform(0.05, 0.4, 2)
            hidden = np.concatenate([corner, corner + extent])
            # Something of one temperature that stands before the pack, or a place that tells none.
            cover = np.array([random.uniform(-1, 0.3), random.random(), 1.0]) * (random.random() < 0.7)
        return _drawn(clip, chosen, affine, hidden, cover)


def plain_clip(clip: Clip, frames: NDArray[np.int64]) -> Drawn:
    """Frames of one video as the networks are shown them when they answer."""
    affine = np.broadcast_to(np.diag([_ZOOM, _ZOOM, 0])[:2], (len(frames), 2, 3))
    return _gathered([_drawn(clip, frames, affine, np.zeros(4), np.zeros(3))])


def _affine(random: np.random.Generator, params: AugmentParams, frames: int) -> NDArray[np.float64]:
    """One cut for all frames of a clip, but for the little by which a pack's box is found too large or too far off."""
    zoom = (
        _ZOOM
        * np.exp(random.uniform(np.log(params.scale[0]), np.log(params.scale[1]), 2))
        * np.exp(random.normal(0, 0.01, (frames, 2)))
    )
    reach = 2 * params.shift / (1 + 2 * STORED_MARGIN)  # stored cuts go from -1 to 1
    shift = random.uniform(-reach, reach, 2) + random.normal(0, 0.01, (frames, 2))
    affine = np.zeros((frames, 2, 3))
    affine[:, 0, 0] = zoom[:, 0] * (-1 if params.flip and random.random() < 0.5 else 1)
    affine[:, 1, 1] = zoom[:, 1]
    affine[:, :, 2] = shift
    return affine


def _drawn(
    clip: Clip,
    chosen: NDArray[np.int64],
    affine: NDArray[np.float64],
    hidden: NDArray[np.float64],
    cover: NDArray[np.float64],
) -> Drawn:
    one = np.float32
    return Drawn(
        clip.kelvin[chosen],
        clip.shading[chosen],
        clip.faults[chosen],
        affine.astype(one),
        hidden.astype(one),
        cover.astype(one),
    )


def _gathered(parts: list[Drawn]) -> Drawn:
    names = ("kelvin", "shading", "faults", "affine", "hidden", "cover")
    return Drawn(**{name: np.stack([getattr(part, name) for part in parts]) for name in names})


def shown(drawn: Drawn, device: torch.device) -> tuple[Tensor, Targets]:
    """A batch on a device: frames (n, t, 3, h, w) as `examples.look_at` gives them, and what they show."""
    import torch

    kelvin, shading, faults, affine, hidden, cover = (
        torch.from_numpy(part).to(device)
        for part in (drawn.kelvin, drawn.shading, drawn.faults, drawn.affine, drawn.hidden, drawn.cover)
    )
    count, length = kelvin.shape[:2]
    kelvin = kelvin.float()
    valid = kelvin.isfinite().float()
    bits = [(faults & (1 << number) > 0).float() for number in range(FAULTS)]
    stored = torch.stack([kelvin.nan_to_num(0.0), valid, shading.float() / 255, *bits], dim=2).flatten(0, 1)
    grid = torch.nn.functional.affine_grid(affine.flatten(0, 1), [len(stored), 1, *SIZE], align_corners=False)
    sampled = torch.nn.functional.grid_sample(stored, grid, align_corners=False)
    sampled = torch.unflatten(sampled, 0, (count, length))
    known = sampled[:, :, 1] >= 0.5
    over = torch.where(known, sampled[:, :, 0] / sampled[:, :, 1].clamp(min=1e-6), 0.0)
    frames = torch.stack([over, sampled[:, :, 2] * known, known.float()], dim=2)
    covered = _covered(hidden)[:, None, None]
    frames = torch.where(covered, cover[:, None, :, None, None], frames)
    masks = (sampled[:, :, 3:] >= 0.5) & ~covered
    masks = masks & (masks.sum(dim=(3, 4), keepdim=True) >= _LEAST_PX)
    filled = fill_up(masks.transpose(1, 2).to(torch.uint8)).bool()
    return frames, Targets(filled, boxes_of(filled), filled.any(dim=(3, 4)))


def _covered(hidden: Tensor) -> Tensor:
    """Where rectangles (n, 4) hide the cut: (n, h, w) bool."""
    import torch

    height, width = SIZE
    x = (torch.arange(width, device=hidden.device) + 0.5) / width
    y = (torch.arange(height, device=hidden.device) + 0.5) / height
    x0, y0, x1, y1 = (part[:, None] for part in hidden.unbind(dim=1))
    return ((y >= y0) & (y < y1))[:, :, None] & ((x >= x0) & (x < x1))[:, None]
