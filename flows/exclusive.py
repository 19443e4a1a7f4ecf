"""One run a task at a time in one project folder, by a file lock that ends with its process."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sightline.errors import BackendError
from sightline.files import write_json
from sightline.settings import Settings


@contextmanager
def exclusive(
    settings: Settings, task: str, flow_run: str, wait_s: float = 0.0, tell: Callable[[str], None] = lambda _: None
) -> Iterator[str]:
    """Hold `state/locks/<task>.lock`; yields the id of the flow run that was killed while it held it, else "".

    Args:
        settings: of the project folder.
        task: its name.
        flow_run: the id of the flow run that takes it, for those who find it taken.
        wait_s: how long to wait for another run.
        tell: told who holds it when there is something to wait for.

    Raises:
        BackendError: another run holds it; says which, and since when.
    """
    folder = settings.state / "locks"
    lock, note = FileLock(folder / f"{task}.lock"), folder / f"{task}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock, note, wait_s, tell)
    except OSError as error:
        raise _unwritable(lock, error) from error
    try:
        dead = str(_read(note).get("flow_run", ""))  # whoever ends by itself takes its note away
        write_json(note, {"process": os.getpid(), "flow_run": flow_run, "since_s": time.time()})
        yield dead
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def holder(settings: Settings, task: str) -> str:
    """Who holds the lock, in words; empty where nobody does.

    Raises:
        BackendError: the lock cannot be tried, as on a disk that is read-only.
    """
    folder = settings.state / "locks"
    lock = FileLock(folder / f"{task}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:  # an OSError too
        return _describe(folder / f"{task}.json")
    except OSError as error:
        raise _unwritable(lock, error) from error
    lock.release()
    return ""


def _unwritable(lock: FileLock, error: OSError) -> BackendError:
    return BackendError(
        f"the lock cannot be written ({error.strerror or error})",
        where=lock.lock_file,
        way_out="Check the disk's free space and your write permission.",
    )


def _acquire(lock: FileLock, note: Path, wait_s: float, tell: Callable[[str], None]) -> None:
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        if wait_s > 0:
            tell(f"Waiting for another run ({_describe(note)}).")
    try:
        lock.acquire(timeout=wait_s)
    except Timeout as error:
        raise BackendError(
            f"another run of this task is in progress ({_describe(note)})",
            where=lock.lock_file,
            way_out="Wait until it has ended, or stop it and run the command again: no finished step is repeated.",
        ) from error


def _read(note: Path) -> dict[str, object]:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _describe(note: Path) -> str:
    found = _read(note)
    if not found:
        return "it has just started"
    since_s = found["since_s"]
    assert isinstance(since_s, float)
    return f"process {found['process']}, since {time.strftime('%H:%M:%S', time.localtime(since_s))}"
