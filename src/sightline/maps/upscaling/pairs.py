"""Pairs of a coarse and a fine picture out of real scenes, for the fast enlargement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.maps.upscaling.compact import FACTOR
from sightline.maps.upscaling.params import UpscaleParams

Picture = NDArray[np.uint8]

_MARGIN_PX = 12
"""Of the fine picture around a crop: what the blur looks at."""


@dataclass(frozen=True)
class GroundScene:
    """One scene.

    Attributes:
        name: of the scene.
        ground: scenes of one ground are never on both sides of a split.
        pixels: (h, w, 3) uint8 RGB.
    """

    name: str
    ground: str
    pixels: Picture


def fine_px(params: UpscaleParams) -> int:
    """Side of the fine picture that a crop in training is made of: the least side of a scene."""
    return params.crop_px * FACTOR + 2 * _MARGIN_PX


def degrade(fine: Picture, blur_px: float, noise: float, rng: np.random.Generator) -> Picture:
    """A picture (4 h, 4 w, 3) as a sensor four times coarser would see it: (h, w, 3).

    Args:
        fine: the picture; its sides are multiples of 4.
        blur_px: standard deviation of the Gaussian, in pixels of the answer.
        noise: standard deviation of the white noise, in grey levels.
        rng: of the noise.
    """
    import cv2

    height, width = fine.shape[:2]
    if height % FACTOR or width % FACTOR:
        raise ValueError(f"{width} x {height} px cannot be made {FACTOR} times coarser")
    values = fine.astype(np.float32)
    if blur_px:
        values = cv2.GaussianBlur(values, (0, 0), blur_px * FACTOR, borderType=cv2.BORDER_REFLECT_101)
    coarse = values.reshape(height // FACTOR, FACTOR, width // FACTOR, FACTOR, 3).mean(axis=(1, 3))
    coarse += noise * rng.standard_normal(coarse.shape, dtype=np.float32)
    return np.asarray(np.rint(coarse).clip(0, 255), dtype=np.uint8)


@dataclass(frozen=True)
class Pairs:
    """Batches of coarse and fine crops; see `sightline.vision.training.Batches`."""

    scenes: Sequence[GroundScene]
    params: UpscaleParams
    seed: int

    def __call__(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, 3, crop, crop) and (n, 3, 4 crop, 4 crop), 0 .. 1."""
        rng = np.random.default_rng((self.seed, step))
        made = [self._pair(rng) for _ in range(self.params.schedule.batch)]
        coarse, fine = (np.stack(parts).transpose(0, 3, 1, 2) for parts in zip(*made, strict=True))
        scale = np.float32(1 / 255)
        return np.ascontiguousarray(coarse * scale), np.ascontiguousarray(fine * scale)

    def _pair(self, rng: np.random.Generator) -> tuple[Picture, Picture]:
        """A crop at random: each pixel of all scenes alike, turned by right angles and mirrored."""
        how, side = self.params.degrade, fine_px(self.params)
        areas = np.array([scene.pixels.shape[0] * scene.pixels.shape[1] for scene in self.scenes], dtype=np.float64)
        pixels = self.scenes[int(rng.choice(len(areas), p=areas / areas.sum()))].pixels
        top, left = (int(rng.integers(size - side + 1)) for size in pixels.shape[:2])
        crop = np.rot90(pixels[top : top + side, left : left + side], int(rng.integers(4)))
        crop = crop[:, ::-1] if rng.random() < 0.5 else crop
        coarse = degrade(np.ascontiguousarray(crop), rng.uniform(*how.blur_px), rng.uniform(*how.noise), rng)
        edge = _MARGIN_PX // FACTOR
        return coarse[edge:-edge, edge:-edge], crop[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]
