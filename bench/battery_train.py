"""The learned stages of battery_faults, trained from simulated videos in one go; meant for a graphics card.

    python -m bench.battery_train --params FILE --videos 400 --held-out 64 --seconds 240 --work DIR --out DIR

FILE is YAML: `sample` (of the simulation) and `learned` (of the networks). Videos are simulated in as many processes as
there are cores, and never written as pictures. How many steps fit into the seconds is measured first. Writes
DIR/stages.safetensors (or parts of 15 MiB, to be joined with cat), figures.json and learned.json. Needs torch, timm,
numpy, scipy, OpenCV, safetensors, pydantic and PyYAML only, with `src` on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import yaml

from sightline.task import Progress
from sightline.tasks.battery_faults.examples import CutVideo, Look, StoredClips, cut_video, write_clips
from sightline.tasks.battery_faults.geometry import CellFinder
from sightline.tasks.battery_faults.params import LearnedParams, SyntheticParams
from sightline.tasks.battery_faults.synthetic.exposures import thermals
from sightline.tasks.battery_faults.synthetic.plan import draw_scene
from sightline.tasks.battery_faults.train import train_stages
from sightline.vision.examples import store_once

_PART = 15 * 2**20
_WARM, _TIMED = 20, 40
"""Steps before the pace is measured, and while it is."""


class Spoken:
    """Progress as lines with seconds; figures are kept."""

    def __init__(self) -> None:
        self.began = self.spoke = time.monotonic()
        self.figures: list[dict[str, float]] = []

    def say(self, what: str) -> None:
        """One line."""
        print(f"{time.monotonic() - self.began:7.1f} s  {what}", flush=True)

    def advance(self, done: int, total: int, what: str) -> None:
        """A line every ten seconds."""
        if done == total or time.monotonic() - self.spoke > 10:
            self.spoke = time.monotonic()
            self.say(what)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """A line, and kept."""
        self.figures.append({"step": step, "seconds": round(time.monotonic() - self.began, 1), **values})
        self.say(f"{step}: " + " ".join(f"{name} {value:.4g}" for name, value in values.items()))


class Paced(Spoken):
    """Ends a training once it is known how long a step takes."""

    class Known(Exception):
        """The seconds a step."""

    def advance(self, done: int, total: int, what: str) -> None:
        """Raises Known."""
        del total, what
        if done == _WARM:
            self.began = time.monotonic()
        if done == _WARM + _TIMED:
            raise Paced.Known((time.monotonic() - self.began) / _TIMED)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing is kept."""


def simulated(params: SyntheticParams, width_px: int | None, number: int) -> CutVideo:
    """One video of the simulation, with the pack cut out."""
    scene = draw_scene(params, number, width_px)
    faults = list(zip(scene.case.shorts, scene.onsets, strict=True))

    def looks() -> Iterator[Look]:
        finder = CellFinder()
        for frame, (thermal, exposure) in enumerate(thermals(params, number, width_px)):
            masks = [exposure.instances == short.cell if frame >= onset else None for short, onset in faults]
            yield Look(thermal, finder.find_pack(thermal), masks)

    return cut_video(scene.name, looks())


def simulate(params: SyntheticParams, width_px: int | None, folder: Path, progress: Progress) -> StoredClips:
    """All videos of a set."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    draw = partial(simulated, params, width_px)
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        drawn = pool.map(draw, range(params.videos))
        store_once(folder, lambda made: write_clips(drawn, params.videos, made, progress))
    return StoredClips(folder)


def steps_in(seconds: float, learned: LearnedParams, videos: StoredClips, work: Path) -> int:
    """How many steps of both stages fit into some seconds."""
    first = _with(learned, steps=_WARM + _TIMED + 1, report_every=10**6, refine_from=0.0)
    try:
        train_stages(videos, videos, first, 0, work, Paced())
    except Paced.Known as known:
        return int(seconds / float(known.args[0]))
    raise AssertionError("the pace is known before the end")


def _with(learned: LearnedParams, **changes: float) -> LearnedParams:
    return learned.model_copy(update={"learning": learned.learning.model_copy(update=changes)})


def write(out: Path, weights: bytes, learned: LearnedParams, spoken: Spoken) -> None:
    """The weights, in parts where they are large, and what they were made with."""
    out.mkdir(parents=True, exist_ok=True)
    parts = range(0, len(weights), _PART)
    for number, start in enumerate(parts):
        name = "stages.safetensors" if len(parts) == 1 else f"stages.safetensors.{number}"
        (out / name).write_bytes(weights[start : start + _PART])
    (out / "figures.json").write_text(json.dumps(spoken.figures, indent=1))
    (out / "learned.json").write_text(learned.model_dump_json(indent=1))


def main() -> None:
    """Simulate, train, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--params", type=Path, required=True)
    parser.add_argument("--videos", type=int, default=400)
    parser.add_argument("--held-out", type=int, default=64)
    parser.add_argument("--width-px", type=int, help="of the pictures; as in the parameters by default")
    parser.add_argument("--seconds", type=float, default=240.0, help="of training")
    parser.add_argument("--steps", type=int, help="instead of --seconds")
    parser.add_argument("--field-share", type=float, help="of the videos in the look of a real camera")
    parser.add_argument("--start", type=Path, help="weights of an earlier training, to go on from")
    parser.add_argument("--work", type=Path, required=True, help="for clips and checkpoints; kept")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    raw = yaml.safe_load(given.params.read_text(encoding="utf-8"))
    sample, learned = SyntheticParams.model_validate(raw["sample"]), LearnedParams.model_validate(raw["learned"])
    if given.field_share is not None:
        sample = sample.model_copy(update={"field_share": given.field_share})
    start = given.start.read_bytes() if given.start else None
    spoken = Spoken()
    sets: list[StoredClips] = []
    for seed, count in ((sample.seed, given.videos), (sample.seed + 1, given.held_out)):
        drawn = sample.model_copy(update={"seed": seed, "videos": count})
        sets.append(simulate(drawn, given.width_px, given.work / f"clips-{seed}-{count}", spoken))
        spoken.say(f"{len(sets[-1])} of {count} videos")
    steps = given.steps or steps_in(given.seconds, learned, sets[0], given.work / "pace")
    spoken.say(f"{steps} steps")
    learned = _with(learned, steps=steps, report_every=max(steps // 8, 1), warmup_steps=min(200, steps // 4))
    weights = train_stages(sets[0], sets[1], learned, 0, given.work / f"run-{steps}", spoken, start)
    write(given.out, weights, learned, spoken)
    spoken.say(f"{len(weights)} bytes of weights")


if __name__ == "__main__":
    main()
