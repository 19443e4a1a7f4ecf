"""The frames of one camera: a thread reads them, and the newest waits for the model.

Of what is live only the newest frame waits: one that comes while another waits takes its place, and that one is
counted as dropped. Of a file none is dropped: its thread waits.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from sightline.capabilities import Frame
from sightline.errors import DataRejected, SightlineError
from sightline.video.opening import Frames

log = logging.getLogger(__name__)

_AHEAD = 4  # frames of a file that are read before they are wanted


@dataclass(frozen=True)
class Patience:
    """How a camera that was lost is opened again.

    Attributes:
        first_s: the first pause; each fruitless one is followed by one twice as long.
        most_s: the longest.
        spread: share by which a pause is shorter or longer, so that many cameras do not come back at once.
    """

    first_s: float = 1.0
    most_s: float = 60.0
    spread: float = 0.5

    def pause_s(self, fruitless: int) -> float:
        """Before it is tried again after so many tries without a frame."""
        longest = min(self.first_s * 2.0 ** min(fruitless, 30), self.most_s)
        return longest * random.uniform(1 - self.spread, 1 + self.spread)  # noqa: S311 (no secret)


@dataclass
class Tally:
    """What came of one camera.

    Attributes:
        read: frames that were read.
        dropped: those of them that had to make room for newer ones.
        damaged: those that could not be read.
        losses: how often the camera was lost.
        problem: the last thing that went wrong; empty where nothing did.
    """

    read: int = 0
    dropped: int = 0
    damaged: int = 0
    losses: int = 0
    problem: str = ""


class Feed:
    """One camera, or one file.

    Args:
        name: what it is called.
        frames: it, open.
        reopen: opens it again; raises errors of the tree where it cannot.
        ready: is notified when a frame is there to be taken, and when there will be none any more.
        patience: before it is opened again.
        tell: is told of losses and returns, in a line for people.
    """

    def __init__(
        self,
        name: str,
        frames: Frames,
        reopen: Callable[[], Frames],
        ready: threading.Condition,
        patience: Patience | None = None,
        tell: Callable[[str], None] = log.warning,
    ) -> None:
        self.name = name
        self.live = frames.live
        self.count = frames.count
        self.tally = Tally()
        self._ended = False
        self.defect: Exception | None = None
        self._frames = frames
        self._reopen = reopen
        self._ready = ready
        self._patience = patience or Patience()
        self._tell = tell
        self._waiting: deque[Frame] = deque()
        self._stop = threading.Event()
        self._fruitless = 0
        self._next = 0
        self._began_s: float | None = None
        self._thread = threading.Thread(target=self._run, name=f"read {name}", daemon=True)

    @property
    def over(self) -> bool:
        """Whether no frame will come any more."""
        return self._stop.is_set() or (self._ended and not self._waiting)

    @property
    def waiting(self) -> int:
        """How many frames can be taken."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, wait_s: float = 0.0) -> None:
        """Read no more; a thread that waits for its camera ends when that has answered, or not."""
        self._stop.set()
        with self._ready:
            if self.live:
                self.tally.dropped += len(self._waiting)
            else:
                self.tally.read -= len(self._waiting)  # ahead of what was wanted
            self._waiting.clear()
            self._ready.notify_all()
        if wait_s and self._thread.is_alive():
            self._thread.join(wait_s)

    def take(self) -> Frame | None:
        """The frame that waits longest; None where none waits. `ready` is held. Raises what ended the thread."""
        if not self._waiting:
            if self.defect is not None:
                raise self.defect
            return None
        frame = self._waiting.popleft()
        self._ready.notify_all()
        return frame

    # ------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        try:
            self._read()
        except Exception as error:  # whoever takes frames raises it
            self.defect = error
        finally:
            self._frames.close()
            with self._ready:
                self._ended = True
                self._ready.notify_all()

    def _read(self) -> None:
        while not self._stop.is_set():
            problem = self._read_to_end()
            if not self.live:
                self.tally.problem = problem or self.tally.problem
                return
            self._frames.close()
            if self._stop.is_set() or not self._opened_again(problem or "the camera has ended its video"):
                return

    def _read_to_end(self) -> str:
        """Read until there is no more; why, empty at the end of a video."""
        while not self._stop.is_set():
            try:
                frame = next(self._frames)
            except StopIteration:
                return ""
            except DataRejected as error:
                self.tally.damaged += 1
                self.tally.problem = str(error)
                self._next += 1
            except SightlineError as error:
                return str(error)
            else:
                self._fruitless = 0
                self._put(self._placed(frame))
        return ""

    def _placed(self, frame: Frame) -> Frame:
        """With its place in all that came: a camera that was lost begins to count anew."""
        self.tally.read += 1
        if not self.live:
            return frame
        now_s = time.monotonic()
        self._began_s = now_s if self._began_s is None else self._began_s
        self._next += 1
        return replace(frame, number=self._next - 1, time_s=now_s - self._began_s)

    def _put(self, frame: Frame) -> None:
        with self._ready:
            if self.live and self._waiting:
                self._waiting.clear()
                self.tally.dropped += 1
            while len(self._waiting) >= _AHEAD and not self._stop.is_set():
                self._ready.wait()
            if not self._stop.is_set():
                self._waiting.append(frame)
                self._ready.notify_all()

    def _opened_again(self, problem: str) -> bool:
        """Try until it is open, ever more rarely; False where it was stopped before."""
        self.tally.losses += 1
        self.tally.problem = problem
        while True:
            pause_s = self._patience.pause_s(self._fruitless)
            self._fruitless += 1
            self._tell(f"{self.name}: {problem} Tried again in {pause_s:.1f} s.")
            if self._stop.wait(pause_s):
                return False
            try:
                self._frames = self._reopen()
            except SightlineError as error:
                problem = self.tally.problem = str(error)
            else:
                self._tell(f"{self.name}: open again.")
                return True
