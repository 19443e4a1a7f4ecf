"""Who may come in, by the head of a request or of a websocket's handshake: hosts, origins, tokens.

Without a token, whoever can connect is trusted, so it must be a program of this machine: no page of another site may
use a visitor's browser for it, neither by its own name (`Origin`, `Sec-Fetch-Site`) nor by a name that it lets point
here (`Host`). A websocket is judged likewise: browsers open them to any site, and only the server can refuse.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from sightline.errors import RequestError, SightlineError
from sightline.serving.guesses import GUESS_S, Guesses
from sightline.serving.refusing import refuse
from sightline.serving.rules import Rules

_LOCAL_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


class Access:
    """Refuses requests and websockets of those who may not come in.

    Args:
        app: what is guarded.
        rules: which paths are open, and where a link may lead.
        token: the bearer token to ask for; empty: none.
        host: a name of this machine besides those of loopback, under which it is asked without a token.
    """

    def __init__(self, app: ASGIApp, *, rules: Rules, token: str = "", host: str = "") -> None:
        self._app = app
        self._rules = rules
        self._token = token.encode()
        self._names = _LOCAL_NAMES | {host.lower()} - {""}
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] in ("http", "websocket"):
            try:
                self._check(scope)
            except SightlineError as error:
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        """What the head tells.

        Raises:
            RequestError: 401, 403 or 429.
        """
        headers = Headers(scope=scope)
        if not self._token:
            _refuse_other_machines(scope)
            self._refuse_other_names(headers)
            self._refuse_other_origins(scope, headers)
        elif not self._rules.of(scope["path"]).open:
            self._authorize(_client(scope), _given(scope, headers))

    def _authorize(self, client: str, given: bytes) -> None:
        """The token is right, and not one of many guesses.

        Raises:
            RequestError: 401 or 429.
        """
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
                way_out="Send the header `Authorization: Bearer TOKEN`; see /v1/docs for websockets.",
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

    def _refuse_other_origins(self, scope: Scope, headers: Headers) -> None:
        """Without a token, a page of another site must not make a visitor's browser ask, whatever it asks for.

        It may only lead there by a link.

        Raises:
            RequestError: 403.
        """
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        host = headers["host"].lower()
        own = origin is None or origin.lower() in {f"{scheme}://{host}" for scheme in ("http", "https")}
        if not own or (site not in ("same-origin", "none") and not self._is_followed(scope, headers)):
            raise RequestError(
                "requests from pages of another site are refused",
                where="Sec-Fetch-Site" if own else "Origin",
                way_out="Open the endpoint's own page, or set SIGHTLINE_TOKEN.",
                status=403,
            )

    def _is_followed(self, scope: Scope, headers: Headers) -> bool:
        """Whether a visitor follows a link to a page."""
        followed = (scope.get("method"), headers.get("sec-fetch-dest")) == ("GET", "document")
        return followed and self._rules.of(scope["path"]).page


OWN_PROTOCOL = "sightline"
"""The subprotocol of our websockets: what a page names besides its token, and is told."""

_BEARER = "bearer."


def _given(scope: Scope, headers: Headers) -> bytes:
    """What the client gives as `Authorization`.

    A browser sets no headers of a websocket. Its page names the subprotocols `sightline` and `bearer.TOKEN` instead:
    the token then stands in a header, and in no address, which servers and proxies log.
    """
    given = headers.get("authorization", "")
    if not given and scope["type"] == "websocket":
        named: Iterable[str] = (one.strip() for one in headers.get("sec-websocket-protocol", "").split(","))
        token = next((one.removeprefix(_BEARER) for one in named if one.startswith(_BEARER)), "")
        given = f"Bearer {token}" if token else ""
    return given.encode("latin-1", "replace")


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
