"""The synthetic set, in the published layout (see `ytvis`), and its videos as arrays for training.

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
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.errors import BackendError
from sightline.files import replace_bytes
from sightline.task import Progress
from sightline.tasks.battery_faults.colour import RANGE_K
from sightline.tasks.battery_faults.params import SyntheticParams
from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.synthetic.camera import Camera, Pose, View
from sightline.tasks.battery_faults.synthetic.case import Case
from sightline.tasks.battery_faults.synthetic.field import (
    KELVIN_PER_COUNT,
    Field,
    counts_of,
    draw_field_scene,
    draw_objects,
    picture_of,
)
from sightline.tasks.battery_faults.synthetic.fluent import Fluent
from sightline.tasks.battery_faults.synthetic.heat import Heat
from sightline.tasks.battery_faults.synthetic.pack import Pack, draw_pack
from sightline.tasks.battery_faults.synthetic.path import PathName, poses
from sightline.tasks.battery_faults.synthetic.scene import (
    LookName,
    Scene,
    draw_material,
    draw_shorts,
    draw_surroundings,
    draw_use,
)
from sightline.tasks.battery_faults.synthetic.skin import Kelvin, Skin
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Scale, Thermometer
from sightline.tasks.battery_faults.ytvis import Facts, Fault, Track, Video, frames_folder, write_videos
from sightline.vision.hardware import cores, threads_each
from sightline.vision.images import encode_png

BASE, SPLIT = "ytvis_32view", "train"

_FEW = 4  # videos for which no other process is worth starting
_AUTOMATIC_K = (2.0, 25.0)  # a scale begins so far below the first frame, and is so long


@dataclass(frozen=True)
class Exposure:
    """One frame of a simulated video.

    Attributes:
        pixels: (h, w, 3) uint8 or (h, w) uint16, as its file has them.
        instances: (h, w) which cell a pixel shows, 1 .. from the left; 0: none.
        share: (cells,) of each cell's pixels that nothing hides and that are in the picture.
        rise_k: (cells,) how much the warmest-grown place of its surface has warmed since the first frame.
        time_s: since the first frame.
        scale: what the pixels mean.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    instances: NDArray[np.uint8]
    share: NDArray[np.float64]
    rise_k: NDArray[np.float64]
    time_s: float
    scale: Scale


@dataclass(frozen=True)
class Plan:
    """What is shared out over a set, so that its shares are met."""

    look: LookName
    path: PathName
    pack: int
    faults: int


# --------------------------------------------------------------------------------------------------------- the set


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
        kelvin_per_count=taken[0].scale.kelvin_per_count,
        bar_k=None if taken[0].scale.kelvin_per_count else taken[0].scale.bar_k,
    )


# ------------------------------------------------------------------------------------------------- videos as arrays


def thermals(params: SyntheticParams, number: int, width_px: int | None = None) -> Iterator[tuple[Thermal, Exposure]]:
    """A video as temperatures, as a model reads them from its frames, and what is true of each; no file is written.

    `width_px`: of smaller pictures, which are drawn faster; None: as in the parameters.
    """
    scene = draw_scene(params, number, width_px)
    thermometer: Thermometer | None = None
    for frame, exposure in enumerate(exposures(scene, params)):
        thermometer = thermometer or Thermometer(exposure.scale)
        yield thermometer.measure(Frame(exposure.pixels, frame, exposure.time_s)), exposure


def draw_scene(params: SyntheticParams, number: int, width_px: int | None = None) -> Scene:
    """The scene of a video, from its own random stream and the set's plan."""
    plan, rng = plans(params)[number], _generator(params, number, 0)
    pack = pack_of(params, plan.pack)
    material = draw_material(rng, params.material)
    uneven = params.uneven if plan.look == "field" else None
    around = draw_surroundings(rng, params.material, uneven, pack)
    offsets, loads = draw_use(rng, uneven, pack, around) if uneven else ((), ())
    shorts = list(draw_shorts(rng, params.short, pack, plan.faults, params.frames, params.frame_s))
    camera = camera_of(params, plan.look, width_px)
    path = params.fluent.path if plan.look == "fluent" else params.field_path
    return Scene(
        number=number,
        look=plan.look,
        path=plan.path,
        case=Case(pack, material, around, tuple(short for short, _ in shorts), offsets, loads),
        onsets=tuple(onset for _, onset in shorts),
        camera=camera,
        poses=tuple(poses(rng, plan.path, camera, pack, path, params.frames)),
    )


def camera_of(params: SyntheticParams, look: LookName, width_px: int | None = None) -> Camera:
    """The camera of a look, its picture scaled to a width."""
    given = params.fluent if look == "fluent" else params.field
    width = width_px or given.width_px
    scale = width / given.width_px
    height = round(given.height_px * scale)
    return Camera(width, height, given.focal_px * scale, width / 2, height / 2)


def pack_of(params: SyntheticParams, number: int) -> Pack:
    """One of the set's geometries; the first is the nominal one."""
    if number == 0:
        return Pack(cells=params.pack.cells)
    return draw_pack(_generator(params, 10**6, number), params.pack, f"pack{number}")


@lru_cache(maxsize=4)
def plans(params: SyntheticParams) -> tuple[Plan, ...]:
    """Of each video what is shared out over the set: looks, faults, packs and paths, each in an order of its own."""
    count = params.videos
    healthy, two = round(params.healthy_share * count), round(params.two_faults_share * count)
    faults = [0] * healthy + [2] * min(two, count - healthy)
    faults += [1] * (count - len(faults))
    field = round(params.field_share * count)
    names: list[LookName] = ["field" if row < field else "fluent" for row in range(count)]
    rows = [_generator(params, 10**6 + 1, row).permutation(count) for row in range(4)]
    return tuple(
        Plan(names[a], params.paths[b % len(params.paths)], int(c) % params.packs, faults[d])
        for a, b, c, d in zip(*rows, strict=True)
    )


def _generator(params: SyntheticParams, *stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([params.seed, *stream]))


def exposures(scene: Scene, params: SyntheticParams) -> Iterator[Exposure]:
    """The frames of a scene, one after the other."""
    rng = _generator(params, scene.number, 1)
    ambient = scene.case.surroundings.ambient_k
    field = scene.look == "field"
    things = draw_objects(rng, params.field, scene.case.pack, ambient) if field else ()
    heat = Heat(scene.case, params.grid)
    if field and params.uneven.settled_s:
        heat.settle(params.uneven.settled_s)
    skin = Skin(heat, things)
    artist = _FieldArtist(scene, params, skin, rng) if field else _FluentArtist(scene, params, skin)
    before = _surfaces(heat)
    for frame, pose in enumerate(scene.poses):
        if frame:
            heat.advance(params.frame_s)
        pixels, instances, view, scale = artist.draw(frame, pose, skin.temperatures())
        rises = (_surfaces(heat) - before).max(axis=1).astype(np.float64)
        yield Exposure(pixels, instances, view.share, rises, frame * params.frame_s, scale)


def _surfaces(heat: Heat) -> Kelvin:
    """All faces of each cell, (cells, places)."""
    return np.concatenate([side.reshape(len(side), -1) for side in heat.surfaces()], axis=1)


_Drawn = tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.uint8], View, Scale]


class _FluentArtist:
    """Frames as Fluent draws them."""

    def __init__(self, scene: Scene, params: SyntheticParams, skin: Skin) -> None:
        self._look = Fluent(scene.camera, scene.case.pack, skin, params.fluent.oversampling)
        self._first = scene.poses[0]

    def draw(self, frame: int, pose: Pose, temperatures: Kelvin) -> _Drawn:
        """A frame, which cell each pixel shows, the view, and what the colours mean."""
        title = "contour-1" if frame == 0 or pose is self._first else "temperature"
        picture, instances, view = self._look.draw(pose, temperatures, title)
        return picture, instances, view, Scale(bar_k=RANGE_K)


class _FieldArtist:
    """Frames of a real camera: counts, or pictures with a scale that the first frame sets."""

    def __init__(self, scene: Scene, params: SyntheticParams, skin: Skin, rng: np.random.Generator) -> None:
        given = params.field.model_copy(update={"width_px": scene.camera.width_px, "height_px": scene.camera.height_px})
        self._rng = rng
        self._automatic = bool(rng.random() < given.automatic_share)
        self._range_k: tuple[float, float] | None = None
        surroundings = draw_field_scene(rng, given, skin)
        self._look = Field(scene.camera, skin, given, surroundings, scene.case.surroundings.ambient_k)

    def draw(self, frame: int, pose: Pose, temperatures: Kelvin) -> _Drawn:
        """A frame, which cell each pixel shows, the view, and what the counts or colours mean."""
        del frame
        kelvin, instances, view = self._look.draw(self._rng, pose, temperatures)
        if not self._automatic:
            return counts_of(kelvin), instances, view, Scale(KELVIN_PER_COUNT)
        if self._range_k is None:
            low = float(np.floor(np.percentile(kelvin, 1) - _AUTOMATIC_K[0]))
            self._range_k = (low, low + _AUTOMATIC_K[1])
        return picture_of(kelvin, self._range_k), instances, view, Scale(bar_k=self._range_k)
