"""The command line: the same words for every task. Imports nothing heavy before a command needs it."""

from __future__ import annotations

import io
import os
import sys
import time
import traceback
from collections.abc import Callable

from sightline.errors import BackendError, SightlineError
from sightline.runtime.proxies import without_proxy


def main() -> None:
    """Run the command line; errors become one line and a fitting exit code."""
    from sightline.cli.app import app

    guarded(lambda: app(prog_name="sightline"))


def guarded(run: Callable[[], None]) -> None:
    """Run a program; errors become one line and a fitting exit code, never a traceback."""
    os.environ.update(without_proxy(os.environ))
    _print_what_can_be_printed()
    try:
        run()
    except SightlineError as error:
        raise SystemExit(_tell(_full_disk(error) or error if isinstance(error, BackendError) else error)) from None
    except KeyboardInterrupt:
        sys.stderr.write("sightline: stopped. Run the command again to continue where it stopped.\n")
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader of our output left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except Exception as error:
        full = _full_disk(error)
        raise SystemExit(_tell(full) if full else _confess(error)) from None


def _print_what_can_be_printed() -> None:
    """Characters that the terminal's encoding lacks (a degree sign in ASCII, a file's name of odd bytes) become `?`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _tell(error: SightlineError) -> int:
    """One line for the reader, and the error for a flow that waits behind DVC; the exit code."""
    from sightline.versions import hand_over

    sys.stderr.write(f"sightline: {error}\n")
    hand_over(error)
    return error.exit_code


def _full_disk(error: Exception) -> BackendError | None:
    """What to say instead where a disk without room is the cause, whatever failed of it."""
    from sightline.runtime.disk import explain
    from sightline.settings import load_settings

    try:
        return explain(error, load_settings().written)
    except (OSError, SightlineError):
        return None


def _confess(error: Exception) -> int:
    """An error nobody foresaw: keep the traceback for a report, tell the reader one line."""
    from sightline.settings import load_settings

    try:
        folder = load_settings().state / "crashes"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
        path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        kept = f"The traceback is in {path}."
    except (OSError, SightlineError):
        kept = "The traceback could not be kept."
    sys.stderr.write(
        f"sightline: unexpected {type(error).__name__}: {error}. This is a defect of Sightline: please"
        f" report it. {kept}\n"
    )
    return 1
