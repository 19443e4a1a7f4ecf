"""Training inputs: windows cut out of labelled tiles where rare classes are, turned, mirrored and changed in light.

Each input has a random stream of its own (seed, step, number), so a resumed training sees what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.land_cover.bands import BANDS, Bands, index_channels
from sightline.tasks.land_cover.bits import Bits, plane, unpack
from sightline.tasks.land_cover.examples import StoredExamples
from sightline.tasks.land_cover.params import AugmentParams

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Channels:
    """The network's channels: the bands, and the indices where asked for.

    Each has the mean and the standard deviation of the data set, the same for every tile: a stretch of its own would
    erase its level.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, bands: Bands) -> Floats:
        """(8, h, w) in 0 .. 1 -> (channels, h, w), normalised."""
        channels = raw_channels(bands, len(self.mean) > len(BANDS))
        mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (self.mean, self.std))
        return np.asarray((channels - mean) / std, dtype=np.float32)


def raw_channels(bands: Bands, indices: bool) -> Floats:
    """(8, h, w) -> the same, or (12, h, w) with the indices."""
    return np.concatenate([bands, index_channels(bands)]) if indices else bands


@dataclass(frozen=True)
class Windows:
    """The batches of a training.

    Attributes:
        examples: what is cut from.
        channels: of the network.
        params: see there.
        window_px: side of a window.
        batch: windows a step.
        seed: of the random streams.
    """

    examples: StoredExamples
    channels: Channels
    params: AugmentParams
    window_px: int
    batch: int
    seed: int

    @cached_property
    def class_shares(self) -> NDArray[np.float64]:
        """(10,) how often each class is looked for: its frequency ** -balance; 0 where there is none of it."""
        frequency = self.examples.counts.sum(axis=0) / self.examples.pixels.sum()
        weights = np.where(frequency > 0, np.maximum(frequency, 1e-12) ** -self.params.balance, 0.0)
        return np.asarray(weights / max(weights.sum(), 1e-12))

    def __call__(self, step: int) -> tuple[Floats, NDArray[np.uint8]]:
        """Inputs (batch, channels, window, window) and classes (batch, 10, window, window) of 0 and 1."""
        made = [self._window(np.random.default_rng([self.seed, step, number])) for number in range(self.batch)]
        return np.stack([channels for channels, _ in made]), np.stack([masks for _, masks in made])

    def _window(self, rng: np.random.Generator) -> tuple[Floats, NDArray[np.uint8]]:
        index, at = self._place(rng)
        bands, bits = cut_window(*self.examples[index], rng, self.window_px, at)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        bands, bits = np.rot90(bands, turns, axes=(1, 2)), np.rot90(bits, turns)
        if mirror:
            bands, bits = bands[:, :, ::-1], bits[:, ::-1]
        return self._lit(bands.astype(np.float32), rng), unpack(bits).astype(np.uint8)

    def _place(self, rng: np.random.Generator) -> tuple[int, tuple[int, int] | None]:
        """A tile, and a pixel (row, column) that the window must show; any tile, and none, without focus."""
        shares = self.class_shares
        if not shares.any() or rng.random() >= self.params.focus:
            return int(rng.choice(len(self.examples), p=self.examples.pixels / self.examples.pixels.sum())), None
        kind = int(rng.choice(len(shares), p=shares))
        index = int(rng.choice(np.flatnonzero(self.examples.counts[:, kind])))
        bits = self.examples[index][1]
        row, column = divmod(int(rng.choice(np.flatnonzero(plane(bits, kind)))), bits.shape[1])
        return index, (row, column)

    def _lit(self, bands: Bands, rng: np.random.Generator) -> Floats:
        params = self.params
        gain = (1 + rng.uniform(-params.gain, params.gain)) * (1 + rng.uniform(-1, 1, len(BANDS)) * params.band_gain)
        channels = self.channels(bands * gain.astype(np.float32)[:, None, None])
        noise = rng.standard_normal(channels.shape, dtype=np.float32) * np.float32(params.noise * rng.random())
        return channels + noise


def cut_window(
    bands: NDArray[np.floating], bits: Bits, rng: np.random.Generator, side: int, at: tuple[int, int] | None = None
) -> tuple[NDArray[np.floating], Bits]:
    """A random square of a tile, which holds the pixel `at` where given; mirrored where the tile is smaller."""
    missing = [max(side - length, 0) for length in bits.shape]
    if any(missing):
        pads = [(0, amount) for amount in missing]
        bands, bits = np.pad(bands, [(0, 0), *pads], mode="symmetric"), np.pad(bits, pads, mode="symmetric")
    rooms = [length - side for length in bits.shape]
    if at is None:
        top, left = (int(rng.integers(room + 1)) for room in rooms)
    else:
        top, left = (int(np.clip(place - rng.integers(side), 0, room)) for place, room in zip(at, rooms, strict=True))
    return bands[:, top : top + side, left : left + side], bits[top : top + side, left : left + side]
