"""Who is worked on now, and who waits: so many inputs at a time, so many bytes together, the short ones first.

Whoever waits is overtaken for as long as its own work would take: an input of a tenth of a second by hardly anybody,
one of half a minute by all that come within half a minute, and nobody for ever.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(eq=False)
class Reservation:
    """What one input takes of a room, until all that hold it have let go.

    Attributes:
        seconds: that its work is expected to take.
        held_bytes: while it is there.
        since_s: when it came in.
        holders: who still needs it: the request, and the thread that works for it.
    """

    seconds: float
    held_bytes: int
    since_s: float = 0.0
    holders: int = 1


@dataclass(order=True)
class _Waiting:
    order_s: float
    number: int
    reservation: Reservation = field(compare=False)
    came_in: asyncio.Future[None] = field(compare=False)


class Room:
    """Room for inputs that are decoded or answered. For one event loop.

    Args:
        inputs: most of them at a time.
        room_bytes: most bytes that they may hold together.
        lanes: how many of them are worked on at a time, for what is told of the wait.
        now_s: a clock.
    """

    def __init__(self, inputs: int, room_bytes: int, lanes: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self.inputs = inputs
        self.room_bytes = room_bytes
        self._lanes = lanes
        self._now_s = now_s
        self._inside: list[Reservation] = []
        self._waiting: list[_Waiting] = []
        self._numbers = itertools.count()

    def wait_s(self, seconds: float) -> float:
        """Expected wait, in seconds, of an input whose own work takes `seconds`: what is before it, by lanes."""
        now_s = self._now_s()
        inside = sum(max(one.since_s + one.seconds - now_s, 0.0) for one in self._inside)
        ahead = sum(one.reservation.seconds for one in self._waiting if one.order_s <= now_s + seconds)
        return (inside + ahead) / self._lanes

    async def enter(self, seconds: float, held_bytes: int) -> Reservation:
        """Wait for room; whoever gets a reservation calls `leave` in the end. Cancelled, it waits no more.

        Args:
            seconds: that the work is expected to take.
            held_bytes: not more than the room has.
        """
        reservation = Reservation(seconds, held_bytes)
        came_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(self._now_s() + seconds, next(self._numbers), reservation, came_in)
        heapq.heappush(self._waiting, waiting)
        self._let_in()
        try:
            await came_in
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                heapq.heapify(self._waiting)
                self._let_in()
            else:  # it was just let in
                self.leave(reservation)
            raise
        return reservation

    def leave(self, reservation: Reservation) -> None:
        """Let go; the room that it took is free once nobody holds it."""
        reservation.holders -= 1
        if reservation.holders == 0:
            self._inside = [one for one in self._inside if one is not reservation]
            self._let_in()

    def _let_in(self) -> None:
        """All that come next in order and fit; nobody slips past one that waits for bytes."""
        while self._waiting and self._fits(self._waiting[0].reservation):
            one = heapq.heappop(self._waiting)
            one.reservation.since_s = self._now_s()
            self._inside.append(one.reservation)
            one.came_in.set_result(None)

    def _fits(self, reservation: Reservation) -> bool:
        held = sum(one.held_bytes for one in self._inside) + reservation.held_bytes
        return not self._inside or (len(self._inside) < self.inputs and held <= self.room_bytes)
