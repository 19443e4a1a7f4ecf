"""What goes through an engine: an upload that waits for its answer, and the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sightline.limits import Cost
from sightline.serving.admission import Reservation, Room
from sightline.serving.champion import Champion
from sightline.task import Input, Prediction


@dataclass(eq=False)
class Work:
    """What is done for one request, and whether anybody still waits for it.

    Attributes:
        cost: once the input is weighed.
        room, reservation: once it has one.
        busy: a thread is at it now.
        stopped: nobody waits any more.
    """

    cost: Cost | None = None
    room: Room | None = None
    reservation: Reservation | None = None
    busy: bool = False
    stopped: bool = False


@dataclass(frozen=True)
class Question:
    """One decoded upload, and the version that decoded it: no other may answer it."""

    champion: Champion
    input: Input
    source: str
    work: Work = field(default_factory=Work, repr=False)


@dataclass(frozen=True)
class Answered:
    """One prediction, its id in the ledger and the version that made it.

    Attributes:
        once: its work may be done again after a failure, and yet the ledger gets its row once.
    """

    question: Question
    prediction: Prediction
    id: str = ""
    once: bool = False

    @property
    def version(self) -> int:
        """Number of the version that answered."""
        return self.question.champion.number


Log = Callable[[Sequence[Answered]], Sequence[str]]
"""Writes the rows of a batch to disk and returns their ids; called from one thread. May raise BackendError."""
