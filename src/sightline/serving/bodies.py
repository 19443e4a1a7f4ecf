"""How much a request may weigh, and how long its body may take to arrive.

The whole body is read before the application runs: every route needs it whole, and a body that is too large, too slow
or unwanted is then refused with a proper answer wherever it was sent. Only routes that take uploads get room for one.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.errors import BackendError, RequestError, SightlineError
from sightline.serving.refusing import refuse
from sightline.serving.rules import Rules

ENVELOPE_BYTES = 64 * 2**10
"""What multipart/form-data may add to an image."""

_SMALL_BYTES = 2**10
"""Body of a request that needs none."""

_MOST_LINE_BYTES = 2**13
"""Longest line of a head that anything of ours makes."""

_GONE = Response(status_code=499)
"""What stands in logs for a client that left before its request was whole (nginx's number)."""


class Bodies:
    """Reads the body of a request, or refuses it. Websockets have none and pass.

    Args:
        app: gets requests whose body is there.
        rules: which paths take uploads.
        max_bytes: largest image; a body may be larger by the envelope of a form.
        timeout_s: longest a body may take to arrive.
        most: bodies of the largest size that may be in memory at a time.
    """

    def __init__(self, app: ASGIApp, *, rules: Rules, max_bytes: int, timeout_s: float = 30.0, most: int = 8) -> None:
        self._app = app
        self._rules = rules
        self._limit = max_bytes + ENVELOPE_BYTES
        self._timeout_s = timeout_s
        self._room = self._limit * most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(receive, counted=self._rules.of(scope["path"]).upload)
        try:
            try:
                self._check(Headers(scope=scope), self._limit_of(body))
                await self._read(body)
            except SightlineError as error:
                body.forget()
                await refuse(error, scope, receive, send, whole=body.ended)
                return
            # Nobody gets that answer, but BentoML waits for one: 150 s, and so long the server could not be stopped.
            await (_GONE if body.gone else self._app)(scope, body.replay, send)
        finally:
            self._held -= body.size if body.counted else 0

    def _limit_of(self, body: _Body) -> int:
        return self._limit if body.counted else _SMALL_BYTES

    def _check(self, headers: Headers, limit: int) -> None:
        """What the head tells.

        Raises:
            RequestError: 400, 413, 415 or 431.
        """
        if any(len(name) + len(value) > _MOST_LINE_BYTES for name, value in headers.raw):
            raise RequestError("a line of the head is too long", where="header", way_out="Send less.", status=431)
        if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise RequestError(
                "compressed bodies are not taken",
                where="Content-Encoding",
                way_out="Send the file as it is.",
                status=415,
            )
        declared = headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()):
            raise RequestError("this is not a length", where="Content-Length", way_out="Send a number.", status=400)
        if len(declared) > 15 or int(declared) > limit:
            raise _too_large(limit)

    async def _read(self, body: _Body) -> None:
        """Collect the body.

        Raises:
            RequestError: 408 where it takes too long, 413 where it is too large.
            BackendError: the bodies of other requests leave no room for it.
        """
        limit = self._limit_of(body)
        try:
            async with asyncio.timeout(self._timeout_s):
                while (piece := await body.next()) is not None:
                    self._held += len(piece) if body.counted else 0
                    if body.size > limit:
                        raise _too_large(limit)
                    if self._held > self._room:
                        raise BackendError("too many uploads at once", way_out="Try again in a few seconds.")
        except TimeoutError as error:
            raise RequestError(
                f"the body did not arrive within {self._timeout_s:g} s", way_out="Send it faster.", status=408
            ) from error


def _too_large(limit: int) -> RequestError:
    if limit == _SMALL_BYTES:
        return RequestError(
            "nothing is uploaded here", where="body", way_out="See /v1/docs for what takes files.", status=413
        )
    return RequestError(
        f"the upload is larger than {limit - ENVELOPE_BYTES} bytes",
        where="body",
        way_out="Send a smaller file, or raise SIGHTLINE_MAX_BYTES.",
        status=413,
    )


class _Body:
    """The body of one request, kept as it arrives, then handed on in one piece."""

    def __init__(self, receive: Receive, counted: bool) -> None:
        self.counted = counted
        self._receive = receive
        self._pieces: list[bytes] = []
        self._whole = False
        self._replayed = False
        self.size = 0
        self.gone = False

    @property
    def ended(self) -> bool:
        """Whether no more of it will come."""
        return self._whole or self.gone

    async def next(self) -> bytes | None:
        """The next piece; None at the end, or when the client went away."""
        if self.ended:
            return None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            return None
        piece: bytes = message.get("body", b"")
        self._whole = not message.get("more_body", False)
        self._pieces.append(piece)
        self.size += len(piece)
        return piece

    def forget(self) -> None:
        """Let go of what has come."""
        self._pieces.clear()

    async def replay(self) -> Message:
        """The application's `receive`: the body in one message, then whatever the server says."""
        if self._replayed:
            return await self._receive()
        self._replayed = True
        pieces, self._pieces = self._pieces, []
        return {"type": "http.request", "body": b"".join(pieces), "more_body": False}
