"""Training inputs: crops of scenes and chips, turned, mirrored, zoomed, seen by other sensors, with holes.

A crop holds many windows, and each is told whether a vessel's middle is in its own: so windows with a part of a ship,
at a pier or over land are all there, and the network learns to answer highest in the middle of a vessel. What is
shorter than 20 m, or than a few pixels of what the crop was made coarse to, is left out on both sides. Of a chip only
the window in the middle is known. What lies alongside without a label, as in most real scenes, is taken for no vessel.

Each crop has a random stream of its own (seed, step, number), so a resumed training sees what it would have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.colours import seen_otherwise
from sightline.tasks.ships.examples import Example, StoredExamples
from sightline.tasks.ships.labels import LEAST_M, Box
from sightline.tasks.ships.network import IGNORED, UNKNOWN
from sightline.tasks.ships.params import AugmentParams, InputParams, WindowParams
from sightline.tasks.ships.scan import USUAL_M, normalised

Floats = NDArray[np.float32]
Points = NDArray[np.float64]

_JITTER_M = 12.0
"""How far a ship that is aimed at may lie from the middle of a window."""

_ALONGSIDE_SHARE = 0.25
"""Of the vessels that are aimed at: a marina has more of them than a roadstead has ships."""

_PIXELS_A_VESSEL = 4.0
"""What has fewer, along, is not learnt from: nobody could tell it."""


@dataclass(frozen=True)
class Turn:
    """How a crop lies in its example: native = turned @ (crop - aimed) + at, in pixels, x then y."""

    turned: NDArray[np.float64]
    aimed: NDArray[np.float64]
    at: NDArray[np.float64]

    def native(self, points: Points) -> Points:
        """Points (n, 2) of the crop in the example's pixels."""
        return (points - self.aimed) @ self.turned.T + self.at

    @property
    def scale(self) -> float:
        """Pixels of the example a pixel of the crop."""
        return float(np.sqrt(abs(np.linalg.det(self.turned))))

    def cut(self, pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
        """The crop (side, side, 3); beyond the example it is reflected. Where it is made smaller, it has no aliases."""
        import cv2

        finer = math.ceil(self.scale - 0.25)
        if finer > 1:
            fine = Turn(self.turned / finer, self.aimed * finer, self.at).cut(pixels, side * finer)
            return np.asarray(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA))
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

    def __call__(self, step: int) -> tuple[Floats, Floats]:
        """Inputs (batch, 3, side, side) and truth (batch, 2, rows, columns): classes, some IGNORED, and lengths."""
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
    def _ships(self) -> list[list[tuple[int, Box]]]:
        """Scenes and their vessels: those in open water, and those alongside, where there are any."""
        boxes, gsd_m = self.examples.boxes, self.examples.gsd_m
        asked = [(i, box) for i in self.examples.scenes for box in boxes[i] if box.is_asked_for(gsd_m[i])]
        return [[one for one in asked if one[1].where == where] for where in ("open_water", "alongside")]

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

    def _crop(self, rng: np.random.Generator) -> tuple[Floats, Floats]:
        scenes = self.examples.scenes
        if self._chips and (not scenes or rng.random() < self.params.chips):
            example, at, aimed = self._aim_at_chip(rng)
        elif any(self._ships) and rng.random() < self.params.focus:
            example, at, aimed = self._aim_at_ship(rng)
        else:
            example, at, aimed = self._aim_anywhere(rng)
        turn = self._turn(rng, example.gsd_m, at, aimed)
        pixels = turn.cut(example.pixels, self.params.side_px)
        pixels, coarse = seen_otherwise(pixels, self.augment, rng)
        lit = normalised(pixels)
        if rng.random() < self.augment.random_erasing:
            self._erase(lit, rng)
        return lit, self._truth(example, turn, aimed, coarse)

    # -------------------------------------------------------------------------------------------------- aiming

    def _aim_at_chip(self, rng: np.random.Generator) -> tuple[Example, Points, Points]:
        """Its middle in the middle of the crop's middle window."""
        part = self._chips[int(rng.integers(len(self._chips)))]
        example = self.examples[part[int(rng.integers(len(part)))]]
        visible = self.centres[self._with_context]
        middle = visible[np.argmin(((visible - self.params.side_px / 2) ** 2).sum(axis=1))]
        return example, np.array(example.pixels.shape[1::-1]) / 2, middle

    def _aim_at_ship(self, rng: np.random.Generator) -> tuple[Example, Points, Points]:
        """A vessel's middle near that of any window."""
        in_open, alongside = self._ships
        drawn = alongside if not in_open or (alongside and rng.random() < _ALONGSIDE_SHARE) else in_open
        index, box = drawn[int(rng.integers(len(drawn)))]
        jitter = rng.uniform(-1, 1, 2) * _JITTER_M / self.examples.gsd_m[index] / np.sqrt(2)
        visible = self.centres[self._with_context]
        return self.examples[index], np.array(box.centre) + jitter, visible[int(rng.integers(len(visible)))]

    def _aim_anywhere(self, rng: np.random.Generator) -> tuple[Example, Points, Points]:
        index = self.examples.scenes[int(rng.choice(len(self.examples.scenes), p=self._scene_shares))]
        height, width = self.examples.size(index)
        at = np.array([rng.uniform(0, width), rng.uniform(0, height)])
        return self.examples[index], at, np.full(2, self.params.side_px / 2)

    def _turn(self, rng: np.random.Generator, gsd_m: float, at: Points, aimed: Points) -> Turn:
        """By right angles and mirrored; some by any angle, and zoomed. Whole pixels are kept where they can be."""
        scale = self.input.gsd_m / gsd_m
        angle, mirror = float(rng.integers(4)) * np.pi / 2, rng.choice([-1.0, 1.0])
        if rng.random() < self.augment.rotated:
            angle = rng.uniform(0, 2 * np.pi)
            scale /= float(np.exp(rng.uniform(*np.log(self.augment.zoom))))
        elif scale == 1:
            at, aimed = np.round(at), np.round(aimed)
        cos, sin = np.cos(angle), np.sin(angle)
        return Turn(scale * np.array([[cos * mirror, -sin], [sin * mirror, cos]]), aimed, at)

    # -------------------------------------------------------------------------------------------------- labels

    def _truth(self, example: Example, turn: Turn, aimed: Points, coarse: float) -> Floats:
        """(2, rows, columns) the classes of the windows of a crop, and their vessels' lengths."""
        centres = turn.native(self.centres)
        # Zoomed, a crop's metres are others than the example's.
        seen_gsd_m = self.input.gsd_m / turn.scale
        truth = truth_at(centres, example, seen_gsd_m, self.params, _PIXELS_A_VESSEL * coarse * self.input.gsd_m)
        height, width = example.pixels.shape[:2]
        known = self._with_context & ((centres >= 0) & (centres <= np.array([width, height]))).all(axis=1)
        if example.chip:
            known &= np.hypot(*(self.centres - aimed).T) < self.params.stride_px
        truth[0, ~known] = IGNORED
        cells = round(np.sqrt(len(centres)))
        return truth.reshape(2, cells, cells)

    def _erase(self, pixels: Floats, rng: np.random.Generator) -> None:
        """2 to 20 % of an area of 240 m on a side (Zhong et al., 2020), the ground that a chip shows."""
        area = rng.uniform(0.02, 0.2) * (240 / self.input.gsd_m) ** 2
        ratio = np.exp(rng.uniform(np.log(0.3), np.log(1 / 0.3)))
        height, width = int(np.sqrt(area * ratio)), int(np.sqrt(area / ratio))
        top, left = (int(rng.integers(max(self.params.side_px - side, 1))) for side in (height, width))
        pixels[:, top : top + height, left : left + width] = rng.standard_normal((3, 1, 1)).astype(np.float32)


def truth_at(centres: Points, example: Example, seen_gsd_m: float, params: WindowParams, least_m: float) -> Floats:
    """(2, n) the class of windows by where their middles (n, 2) are, and the length of their vessel.

    The class is 1 where a vessel's middle is within `ship_m`, IGNORED farther than that but within `sea_m`, or within a
    third of its length where that is less, and 0 elsewhere. The length is UNKNOWN where there is no vessel.

    Args:
        centres: in the example's pixels.
        example: what is seen.
        seen_gsd_m: metres that a pixel of the example seems to have.
        params: see there.
        least_m: what seems shorter is IGNORED.
    """
    truth = np.stack([np.zeros(len(centres)), np.full(len(centres), UNKNOWN)]).astype(np.float32)
    nearest = np.full(len(centres), np.inf)
    for box in example.boxes:
        distance_m = np.hypot(*(centres - np.array(box.centre)).T) * seen_gsd_m
        length_m = 0.0 if example.chip else box.length(example.gsd_m) / example.gsd_m * seen_gsd_m
        known = not 0 < length_m < max(least_m, LEAST_M)
        around_m = params.sea_m if not length_m else np.clip(length_m / 3, params.ship_m + 8, params.sea_m)
        reach_m = around_m if known else params.ship_m + 8 + length_m / 2
        truth[0, (distance_m <= reach_m) & (truth[0] == 0)] = IGNORED
        own = (distance_m <= params.ship_m) & (distance_m < nearest) & known
        nearest[own] = distance_m[own]
        truth[0, own] = 1
        truth[1, own] = np.log2(length_m / USUAL_M) if length_m else UNKNOWN
    return truth
