"""How fast the recipes for a graphics card train on this machine: samples a second.

    .venv/bin/python -m bench.reference_recipes                      # all of them, a minute each
    .venv/bin/python -m bench.reference_recipes solar_farms --seconds 20

Writes each task's synthetic set into a temporary folder, trains with the profile `reference` of params.yaml, and stops
when the time is over. Counted are the steps between the first and the last report of a training; the data are prepared
beside them, as in any training. Prints a table as Markdown; `--json FILE` writes the figures.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sightline.files import write_json
from sightline.params import load_section
from sightline.settings import load_settings
from sightline.task import Manifest, TrainingData
from sightline.tasks import open_task, params_model
from sightline.vision.training import choose_device, choose_precision

CANDIDATES = {"panel_defects": "resnet34", "solar_farms": "unet", "land_cover": "unet", "ships": "base"}
"""Those that are trained step by step, and whose network is the one that the recipe is for."""


class Enough(Exception):
    """The time is over."""


class Watch:
    """A report that notes when steps were done, and ends the training when it has seen enough of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.seen: list[tuple[int, float]] = []

    def progress(self, done: int, total: int, what: str) -> None:
        """Note a step of the longest phase."""
        sys.stderr.write(f"{what}\n")
        if "step" not in what:
            return
        now_s = time.perf_counter()
        if self.seen and done < self.seen[-1][0]:
            self.seen.clear()  # another phase begins
        self.seen.append((done, now_s))
        if now_s - self.seen[0][1] >= self._seconds or done == total:
            raise Enough

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Not looked at."""


@dataclass(frozen=True)
class Speed:
    """How fast a recipe trains."""

    task: str
    candidate: str
    batch: int
    steps: int
    samples_per_s: float
    device: str
    precision: str


def measure(task_name: str, candidate: str, seconds: float) -> Speed:
    """Train one recipe for so long."""
    with tempfile.TemporaryDirectory(prefix="sightline-bench-") as folder:
        root = Path(folder)
        text = (load_settings().root / "params.yaml").read_text(encoding="utf-8")
        (root / "params.yaml").write_text(text.replace("profile: cpu", "profile: reference", 1), encoding="utf-8")
        params: Any = load_section(root / "params.yaml", task_name, params_model(task_name))
        schedule = params.train.networks[candidate].scratch
        task, watch = open_task(task_name, params), Watch(seconds)
        data = root / "data" / task_name
        (data / "sample").mkdir(parents=True)
        task.sample(data / "sample", watch)
        (root / "work").mkdir()
        listed = task.load(data)
        usable = listed.where(lambda sample: not sample.problem)
        with suppress(Enough):
            task.train(candidate, TrainingData(usable, Manifest(usable.root, ())), root / "work", watch)
    (first, start_s), (last, end_s) = watch.seen[0], watch.seen[-1]
    steps = last - first
    device = choose_device()
    rate = schedule.batch * steps / (end_s - start_s)
    precision = choose_precision(schedule.precision, device)
    return Speed(task_name, candidate, schedule.batch, steps, rate, _named(device), precision)


def _named(device: Any) -> str:
    if device.type != "cuda":
        return f"{platform.processor() or platform.machine()} ({device.type})"
    import torch

    return str(torch.cuda.get_device_name(device))


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", choices=[*CANDIDATES, []], help="all unless named")
    parser.add_argument("--seconds", type=float, default=60.0, help="of training, counted from the first report")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    found = [measure(name, CANDIDATES[name], options.seconds) for name in options.tasks or CANDIDATES]
    print("| task | candidate | batch | samples/s | device | precision |\n|---|---|---|---|---|---|")
    for one in found:
        print(
            f"| {one.task} | {one.candidate} | {one.batch} | {one.samples_per_s:.0f} | {one.device} | {one.precision} |"
        )
    if options.json:
        write_json(options.json, [asdict(one) for one in found])


if __name__ == "__main__":
    main()
