"""Ends a run whose Prefect server is gone. Prefect's own client would ask again and again for minutes, in silence."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from sightline.errors import BackendError


@contextmanager
def lifeline(api: str, patience_s: float, every_s: float = 1.0) -> Iterator[None]:
    """Watch the server for the time of the block; where nothing listens there any more, end this process with one line.

    Nothing is lost: a run that ends anywhere is simply run again, and what it started ends with it (tether.py).

    Args:
        api: the server's address.
        patience_s: how long it may be away: somebody may start it again.
        every_s: how often to look.
    """
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(api, patience_s, every_s, over), name="lifeline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(api: str, patience_s: float, every_s: float, over: threading.Event) -> None:
    gone_s: float | None = None
    while not over.wait(every_s):
        if not is_gone(api):
            if gone_s is not None:
                _tell("Prefect's server answers again.")
            gone_s = None
            continue
        if gone_s is None:
            gone_s = time.monotonic()
            if patience_s:
                _tell(f"Prefect's server at {api} has ended; waiting up to {patience_s:.0f} s for it to come back.")
        if time.monotonic() - gone_s >= patience_s and not over.is_set():
            error = BackendError(
                "Prefect's server has ended", where=api, way_out="Run it again: it goes on where it was."
            )
            _tell(f"sightline: {error}")
            os._exit(error.exit_code)  # Prefect's engine would first tell the server that is gone of our end


def is_gone(api: str) -> bool:
    """Whether nothing listens there. A server that is merely slow still does."""
    place = urlsplit(api)
    default = 443 if place.scheme == "https" else 80
    try:
        with socket.create_connection((place.hostname or "", place.port or default), timeout=5):
            return False
    except ConnectionRefusedError:
        return True
    except OSError:
        return False


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
