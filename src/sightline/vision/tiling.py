"""Whole scenes through a network of a fixed window: overlapping windows, blended, with bounded memory.

Windows start at (0, 0) and every `stride_px` from there, whatever the scene is read or stored by, so that the answer
depends on the scene alone. What they show beyond the right and the lower border is the scene reflected at its last
pixels. Each window's answer is weighted by a Hann window along both axes; the weights of a pixel sum to one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.stopping import check

Floats = NDArray[np.float32]
Read = Callable[[int, int, int, int], NDArray[np.generic]]
"""(top, left, height, width) in pixels, inside the scene -> (bands, height, width)."""
Predict = Callable[[NDArray[Any]], Floats]
"""(n, bands, window, window) of the scene's type -> (n, channels, window, window); n is `Tiling.batch` at most."""


@dataclass(frozen=True)
class Tiling:
    """How a scene is cut.

    Attributes:
        window_px: side of a window.
        overlap_px: what neighbouring windows share.
        batch: most windows that are predicted at once.
    """

    window_px: int
    overlap_px: int
    batch: int = 1

    def __post_init__(self) -> None:
        if not (0 <= self.overlap_px < self.window_px and self.batch >= 1):
            raise ValueError(
                f"windows cannot overlap by {self.overlap_px} of {self.window_px} px, {self.batch} at once"
            )

    @property
    def stride_px(self) -> int:
        """From one window to the next."""
        return self.window_px - self.overlap_px

    def starts(self, size_px: int) -> list[int]:
        """Where windows start along an axis: as many as cover it."""
        return list(range(0, max(size_px - self.overlap_px, 1), self.stride_px))

    def seen_px(self, height_px: int, width_px: int) -> int:
        """Pixels of all the windows that a scene takes."""
        return len(self.starts(height_px)) * len(self.starts(width_px)) * self.window_px**2

    def weights(self, size_px: int) -> list[Floats]:
        """The weights of each window along an axis, of its pixels inside the scene; they sum to one at each pixel."""
        hann = np.sin(np.pi * (np.arange(self.window_px) + 0.5) / self.window_px) ** 2  # nowhere zero
        total = np.zeros(size_px)
        for start in self.starts(size_px):
            total[start : start + self.window_px] += hann[: size_px - start]
        shares = [hann[: size_px - start] / total[start : start + self.window_px] for start in self.starts(size_px)]
        return [share.astype(np.float32) for share in shares]


def blend(
    read: Read, predict: Predict, height_px: int, width_px: int, channels: int, plan: Tiling
) -> Iterator[tuple[int, Floats]]:
    """Predict a scene window by window; yields its rows as they are finished, from the top.

    At most the rows of one row of windows are held, of the scene and of the answer; each row is read once.

    Args:
        read: gives any part of the scene.
        predict: answers windows; each by itself, or the answer depends on `plan.batch`.
        height_px: of the scene, at least 1.
        width_px: of the scene, at least 1.
        channels: of the answer.
        plan: how the scene is cut.

    Yields:
        The first row's number, and (channels, rows, width) float32: together the whole scene, without gaps.

    Raises:
        ValueError: the scene is empty, or `read` or `predict` gave another shape than asked for.
        Stopped: nobody waits for the answer any more (`stopping.check`, between windows).
    """
    if height_px < 1 or width_px < 1:
        raise ValueError(f"a scene of {width_px} x {height_px} px holds nothing")
    across = plan.weights(width_px)
    waiting = np.zeros((channels, 0, width_px), dtype=np.float32)  # rows that the next row of windows adds to
    strips = _strips(read, height_px, width_px, plan)
    for (top, strip), down in zip(strips, plan.weights(height_px), strict=True):
        band = np.zeros((channels, len(down), width_px), dtype=np.float32)
        band[:, : waiting.shape[1]] = waiting
        for left, answer, along in zip(
            plan.starts(width_px), _answers(predict, strip, channels, plan), across, strict=True
        ):
            weights = down[:, None] * along
            band[:, :, left : left + len(along)] += answer[:, : len(down), : len(along)] * weights
        last = top + len(down) == height_px
        finished = len(down) if last else plan.stride_px
        waiting = band[:, finished:]
        yield top, band[:, :finished]


def _strips(read: Read, height_px: int, width_px: int, plan: Tiling) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """The rows (bands, window, width) of each row of windows; rows that the last strip had are not read again."""
    held: NDArray[np.generic] | None = None
    held_top = 0
    for top in plan.starts(height_px):
        rows = _reflected(top, plan.window_px, height_px)
        first, end = int(rows.min()), int(rows.max()) + 1
        held_end = first if held is None else held_top + held.shape[1]
        fresh = read(held_end, 0, end - held_end, width_px)
        if fresh.ndim != 3 or fresh.shape[1:] != (end - held_end, width_px):
            raise ValueError(f"{fresh.shape} was read where (bands, {end - held_end}, {width_px}) was asked for")
        held = fresh if held is None else np.concatenate([held[:, first - held_top :], fresh], axis=1)
        held_top = first
        yield top, held if top + plan.window_px <= height_px else held[:, rows - first]


def _answers(predict: Predict, strip: NDArray[np.generic], channels: int, plan: Tiling) -> Iterator[Floats]:
    """The answer (channels, window, window) to each window of a strip, from the left."""
    starts = plan.starts(strip.shape[2])
    for at in range(0, len(starts), plan.batch):
        windows = [_window(strip, left, plan.window_px) for left in starts[at : at + plan.batch]]
        check()
        answers = predict(np.stack(windows))
        expected = (len(windows), channels, plan.window_px, plan.window_px)
        if answers.shape != expected:
            raise ValueError(f"the network answered {answers.shape} where {expected} was asked for")
        yield from answers


def _window(strip: NDArray[np.generic], left: int, window_px: int) -> NDArray[np.generic]:
    width_px = strip.shape[2]
    if left + window_px <= width_px:
        return strip[:, :, left : left + window_px]
    return strip[:, :, _reflected(left, window_px, width_px)]


def _reflected(start: int, length: int, size: int) -> NDArray[np.intp]:
    """Indices start .. start + length - 1 of an axis of `size`, turned back at its ends as often as it takes."""
    period = max(2 * (size - 1), 1)
    beyond = np.arange(start, start + length) % period
    return np.minimum(beyond, period - beyond) if size > 1 else np.zeros(length, dtype=np.intp)
