"""A lean HTTP load generator: keep-alive sockets, requests made beforehand, nothing parsed but status and length.

It costs under a tenth of a millisecond a request, so that on a small machine the server is measured and not the client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_BOUNDARY = "bench-boundary"


@dataclass
class Load:
    """What came back: seconds of each good answer, and how many were not good."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    wall_s: float = 0.0

    def __add__(self, other: Load) -> Load:
        return Load(self.seconds + other.seconds, self.errors + other.errors, self.wall_s + other.wall_s)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.seconds) / self.wall_s if self.wall_s else 0.0

    def quantile_ms(self, share: float) -> float:
        """Milliseconds within which this share of the answers came; NaN without answers."""
        ordered = sorted(self.seconds)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] * 1000 if ordered else float("nan")


def upload_request(path: str, image: bytes) -> bytes:
    """A whole POST of a form with the file `image`."""
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + image + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: multipart/form-data; boundary={_BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def drive(port: int, requests: Sequence[bytes], clients: int, duration_s: float) -> Load:
    """Let `clients` send requests for `duration_s`, each its next one as soon as it has its answer."""
    return asyncio.run(_drive(port, requests, clients, duration_s))


def ask_once(port: int, request: bytes) -> bytes:
    """The body of one answer.

    Raises:
        ValueError: its status is not 200.
    """

    async def once() -> bytes:
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(request)
            status, body = await _answer(reader)
        finally:
            writer.close()
        if status != 200:
            raise ValueError(f"status {status}: {body[:200]!r}")
        return body

    return asyncio.run(once())


async def _drive(port: int, requests: Sequence[bytes], clients: int, duration_s: float) -> Load:
    load = Load()
    start_s = time.perf_counter()
    await asyncio.gather(*(_client(port, requests, n, start_s + duration_s, load) for n in range(clients)))
    load.wall_s = time.perf_counter() - start_s
    return load


async def _client(port: int, requests: Sequence[bytes], first: int, end_s: float, load: Load) -> None:
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**22)
    try:
        turn = first
        while time.perf_counter() < end_s:
            start_s = time.perf_counter()
            writer.write(requests[turn % len(requests)])
            status, _ = await _answer(reader)
            if status == 200:
                load.seconds.append(time.perf_counter() - start_s)
            else:
                load.errors += 1
            turn += 1
    except (OSError, asyncio.IncompleteReadError, ValueError):
        load.errors += 1
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return status, await reader.readexactly(length)
