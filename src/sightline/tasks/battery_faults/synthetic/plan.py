"""What is shared out over a synthetic set, and the scene of each of its videos."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sightline.tasks.battery_faults.params import SyntheticParams
from sightline.tasks.battery_faults.synthetic.camera import Camera
from sightline.tasks.battery_faults.synthetic.case import Case
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


@dataclass(frozen=True)
class Plan:
    """What is shared out over a set, so that its shares are met."""

    look: LookName
    path: PathName
    pack: int
    faults: int


def draw_scene(params: SyntheticParams, number: int, width_px: int | None = None) -> Scene:
    """The scene of a video, from its own random stream and the set's plan."""
    plan, rng = plans(params)[number], generator(params, number, 0)
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
    return draw_pack(generator(params, 10**6, number), params.pack, f"pack{number}")


@lru_cache(maxsize=4)
def plans(params: SyntheticParams) -> tuple[Plan, ...]:
    """Of each video what is shared out over the set: looks, faults, packs and paths, each in an order of its own."""
    count = params.videos
    healthy, two = round(params.healthy_share * count), round(params.two_faults_share * count)
    faults = [0] * healthy + [2] * min(two, count - healthy)
    faults += [1] * (count - len(faults))
    field = round(params.field_share * count)
    names: list[LookName] = ["field" if row < field else "fluent" for row in range(count)]
    rows = [generator(params, 10**6 + 1, row).permutation(count) for row in range(4)]
    return tuple(
        Plan(names[a], params.paths[b % len(params.paths)], int(c) % params.packs, faults[d])
        for a, b, c, d in zip(*rows, strict=True)
    )


def generator(params: SyntheticParams, *stream: int) -> np.random.Generator:
    """A random stream of its own for each purpose."""
    return np.random.Generator(np.random.PCG64([params.seed, *stream]))
