"""What stands before every route, those of BentoML included. Pure ASGI.

    headers  ->  access.py: who may come in  ->  bodies.py: how much it may weigh  ->  the application

A body is read only once the token is right.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.serving.access import Access
from sightline.serving.bodies import Bodies
from sightline.serving.rules import Rules

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    # Pages take everything from here; this also keeps the tracker in BentoML's page from loading.
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; frame-ancestors 'none'"
    ),
}


def guard(app: ASGIApp, *, rules: Rules, max_bytes: int, token: str = "", host: str = "") -> ASGIApp:
    """The application behind all of it; see `Access` and `Bodies` for the arguments."""
    return with_headers(Access(Bodies(app, rules=rules, max_bytes=max_bytes), rules=rules, token=token, host=host))


def with_headers(app: ASGIApp) -> ASGIApp:
    """Give each answer the headers that keep pages apart, unless it has others."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, sending if scope["type"] != "lifespan" else send)

    return answering
