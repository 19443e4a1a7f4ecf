"""An MP4 file that a browser plays, written frame by frame by PyAV: memory stays flat, however long it gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BackendError, DataRejected

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

_MILLISECOND = Fraction(1, 1000)
_ENCODER = {"preset": "veryfast", "crf": "21", "tune": "zerolatency", "g": "50"}
"""Good for drawings and text; no frame waits for later ones; one can jump to each 50th."""


class Movie:
    """H.264 in MP4, yuv420p, its table of contents in front. It is there under its name once it is closed.

    Leaving a `with` by an error leaves no file, and what was there before.

    Args:
        path: of the file; what is there is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._output: tuple[OutputContainer, VideoStream] | None = None
        self._size = (0, 0)
        self._last_ms = -1

    def add(self, picture: NDArray[np.uint8], time_s: float) -> None:
        """Append a picture (h, w, 3) RGB that is shown from `time_s` on: seconds, not below those before.

        Raises:
            DataRejected: it has another size than the first.
            BackendError: the file cannot be written.
        """
        import av

        with self._writing():
            container, stream = self._output or self._begun(picture.shape)
            if picture.shape[:2] != self._size:
                height, width = picture.shape[:2]
                raise DataRejected(
                    f"a picture of {width} x {height} cannot follow those of {self._size[1]} x {self._size[0]}",
                    where=self._path,
                    way_out="Begin another file.",
                )
            frame = av.VideoFrame.from_ndarray(_even(picture), format="rgb24")
            self._last_ms = frame.pts = max(round(time_s * 1000), self._last_ms + 1)
            frame.time_base = _MILLISECOND
            container.mux(stream.encode(frame))

    def _begun(self, shape: tuple[int, ...]) -> tuple[OutputContainer, VideoStream]:
        import av

        self._path.parent.mkdir(parents=True, exist_ok=True)
        container = av.open(str(self._partial), "w", format="mp4", options={"movflags": "faststart"})
        stream = container.add_stream("libx264", rate=25, options=_ENCODER)
        self._size = (shape[0], shape[1])
        stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = _MILLISECOND
        stream.codec_context.thread_count = 1  # the other cores are the model's
        self._output = container, stream
        return self._output

    def close(self) -> None:
        """Finish the file and give it its name; without a picture there is none.

        Raises:
            BackendError: it cannot be written.
        """
        if self._output is None:
            return
        with self._writing():
            (container, stream), self._output = self._output, None
            try:
                container.mux(stream.encode(None))
            finally:
                container.close()
            self._partial.replace(self._path)

    def discard(self) -> None:
        """Leave no file."""
        import av

        if self._output is not None:
            with suppress(OSError, av.FFmpegError):
                self._output[0].close()
            self._output = None
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        import av

        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self.discard()
            raise BackendError(
                f"the video cannot be written ({error.strerror or error})",
                where=self._path,
                way_out="Check the disk's free space and your write permission.",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.discard()


def _even(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With a row or a column more where their number is odd: colours are kept for two by two pixels."""
    odd = [(0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)]
    padded: NDArray[Any] = np.pad(picture, odd, mode="edge") if odd[0][1] or odd[1][1] else picture
    return np.ascontiguousarray(padded)
