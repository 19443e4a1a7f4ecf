"""The command that starts an endpoint as a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sightline.errors import ParamsError
from sightline.settings import Settings
from sightline.tasks import TASKS
from sightline.vision.hardware import THREAD_VARIABLES

ONE_THREAD_A_CALL = dict.fromkeys(THREAD_VARIABLES, "1")
"""The cores are shared out between requests: a call that spreads over all of them wins little and waits for others.

`bentofile.yaml` says the same; variables that are set already win.
"""


ALL_TASKS = "sightline"
"""The service of all tasks behind one address."""


def serve_command(settings: Settings, service: str = ALL_TASKS) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the process that serves; it runs until it gets SIGINT or SIGTERM.

    Args:
        settings: where it listens.
        service: a task, or all of them.

    Raises:
        ParamsError: there is no such task.
    """
    if service not in (*TASKS, ALL_TASKS):
        raise ParamsError(f"{service!r} has no endpoint", where="TASK", way_out=f"Choose one of: {', '.join(TASKS)}.")
    folder = _services(settings)
    host = "127.0.0.1" if settings.host == "localhost" else settings.host  # BentoML takes addresses only
    command = [sys.executable, "-m", "bentoml", "serve", f"services.endpoint:{service}"]
    command += ["--working-dir", str(folder.parent), "--host", host, "--port", str(settings.endpoint_port)]
    environment = {
        **ONE_THREAD_A_CALL,
        **os.environ,
        "SIGHTLINE_ROOT": str(settings.root),
        "BENTOML_DO_NOT_TRACK": "true",  # the word counts: "1" does not turn tracking off
    }
    return command, environment


def _services(settings: Settings) -> Path:
    """The project's own services/; where the root is only a place for data, those of the source tree."""
    for folder in (settings.root / "services", Path(__file__).resolve().parents[3] / "services"):
        if folder.is_dir():
            return folder
    raise ParamsError(
        "there is no folder services/", where=settings.root, way_out="Run inside the project, or set SIGHTLINE_ROOT."
    )
