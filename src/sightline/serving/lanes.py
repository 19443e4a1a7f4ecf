"""Where an input is answered, and whether it can be: short ones and long ones have rooms and lanes of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sightline.errors import BackendError, RequestError
from sightline.limits import Cost
from sightline.serving.admission import Room
from sightline.serving.batching import Batcher
from sightline.serving.champion import Champion
from sightline.serving.questions import Answered, Question

_SHORT_S, _SHORT_EXAMPLES = 2.0, 3.0
"""An input is short that takes no more than this, or no more than so many of the model's examples."""

_SAFE = 0.95  # of a side that is proposed: overlaps of windows do not shrink with the picture


@dataclass(frozen=True)
class Lanes:
    """Where inputs of a kind are let in and answered."""

    room: Room
    batcher: Batcher[Question, Answered]


@dataclass(frozen=True)
class TwoRooms:
    """The lanes of short inputs, and those of long ones.

    Attributes:
        limit_s: longest in which an input must be answered.
    """

    short: Lanes
    long: Lanes
    limit_s: float

    def chosen(self, champion: Champion, seconds: float, held_bytes: int) -> Lanes:
        """The lanes for an input, by the seconds and the memory that it takes."""
        self.short.batcher.use(champion.warmed.batching)
        # Decoded images are large: those of the batches that run and of the next are held, others wait as files.
        inputs = 2 * champion.warmed.batching.batch * champion.warmed.batching.lanes
        self.short.room.inputs = max(self.short.room.inputs, inputs)  # other tasks' models may share it
        short_s = max(_SHORT_S, _SHORT_EXAMPLES * champion.warmed.example_s)
        small = held_bytes <= self.short.room.room_bytes
        return self.short if small and seconds <= short_s else self.long

    def refuse(self, champion: Champion, cost: Cost) -> None:
        """Refuse an input that can never be answered.

        Raises:
            RequestError: 413; says which size can.
        """
        seconds = champion.warmed.pace.best_s(cost)
        if seconds > self.limit_s:
            raise too_large(f"it would take {seconds:,.0f} s, more than {self.limit_s:g}", cost, self.limit_s / seconds)
        most = self.long.room.room_bytes
        if cost.held_bytes > most:
            what = f"it would take {cost.held_bytes / 2**20:,.0f} MB of memory, more than {most / 2**20:,.0f}"
            raise too_large(what, cost, most / cost.held_bytes)

    def postpone(self, seconds: float, room: Room) -> None:
        """Refuse, for now, an input that cannot be answered in time.

        Raises:
            BackendError: says after how many seconds.
        """
        wait_s = room.wait_s(seconds)
        late_s = wait_s + seconds - self.limit_s
        if wait_s > 0 and late_s > 0:  # with nobody before it, it is tried: the estimate may be wrong
            after_s = max(math.ceil(late_s), 1)
            raise BackendError(
                f"there is work for {wait_s:,.0f} s before it",
                way_out=f"Try again in {after_s} s.",
                retry_after_s=after_s,
            )


def too_large(what: str, cost: Cost, share: float) -> RequestError:
    """An image of which this share of the pixels can be answered."""
    height, width = (max(int(side * math.sqrt(share) * _SAFE), 1) for side in cost.size)
    return RequestError(
        what, where="image", way_out=f"Give about {width:,} x {height:,} pixels at most, or a part of it.", status=413
    )
