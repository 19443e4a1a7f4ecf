"""What the orchestration costs: `sightline run` against the same work without it, and against ultralytics alone.

    .venv/bin/python -m bench.orchestration

On the synthetic set, with the recipe in force (`--epochs` shortens it), each in a fresh clone of the last commit:

    bare        ultralytics' own training loop for the same fits, one process, nothing else
    direct      the same work as a run (gate, fits, evaluating), one process, without DVC, MLflow and Prefect
    warm        `sightline run` with a Prefect server that runs already
    cold        `sightline run` alone
    unchanged   `sightline run` once more

`imports` is what loading the libraries costs in all the processes that a run starts; it is measured by itself.
Prints a table and writes build/bench/orchestration.json. Half an hour on two cores; the machine should be calm.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import yaml

from sightline.files import write_json
from sightline.runtime.processes import Group
from sightline.runtime.servers import list_servers
from sightline.settings import Settings, load_settings

CODE = Path(__file__).resolve().parents[1]
TASK = "pv_hotspots"
PROGRAMS = Path(sys.executable).parent

LIBRARIES = {
    "validate": "great_expectations",
    "train": "mlflow, torch, ultralytics, onnxruntime",
    "evaluate": "torch, onnxruntime, matplotlib.pyplot",
    "flow": "prefect, prefect.client.orchestration, mlflow",
}
"""What the processes of a run load, by kind."""


def main() -> None:
    """Measure in turn, then print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help="shorten the schedules to so many epochs")
    parser.add_argument("--inside", choices=("bare", "direct"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        sys.stdout.write(json.dumps({"bare": bare, "direct": direct}[options.inside]()))
        return
    folder = load_settings().build / "bench" / "orchestration"
    shutil.rmtree(folder, ignore_errors=True)
    figures = measure(folder, options.epochs)
    write_json(folder.with_suffix(".json"), figures)
    show(figures)


def measure(folder: Path, epochs: int | None) -> dict[str, Any]:
    """Seconds of each way, and what follows from them."""
    roots = {name: clone(folder / name, epochs) for name in ("bare", "direct", "warm", "cold")}
    seconds: dict[str, float] = {}
    for name in ("bare", "direct"):
        print(f"{name} ...", file=sys.stderr)
        seconds[name] = inside(name, roots[name])
    for name in ("warm", "cold"):
        print(f"{name} ...", file=sys.stderr)
        seconds[name] = warm_run(roots[name]) if name == "warm" else timed(roots[name], "run", TASK)
    seconds["unchanged"] = timed(roots["cold"], "run", TASK)
    seconds["imports"] = imports(candidates=len(read_candidates(roots["cold"])))
    beyond = seconds["warm"] - seconds["direct"] - seconds["imports"]
    return {
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "orchestration_s_warm": round(seconds["warm"] - seconds["direct"], 1),
        "orchestration_s_warm_beyond_imports": round(beyond, 1),
        "share_of_direct_percent": round(100 * (seconds["warm"] - seconds["direct"]) / seconds["direct"], 1),
        "share_beyond_imports_percent": round(100 * beyond / seconds["direct"], 1),
        "cold_minus_warm_s": round(seconds["cold"] - seconds["warm"], 1),
        "load_average": os.getloadavg(),
        "epochs": epochs,
    }


def show(figures: dict[str, Any]) -> None:
    """The table."""
    for name, value in figures["seconds"].items():
        print(f"{name:<12}{value:8.1f} s")
    for name, value in figures.items():
        if name != "seconds":
            print(f"{name}: {value}")


# ------------------------------------------------------------------------------------------------- the ways


def clone(root: Path, epochs: int | None) -> Path:
    """A clone of the last commit with the synthetic set and, if asked for, a shorter recipe."""
    subprocess.run(["git", "clone", "-q", str(CODE), str(root)], check=True)
    if epochs:
        path = root / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = params[TASK]["train"][params["profile"]]
        for schedule in ("scratch", "continued"):
            recipe[schedule]["epochs"] = epochs
        path.write_text(yaml.safe_dump(params), encoding="utf-8")
    timed(root, "data", "sample", TASK)
    return root


def read_candidates(root: Path) -> list[str]:
    """The candidates of the task."""
    return list(yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))[TASK]["candidates"])


def environment(root: Path) -> dict[str, str]:
    """The project folder is the clone; what it runs is the environment of this interpreter."""
    return {**os.environ, "SIGHTLINE_ROOT": str(root), "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"}


def timed(root: Path, *words: str) -> float:
    """Seconds of a command of the command line."""
    begun_s = time.perf_counter()
    command = [str(PROGRAMS / "sightline"), *words]
    done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return time.perf_counter() - begun_s


def inside(name: str, root: Path) -> float:
    """Seconds that one of the ways below says it took, its imports left out."""
    command = [sys.executable, "-m", "bench.orchestration", "--inside", name]
    done = subprocess.run(command, cwd=CODE, env=environment(root), stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def warm_run(root: Path) -> float:
    """Seconds of a run while the folder's Prefect server is up."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(root=root, prefect_port=probe.getsockname()[1])
    group = Group(settings.state, lambda _: None)
    try:
        group.start([server for server in list_servers(settings) if server.name == "prefect"])
        group.note()
        return timed(root, "run", TASK)
    finally:
        group.stop()


def imports(candidates: int) -> float:
    """Seconds that the processes of a run spend on loading libraries."""
    counts = {"validate": 1, "train": candidates, "evaluate": candidates, "flow": 1}
    total_s = 0.0
    for kind, count in counts.items():
        begun_s = time.perf_counter()
        subprocess.run([sys.executable, "-W", "ignore", "-c", f"import {LIBRARIES[kind]}"], check=True)
        total_s += count * (time.perf_counter() - begun_s)
    return total_s


def bare() -> float:
    """Ultralytics' own loop over the same windows, for the fits that a run makes; nothing is kept."""
    from sightline.limits import Limits
    from sightline.pipeline.fit import plan_fits
    from sightline.pipeline.project import open_project
    from sightline.tasks.pv_hotspots import yolo
    from sightline.tasks.pv_hotspots.augment import Frame, Windows
    from sightline.tasks.pv_hotspots.data import read_labels
    from sightline.tasks.pv_hotspots.thermogram import read_thermogram

    yolo.prepare_environment()
    import ultralytics  # noqa: F401 - loaded before the clock starts

    project = open_project(TASK, load_settings())
    params: Any = project.params
    begun_s = time.perf_counter()
    states: dict[str, Any] = {}
    for fit in plan_fits(project).fits:
        frames = []
        for sample in fit.train.samples:
            level = read_thermogram(fit.train.path(sample), Limits()).level
            labels = read_labels(fit.train.path(sample, "labels"), level.shape[1], level.shape[0])
            frames.append(Frame(level, labels.polygons, labels.classes))
        start = states.get(fit.start)
        schedule = (params.train.scratch if start is None else params.train.continued).shortened(fit.share)
        windows = Windows(frames, schedule.windows, params.train.augment, params.train.input, params.seed)
        work = project.settings.build / "bare" / fit.name
        states[fit.name] = yolo.train_detector(windows, params.train, schedule, start, work, Silent())
    return time.perf_counter() - begun_s


def direct() -> float:
    """The gate, the fits and the evaluating of every candidate, one after the other in this process."""
    from sightline.pipeline.evaluate import evaluate
    from sightline.pipeline.fit import fit
    from sightline.pipeline.project import open_project
    from sightline.pipeline.validate import validate_data
    from sightline.progress import Bars
    from sightline.tasks.pv_hotspots import yolo

    yolo.prepare_environment()
    import great_expectations
    import onnxruntime
    import torch
    import ultralytics

    assert all((great_expectations, onnxruntime, torch, ultralytics))  # loaded before the clock starts
    project = open_project(TASK, load_settings())
    begun_s = time.perf_counter()
    validate_data(project).raise_if_failed()
    with Bars("direct") as bars:
        for candidate in project.params.candidates:
            fit(project, candidate, bars, lambda _step, _values: None)
            evaluate(project, candidate, bars)
    return time.perf_counter() - begun_s


class Silent:
    """Progress that nobody reads."""

    def advance(self, done: int, total: int, what: str) -> None:
        """Nothing is shown."""

    def metrics(self, step: int, values: object) -> None:
        """Nothing is kept."""


if __name__ == "__main__":
    main()
