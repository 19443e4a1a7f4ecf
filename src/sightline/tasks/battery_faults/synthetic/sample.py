"""The synthetic set, in the published layout (see `ytvis`).

    ytvis_32view/annotations/instances_train_sub.json
    ytvis_32view/train/JPEGImages/field0003_orbitcell2/0000.png

Pictures as Fluent draws them are RGB, frames of the look `field` counts of 16 bits or RGB with a scale. What is known
of a video besides its masks stands under `sightline` in its entry.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from sightline.errors import BackendError
from sightline.files import replace_bytes
from sightline.task import Progress
from sightline.tasks.battery_faults.params import SyntheticParams
from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.synthetic.exposures import Exposure, exposures
from sightline.tasks.battery_faults.synthetic.plan import draw_scene
from sightline.tasks.battery_faults.synthetic.scene import Scene
from sightline.tasks.battery_faults.ytvis import Facts, Fault, Track, Video, frames_folder, write_videos
from sightline.vision.hardware import cores, threads_each
from sightline.vision.images import encode_png

BASE, SPLIT = "ytvis_32view", "train"

_FEW = 4  # videos for which no other process is worth starting


def write_sample(root: Path, params: SyntheticParams, progress: Progress, processes: int = 0) -> None:
    """Write the set into `root`. The same parameters give the same bits (on one type of CPU).

    Each video has random streams of its own, so it depends neither on the others nor on how many `processes` draw
    (0: as many as there are cores); only what is shared out (`Plan`) is drawn once for the whole set.

    Raises:
        BackendError: a process ended by itself.
    """
    base = root / BASE
    processes = min(processes or cores(), params.videos)
    videos: dict[int, Video] = {}
    for number, video in _written(base, params, processes if params.videos >= _FEW else 1):
        videos[number] = video
        progress.advance(len(videos), params.videos, f"video {len(videos)}/{params.videos}")
    write_videos(base, SPLIT, [videos[number] for number in sorted(videos)])


def _written(base: Path, params: SyntheticParams, processes: int) -> Iterator[tuple[int, Video]]:
    """Videos as they are written, in any order."""
    if processes <= 1:
        yield from ((number, write_video(base, params, number)) for number in range(params.videos))
        return
    os.environ.update(threads_each(processes))  # of the processes that are about to start
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _ignore_interrupts)
    try:
        waiting = {pool.submit(write_video, base, params, number): number for number in range(params.videos)}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    except BrokenProcessPool as error:
        raise BackendError(
            "a process that draws videos has ended by itself, perhaps because memory was short",
            where=base,
            way_out="Free some memory and run the command again.",
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one


def write_video(base: Path, params: SyntheticParams, number: int) -> Video:
    """Write the frames of one video, and return what is true of it."""
    scene = draw_scene(params, number)
    folder = frames_folder(base, SPLIT) / scene.name
    names: list[str] = []
    taken: list[Exposure] = []
    masks: dict[int, list[RunLengths | None]] = {short.cell: [] for short in scene.case.shorts}
    for frame, exposure in enumerate(exposures(scene, params)):
        names.append(f"{scene.name}/{frame:04d}.png")
        replace_bytes(folder / f"{frame:04d}.png", encode_png(exposure.pixels, params.png_level))
        for short, onset in zip(scene.case.shorts, scene.onsets, strict=True):
            mask = exposure.instances == short.cell
            masks[short.cell].append(RunLengths.encode(mask) if frame >= onset and mask.any() else None)
        taken.append(exposure)
    tracks = [Track(1, tuple(kept), cell) for cell, kept in masks.items() if any(kept)]
    size = taken[0].instances.shape
    return Video(number + 1, scene.name, tuple(names), (size[0], size[1]), tuple(tracks), _facts(scene, taken))


def _facts(scene: Scene, taken: list[Exposure]) -> Facts:
    shorts = zip(scene.case.shorts, scene.onsets, strict=True)
    return Facts(
        path=scene.path,
        faults=tuple(Fault(short.cell, onset, round(short.power_w, 4)) for short, onset in shorts),
        pack=scene.case.pack.name,
        look=scene.look,
        cells=scene.case.pack.cells,
        ambient_k=round(scene.case.surroundings.ambient_k, 4),
        visible=tuple(tuple(round(share, 4) for share in exposure.share.tolist()) for exposure in taken),
        rise_k=tuple(tuple(round(rise, 4) for rise in exposure.rise_k.tolist()) for exposure in taken),
        shown_k=tuple(tuple(round(rise, 4) for rise in exposure.shown_k.tolist()) for exposure in taken),
        kelvin_per_count=taken[0].scale.kelvin_per_count,
        bar_k=None if taken[0].scale.kelvin_per_count else taken[0].scale.bar_k,
    )
