"""An environment like this one's whose `sightline`, `dvc` and flows begin with their libraries imported.

Whatever stands in its `bin` is this environment's. `python -m sightline`, `python -m dvc`, `python -m flows` and, once
its libraries are imported too, Prefect's server and the runs that it has started (`python -m prefect.engine`) are forks
of one process, which serves all workers of the tests: importing takes most commands seconds, and the rest tenths of a
second. They get the signals that they are sent, and end with whoever started them. What else listens starts as ever.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).parent

PYTHON = """#!/usr/bin/env bash
case "$1 $2 $3" in
"-m sightline serve" | "-m sightline up") ;;
"-m prefect "* | "-m prefect.engine "*)
    [ ! -S '{socket}-prefect' ] || exec '{python}' -IS '{here}/asking.py' '{socket}-prefect' "${{@:2}}" ;;
"-m sightline "* | "-m dvc "* | "-m flows "*)
    exec '{python}' -IS '{here}/asking.py' '{socket}' "${{@:2}}" ;;
esac
exec -a '{folder}/bin/python' '{python}' "$@"
"""

PROGRAM = """#!/usr/bin/env bash
exec '{folder}/bin/python' -m {name} "$@"
"""


_started: list[subprocess.Popen[bytes]] = []
"""It ends by itself, and nobody waits for it."""


def warm_programs(base: Path) -> Path:
    """The `bin` of the environment, made in a folder that all workers share; for the time of the tests."""
    folder = base / "warm"
    with FileLock(base / "warm.lock"):
        if not folder.is_dir():
            _make(folder)
            _start(folder)
    return folder / "bin"


def _make(folder: Path) -> None:
    own = Path(sys.prefix)
    (folder / "bin").mkdir(parents=True)
    for path in own.iterdir():
        if path.name != "bin":
            (folder / path.name).symlink_to(path)
    texts = {"python": PYTHON, "sightline": PROGRAM, "dvc": PROGRAM}
    for path in (own / "bin").iterdir():
        if path.name not in texts:
            (folder / "bin" / path.name).symlink_to(path)
    places = {"folder": folder, "python": Path(sys.executable).resolve(), "here": HERE, "socket": folder / "socket"}
    for name, text in texts.items():
        program = folder / "bin" / name
        program.write_text(text.format(name=name, **places))
        program.chmod(0o755)


def _start(folder: Path, limit_s: float = 240) -> None:
    owner = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    command = [str(folder / "bin" / "python"), str(HERE / "serving.py"), str(folder / "socket"), str(owner)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
    environment |= {"GX_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    environment |= {"PREFECT_HOME": str(folder / "prefect")}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    _started.append(process)
    deadline_s = time.monotonic() + limit_s
    while not (folder / "socket").exists():
        if process.poll() is not None or time.monotonic() > deadline_s:
            raise AssertionError(f"the programs did not become warm\n{log.read_text()}")
        time.sleep(0.1)
