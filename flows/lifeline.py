"""Ends a run whose Prefect server is gone, or whose disk is full, with one line.

Prefect's own client would ask again and again for minutes, in silence.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sightline.errors import BackendError
from sightline.runtime.disk import Usage, full_folder

_LOOKS = 3  # a disk that is full for a moment only is not


@contextmanager
def lifeline(api: str, patience_s: float, folders: Sequence[Path] = (), every_s: float = 1.0) -> Iterator[None]:
    """Watch the server and the disks for the time of the block; without them end this process.

    Nothing is lost: a run that ends anywhere is simply run again, and what it started ends with it (tether.py).

    Args:
        api: the server's address.
        patience_s: how long it may be away: somebody may start it again.
        folders: their disks must have room.
        every_s: how often to look.
    """
    over = threading.Event()
    watch = Watch(api, patience_s, tuple(folders))

    def check() -> None:
        while not over.wait(every_s):
            error = watch.check()
            if error is not None and not over.is_set():
                _tell(f"sightline: {error}")
                os._exit(error.exit_code)  # Prefect's engine would first tell the server of our end, and wait for it

    thread = threading.Thread(target=check, name="lifeline", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass
class Watch:
    """What is looked at, and since when it fails."""

    api: str
    patience_s: float
    folders: tuple[Path, ...]
    usage: Usage = shutil.disk_usage
    gone_s: float | None = None
    full: int = 0

    def check(self) -> BackendError | None:
        """Look once: why the run must end; None while it may go on."""
        folder = full_folder(self.folders, self.usage)
        self.full = self.full + 1 if folder else 0
        if self.full >= _LOOKS:
            way_out = "Free some space on the disk and run the command again: it continues where it stopped."
            return BackendError("the disk is full", where=folder or "", way_out=way_out)
        if not is_gone(self.api):
            if self.gone_s is not None:
                _tell("Prefect's server answers again.")
            self.gone_s = None
            return None
        if self.gone_s is None:
            self.gone_s = time.monotonic()
            if self.patience_s:
                _tell(f"Prefect's server at {self.api} has ended; waiting up to {self.patience_s:.0f} s for a new one.")
        if time.monotonic() - self.gone_s < self.patience_s:
            return None
        way_out = "Run the command again: it continues where it stopped."
        return BackendError("Prefect's server has ended", where=self.api, way_out=way_out)


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
