"""What an endpoint remembers of one camera, what is sent to it, and what of it is logged."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sightline.capabilities import Session
from sightline.serving.champion import Champion
from sightline.task import Json, Prediction


@dataclass(frozen=True)
class Seen:
    """An answer to a frame, or to all of them, as the log wants it.

    Attributes:
        frame: its number; None: the whole.
        at_s: by the stream's own clock.
        changed: the verdict is another than before.
    """

    camera: str
    version: int
    sha256: str
    prediction: Prediction
    frame: int | None
    at_s: float = 0.0
    changed: bool = False


class FrameLog(Protocol):
    """Writes of the answers of one camera what its rule keeps; called by one thread at a time."""

    def write(self, seen: Seen) -> str | None:
        """Its id in the ledger; None where it was not kept. Raises BackendError."""
        ...


@dataclass(frozen=True)
class Sent:
    """A frame as a client sends it.

    Attributes:
        content: an encoded picture.
        conditions: what the client tells of the camera besides; None: what it told before.
        time_s: seconds after the first frame; None: when it arrived.
        skipped: frames that had to make room for this one.
    """

    content: bytes
    conditions: Mapping[str, float] | None = None
    time_s: float | None = None
    skipped: int = 0


@dataclass(eq=False)
class Camera:
    """One camera. The lock is held while its session is at work."""

    name: str
    champion: Champion
    session: Session
    conditions: Mapping[str, float]
    log: FrameLog
    since_s: float = field(default_factory=time.time)
    began_s: float = field(default_factory=time.monotonic)
    last_s: float = field(default_factory=time.monotonic)
    next: int = 0
    answered: int = 0
    refused: int = 0
    skipped: int = 0
    verdict: str | None = None
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    waiting: int = 0
    held: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def document(self) -> dict[str, Json]:
        """As clients see it."""
        return {
            "camera": self.name,
            "version": self.champion.number,
            "frames": self.answered,
            "refused": self.refused,
            "skipped": self.skipped,
            "verdict": self.verdict,
            "since_s": self.since_s,
            "idle_s": round(time.monotonic() - self.last_s, 3),
            "connected": self.held,
        }
