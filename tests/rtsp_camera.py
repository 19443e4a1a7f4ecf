"""A camera that speaks RTSP (RFC 2326): H.264 over TCP, a NAL unit a packet (RFC 6184), as long as frames are small."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
from numpy.typing import NDArray

_RATE = 90_000


class RtspCamera:
    """Sends these frames to whoever asks, at its own pace, then ends the connection."""

    def __init__(self, frames: Sequence[NDArray[Any]], folder: Path) -> None:
        self._packets = list(_encoded(frames, folder / "camera.h264"))
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"rtsp://127.0.0.1:{self._server.getsockname()[1]}/ir"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as file:
                self._answer(file)

    def _answer(self, file: Any) -> None:
        while True:
            request = file.readline().decode().split()
            if not request:
                return
            heads = {}
            while line := file.readline().decode().strip():
                name, _, value = line.partition(":")
                heads[name.lower()] = value.strip()
            method = request[0]
            file.write(self._answer_to(method, heads).encode())
            file.flush()
            if method == "PLAY":
                self._play(file)
                return

    def _answer_to(self, method: str, heads: dict[str, str]) -> str:
        lines = ["RTSP/1.0 200 OK", f"CSeq: {heads.get('cseq', '0')}", "Session: 1"]
        body = ""
        if method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif method == "DESCRIBE":
            media = f"m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/{_RATE}\r\na=fmtp:96 packetization-mode=1\r\n"
            body = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=ir\r\nt=0 0\r\n{media}a=control:track\r\n"
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
        elif method == "SETUP":
            lines.append("Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def _play(self, file: Any) -> None:
        sequence = 0
        for number, units in enumerate(self._packets):
            for at, unit in enumerate(units):
                last = 0x80 if at == len(units) - 1 else 0  # the marker: a frame is whole
                head = struct.pack(">BBHII", 0x80, last | 96, sequence & 0xFFFF, number * _RATE // 10, 7)
                file.write(b"$\0" + struct.pack(">H", len(head) + len(unit)) + head + unit)
                sequence += 1
            file.flush()


def _encoded(frames: Sequence[NDArray[Any]], path: Path) -> list[list[bytes]]:
    """NAL units of each frame, with its parameter sets before each key frame."""
    packets = []
    with av.open(str(path), "w", format="h264") as container:
        stream: Any = container.add_stream("libx264", rate=10, options={"tune": "zerolatency", "g": "5"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        encoded = [p for values in frames for p in stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24"))]
        packets = [_units(bytes(packet)) for packet in [*encoded, *stream.encode(None)]]
    return packets


def _units(content: bytes) -> list[bytes]:
    """Without the start codes between them (Annex B)."""
    return [unit.rstrip(b"\0") for unit in content.split(b"\0\0\1") if unit.rstrip(b"\0")]
