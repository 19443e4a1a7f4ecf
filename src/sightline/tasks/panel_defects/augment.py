"""Training inputs: windows of labelled pictures, zoomed, turned, mirrored, changed in light, laid over each other.

Each input has a random stream of its own (seed, step, number), so a resumed training sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.panel_defects.params import AugmentParams

Floats = NDArray[np.float32]
Mask = NDArray[np.uint8]


class Examples(Protocol):
    """Labelled pictures at the network's scale."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[NDArray[np.number], Mask]:
        """Pixels (h, w, bands) in 0 .. 1 and their classes (h, w)."""
        ...


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each band: constants of the training set, the same for every picture."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, pixels: NDArray[np.number]) -> Floats:
        """(h, w, bands) -> the same, normalised."""
        mean, std = (np.array(values, dtype=np.float32) for values in (self.mean, self.std))
        return np.asarray((pixels - mean) / std, dtype=np.float32)


@dataclass(frozen=True)
class Windows:
    """The batches of a training.

    Attributes:
        examples: what is cut from.
        share: (n,) how often each is drawn.
        normalisation: of the bands.
        params: see there.
        window_px: side of a window.
        batch: windows a step.
        seed: of the random streams.
    """

    examples: Examples
    share: Sequence[float]
    normalisation: Normalisation
    params: AugmentParams
    window_px: int
    batch: int
    seed: int

    def __call__(self, step: int) -> tuple[Floats, NDArray[np.int64]]:
        """Inputs (batch, bands, window, window) and classes (batch, window, window)."""
        made = [self._window(np.random.default_rng([self.seed, step, number])) for number in range(self.batch)]
        inputs = np.ascontiguousarray(np.stack([pixels.transpose(2, 0, 1) for pixels, _ in made]))
        truth = np.stack([mask for _, mask in made]).astype(np.int64)
        return self._patched(inputs, truth, np.random.default_rng([self.seed, step, self.batch]))

    def _window(self, rng: np.random.Generator) -> tuple[Floats, Mask]:
        pixels, mask = self.examples[int(rng.choice(len(self.examples), p=self.share))]
        zoom = float(np.exp(rng.uniform(*np.log(self.params.zoom))))
        pixels, mask = cut_window(pixels, mask, rng, max(round(self.window_px / zoom), 8))
        pixels, mask = _resized(pixels, mask, self.window_px)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        pixels, mask = np.rot90(pixels, turns), np.rot90(mask, turns)
        if mirror:
            pixels, mask = pixels[:, ::-1], mask[:, ::-1]
        return self._lit(pixels.astype(np.float32), rng), mask

    def _patched(
        self, inputs: Floats, truth: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[Floats, NDArray[np.int64]]:
        """A rectangle of some windows comes from the next one, with its classes (CutMix, Yun et al., 2019)."""
        patched, classes = inputs.copy(), truth.copy()
        for number in np.flatnonzero(rng.random(self.batch) < self.params.cutmix):
            sides = np.sqrt(rng.uniform(0.1, 0.5)) * np.exp(rng.uniform(-0.5, 0.5) * np.array([1, -1]))
            height, width = (sides * self.window_px).astype(int)
            top, left = (int(rng.integers(max(self.window_px - side, 0) + 1)) for side in (height, width))
            area = (slice(top, top + height), slice(left, left + width))
            other = (number + 1) % self.batch
            patched[(number, slice(None), *area)] = inputs[(other, slice(None), *area)]
            classes[(number, *area)] = truth[(other, *area)]
        return patched, classes

    def _lit(self, pixels: Floats, rng: np.random.Generator) -> Floats:
        params, bands = self.params, pixels.shape[2]
        gain = (1 + rng.uniform(-params.gain, params.gain)) * (1 + rng.uniform(-1, 1, bands) * params.band_gain)
        lit = self.normalisation(pixels * np.float32(gain))
        centre = lit.mean(axis=(0, 1))
        lit = (lit - centre) * np.float32(1 + rng.uniform(-params.contrast, params.contrast)) + centre
        noise = rng.standard_normal(lit.shape, dtype=np.float32) * np.float32(params.noise * rng.random())
        return np.asarray(lit + noise, dtype=np.float32)


def cut_window(
    pixels: NDArray[np.number], mask: Mask, rng: np.random.Generator, side: int
) -> tuple[NDArray[np.number], Mask]:
    """A random square of a picture; mirrored at its edges where the picture is smaller."""
    missing = [max(side - length, 0) for length in mask.shape]
    if any(missing):
        pads = [(amount // 2, amount - amount // 2) for amount in missing]
        pixels = np.pad(pixels, [*pads, (0, 0)], mode="symmetric")
        mask = np.pad(mask, pads, mode="symmetric")
    top, left = (int(rng.integers(length - side + 1)) for length in mask.shape)
    return pixels[top : top + side, left : left + side], mask[top : top + side, left : left + side]


def _resized(pixels: NDArray[np.number], mask: Mask, side: int) -> tuple[NDArray[np.number], Mask]:
    import cv2

    if mask.shape == (side, side):
        return pixels, mask
    made = cv2.resize(np.asarray(pixels, dtype=np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    return made, np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST_EXACT), dtype=np.uint8)
