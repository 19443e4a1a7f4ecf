"""A tethered command ends with its starter, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.runtime.tether import run_tethered

SLEEPER = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(120)"
STARTER = f"""
import os, signal, sys
from pathlib import Path
from sightline.runtime.tether import run_tethered
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
run_tethered([sys.executable, "-c", {SLEEPER!r}], Path.cwd(), os.environ)
"""


def test_the_exit_status_and_the_output_are_the_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-c", "print('said'); raise SystemExit(3)"]
    assert run_tethered(command, tmp_path, os.environ) == 3
    assert capfd.readouterr().out == "said\n"
    assert run_tethered(command, tmp_path, os.environ, silent=True) == 3
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_command_does_not_outlive_its_starter(tmp_path: Path, end: signal.Signals) -> None:
    starter = subprocess.Popen([sys.executable, "-c", STARTER], cwd=tmp_path, stderr=subprocess.DEVNULL)
    sleeper = int(_until(lambda: (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""))
    starter.send_signal(end)
    starter.wait(30)
    _until(lambda: "gone" if not _lives(sleeper) else "")


def _lives(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # nobody may be left to collect it


def _until(ask: Callable[[], str]) -> str:
    for _ in range(600):
        if found := ask():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not happen within 30 s")
