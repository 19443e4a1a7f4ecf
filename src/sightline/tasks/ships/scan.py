"""The dense scan: a raster of any size through the network, tile by tile, to a map of logits and its peaks.

Cells cover the raster from its origin, `stride_px` each at the network's scale; a cell's logit is that of the window
around its centre. Tiles have a fixed size and overlap, and are anchored at the raster's origin too, so the answer
depends on the raster alone. What windows show beyond it is the raster reflected. A raster smaller than a tile takes a
smaller one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import OnProgress
from sightline.errors import ParamsError
from sightline.stopping import check
from sightline.tasks.ships.network import MEAN, STD, STRIDE
from sightline.tasks.ships.scaled import Scaled
from sightline.vision.graphs import open_session

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tiles:
    """How a raster is cut; all in pixels at the network's scale.

    Attributes:
        side_px: of a tile, a multiple of 32.
        context_px: of a tile on each side whose windows are not kept.
        pooled_px: side of a window.
        stride_px: from one window to the next.
    """

    side_px: int
    context_px: int
    pooled_px: int
    stride_px: int

    @property
    def cells(self) -> int:
        """Along a side of a tile."""
        return (self.side_px - self.pooled_px - 2 * self.context_px) // self.stride_px + 1

    def side_for(self, cells: int) -> int:
        """Side of the smallest tile for so many cells."""
        if cells >= self.cells:
            return self.side_px
        least = self.pooled_px + 2 * self.context_px + (cells - 1) * self.stride_px
        return min(-(-least // STRIDE) * STRIDE, self.side_px)

    def start_px(self, cell: int) -> int:
        """Where the tile begins whose first cell this is."""
        return cell * self.stride_px + self.stride_px // 2 - self.pooled_px // 2 - self.context_px

    def seen_px(self, size: tuple[int, int]) -> int:
        """Pixels of all the tiles that a raster of (h, w) takes."""
        rows, columns = self.grid(size)
        tiles = -(-rows // self.cells) * -(-columns // self.cells)
        return tiles * self.side_for(rows) * self.side_for(columns)

    def grid(self, size: tuple[int, int]) -> tuple[int, int]:
        """Cells that cover a raster of (h, w)."""
        height, width = size
        return -(-height // self.stride_px), -(-width // self.stride_px)


@dataclass(frozen=True)
class Heat:
    """What the network made of a raster.

    Attributes:
        logits: (rows, columns) of a vessel, a value a cell.
        embedding: (d,) the mean features over the tiles.
        lengths: (rows, columns) of the vessel, as the network tells them; None where it tells none.
    """

    logits: Floats
    embedding: Floats
    lengths: NDArray[np.float16] | None = None


@dataclass(frozen=True)
class Peak:
    """A local maximum, in pixels at the network's scale; its length is 0 where the network tells none."""

    x: float
    y: float
    logit: float
    length_m: float = 0.0


class Scanner:
    """A graph of `network.export_network` in a session.

    Args:
        graph: the ONNX file's bytes.
        tiles: how rasters are cut.
        threads: of the session; None: as `graphs.open_session` says.
    """

    def __init__(self, graph: bytes, tiles: Tiles, threads: int | None = None) -> None:
        self.tiles = tiles
        self._session = open_session(graph, threads)
        self._tells_lengths = len(self._session.get_outputs()[0].shape) == 4

    def __call__(self, raster: Scaled, on_progress: OnProgress | None = None) -> Heat:
        """Scan a raster.

        Args:
            raster: at the network's scale.
            on_progress: called with the tiles that are done, and with all.

        Raises:
            Stopped: nobody waits for the answer any more.
        """
        rows, columns = self.tiles.grid(raster.size)
        logits = np.empty((rows, columns), dtype=np.float32)
        lengths = np.empty((rows, columns), dtype=np.float16) if self._tells_lengths else None
        weight = 0
        total: NDArray[np.float64] | None = None
        tiles = list(self._tiles(rows, columns))
        for number, (top, left, height, width) in enumerate(tiles, start=1):
            check()
            answer, embedding = self._run(raster, top, left)
            logits[top : top + height, left : left + width] = answer[0, :height, :width]
            if lengths is not None:
                lengths[top : top + height, left : left + width] = answer[1, :height, :width]
            share = embedding.astype(np.float64) * height * width
            total, weight = share if total is None else total + share, weight + height * width
            if on_progress is not None:
                on_progress(number, len(tiles))
        assert total is not None
        return Heat(logits, (total / weight).astype(np.float32), lengths)

    def _tiles(self, rows: int, columns: int) -> Iterator[tuple[int, int, int, int]]:
        """First row and column of each tile's cells, and how many are left of its own."""
        step = self.tiles.cells
        for top in range(0, rows, step):
            for left in range(0, columns, step):
                yield top, left, min(step, rows - top), min(step, columns - left)

    def _run(self, raster: Scaled, top: int, left: int) -> tuple[Floats, Floats]:
        """Answers (1 or 2, rows, columns) of the windows of one tile from its first cell on, and its embedding."""
        rows, columns = self.tiles.grid(raster.size)
        height, width = self.tiles.side_for(rows), self.tiles.side_for(columns)
        pixels = raster.part(self.tiles.start_px(top), self.tiles.start_px(left), height, width)
        # One tile a call: an answer must not depend on what it shares a batch with, to the last bit.
        logits, embedding = self._session.run(None, {"image": normalised(pixels)[None]})
        answers = logits[0] if self._tells_lengths else logits
        step_px = self._step_px(height, answers.shape[1])
        first, step = self.tiles.context_px // step_px, self.tiles.stride_px // step_px
        return answers[:, first::step, first::step], embedding[0]

    def _step_px(self, side_px: int, windows: int) -> int:
        """From one window of the graph to the next: it may answer more of them than the scan asks for.

        Raises:
            ParamsError: it answers others.
        """
        step_px = (side_px - self.tiles.pooled_px) // (windows - 1) if windows > 1 else self.tiles.stride_px
        if self.tiles.stride_px % step_px or self.tiles.context_px % step_px:
            raise ParamsError(
                f"the network answers a window every {step_px} px, not every {self.tiles.stride_px}",
                where="stride",
                way_out=f"Give a multiple of {step_px}.",
            )
        return step_px


def normalised(pixels: NDArray[np.uint8]) -> Floats:
    """(h, w, 3) -> (3, h, w) as the network takes it."""
    mean, std = (np.array(values, dtype=np.float32) * 255 for values in (MEAN, STD))
    return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1), dtype=np.float32)


# --------------------------------------------------------------------------------------------------------- peaks


def peaks_of(heat: Heat, stride_px: int, least: float) -> list[Peak]:
    """The local maxima of a map of at least that logit, the highest first; placed between cells by a parabola."""
    import cv2

    logits = heat.logits
    highest = cv2.dilate(logits, np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((logits >= highest) & (logits >= least))
    found = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        down = _vertex(logits[max(row - 1, 0) : row + 2, column])
        across = _vertex(logits[row, max(column - 1, 0) : column + 2])
        x, y = ((at + 0.5 + off) * stride_px for at, off in ((column, across), (row, down)))
        length_m = 0.0 if heat.lengths is None else length_of(float(heat.lengths[row, column]))
        found.append(Peak(x, y, float(logits[row, column]), length_m))
    return sorted(found, key=lambda peak: (-peak.logit, peak.y, peak.x))


def _vertex(values: Floats) -> float:
    """Where a parabola through three values is highest, from the middle one, in cells; 0 at the border."""
    if len(values) < 3:
        return 0.0
    before, middle, after = (float(value) for value in values)
    bend = before - 2 * middle + after
    return 0.0 if bend >= 0 else float(np.clip((before - after) / (2 * bend), -0.5, 0.5))


def logit_near(logits: Floats, stride_px: int, at: tuple[float, float], near_px: float) -> float:
    """The highest logit of the windows around a place x, y no farther than that; at least the nearest one's."""
    column, row = (
        int(np.clip(place / stride_px, 0, count - 1)) for place, count in zip(at, logits.shape[::-1], strict=True)
    )
    reach = int(near_px / stride_px)
    part = logits[max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1]
    return float(part.max())


USUAL_M = 50.0
"""A network tells lengths as the logarithm (base 2) of how many times this they are."""


def length_of(told: float) -> float:
    """Metres, of what a network tells."""
    return float(USUAL_M * 2.0 ** float(np.clip(told, -2.0, 4.0)))
