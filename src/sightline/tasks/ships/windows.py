"""Training inputs: crops of scenes and chips, turned, mirrored, zoomed, changed in light, with holes.

A crop holds many windows, and each is told whether a ship's middle is in its own: so windows with a part of a ship, at
a pier or over land are all there, and the network learns to answer highest in the middle of a ship. Vessels that are
not asked for (smaller ones) are left out on both sides. Those at berth are taken for no ships, as labels of real
scenes leave them out. Of a chip only the window in the middle is known.

Each crop has a random stream of its own (seed, step, number), so a resumed training sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.data import GSD_M
from sightline.tasks.ships.examples import Example, StoredExamples
from sightline.tasks.ships.labels import Box
from sightline.tasks.ships.network import IGNORED
from sightline.tasks.ships.params import AugmentParams, InputParams, WindowParams
from sightline.tasks.ships.scan import normalised

Floats = NDArray[np.float32]
Points = NDArray[np.float64]

_JITTER_M = 12.0
"""How far a ship that is aimed at may lie from the middle of a window."""


@dataclass(frozen=True)
class Turn:
    """How a crop lies in its example: native = turned @ (crop - aimed) + at, in pixels, x then y."""

    turned: NDArray[np.float64]
    aimed: NDArray[np.float64]
    at: NDArray[np.float64]

    def native(self, points: Points) -> Points:
        """Points (n, 2) of the crop in the example's pixels."""
        return (points - self.aimed) @ self.turned.T + self.at

    def cut(self, pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        """The crop (side, side, 3); beyond the example it is reflected."""
        import cv2

        shift = self.at - self.turned @ self.aimed
        # OpenCV counts from the middle of the first pixel.
        shift = shift + self.turned @ np.array([0.5, 0.5]) - 0.5
        matrix = np.concatenate([self.turned, shift[:, None]], axis=1)
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(pixels, matrix, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101))


@dataclass(frozen=True)
class Windows:
    """The batches of a training.

    Attributes:
        examples: what is cut from.
        input, params, augment: see there.
        batch: crops a step.
        seed: of the random streams.
    """

    examples: StoredExamples
    input: InputParams
    params: WindowParams
    augment: AugmentParams
    batch: int
    seed: int

    def __call__(self, step: int) -> tuple[Floats, NDArray[np.int64]]:
        """Inputs (batch, 3, side, side) and classes (batch, rows, columns), some of them IGNORED."""
        made = [self._crop(np.random.default_rng([self.seed, step, number])) for number in range(self.batch)]
        return np.stack([pixels for pixels, _ in made]), np.stack([truth for _, truth in made])

    @cached_property
    def centres(self) -> Points:
        """(n, 2) where the middles of a crop's windows are, x then y, row by row."""
        cells = (self.params.side_px - self.input.pooled_px) // self.params.stride_px + 1
        along = np.arange(cells) * self.params.stride_px + self.input.pooled_px / 2
        y, x = np.meshgrid(along, along, indexing="ij")
        return np.stack([x.ravel(), y.ravel()], axis=1)

    @cached_property
    def _with_context(self) -> NDArray[np.bool_]:
        """(n,) which of them see all of their context within the crop."""
        reach = self.input.pooled_px / 2 + self.input.context_px
        inside = (self.centres >= reach) & (self.centres <= self.params.side_px - reach)
        return np.asarray(inside.all(axis=1))

    @cached_property
    def _ships(self) -> list[tuple[int, Box]]:
        return [(i, box) for i in self.examples.scenes for box in self.examples.boxes[i] if box.kind == "ship"]

    @cached_property
    def _chips(self) -> list[list[int]]:
        """Chips without a ship and with one, those kinds that there are."""
        chips = self.examples.chips
        parts = [[i for i in chips if bool(self.examples.boxes[i]) == ship] for ship in (False, True)]
        return [part for part in parts if part]

    @cached_property
    def _scene_shares(self) -> Points:
        """How often each scene is drawn: by its sides, so that a large one does not hide the others."""
        sides = np.sqrt([np.prod(self.examples.size(i), dtype=float) for i in self.examples.scenes])
        return np.asarray(sides / sides.sum())

    def _crop(self, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
        scenes = self.examples.scenes
        if self._chips and (not scenes or rng.random() < self.params.chips):
            example, at, aimed = self._aim_at_chip(rng)
        elif self._ships and rng.random() < self.params.focus:
            example, at, aimed = self._aim_at_ship(rng)
        else:
            example, at, aimed = self._aim_anywhere(rng)
        turn = self._turn(rng, at, aimed)
        pixels = turn.cut(example.pixels, self.params.side_px)
        return self._lit(normalised(pixels), rng), self._truth(example, turn, aimed)

    # -------------------------------------------------------------------------------------------------- aiming

    def _aim_at_chip(self, rng: np.random.Generator) -> tuple[Example, Points, Points]:
        """Its middle in the middle of the crop's middle window."""
        part = self._chips[int(rng.integers(len(self._chips)))]
        example = self.examples[part[int(rng.integers(len(part)))]]
        visible = self.centres[self._with_context]
        middle = visible[np.argmin(((visible - self.params.side_px / 2) ** 2).sum(axis=1))]
        return example, np.array(example.pixels.shape[1::-1]) / 2, middle

    def _aim_at_ship(self, rng: np.random.Generator) -> tuple[Example, Points, Points]:
        """A ship's middle near that of any window."""
        index, box = self._ships[int(rng.integers(len(self._ships)))]
        jitter = rng.uniform(-1, 1, 2) * _JITTER_M / GSD_M / np.sqrt(2)
        visible = self.centres[self._with_context]
        return self.examples[index], np.array(box.centre) + jitter, visible[int(rng.integers(len(visible)))]

    def _aim_anywhere(self, rng: np.random.Generator) -> tuple[Example, Points, Points]:
        index = self.examples.scenes[int(rng.choice(len(self.examples.scenes), p=self._scene_shares))]
        height, width = self.examples.size(index)
        at = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        return self.examples[index], at, np.full(2, self.params.side_px / 2)

    def _turn(self, rng: np.random.Generator, at: Points, aimed: Points) -> Turn:
        """By right angles and mirrored; some by any angle, and zoomed. Whole pixels are kept where they can be."""
        scale = self.input.gsd_m / GSD_M
        angle, mirror = float(rng.integers(4)) * np.pi / 2, rng.choice([-1.0, 1.0])
        if rng.random() < self.augment.rotated:
            angle = rng.uniform(0, 2 * np.pi)
            scale /= float(np.exp(rng.uniform(*np.log(self.augment.zoom))))
        elif scale == 1:
            at, aimed = np.round(at), np.round(aimed)
        cos, sin = np.cos(angle), np.sin(angle)
        return Turn(scale * np.array([[cos * mirror, -sin], [sin * mirror, cos]]), aimed, at)

    # -------------------------------------------------------------------------------------------------- labels

    def _truth(self, example: Example, turn: Turn, aimed: Points) -> NDArray[np.int64]:
        """The classes (rows, columns) of the windows of a crop."""
        centres = turn.native(self.centres)
        truth = classes_at(centres, example.boxes, self.params.ship_m / GSD_M, self.params.sea_m / GSD_M)
        height, width = example.pixels.shape[:2]
        known = self._with_context & ((centres >= 0) & (centres <= np.array([width, height]))).all(axis=1)
        if example.chip:
            known &= (np.abs(self.centres - aimed) < 1).all(axis=1)
        cells = round(np.sqrt(len(centres)))
        return np.where(known, truth, IGNORED).reshape(cells, cells)

    # --------------------------------------------------------------------------------------------------- light

    def _lit(self, pixels: Floats, rng: np.random.Generator) -> Floats:
        """(3, h, w) normalised, in another light; some with a rectangle of nothing (Zhong et al., 2020)."""
        augment = self.augment
        gain = (1 + rng.uniform(-1, 1) * augment.gain) * (1 + rng.uniform(-1, 1, 3) * augment.band_gain)
        black = normalised(np.zeros((1, 1, 3), dtype=np.uint8))
        lit = (pixels - black) * gain.astype(np.float32)[:, None, None] + black
        centre = lit.mean(axis=(1, 2), keepdims=True)
        lit = (lit - centre) * np.float32(1 + rng.uniform(-1, 1) * augment.contrast) + centre
        lit = lit + rng.standard_normal(lit.shape, dtype=np.float32) * np.float32(augment.noise * rng.random())
        if rng.random() < augment.random_erasing:
            self._erase(lit, rng)
        return np.asarray(lit, dtype=np.float32)

    def _erase(self, pixels: Floats, rng: np.random.Generator) -> None:
        """2 to 20 % of an area of 240 m on a side, the ground that a chip shows."""
        area = rng.uniform(0.02, 0.2) * (240 / self.input.gsd_m) ** 2
        ratio = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
        height, width = int(np.sqrt(area * ratio)), int(np.sqrt(area / ratio))
        top, left = (int(rng.integers(max(self.params.side_px - side, 1))) for side in (height, width))
        pixels[:, top : top + height, left : left + width] = rng.standard_normal((3, 1, 1)).astype(np.float32)


def classes_at(centres: Points, boxes: Sequence[Box], ship_px: float, sea_px: float) -> NDArray[np.int64]:
    """The class of windows by where their middles (n, 2) are: of ship, of none, or IGNORED between and on others."""
    truth = np.zeros(len(centres), dtype=np.int64)
    for box in boxes:
        distance = np.hypot(*(centres - np.array(box.centre)).T)
        if box.kind in ("other", "small"):
            reach = sea_px + max(box.x1 - box.x0, box.y1 - box.y0) / 2
            truth[(distance <= reach) & (truth == 0)] = IGNORED
        elif box.kind == "ship":
            truth[(distance <= sea_px) & (truth == 0)] = IGNORED
    for box in boxes:
        if box.kind == "ship":
            truth[np.hypot(*(centres - np.array(box.centre)).T) <= ship_px] = 1
    return truth
