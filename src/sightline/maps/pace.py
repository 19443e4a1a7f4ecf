"""How fast a host is asked: evenly, and not at all while it wants to be left alone."""

from __future__ import annotations

import threading
import time

from sightline.maps.providers import Provider


class Pace:
    """Turns of one host, for all threads that ask it."""

    def __init__(self, requests_per_s: float) -> None:
        self._every_s = 1 / requests_per_s
        self._next_s = 0.0
        self._lock = threading.Lock()

    def wait(self, stop: threading.Event) -> bool:
        """Until it is the caller's turn; False where `stop` was set before."""
        while not stop.is_set():
            with self._lock:
                now = time.monotonic()
                if now >= self._next_s:
                    self._next_s = max(self._next_s, now - self._every_s) + self._every_s
                    return True
                pause_s = self._next_s - now
            stop.wait(pause_s)  # a hold may come meanwhile, so it looks again
        return False

    def hold(self, seconds: float) -> None:
        """Nobody's turn comes before so many seconds have passed."""
        with self._lock:
            self._next_s = max(self._next_s, time.monotonic() + seconds)


_paces: dict[tuple[str, float], Pace] = {}
_lock = threading.Lock()


def pace_of(provider: Provider) -> Pace:
    """The pace of a provider's host. It belongs to the process: two areas fetched at once are no faster than one."""
    with _lock:
        return _paces.setdefault((provider.host, provider.requests_per_s), Pace(provider.requests_per_s))
