"""Videos that tests write: by PyAV itself, so that what reads them is not tried against its own counterpart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def write_video(
    path: Path, frames: Iterable[NDArray[Any]], codec: str = "libx264", pixels: str = "yuv420p", rate: int = 10
) -> Path:
    """(h, w, 3) uint8 RGB or (h, w) uint16 frames into a file; its name says the container."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.pix_fmt = pixels
        for number, values in enumerate(frames):
            if not number:
                stream.height, stream.width = values.shape[:2]
            kind = "rgb24" if values.ndim == 3 else "gray16le"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format=kind)))
        container.mux(stream.encode())
    return path


def grey(level: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """A frame of one level of grey."""
    return np.full((height, width, 3), level, dtype=np.uint8)


def levels(frames: Iterable[Any]) -> list[int]:
    """The mean level of each frame, to the nearest ten: compression changes it a little."""
    return [round(float(frame.pixels.mean()) / 10) * 10 for frame in frames]


LEVELS: Sequence[int] = range(20, 140, 10)
"""Of twelve frames that can be told apart."""
