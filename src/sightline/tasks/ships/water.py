"""Where there is water in a raster, as far as the raster itself tells: no level of grey and no colour is fixed.

Water is flat at the scale of buildings and streets, whatever its colour, waves and noise. In cells of 12 m the means
of neighbouring cells vary little on water, and many times more on land, in pictures of all sensors that were looked at
(by 1 to 3 grey levels against 20 to 25). Which variation parts them is read off the raster: the threshold of Otsu
(1979) on its logarithm. What is calm and large is water, and what is calm, smaller and darker than what is rough;
rougher water (sun glint beyond the seam of a mosaic) is dark, and not as rough as land. A field as large as a lake is
taken for one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.stopping import check
from sightline.tasks.ships.extent import BROADEST_M, LONGEST_M
from sightline.tasks.ships.scaled import Scaled

CELL_PX = 4
"""Side of a cell at the network's scale."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

_STRIP_PX = 512
_AROUND = 5  # cells over whose means the variation is taken
_LEAST_VARIATION = 0.5  # of a grey level: less is rounding
_PARTED = 2.0  # octaves between what is calm and what is rough, if there are both
_FLAT = 0.15  # variation over level of a picture that has but one of both, if that is water
_ROUNDING = 2.0  # grey levels that dark water varies by anyway
_GLINT = (2.5, 0.5)  # rougher than the threshold by so much it is water where it has less of the level of what is rough
_NEAR = 15  # cells from which a level of the water is taken
_ALIKE = 3.0  # standard deviations from it
_LEAST_HA = 1.5
_SURE_HA = 20.0  # what is smaller is no water where it is as bright as what is rough, or as red as soil
_SOIL = 0.15  # red over blue, as a share of the level of what is rough
_BINS = 128
_THICK, _THICK_SHARE = 3, 0.6  # cells across, and how much of a mole is as thick as that; wakes are not
_BLURRED = 3  # cells by which what is dry seems broader than it is


@dataclass(frozen=True)
class Water:
    """What is known of a raster's cells.

    Attributes:
        water: (rows, columns) where there is water, under vessels too small to fill a cell also.
        hidden: where nothing is shown.
        structure: what is no water and broader or longer than a vessel: land, quays and moles, with what lies at them.
    """

    water: Bools
    hidden: Bools
    structure: Bools

    def part(self, top: int, left: int, height: int, width: int) -> Bools:
        """(height, width) pixels of water at the network's scale from (top, left) on; False beyond the raster."""
        rows, columns = ((np.arange(start, start + side) // CELL_PX) for start, side in ((top, height), (left, width)))
        inside_y, inside_x = (
            (index >= 0) & (index < count) for index, count in zip((rows, columns), self.water.shape, strict=True)
        )
        part = np.zeros((height, width), dtype=bool)
        part[np.ix_(inside_y, inside_x)] = self.water[np.ix_(rows[inside_y], columns[inside_x])]
        return part

    def is_structure(self, x: float, y: float) -> bool:
        """Whether a place at the network's scale is on one."""
        row, column = (
            int(np.clip(at / CELL_PX, 0, count - 1)) for at, count in zip((y, x), self.structure.shape, strict=True)
        )
        return bool(self.structure[row, column])

    @property
    def share(self) -> float:
        """Of what is shown."""
        shown = int((~self.hidden).sum())
        return float(self.water.sum() / shown) if shown else 0.0


def water_of(raster: Scaled, gsd_m: float) -> Water:
    """The water of a raster at the network's scale of `gsd_m`."""
    means, hidden = _cells(raster)
    variation = _variation(means, hidden)
    calm, rough = _calm(means, variation, ~hidden)
    cell_ha = (CELL_PX * gsd_m) ** 2 / 10_000
    water = _large_and_dark(calm & ~hidden, means, rough, cell_ha)
    water = _grown(water, means) & ~hidden
    return Water(water, hidden, _structures(~water & ~hidden, CELL_PX * gsd_m))


def _cells(raster: Scaled) -> tuple[NDArray[np.uint8], Bools]:
    """(rows, columns, 3) means, and where a cell shows nothing."""
    import cv2

    rows, columns = (-(-side // CELL_PX) for side in raster.size)
    means = np.empty((rows, columns, 3), dtype=np.uint8)
    hidden = np.zeros((rows, columns), dtype=bool)
    step = _STRIP_PX // CELL_PX
    for top in range(0, rows, step):
        check()
        count = min(step, rows - top)
        window = top * CELL_PX, 0, count * CELL_PX, columns * CELL_PX
        part = raster.part(*window)
        means[top : top + count] = cv2.resize(part, (columns, count), interpolation=cv2.INTER_AREA)
        if (nothing := raster.hidden_part(*window)) is not None:
            hidden[top : top + count] = nothing.reshape(count, CELL_PX, columns, CELL_PX).any(axis=(1, 3))
    return means, hidden


def _variation(means: NDArray[np.uint8], hidden: Bools) -> Floats:
    """(rows, columns) standard deviation of the means around each cell, a mean over colours, of what is shown."""
    import cv2

    variation = np.empty(means.shape[:2], dtype=np.float32)
    around, margin, step = (_AROUND, _AROUND), _AROUND // 2, 1024
    for top in range(0, len(means), step):
        check()
        first = max(top - margin, 0)
        shown = (~hidden[first : top + step + margin]).astype(np.float32)[..., None]
        values = means[first : top + step + margin].astype(np.float32) * shown
        share = np.maximum(cv2.blur(shown, around), 1e-6)[..., None]
        mean, square = (cv2.blur(one, around) / share for one in (values, values * values))
        part = np.sqrt(np.maximum(square - mean * mean, 0)).mean(axis=2)
        variation[top : top + step] = part[top - first :][:step]
    return variation


def _calm(means: NDArray[np.uint8], variation: Floats, shown: Bools) -> tuple[Bools, float]:
    """Which cells may be water, and the brightness of those that are rough; infinite where there are none."""
    if not shown.any():
        return np.zeros_like(shown), np.inf
    logarithms = np.log2(np.maximum(variation[shown], _LEAST_VARIATION))
    threshold, low, high = otsu(logarithms)
    if high - low >= _PARTED:
        calm = variation <= 2.0**threshold
        rough = float(means[shown & ~calm].mean(dtype=np.float64))
        rougher, darker = _GLINT
        glint = (variation <= rougher * 2.0**threshold) & (means.mean(axis=2, dtype=np.float32) < darker * rough)
        return calm | glint, rough
    usual = float(2.0 ** np.median(logarithms))
    is_flat = usual <= _FLAT * float(np.median(means[shown])) + _ROUNDING
    return np.full(shown.shape, is_flat), np.inf


def otsu(values: Floats) -> tuple[float, float, float]:
    """The threshold that parts values best in two (Otsu, 1979), and the means of both; all alike: that value."""
    counts, edges = np.histogram(values, _BINS)
    share = counts / counts.sum()
    middles = (edges[1:] + edges[:-1]) / 2
    below, moment = np.cumsum(share)[:-1], np.cumsum(share * middles)
    whole, moment = float(moment[-1]), moment[:-1]
    parted = (below > 0) & (below < 1)
    if not parted.any():
        return whole, whole, whole
    below, moment, ends = below[parted], moment[parted], edges[1:-1][parted]
    best = int(np.argmax((whole * below - moment) ** 2 / (below * (1 - below))))
    low, high = moment[best] / below[best], (whole - moment[best]) / (1 - below[best])
    return float(ends[best]), float(low), float(high)


def _large_and_dark(calm: Bools, means: NDArray[np.uint8], rough: float, cell_ha: float) -> Bools:
    """The calm regions that are no roof, no field and no bare ground."""
    import cv2

    count, labels, statistics, _ = cv2.connectedComponentsWithStats(calm.astype(np.uint8), connectivity=4)
    areas = np.maximum(statistics[:, cv2.CC_STAT_AREA], 1).astype(np.float64)  # nothing may be left of the first
    flat = labels.ravel()
    red, green, blue = (np.bincount(flat, means[..., band].ravel(), count) / areas for band in range(3))
    dark = (red + green + blue) / 3 < rough
    soil = red - blue > _SOIL * rough
    is_water = (areas * cell_ha >= _SURE_HA) | (dark & ~soil & (areas * cell_ha >= _LEAST_HA))
    is_water[0] = False
    return np.asarray(is_water[labels])


def _grown(water: Bools, means: NDArray[np.uint8]) -> Bools:
    """With what borders on it and has its level: cells near a shore or a vessel vary, though they are water."""
    import cv2

    if not water.any() or water.all():
        return water
    grown = water.copy()
    margin, step = 2 * _NEAR, 1024
    for top in range(0, len(water), step):
        check()
        first = max(top - margin, 0)
        part = slice(first, top + step + margin)
        known, values = water[part].astype(np.float32), means[part].astype(np.float32)
        near = cv2.blur(known, (_NEAR, _NEAR))
        weight = np.maximum(near, 1e-6)[..., None]
        level = cv2.blur(values * known[..., None], (_NEAR, _NEAR)) / weight
        square = cv2.blur(values * values * known[..., None], (_NEAR, _NEAR)) / weight
        spread = np.sqrt(np.maximum(square - level * level, 0))
        alike = (np.abs(values - level) <= _ALIKE * spread + _ROUNDING).all(axis=2)
        bordering = cv2.dilate(known, np.ones((_AROUND + 2, _AROUND + 2), np.uint8)) > 0
        grown[top : top + step] |= (bordering & alike)[top - first :][:step]
    return grown


def _structures(dry: Bools, cell_m: float) -> Bools:
    """What of the dry cells hangs together with more than a vessel, wakes left out, which are thin."""
    import cv2

    shown = dry.astype(np.uint8)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(shown, connectivity=8)
    side = max(round(BROADEST_M / cell_m) + _BLURRED, 1)
    broad = cv2.erode(shown, np.ones((side, side), np.uint8), borderValue=1) > 0
    thick = cv2.morphologyEx(shown, cv2.MORPH_OPEN, np.ones((_THICK, _THICK), np.uint8)) > 0
    longest = statistics[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    thick_share = np.bincount(labels[thick], minlength=count) / np.maximum(statistics[:, cv2.CC_STAT_AREA], 1)
    found = (longest * cell_m > LONGEST_M) & (thick_share > _THICK_SHARE)
    found |= np.bincount(labels[broad], minlength=count) > 0
    found[0] = False
    return np.asarray(found[labels])
