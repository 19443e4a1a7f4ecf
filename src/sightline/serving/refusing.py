"""How a request is refused before the application has seen it, so that its client learns why."""

from __future__ import annotations

import asyncio
import time

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from sightline.errors import SightlineError
from sightline.serving.prefixes import prefix_of
from sightline.serving.problems import problem

_DRAIN_S = 2.0
_POLICY_VIOLATION = 1008  # RFC 6455, 7.4.1


async def refuse(error: SightlineError, scope: Scope, receive: Receive, send: Send, *, whole: bool = False) -> None:
    """Answer with a problem, and close.

    Args:
        error: says why.
        scope: of a request, or of a websocket that has not been accepted.
        receive: where more of the body comes from.
        send: where the answer goes.
        whole: no more of the body will come.
    """
    if scope["type"] == "websocket" and "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": error.what[:100]})
        return
    waits = "100-continue" in Headers(scope=scope).get("expect", "").lower()
    if scope["type"] == "http" and not (waits or whole):
        await _drain(receive)
    response = problem(error, prefix_of(scope))
    response.headers["Connection"] = "close"
    await response(scope, receive, send)


async def _drain(receive: Receive) -> None:
    """Throw away what still comes, for a while: a client that is busy sending would not see the answer."""
    end_s = time.monotonic() + _DRAIN_S
    while (left_s := end_s - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(receive(), left_s)
        except TimeoutError:
            return
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
