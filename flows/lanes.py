"""Several tasks at a time: a process for each, with its share of the cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sightline.runtime.servers import CODE
from sightline.runtime.tether import release, start_tethered
from sightline.task import Json
from sightline.vision.hardware import threads_each

_LOOK_S = 0.2

Keep = Callable[[str, Json], None]
"""Takes a task's outcome as soon as it is there."""


@dataclass(frozen=True)
class _Lane:
    process: subprocess.Popen[bytes]
    outcome: Path
    teller: threading.Thread


def run_in_lanes(flow: str, tasks: Sequence[str], words: Sequence[str], jobs: int, keep: Keep) -> int:
    """Run the flow of each task, so many at a time, in their order; 0, or the exit code of the first that failed.

    After one has failed no other is begun; those that run are waited for. What they tell is told with the task's name.

    Args:
        flow: retrain or monitor.
        tasks: their names.
        words: further words of the command line.
        jobs: how many at a time.
        keep: given each outcome.
    """
    waiting, code = list(tasks), 0
    running: dict[str, _Lane] = {}
    with tempfile.TemporaryDirectory(prefix="sightline-lanes-") as folder:
        try:
            while running or (waiting and not code):
                while waiting and len(running) < jobs and not code:
                    task = waiting.pop(0)
                    running[task] = _start(flow, task, words, min(jobs, len(tasks)), Path(folder))
                time.sleep(_LOOK_S)
                for task in _ended(running):
                    its_code = _end(task, running.pop(task), keep)
                    code = code or its_code
        finally:
            for lane in running.values():
                release(lane.process)
    return code


def _ended(running: Mapping[str, _Lane]) -> list[str]:
    """Tasks whose process has ended."""
    return [task for task, lane in running.items() if lane.process.poll() is not None]


def _end(task: str, lane: _Lane, keep: Keep) -> int:
    """Hand on what a lane that has ended came to; its exit code."""
    release(lane.process)
    lane.teller.join()
    if lane.outcome.is_file():
        keep(task, json.loads(lane.outcome.read_text(encoding="utf-8"))[task])
    return lane.process.returncode


def _start(flow: str, task: str, words: Sequence[str], jobs: int, folder: Path) -> _Lane:
    outcome = folder / f"{task}.json"
    command = [sys.executable, "-m", "flows", flow, task, *words, "--outcome", str(outcome)]
    environment = {**os.environ, **threads_each(jobs)}
    process = start_tethered(command, CODE, environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    teller = threading.Thread(target=_tell, args=(task, process.stdout), daemon=True)
    teller.start()
    return _Lane(process, outcome, teller)


def _tell(task: str, said: IO[bytes]) -> None:
    """Pass on what a lane says, line by line."""
    for line in said:
        sys.stderr.write(f"{task}: {line.decode(errors='replace')}")
        sys.stderr.flush()
