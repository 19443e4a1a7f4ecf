"""What may come in. Pure ASGI, so that it stands before every route, BentoML's own included.

It reads the whole body before the application runs: every route needs it whole, and a body that is too large, too
slow or unwanted is then refused with a proper answer wherever it was sent.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.errors import BackendError, RequestError, SightlineError
from sightline.serving.problems import problem

ENVELOPE_BYTES = 64 * 2**10
"""What multipart/form-data may add to an image."""

_OPEN = frozenset(
    {
        "/",
        "/v1/live",
        "/v1/ready",
        "/v1/docs",
        "/v1/openapi.json",
        "/livez",
        "/readyz",
        "/healthz",
        "/bentoml",
        "/docs.json",
    }
)
"""Probes, pages and descriptions: what has no answer of the model in it needs no token."""

_OPEN_FOLDERS = ("/v1/static/", "/static_content/")
_DRAIN_S = 2.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    # Pages take everything from here; this also keeps the tracker in BentoML's page from loading.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'"
    ),
}


class Guard:
    """Refuses a request before anything of it is parsed.

    Args:
        app: what is guarded.
        token: the bearer token to ask for; empty: none.
        max_bytes: largest image; a body may be larger by the envelope of a form.
        body_timeout_s: longest a body may take to arrive.
        max_bodies: bodies of the largest size that may be in memory at a time.
    """

    def __init__(
        self, app: ASGIApp, *, token: str = "", max_bytes: int, body_timeout_s: float = 30.0, max_bodies: int = 8
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._limit = max_bytes + ENVELOPE_BYTES
        self._timeout_s = body_timeout_s
        self._room = self._limit * max_bodies
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        body = _Body(receive)
        send = _with_headers(send)
        try:
            try:
                self._check(scope)
                await self._read(body)
            except SightlineError as error:
                if "100-continue" not in Headers(scope=scope).get("expect", "").lower():
                    await body.drain()
                response = problem(error)
                response.headers["Connection"] = "close"
                await response(scope, receive, send)
                return
            if not body.gone:
                await self._app(scope, body.replay, send)
        finally:
            self._held -= body.size

    def _check(self, scope: Scope) -> None:
        """What the head of a request tells.

        Raises:
            RequestError: 401, 403, 411, 413 or 415.
        """
        headers = Headers(scope=scope)
        path = scope["path"]
        if self._token and path not in _OPEN and not path.startswith(_OPEN_FOLDERS):
            self._authorize(headers)
        if not self._token:
            _refuse_other_machines(scope)
            _refuse_other_origins(headers)
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
        if int(declared) > self._limit:
            raise self._too_large()

    def _authorize(self, headers: Headers) -> None:
        given = headers.get("authorization", "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, b"Bearer " + self._token):
            raise RequestError(
                "this endpoint wants a token",
                where="Authorization",
                way_out="Send the header `Authorization: Bearer TOKEN`.",
                status=401,
            )

    async def _read(self, body: _Body) -> None:
        """Collect the body.

        Raises:
            RequestError: 408 where it takes too long, 413 where it is too large.
            BackendError: the bodies of other requests leave no room for it.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                while (piece := await body.next()) is not None:
                    self._held += len(piece)
                    if body.size > self._limit:
                        raise self._too_large()
                    if self._held > self._room:
                        raise BackendError("too many uploads at once", way_out="Try again shortly.")
        except TimeoutError as error:
            raise RequestError(
                f"the body did not arrive within {self._timeout_s:g} s", way_out="Send it faster.", status=408
            ) from error

    def _too_large(self) -> RequestError:
        limit = self._limit - ENVELOPE_BYTES
        return RequestError(
            f"the upload is larger than {limit} bytes",
            where="body",
            way_out="Send a smaller file, or raise SIGHTLINE_MAX_BYTES.",
            status=413,
        )


class _Body:
    """The body of one request, kept as it arrives, then handed on in one piece."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._pieces: list[bytes] = []
        self._whole = False
        self._replayed = False
        self.size = 0
        self.gone = False

    async def next(self) -> bytes | None:
        """The next piece; None at the end, or when the client went away."""
        if self._whole or self.gone:
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

    async def drain(self) -> None:
        """Throw away what still comes, for a while: a client that is busy sending would not see the answer."""
        self._pieces.clear()
        end_s = time.monotonic() + _DRAIN_S
        while not (self._whole or self.gone) and (left_s := end_s - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), left_s)
            except TimeoutError:
                return
            self.gone = message["type"] == "http.disconnect"
            self._whole = not message.get("more_body", False)

    async def replay(self) -> Message:
        """The application's `receive`: the body in one message, then whatever the server says."""
        if self._replayed:
            return await self._receive()
        self._replayed = True
        pieces, self._pieces = self._pieces, []
        return {"type": "http.request", "body": b"".join(pieces), "more_body": False}


def _refuse_other_machines(scope: Scope) -> None:
    """Whoever bound the server beyond this machine, by whatever option, must also have set a token.

    Raises:
        RequestError: 403.
    """
    client: str = (scope.get("client") or ("",))[0]
    try:
        local = ip_address(client.partition("%")[0]).is_loopback
    except ValueError:
        local = True  # a Unix socket has no address
    if not local:
        raise RequestError(
            "without a token only this machine is answered",
            where=client,
            way_out="Set SIGHTLINE_TOKEN where the endpoint runs.",
            status=403,
        )


def _refuse_other_origins(headers: Headers) -> None:
    """Without a token, a page of another site must not make a visitor's browser write into the ledger.

    Raises:
        RequestError: 403.
    """
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host", ""):
        raise RequestError(
            "requests of another site's pages are not taken", where="Origin", way_out="Set SIGHTLINE_TOKEN.", status=403
        )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
