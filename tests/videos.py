"""A camera, and videos that tests write by PyAV itself: what reads them is not tried against its own counterpart."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image


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


class Camera:
    """A server on this machine that sends MJPEG, a file, a page, or nothing."""

    def __init__(self, video: Path, frames: int) -> None:
        stop = self.stop = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answers = {"/mjpeg": self.mjpeg, "/stalls": self.stalls, "/page": self.page, "/file": self.file}
                known = answers.get(self.path.partition("?")[0])
                if known is None:
                    self.send_error(401 if self.path.startswith("/closed") else 404)
                    return
                known()

            def mjpeg(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for number in range(frames):
                    file = io.BytesIO()
                    Image.fromarray(grey(20 + 10 * number)).save(file, "JPEG")
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {file.tell()}\r\n\r\n"
                    self.wfile.write(head.encode() + file.getvalue() + b"\r\n")

            def stalls(self) -> None:
                self.mjpeg()
                self.wfile.flush()
                stop.wait(30)

            def page(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "3500")
                self.end_headers()
                self.wfile.write(b"<html>Welcome to your camera</html>" * 100)

            def file(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(video.stat().st_size))
                self.end_headers()
                self.wfile.write(video.read_bytes())

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.stop.set()
        self.server.shutdown()
        self.server.server_close()
