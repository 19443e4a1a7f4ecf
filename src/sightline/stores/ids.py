"""Ids that are minted before anything is written: text that sorts by time, given twice by nobody."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable

_COUNTER_BITS, _TAIL_BITS = 42, 32
_COUNTER_TOP = 1 << _COUNTER_BITS


class IdMint:
    """Mints UUIDs of version 7 (RFC 9562, 5.7), each larger than the one before, whatever the clock does.

    Milliseconds, then a counter of 42 bits that begins anywhere in its lower half with each millisecond (6.2, method
    1), then 32 random bits: two processes, also one and its fork, do not meet.

    Args:
        now_ms: the clock, Unix time.
        random: so many random bytes.
    """

    def __init__(
        self, now_ms: Callable[[], int] = lambda: time.time_ns() // 10**6, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._now_ms = now_ms
        self._random = random
        self.begin_anew()

    def begin_anew(self) -> None:
        """Start as new, with a lock of its own: in a fork another thread of the parent may have held the old one."""
        self._lock = threading.Lock()
        self._last_ms = -1
        self._counter = 0

    def __call__(self) -> str:
        """The next id, 36 characters."""
        bits = int.from_bytes(self._random(10), "big")
        seed, tail = bits >> (80 - _COUNTER_BITS + 1), bits & ((1 << _TAIL_BITS) - 1)
        with self._lock:
            now_ms, self._counter = self._now_ms(), self._counter + 1
            if now_ms > self._last_ms or self._counter == _COUNTER_TOP:
                self._last_ms, self._counter = max(now_ms, self._last_ms + 1), seed
            value = self._last_ms << 80 | 7 << 76 | self._counter >> 30 << 64 | 2 << 62
            value |= (self._counter & ((1 << 30) - 1)) << _TAIL_BITS | tail
        return str(uuid.UUID(int=value))


new_id = IdMint()
"""The next id of this process."""

os.register_at_fork(after_in_child=new_id.begin_anew)
