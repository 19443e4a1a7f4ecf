"""Finding the ships of a raster: by the network's scan or by the rule of blobs, each with its raw logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import OnProgress
from sightline.stopping import check
from sightline.tasks.ships.blobs import NOTHING, Rule
from sightline.tasks.ships.cost import check_work
from sightline.tasks.ships.detections import Detection, suppress
from sightline.tasks.ships.extent import extent_of, reach_px
from sightline.tasks.ships.params import InputParams, ScanParams
from sightline.tasks.ships.raster import Raster
from sightline.tasks.ships.scaled import Scaled
from sightline.tasks.ships.scan import Peak, Scanner, logit_near, peaks_of
from sightline.tasks.ships.water import Water, water_of

NEAR_M = 30.0
"""How far a blob may be from the middle of a chip whose ship it is."""

_CHIP_M = 15.0
"""How far from a chip's middle its vessel's may be."""

_TRUSTED_SHARE, _TRUSTED_M = 0.25, (12.0, 45.0)
"""How far the middle of an extent may be from its peak to be the better place of the vessel: a share of the length."""


@dataclass(frozen=True)
class Found:
    """What was found in one raster.

    Attributes:
        detections: in the raster's own pixels, the best first; the score is a logit, or a probability once calibrated.
        middle: the same for the raster's middle, for chips.
        embedding: (d,) float32.
    """

    detections: list[Detection]
    middle: float
    embedding: NDArray[np.float32] = field(repr=False)


class Finder(Protocol):
    """What finds ships."""

    def __call__(self, raster: Raster, on_progress: OnProgress | None = None) -> Found:
        """Those of one raster, with logits."""
        ...


@dataclass(frozen=True)
class NetworkFinder:
    """By the network.

    Attributes:
        scanner: the network.
        input, params: see there.
    """

    scanner: Scanner
    input: InputParams
    params: ScanParams

    def __call__(self, raster: Raster, on_progress: OnProgress | None = None) -> Found:
        """See `Finder`. Raises DataRejected where the raster is broken, or too large at the network's scale."""
        with _opened(raster, self.input.gsd_m) as scaled:
            heat = self.scanner(scaled, on_progress)
            stride_px, floor = self.params.stride_px, self.params.floor
            peaks = peaks_of(heat, stride_px, float(np.log(floor / (1 - floor))))
            at = (scaled.size[1] / 2, scaled.size[0] / 2)
            middle = logit_near(heat.logits, stride_px, at, _CHIP_M / self.input.gsd_m)
            return Found(self._ships(scaled, peaks), middle, heat.embedding)

    def _ships(self, scaled: Scaled, peaks: list[Peak]) -> list[Detection]:
        """The peaks with their extents, one a vessel, in the raster's own pixels."""
        separation_px = self.params.separation_m / self.input.gsd_m
        alone = suppress_peaks(peaks, separation_px)
        seen = [peak for peak in alone if not scaled.hides(peak.x, peak.y)]
        water = water_of(scaled, self.input.gsd_m) if seen else None
        found = [one for peak in seen if water and (one := self._detection(scaled, water, peak))]
        down, across = scaled.factors
        return [one.scaled(1 / down, 1 / across) for one in suppress(found, separation_px, self.params.overlap)]

    def _detection(self, scaled: Scaled, water: Water, peak: Peak) -> Detection | None:
        """A peak with its extent; None where there is no water around it: what is ashore is no vessel."""
        check()
        gsd_m = self.input.gsd_m
        reach = reach_px(gsd_m, peak.length_m)
        window = round(peak.y) - reach, round(peak.x) - reach, 2 * reach, 2 * reach
        extent = extent_of(scaled.part(*window), water.part(*window), gsd_m, scaled.hidden_part(*window), peak.length_m)
        if not extent.is_afloat:
            return None
        corners = extent.corners + np.array([window[1], window[0]])
        x, y = corners.mean(axis=0)
        length_m = float(np.linalg.norm(corners[1] - corners[0])) * gsd_m
        trusted_m = np.clip(_TRUSTED_SHARE * min(length_m, peak.length_m or length_m), *_TRUSTED_M)
        if np.hypot(x - peak.x, y - peak.y) * gsd_m > trusted_m:
            corners = corners + np.array([peak.x - x, peak.y - y])
            x, y = peak.x, peak.y
        alongside = extent.is_alongside or water.is_structure(peak.x, peak.y)
        return Detection(float(x), float(y), peak.logit, corners, "alongside" if alongside else "open_water")


def suppress_peaks(peaks: list[Peak], separation_px: float) -> list[Peak]:
    """The best ones, none nearer to a better one than that; `peaks` are the best first."""
    kept: list[Peak] = []
    cells: dict[tuple[int, int], list[Peak]] = {}
    for peak in peaks:
        check()
        row, column = int(peak.y // separation_px), int(peak.x // separation_px)
        near = (one for r in (-1, 0, 1) for c in (-1, 0, 1) for one in cells.get((row + r, column + c), ()))
        if all(np.hypot(peak.x - one.x, peak.y - one.y) >= separation_px for one in near):
            kept.append(peak)
            cells.setdefault((row, column), []).append(peak)
    return kept


@dataclass(frozen=True)
class BlobFinder:
    """By the rule.

    Attributes:
        rule: in pixels of `input.gsd_m`.
        input, params: see there.
    """

    rule: Rule
    input: InputParams
    params: ScanParams

    def __call__(self, raster: Raster, on_progress: OnProgress | None = None) -> Found:
        """See `Finder`; the embedding is the mean and the spread of the colours in a grid of 4 x 4."""
        with _opened(raster, self.input.gsd_m) as scaled:
            found = self.rule.find(scaled, water_of(scaled, self.input.gsd_m), on_progress)
        down, across = scaled.factors
        alone = suppress(found, self.params.separation_m / self.input.gsd_m, self.params.overlap)
        ships = [one.scaled(1 / down, 1 / across) for one in alone]
        near_px = NEAR_M / raster.gsd_m
        height, width = raster.size
        near = [one.score for one in ships if np.hypot(one.x - width / 2, one.y - height / 2) <= near_px]
        return Found(ships, max(near, default=NOTHING), _grid_of_colours(raster))


@contextmanager
def _opened(raster: Raster, gsd_m: float) -> Iterator[Scaled]:
    """At a network's scale. Raises DataRejected where it is broken, or too large there."""
    check_work(raster.size, raster.gsd_m, gsd_m, raster.most_scanned_px, raster.name)
    with raster.opened() as opened:
        yield Scaled.to(opened.read, raster.size, raster.gsd_m / gsd_m, opened.hidden)


def _grid_of_colours(raster: Raster) -> NDArray[np.float32]:
    """(96,) mean and spread of each colour in 4 x 4 cells, in 0 .. 1."""
    _, pixels = raster.reduced()
    cells = [cell for rows in np.array_split(pixels, 4) for cell in np.array_split(rows, 4, axis=1)]
    values = [np.concatenate([cell.mean(axis=(0, 1)), cell.std(axis=(0, 1))]) / 255 for cell in cells]
    return np.concatenate(values).astype(np.float32)
