"""A segmentation network in an ONNX Runtime session: windows of a fixed size, and pictures of any size by tiling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.vision.graphs import open_session
from sightline.vision.tiling import Tiling, blend

Floats = NDArray[np.float32]

GRAPH = "model.onnx"
WEIGHTS = "network.safetensors"
"""Files of a saved network."""


@dataclass(frozen=True)
class Segmented:
    """What the network made of one picture.

    Attributes:
        probabilities: (classes, h, w) float32.
        embedding: (d,) float32; the mean over the windows.
    """

    probabilities: Floats
    embedding: Floats


class Segmenter:
    """A graph of `networks.export_network`.

    Args:
        graph: the ONNX file's bytes.
        window_px: side of its input.
        overlap_px: of neighbouring windows, for pictures that are larger.
        threads: of the session; None: as `graphs.open_session` says.
    """

    def __init__(self, graph: bytes, window_px: int, overlap_px: int, threads: int | None = None) -> None:
        self.window_px = window_px
        # One window a call: an answer must not depend on what it shares a batch with, to the last bit.
        self.tiling = Tiling(window_px=window_px, overlap_px=overlap_px, batch=1)
        self._session = open_session(graph, threads)
        self._classes = int(self._session.get_outputs()[0].shape[1])

    def run(self, windows: Floats) -> tuple[Floats, Floats]:
        """Windows (n, bands, window, window) -> probabilities (n, classes, window, window), embeddings (n, d)."""
        probabilities, embeddings = self._session.run(None, {"image": windows})
        return probabilities, embeddings

    def __call__(self, picture: Floats) -> Segmented:
        """Segment a picture (bands, h, w) of any size."""
        if picture.shape[1:] == (self.window_px, self.window_px):
            probabilities, embeddings = self.run(picture[None])
            return Segmented(probabilities[0], embeddings[0])
        height, width = picture.shape[1:]
        seen: list[Floats] = []

        def predict(windows: Floats) -> Floats:
            probabilities, embeddings = self.run(windows)
            seen.extend(embeddings)
            return probabilities

        def read(top: int, left: int, rows: int, columns: int) -> Floats:
            return picture[:, top : top + rows, left : left + columns]

        whole = np.empty((self._classes, height, width), dtype=np.float32)
        for top, rows in blend(read, predict, height, width, self._classes, self.tiling):
            whole[:, top : top + rows.shape[1]] = rows
        return Segmented(whole, np.asarray(np.mean(seen, axis=0, dtype=np.float64), dtype=np.float32))
