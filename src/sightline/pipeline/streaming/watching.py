"""What is remembered of one camera: the model's session, its last verdict, and what was counted."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

import sightline.stores.predictions
from sightline.capabilities import Frame, Session
from sightline.errors import DataRejected
from sightline.pipeline.streaming.feeds import Feed
from sightline.pipeline.streaming.outlets import Outlet
from sightline.pipeline.streaming.said import Said, at_s_of, verdict_of
from sightline.stores.streams import Keep
from sightline.task import Json, Prediction

log = logging.getLogger(__name__)

RENEWED_AFTER = 10
"""So many refused frames in a row are no slip: the camera sends something else now, and a new session begins."""


@dataclass
class Counts:
    """What became of the frames of one camera.

    Attributes:
        answered: by the model.
        refused: by the model's session, which goes on without them.
        changes: of the verdict; the first one is none.
        sessions: begun.
    """

    answered: int = 0
    refused: int = 0
    changes: int = 0
    sessions: int = 0


@dataclass
class _State:
    """Of one session."""

    session: Session
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    answered: int = 0
    refused_in_a_row: int = 0
    verdict: str | None = None
    slot: float | None = None


class Watching:
    """One camera, watched by one model.

    Args:
        feed: its frames.
        begin: opens a session of the model.
        outlets: where its answers go.
        keep: the rule of what is kept besides changes.
        identity: what each answer says of the model that made it.
        hear: gets each answer too, at once.
        tell: is told what a person should know, in a line.
    """

    def __init__(
        self,
        feed: Feed,
        begin: Callable[[], Session],
        outlets: Sequence[Outlet],
        keep: Keep,
        identity: Mapping[str, Json],
        hear: Callable[[Said], None] = lambda _: None,
        tell: Callable[[str], None] = log.warning,
    ) -> None:
        self.feed = feed
        self.counts = Counts()
        self.outlets = outlets
        self.problem = ""
        self.verdict = ""
        self.last_s = time.monotonic()
        self._begin = begin
        self._keep = keep
        self._identity = identity
        self._hear = hear
        self._tell = tell
        self._state: _State | None = None
        self._dropped = 0

    @property
    def is_open(self) -> bool:
        """Whether anything is remembered of it."""
        return self._state is not None

    def push(self, frame: Frame) -> None:
        """Hand the answer to a frame to the sinks; where it is refused, that is counted, and told once."""
        self.last_s = time.monotonic()
        state = self._state = self._state or self._begun()
        try:
            prediction = state.session.push(frame)
        except DataRejected as error:
            self._refuse(state, frame, str(error))
            return
        except Exception as error:  # a stream runs for weeks: one frame must not end it, and the session may be spoiled
            log.exception("%s: frame %d", self.feed.name, frame.number)
            self._refuse(state, frame, f"a defect of this program ({type(error).__name__}: {error})")
            self._state = None
            return
        state.refused_in_a_row = 0
        self._hand_over(self._said(state, frame, prediction))

    def _hand_over(self, said: Said) -> None:
        for outlet in self.outlets:
            outlet.offer(said)
        self._hear(said)

    def _begun(self) -> _State:
        self.counts.sessions += 1
        return _State(self._begin())

    def _refuse(self, state: _State, frame: Frame, why: str) -> None:
        self.counts.refused += 1
        state.refused_in_a_row += 1
        if why != self.problem:
            self._tell(f"{self.feed.name}: frame {frame.number} was left out: {why}")
        self.problem = why
        if state.refused_in_a_row >= RENEWED_AFTER:
            self._tell(f"{self.feed.name}: {RENEWED_AFTER} frames in a row were left out; it is looked at anew.")
            self.finish()

    def _said(self, state: _State, frame: Frame, prediction: Prediction) -> Said:
        sha256 = hashlib.sha256(np.ascontiguousarray(frame.pixels).data).hexdigest()
        state.digest.update(bytes.fromhex(sha256))
        slot = self._keep.slot(sightline.stores.predictions.Frame(self.feed.name, frame.number, at_s_of(frame)))
        changed = verdict_of(prediction) != state.verdict
        self.counts.changes += changed and state.verdict is not None
        kept = changed or slot != state.slot
        state.slot = slot if kept else state.slot
        state.verdict = self.verdict = verdict_of(prediction)
        state.answered += 1
        self.counts.answered += 1
        total = self.feed.tally.dropped
        dropped, self._dropped = total - self._dropped, total
        return Said(
            camera=self.feed.name,
            prediction=prediction,
            sha256=sha256,
            frame=frame,
            changed=changed,
            kept=kept,
            dropped=dropped,
            counts=self.counted(),
            time_s=time.time(),
            identity=self._identity,
        )

    def finish(self) -> None:
        """End the session, and hand the answer to the whole to the sinks, if there was a frame."""
        state, self._state = self._state, None
        if state is None or not state.answered:
            return
        try:
            prediction = state.session.close()
        except DataRejected as error:
            self.problem = str(error)
            return
        said = Said(
            camera=self.feed.name,
            prediction=prediction,
            sha256=state.digest.hexdigest(),
            frame=None,
            changed=False,
            kept=True,
            dropped=self.feed.tally.dropped,
            counts=self.counted(),
            time_s=time.time(),
            identity=self._identity,
        )
        self._hand_over(said)

    def counted(self) -> dict[str, int]:
        """What was counted so far."""
        tally = self.feed.tally
        return {
            "read": tally.read,
            "answered": self.counts.answered,
            "dropped": tally.dropped,
            "refused": self.counts.refused,
            "damaged": tally.damaged,
            "losses": tally.losses,
            "changes": self.counts.changes,
        }
