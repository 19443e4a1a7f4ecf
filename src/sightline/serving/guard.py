"""What may come in. Pure ASGI, so that it stands before every route, BentoML's own included.

It reads the whole body before the application runs: every route needs it whole, and a body that is too large, too
slow or unwanted is then refused with a proper answer wherever it was sent. Only routes that take uploads get room for
one, and only once the token is right.

Without a token, whoever can connect is trusted, so it must be a program of this machine: no page of another site may
use a visitor's browser for it, neither by its own name (`Origin`, `Sec-Fetch-Site`) nor by a name that it lets point
here (`Host`).
"""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import TypeVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.errors import BackendError, RequestError, SightlineError
from sightline.serving.problems import problem

T = TypeVar("T")

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
_UPLOADS = ("/v1/predict", "/v1/picture", "/v1/raster/", "/v1/areas")
_PAGES = frozenset({"/", "/v1/docs", "/bentoml"})
"""What a link on another page may lead to."""

_SMALL_BYTES = 2**10
"""Body of a request that needs none."""

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_MOST_LINE_BYTES = 2**13
"""Longest line of a head that anything of ours makes."""

_DRAIN_S = 2.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    # Pages take everything from here; this also keeps the tracker in BentoML's page from loading.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'"
    ),
}


def refusals(path: str) -> tuple[str, ...]:
    """The statuses with which the guard refuses a request to a path."""
    return _REFUSALS if _is_open(path) else (*_REFUSALS, *_REFUSALS_OF_TOKENS)


_REFUSALS = ("400", "403", "408", "413", "415", "431")
_REFUSALS_OF_TOKENS = ("401", "429")


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(_OPEN_FOLDERS)


class Guard:
    """Refuses a request before anything of it is parsed.

    Args:
        app: what is guarded.
        token: the bearer token to ask for; empty: none.
        max_bytes: largest image; a body may be larger by the envelope of a form.
        host: a name of this machine besides those of loopback, under which it is asked without a token.
        body_timeout_s: longest a body may take to arrive.
        max_bodies: bodies of the largest size that may be in memory at a time.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str = "",
        max_bytes: int,
        host: str = "",
        body_timeout_s: float = 30.0,
        max_bodies: int = 8,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._names = _LOCAL_NAMES | {host.lower()} - {""}
        self._guesses = Guesses()
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
        body = _Body(receive, counted=scope["path"].startswith(_UPLOADS))
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
            self._held -= body.size if body.counted else 0

    def _check(self, scope: Scope) -> None:
        """What the head of a request tells.

        Raises:
            RequestError: 400, 401, 403, 413, 415, 429 or 431.
        """
        headers = Headers(scope=scope)
        path = scope["path"]
        if any(len(name) + len(value) > _MOST_LINE_BYTES for name, value in headers.raw):
            raise RequestError("a line of the head is too long", where="header", way_out="Send less.", status=431)
        if not self._token:
            _refuse_other_machines(scope)
            self._refuse_other_names(headers)
            _refuse_other_origins(scope, headers)
        elif not _is_open(path):
            self._authorize(_client(scope), headers)
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
        limit = self._limit if path.startswith(_UPLOADS) else _SMALL_BYTES
        if len(declared) > 15 or int(declared) > limit:
            raise self._too_large(limit)

    def _authorize(self, client: str, headers: Headers) -> None:
        """The token is right, and not one of many guesses.

        Raises:
            RequestError: 401 or 429.
        """
        given = headers.get("authorization", "").encode("latin-1", "replace")
        right = hmac.compare_digest(given, b"Bearer " + self._token)
        if given and not self._guesses.allows(client, right):
            raise RequestError(
                "too many wrong tokens came from this address",
                where="Authorization",
                way_out=f"Try again in {GUESS_S:g} s with the right one.",
                status=429,
            )
        if not right:
            raise RequestError(
                "this endpoint wants a token",
                where="Authorization",
                way_out="Send the header `Authorization: Bearer TOKEN`.",
                status=401,
            )

    def _refuse_other_names(self, headers: Headers) -> None:
        """A page of another site can let its own name point to this machine (DNS rebinding): then it is of our origin.

        The port may be another one: of a tunnel, or of a container.

        Raises:
            RequestError: 403.
        """
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or _name_of(host) not in self._names:
            raise RequestError(
                "without a token this endpoint is asked by a name of this machine only",
                where="Host",
                way_out="Ask http://127.0.0.1, or set SIGHTLINE_TOKEN where the endpoint runs.",
                status=403,
            )

    async def _read(self, body: _Body) -> None:
        """Collect the body.

        Raises:
            RequestError: 408 where it takes too long, 413 where it is too large.
            BackendError: the bodies of other requests leave no room for it.
        """
        limit = self._limit if body.counted else _SMALL_BYTES
        try:
            async with asyncio.timeout(self._timeout_s):
                while (piece := await body.next()) is not None:
                    self._held += len(piece) if body.counted else 0
                    if body.size > limit:
                        raise self._too_large(limit)
                    if self._held > self._room:
                        raise BackendError("too many uploads at once", way_out="Try again in a few seconds.")
        except TimeoutError as error:
            raise RequestError(
                f"the body did not arrive within {self._timeout_s:g} s", way_out="Send it faster.", status=408
            ) from error

    def _too_large(self, limit: int) -> RequestError:
        if limit == _SMALL_BYTES:
            return RequestError(
                "nothing is uploaded here", where="body", way_out="Send images to /v1/predict.", status=413
            )
        limit -= ENVELOPE_BYTES
        return RequestError(
            f"the upload is larger than {limit} bytes",
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


GUESSES, GUESS_S = 20, 3.0
"""Wrong tokens that an address may send at once, and the seconds after which it may send one more."""

_REMEMBERED = 4096


class Guesses:
    """A brake on guessing the token, for each address; the memory that it takes is bounded.

    An address that has sent the right one before is not kept out by the wrong ones of others behind it.

    Args:
        now_s: a clock.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._free_at_s: OrderedDict[str, float] = OrderedDict()  # when an address may send all GUESSES again
        self._known: OrderedDict[str, None] = OrderedDict()

    def allows(self, address: str, right: bool) -> bool:
        """Whether a token of an address may be looked at; wrong ones are counted."""
        address = _network_of(address)
        now_s = self._now_s()
        free_at_s = max(self._free_at_s.get(address, now_s), now_s)
        full = free_at_s - now_s > (GUESSES - 1) * GUESS_S
        if right and (address in self._known or not full):
            _remember(self._known, address, None)
            return True
        if not full:
            _remember(self._free_at_s, address, free_at_s + GUESS_S)
        return not full


def _remember(known: OrderedDict[str, T], address: str, value: T) -> None:
    known[address] = value
    known.move_to_end(address)
    if len(known) > _REMEMBERED:
        known.popitem(last=False)


def _network_of(address: str) -> str:
    """The network that one user of IPv6 has; an address of IPv4 as it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address


def _client(scope: Scope) -> str:
    return str((scope.get("client") or ("",))[0])


def _name_of(host: str) -> str:
    """The name in a `Host`, without the port; empty where it is none."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower().removesuffix(".") if found else ""


_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@\[\]]+))(?::\d{1,5})?")


def _refuse_other_machines(scope: Scope) -> None:
    """Whoever bound the server beyond this machine, by whatever option, must also have set a token.

    Raises:
        RequestError: 403.
    """
    client = _client(scope)
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


def _refuse_other_origins(scope: Scope, headers: Headers) -> None:
    """Without a token, a page of another site must not make a visitor's browser ask, whatever it asks for.

    It may only lead there by a link.

    Raises:
        RequestError: 403.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    own = origin is None or origin.lower() in {f"{scheme}://{headers['host'].lower()}" for scheme in ("http", "https")}
    followed = (scope["method"], headers.get("sec-fetch-dest")) == ("GET", "document") and scope["path"] in _PAGES
    if not own or (site not in ("same-origin", "none") and not followed):
        raise RequestError(
            "requests from pages of another site are refused",
            where="Sec-Fetch-Site" if own else "Origin",
            way_out="Open the endpoint's own page, or set SIGHTLINE_TOKEN.",
            status=403,
        )


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
