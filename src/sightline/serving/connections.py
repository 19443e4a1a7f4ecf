"""What a connection may take before there is a request, and while its answer leaves.

The guard sees a request once its head is read; a connection that sends none, half of one, or one without end never
comes that far, and uvicorn bounds none of it: each such connection costs a file descriptor for ever, and once these
are used up nobody is answered any more. So this takes the place of uvicorn's own protocol.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from http import HTTPStatus
from typing import ClassVar

from uvicorn import config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sightline.serving.problems import problem_response

log = logging.getLogger(__name__)

_LINE_BYTES = 32
"""What a line of a head counts besides its name and value, as in HTTP/2 (RFC 9113, 6.5.2): it takes memory too."""

_MOST_CONNECTIONS = 1024
_DESCRIPTORS_SHARE = 0.5
"""Of all descriptors that connections may take: the ledger, the model's files and the registry need some too."""


def bound_connections() -> None:
    """Let the server that this process will start bound its connections, and give it all descriptors that it may have.

    BentoML makes uvicorn's configuration itself and lets nobody choose the protocol, so the name that uvicorn looks up
    where none was chosen is led here. Called before the server starts.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError) as error:  # macOS has a lower limit of its own than the one that it tells
        log.info("the limit of open files stays as it is: %s", error)
    config.HTTP_PROTOCOLS["auto"] = f"{__name__}:BoundedConnection"


def most_connections() -> int:
    """How many connections may be open at a time, by the descriptors that this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(min(int(soft * _DESCRIPTORS_SHARE), _MOST_CONNECTIONS), 1)


class BoundedConnection(HttpToolsProtocol):
    """A connection of uvicorn whose times, head and number are bounded.

    Attributes:
        head_s: longest from the beginning of a connection, or of a request on it, until its head is there.
        send_s: longest in which a client takes nothing of its answer.
        most_head_bytes: longest head, or trailer of a body.
        most: connections open at a time; with one more, the one that has waited longest for a request is closed, and
            where all of them have one, the new one. None: by the descriptors.
    """

    head_s: ClassVar[float] = 20.0
    send_s: ClassVar[float] = 30.0
    most_head_bytes: ClassVar[int] = 2**15
    most: ClassVar[int | None] = None

    _head_bytes = 0
    _advanced = False
    _upgraded = False
    _idle_since_s = 0.0
    _head_timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _unsent_bytes = 0

    @property
    def idle(self) -> bool:
        """Whether no request of it is being answered."""
        return (self.cycle is None or self.cycle.response_complete) and not self.pipeline

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, for a while."""
        super().connection_made(transport)
        self._idle_since_s = self.loop.time()
        self._await_head()
        self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        for timer in (self._head_timer, self._send_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _make_room(self) -> None:
        most = most_connections() if self.most is None else self.most
        if len(self.connections) <= most:
            return
        others = [one for one in self.connections if isinstance(one, BoundedConnection) and one is not self]
        waiting = [one for one in others if one.idle and not one.transport.is_closing()]
        oldest = min(waiting, key=lambda one: one._idle_since_s, default=self)
        oldest.transport.abort()

    # ------------------------------------------------------------------------------------------------ the head

    def data_received(self, data: bytes) -> None:
        """Read on, while the head stays short and comes in time."""
        self._advanced = False
        super().data_received(data)
        if self._upgraded:
            return
        if not self._advanced:  # the middle of a field: the parser keeps it, and tells of it at its end
            self._count(data)
        if self.transport.is_closing():
            return
        if self._too_long:
            self._refuse(431, "the head is too long", "Send fewer and shorter lines.")
        elif self.idle:
            self._await_head()

    def handle_websocket_upgrade(self) -> None:
        """From now on uvicorn's websocket protocol has the connection, and no head is waited for any more."""
        self._upgraded = True
        self._forget_head()
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        """The head of a request begins."""
        self._head_bytes = 0
        self._advanced = True
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head, or of a trailer."""
        self._count(name, value)
        self._head_bytes += _LINE_BYTES
        if not self._too_long:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is there: the request begins, unless it is refused."""
        self._advanced = True
        self._forget_head()
        if not self._too_long:
            self._head_bytes = 0
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._advanced = True
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of the body."""
        self._advanced = True
        if self.cycle is not None:
            super().on_message_complete()

    @property
    def _too_long(self) -> bool:
        return self._head_bytes > self.most_head_bytes

    def _count(self, *pieces: bytes) -> None:
        self._advanced = True
        self._head_bytes += sum(len(piece) for piece in pieces)

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_s, self._give_up)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self.idle:
            return
        if not self._head_bytes:
            self.transport.close()  # browsers open connections that they may not need
        elif not self.transport.is_closing():
            self._refuse(408, f"no request came within {self.head_s:g} s", "Send its head faster.")

    def _refuse(self, status: int, what: str, way_out: str) -> None:
        """Close, with an answer where none is on its way already."""
        if not self.idle:
            self.transport.abort()
            return
        answer = problem_response(status, what, "header", way_out)
        head = b"HTTP/1.1 %d %s\r\nconnection: close\r\n" % (status, HTTPStatus(status).phrase.encode())
        lines = b"".join(b"%s: %s\r\n" % line for line in answer.raw_headers)
        self.transport.write(head + lines + b"\r\n" + answer.body)
        self.transport.close()

    def on_response_complete(self) -> None:
        """An answer is sent: the next request is waited for."""
        self._idle_since_s = self.loop.time()
        super().on_response_complete()

    # ----------------------------------------------------------------------------------------------- the answer

    def pause_writing(self) -> None:
        """The client takes its answer slower than it is made."""
        super().pause_writing()
        self._watch_sending()

    def resume_writing(self) -> None:
        """The client has caught up with its answer."""
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        super().resume_writing()

    def _watch_sending(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._send_timer = self.loop.call_later(self.send_s, self._look_at_sending)

    def _look_at_sending(self) -> None:
        self._send_timer = None
        if self.transport.get_write_buffer_size() >= self._unsent_bytes:
            self.transport.abort()
        else:
            self._watch_sending()
