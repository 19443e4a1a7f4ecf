"""A gate before a server that has no users of its own: only its own pages and who knows the secret get in. Pure ASGI.

A page of any site can make a visitor's browser speak to 127.0.0.1, and every user of this machine can. So a request
must name the server as it was started (`Host`; a name that an attacker lets point here is another one), must not come
from another page (`Origin`, `Sec-Fetch-Site`), and must carry the secret (HTTP Basic, RFC 7617, with any user name).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class Gate:
    """Refuses what has no business here before the application sees it.

    Args:
        app: what is behind it.
        hosts: the names, each with its port, under which it may be asked: `127.0.0.1:5000`.
        secret: the password to ask for.
        hint: what the answer to a missing or wrong one says, and the browser shows.
        open_paths: need no password: probes.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], secret: str, hint: str, open_paths: Collection[str] = ()
    ) -> None:
        self._app = app
        self._hosts = frozenset(hosts)
        self._secret = secret.encode()
        self._hint = hint
        self._open = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._look(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _look(self, scope: Scope) -> PlainTextResponse | None:
        """The refusal of a request; None where it may pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host not in self._hosts:
            return PlainTextResponse(
                f"This server does not answer under the name {host}. Open http://{min(self._hosts)}.\n", 403
            )
        if not _is_of_own_page(headers, host):
            return PlainTextResponse("Requests from pages of another site are refused.\n", 403)
        if scope["path"] in self._open or hmac.compare_digest(_password(headers), self._secret):
            return None
        challenge = {"WWW-Authenticate": 'Basic realm="sightline", charset="UTF-8"'}
        return PlainTextResponse(f"{self._hint}\n", 401, headers=challenge)


def _is_of_own_page(headers: Headers, host: str) -> bool:
    """Whether a request comes from this server's own page, a program, or a link that a person followed."""
    if headers.get("origin", f"http://{host}") != f"http://{host}":
        return False
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return True
    return headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def _password(headers: Headers) -> bytes:
    """What the request gives as the password; empty where it gives none."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""
