"""Work that ends when nobody waits for it any more: long loops ask `check` between two of their steps.

    with stoppable(lambda: client_has_gone):      # whoever calls, in the thread that works
        model.predict([photograph])               # asks between two windows, and raises Stopped

Outside of `stoppable`, as in a training or on the command line, nothing is ever stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_stop: ContextVar[Callable[[], bool] | None] = ContextVar("stop", default=None)


class Stopped(Exception):
    """The work has ended before its end, as was asked for. No error: nobody waits for an answer."""


@contextmanager
def stoppable(stop: Callable[[], bool]) -> Iterator[None]:
    """What is done within, in this thread, ends by `Stopped` at the next `check` once `stop` says so."""
    token = _stop.set(stop)
    try:
        yield
    finally:
        _stop.reset(token)


def check() -> None:
    """Go on, or raise.

    Raises:
        Stopped: whoever called has asked for it.
    """
    stop = _stop.get()
    if stop is not None and stop():
        raise Stopped
