"""What a video shows: a pack, what is wrong with it, what is around it and how the camera goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.battery_faults.synthetic.camera import Camera, Pose
from sightline.tasks.battery_faults.synthetic.case import Case, Material, Short, Surroundings
from sightline.tasks.battery_faults.synthetic.faces import STEFAN_BOLTZMANN
from sightline.tasks.battery_faults.synthetic.pack import Pack
from sightline.tasks.battery_faults.synthetic.path import PathName

LookName = Literal["fluent", "field"]
_PUBLISHED_K = 300.0


class MaterialParams(Frozen):
    """Bounds of uniform draws, and what does not change."""

    in_plane_w_per_mk: tuple[float, float]
    through_w_per_mk: tuple[float, float]
    density_kg_per_m3: float = Field(gt=0)
    specific_heat_j_per_kgk: float = Field(gt=0)
    metal_w_per_mk: float = Field(gt=0)
    metal_j_per_m3k: float = Field(gt=0)
    convection_w_per_m2k: tuple[float, float]
    emissivity: tuple[float, float]


class ShortParams(Frozen):
    """How cells fail. Pairs are the bounds of a uniform draw unless said otherwise."""

    power_w: tuple[float, float] = Field(description="drawn evenly on a log scale")
    radius_m: float = Field(gt=0)
    depth_m: float = Field(gt=0, description="of the disc, through the cell")
    below_m: tuple[float, float] = Field(description="of its middle below the front")
    margin: float = Field(ge=0, lt=0.5, description="from the cell's borders, as a share of its sides")
    onset: tuple[int, int] = Field(description="first frame in which it heats")


class UnevenParams(Frozen):
    """What makes healthy packs of the look `field` uneven. Pairs are the bounds of a uniform draw."""

    ambient_k: tuple[float, float]
    gradient_k_per_m: float = Field(ge=0, description="of the ambient, standard deviation along x and y")
    offset_k: float = Field(ge=0, description="of whole cells, standard deviation")
    sun_share: float = Field(ge=0, le=1, description="of the videos in the sun")
    sun_w_per_m2: tuple[float, float] = Field(description="absorbed")
    load_w: tuple[float, float] = Field(description="heat of the current in a cell: packs in use are warm")
    load_spread: float = Field(ge=0, lt=0.5, description="of it from cell to cell, standard deviation as a share")
    current_share: float = Field(ge=0, le=1, description="of the videos with warm busbars")
    busbar_w: tuple[float, float] = Field(description="heat of each strip")
    settled_s: float = Field(ge=0, description="how long it has been like that as the video begins")


@dataclass(frozen=True)
class Scene:
    """One video before anything is drawn.

    Attributes:
        number: of the video in its set.
        look: how it is shown.
        path: how the camera goes.
        case: the pack, its surroundings and its shorts.
        onsets: the first frame of each short.
        camera: of the video.
        poses: of each frame.
    """

    number: int
    look: LookName
    path: PathName
    case: Case
    onsets: tuple[int, ...]
    camera: Camera
    poses: tuple[Pose, ...]

    @property
    def name(self) -> str:
        """As published ones are called: look, number, path, and which cells are faulty."""
        cells = "".join(f"cell{short.cell}" for short in self.case.shorts) or "null"
        return f"{self.look}{self.number:04d}_{self.path}{cells}"


def draw_shorts(
    rng: np.random.Generator, params: ShortParams, pack: Pack, count: int, frames: int, frame_s: float
) -> Iterator[tuple[Short, int]]:
    """Shorts in as many cells, from the left to the right, and the frames that they begin with."""
    width, height, thickness = pack.cell_m
    low, high = np.log(params.power_w)
    for cell in sorted(rng.choice(pack.cells, size=min(count, pack.cells), replace=False).tolist()):
        x, y = rng.uniform(params.margin, 1 - params.margin, 2)
        onset = min(int(rng.integers(params.onset[0], params.onset[1], endpoint=True)), frames - 1)
        below = min(float(rng.uniform(*params.below_m)), thickness / 2)
        # the heat of the first frame that shows it has flowed since the frame before
        yield (
            Short(
                cell=cell + 1,
                x_m=float(x) * width,
                y_m=float(y) * height,
                power_w=float(np.exp(rng.uniform(low, high))),
                onset_s=(onset - 1) * frame_s,
                radius_m=params.radius_m,
                depth_m=params.depth_m,
                z_m=thickness - below,
            ),
            onset,
        )


def draw_material(rng: np.random.Generator, params: MaterialParams) -> Material:
    """A material within the bounds."""
    return Material(
        in_plane_w_per_mk=float(rng.uniform(*params.in_plane_w_per_mk)),
        through_w_per_mk=float(rng.uniform(*params.through_w_per_mk)),
        density_kg_per_m3=params.density_kg_per_m3,
        specific_heat_j_per_kgk=params.specific_heat_j_per_kgk,
        metal_w_per_mk=params.metal_w_per_mk,
        metal_j_per_m3k=params.metal_j_per_m3k,
    )


def draw_surroundings(
    rng: np.random.Generator, material: MaterialParams, uneven: UnevenParams | None, pack: Pack
) -> Surroundings:
    """What is around a pack: as in the published pictures without `uneven`."""
    convection, emissivity = (
        float(rng.uniform(*pair)) for pair in (material.convection_w_per_m2k, material.emissivity)
    )
    if uneven is None:
        return Surroundings(_PUBLISHED_K, (0.0, 0.0), convection, emissivity)
    sunny, loaded = rng.random(2) < (uneven.sun_share, uneven.current_share)
    gradient = uneven.gradient_k_per_m * rng.standard_normal(2)
    return Surroundings(
        ambient_k=float(rng.uniform(*uneven.ambient_k)),
        gradient_k_per_m=(float(gradient[0]), float(gradient[1])),
        convection_w_per_m2k=convection,
        emissivity=emissivity,
        sun_w_per_m2=float(rng.uniform(*uneven.sun_w_per_m2)) * bool(sunny),
        shade_m=float(rng.uniform(-0.5, 0.7)) * pack.width_m,
        busbar_w=float(rng.uniform(*uneven.busbar_w)) * bool(loaded),
    )


def draw_use(
    rng: np.random.Generator, uneven: UnevenParams, pack: Pack, around: Surroundings
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Offsets and loads of cells in use: near to the temperature at which each of them would rest."""
    loads = rng.uniform(*uneven.load_w) * (1 + uneven.load_spread * rng.standard_normal(pack.cells)).clip(0.2, 2)
    width, height, thickness = pack.cell_m
    area = 2 * (width * height + width * thickness + height * thickness)
    losing = area * (around.convection_w_per_m2k + 4 * around.emissivity * STEFAN_BOLTZMANN * around.ambient_k**3)
    offsets = loads / losing + uneven.offset_k * rng.standard_normal(pack.cells)
    return tuple(offsets.tolist()), tuple(loads.tolist())
