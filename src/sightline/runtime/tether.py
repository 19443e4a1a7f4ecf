"""`python -m sightline.runtime.tether COMMAND ..`: a command that ends when what started it ends, however it ends.

The starter holds the other end of our standard input and never writes: when it is gone, even by SIGKILL, the input
ends, and the whole process group is stopped. Needs a process group of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

GRACE_S = 15.0


def run_tethered(command: Sequence[str], folder: Path, environment: Mapping[str, str], *, silent: bool = False) -> int:
    """Run a command that must not outlive us, however we end; its exit status.

    Args:
        command: the program and its arguments.
        folder: it runs in.
        environment: of it.
        silent: drop what it prints on standard output; standard error is ours in any case.
    """
    child = start_tethered(command, folder, environment, stdout=subprocess.DEVNULL if silent else None)
    try:
        return child.wait()
    finally:
        release(child)


def start_tethered(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    stdout: int | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start such a command and go on; `release` it in the end. The outputs are as `subprocess.Popen` takes them."""
    return subprocess.Popen(
        [sys.executable, "-m", "sightline.runtime.tether", *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        process_group=0,
    )


def release(child: subprocess.Popen[bytes]) -> None:
    """Stop a tethered command, if it still runs, and wait until it has ended."""
    assert child.stdin is not None
    child.stdin.close()  # the tether stops the command
    child.wait()


def main() -> int:
    """Run the command; its exit status, 128 + the signal where one ended it."""
    try:
        process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    except OSError as error:
        sys.stderr.write(f"{sys.argv[1]}: {error.strerror}\n")
        return 127
    # The group's SIGTERM reaches the command too; we stay until it has ended. (Ignoring would be inherited.)
    signal.signal(signal.SIGTERM, lambda _number, _frame: None)
    threading.Thread(target=_follow_starter, args=(process,), daemon=True).start()
    status = process.wait()
    return status if status >= 0 else 128 - status


def _follow_starter(process: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1):  # not sys.stdin: its lock would be in the way when the command ends first
        pass
    os.killpg(0, signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    finally:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    raise SystemExit(main())
