"""Candidates of battery_faults on simulated videos that they were not fitted on, and on published ones.

    OMP_NUM_THREADS=1 python -m bench.battery_videos --work DIR [--candidates rule query refined] [--real FOLDER]

Fits each candidate (profile cpu) on one synthetic set and evaluates it on another, of another seed, by look: as Fluent
draws packs (`fluent`), as a real camera sees them (`field`). FOLDER holds videos in the published layout; none of them
is fitted on. `--every 2` leaves out every second synthetic video. Sets and models that DIR has are taken as they are.
`--weights FILE` takes networks that bench.battery_train has trained, instead of the profile's few steps; only their
probabilities and thresholds are fitted then. Prints a table for each candidate and look, with 95 % intervals (bootstrap
over videos), how many faults of which rise were told right, why nothing could be said, and frames a second.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import yaml

from sightline.errors import ModelMissing
from sightline.files import replace_bytes
from sightline.resampling import figures
from sightline.task import Manifest, Rows, TrainingData
from sightline.tasks.battery_faults.data import LOOKS
from sightline.tasks.battery_faults.model import WEIGHTS, BatteryModel
from sightline.tasks.battery_faults.params import LEARNED, RULE, Params
from sightline.tasks.battery_faults.synthetic.sample import write_sample
from sightline.tasks.battery_faults.task import BatteryFaults

SHOWN = (
    "verdict_accuracy",
    "cell_accuracy",
    "cell_accuracy_shown",
    "false_alarms",
    "cannot_say",
    "delay_frames",
    "smallest_rise_k",
    "map",
    "ap50",
    "map_published",
    "border_map",
    "border_gain",
    "iou_mean",
    "calibration_error",
)


RISES_K = (0.0, 1.0, 3.0, 10.0, float("inf"))
"""Between which faults are counted together, by how much the warmest place in sight of their cell warmed."""


class Steps:
    """Progress as lines."""

    def advance(self, done: int, total: int, what: str) -> None:
        """A line an eighth of the way."""
        if done == total or done % max(total // 8, 1) == 0:
            print(f"  {what}", flush=True)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """One line."""
        print(f"  {step}: " + " ".join(f"{name} {value:.4g}" for name, value in values.items()), flush=True)


def cpu_task() -> BatteryFaults:
    """The task with the profile that a CPU trains."""
    section = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["battery_faults"]
    return BatteryFaults(Params.model_validate({**section, "train": section["train"]["cpu"]}))


def held_out_sets(task: BatteryFaults, args: argparse.Namespace) -> dict[str, Manifest]:
    """What candidates are evaluated on, by name."""
    sets = {"synthetic": synthetic(task, args.work / "data" / "held_out", args.every, args.evaluate)}
    return {**sets, "real": task.load(args.real)} if args.real else sets


def synthetic(task: BatteryFaults, root: Path, every: int, size: Sequence[int]) -> Manifest:
    """A set in `root`, written if it is not there, or one of `every` videos of it; `size`: seed, videos, frames."""
    if not any(root.rglob("instances_*.json")):
        changes = dict(zip(("seed", "videos", "frames"), size, strict=True))
        write_sample(root, task.params.sample.model_copy(update=changes), Steps())
    data = task.load(root)
    kept = {sample.key for sample in data.samples[::every]}
    return data.where(lambda sample: sample.key in kept)


def fitted(task: BatteryFaults, candidate: str, data: Manifest, work: Path) -> BatteryModel:
    """The candidate, fitted on all of `data` if it was not before."""
    try:
        return task.restore(work / candidate)
    except ModelMissing:
        given = TrainingData[BatteryModel](data, data.where(lambda _: False))
        model = task.train(candidate, given, work / "fit", Steps())
        (work / candidate).mkdir(parents=True, exist_ok=True)
        model.save(work / candidate)
        return model


def show(task: BatteryFaults, title: str, rows: Rows) -> None:
    """A table of figures with their intervals, and the verdicts with their reasons."""
    faulty = sum(bool(row.statistics["faulty"]) for row in rows)
    print(f"\n{title}: {len(rows)} videos, {faulty} of them faulty")
    settings = task.params.evaluate
    found = figures(rows, task.score, settings.resamples, settings.confidence, task.params.seed)
    for name in SHOWN if found else ():
        print(f"  {name:18} {found[name].value:7.3f}  [{found[name].low:.3f}, {found[name].high:.3f}]")
    for line in by_rise(rows):
        print(f"  {line}")
    told = Counter((row.stratum, row.row["output_verdict"], row.row["output_reason"]) for row in rows)
    for (stratum, verdict, reason), count in sorted(told.items()):
        print(f"  {stratum}: {count} {verdict} {reason}")


def by_rise(rows: Rows) -> Iterator[str]:
    """Of how many faulty videos the right cell was told, by the highest rise in sight, with Wilson's interval."""
    from scipy.stats import binomtest

    rises = [row.statistics["shown_k"] for row in rows]
    for low, high in pairwise(RISES_K):
        told = [
            bool(row.statistics["right_cell"])
            for row, rise in zip(rows, rises, strict=True)
            if row.statistics["faulty"] and isinstance(rise, int | float) and low <= rise < high
        ]
        if told:
            shares = binomtest(sum(told), len(told)).proportion_ci(0.95, "wilson")
            within = f"[{shares.low:.2f}, {shares.high:.2f}]"
            yield f"right cell, {low:g} to {high:g} K in sight: {sum(told)} of {len(told)} {within}"


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--candidates", nargs="+", choices=(RULE, *LEARNED), default=[RULE])
    parser.add_argument("--real", type=Path)
    parser.add_argument("--weights", type=Path, help="stages.safetensors, of networks as in the profile cpu")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--fit", type=int, nargs=3, default=(9, 20, 36), metavar=("SEED", "VIDEOS", "FRAMES"))
    parser.add_argument("--evaluate", type=int, nargs=3, default=(1022, 48, 24), metavar=("SEED", "VIDEOS", "FRAMES"))
    args = parser.parse_args()
    task = cpu_task()
    data = synthetic(task, args.work / "data" / "fit", args.every, args.fit)
    held_out = held_out_sets(task, args)
    if args.weights:
        replace_bytes(args.work / "fit" / "stages" / WEIGHTS, args.weights.read_bytes())
    for candidate in args.candidates:
        model = fitted(task, candidate, data, args.work)
        print(f"\n{candidate}: thresholds {dict(model.card.thresholds)}, {model.recipe.calibration}")
        for name, videos in held_out.items():
            began = time.process_time()
            rows = task.evaluate(model, videos, Steps())
            frames = sum(sample.figures["frames"] for sample in videos.samples)
            print(f"{candidate}, {name}: {frames / (time.process_time() - began):.1f} frames a CPU second")
            show(task, f"{candidate}, {name}", rows)
            for look in LOOKS if name == "synthetic" else ():
                show(task, f"{candidate}, {look}", [row for row in rows if row.stratum.startswith(look)])


if __name__ == "__main__":
    main()
