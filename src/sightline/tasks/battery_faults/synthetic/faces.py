"""Where heat leaves the cells: their free faces, those at gaps, and what tabs cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.synthetic.case import Array, Case
from sightline.tasks.battery_faults.synthetic.pack import Pack, overlap

STEFAN_BOLTZMANN = 5.670374419e-8  # W/m2K4
AIR_W_PER_MK = 0.0263  # conductivity of air at 300 K

Shape = tuple[int, int, int, int]
Step = tuple[float, float, float]


@dataclass(frozen=True)
class Faces:
    """Every face of a volume where heat leaves a cell, in one list: by axis (x, y, z), side (low, high), cell, rows.

    Attributes:
        volume: (f,) which volume it belongs to.
        partner: (g,) the volume on the other side of a gap, for the faces that `gaps` names.
        gaps: (g,) which faces look at a neighbour.
        area: (f,) m2.
        film: (f,) W/m2K of convection, or of conduction through the gap's air.
        emissivity: (f,) between the face and what it looks at.
        resistance: (f,) m2K/W from the middle of the volume to what it looks at.
        own: (f,) the part of it inside the volume.
        ambient: (f,) kelvin.
        sun: (f,) W absorbed.
        shapes: of the six groups, (cells, rows, columns) each.
    """

    volume: NDArray[np.intp]
    partner: NDArray[np.intp]
    gaps: NDArray[np.intp]
    area: Array
    film: Array
    emissivity: Array
    resistance: Array
    own: Array
    ambient: Array
    sun: Array
    shapes: tuple[tuple[int, int, int], ...]


def places(pack: Pack, shape: Shape, step_m: Step) -> tuple[Array, Array]:
    """The x (cells, 1, columns) and y (1, rows, 1) of the volumes' middles, metres from the middle of the pack."""
    left = np.array([pack.left_m(cell) for cell in range(1, pack.cells + 1)])
    x = left[:, None, None] + (np.arange(shape[3]) + 0.5) * step_m[0]
    y = (np.arange(shape[2]) + 0.5)[:, None] * step_m[1] - pack.cell_m[1] / 2
    return x, y[None]


def radiated(emissivity: Array | float, kelvin: Array, around_k: Array | float) -> Array:
    """W/m2K of radiation between a surface and what it looks at: eps sigma (T^4 - Ta^4) / (T - Ta)."""
    factor: Array = emissivity * STEFAN_BOLTZMANN * (kelvin + around_k)
    return factor * (kelvin * kelvin + around_k * around_k)


def tab_contacts(pack: Pack, shape: Shape, step_m: Step) -> Array:
    """m2 of each volume in a cell's upper row that its left and its right tab cover, (2, layers, columns)."""
    width, _, thickness = pack.tab_m
    z = np.arange(shape[1] + 1) * step_m[2] - pack.cell_m[2] / 2
    x = np.arange(shape[3] + 1) * step_m[0]
    depth = overlap(-thickness / 2, thickness / 2, z)[:, None]
    lefts = (pack.inset_m, pack.cell_m[0] - pack.inset_m - width)
    return np.stack([depth * overlap(left, left + width, x) for left in lefts])


def faces_of(case: Case, shape: Shape, step_m: Step, covered_m2: Array) -> Faces:
    """The faces of all cells; `covered_m2` (layers, columns) of the upper rows lies under tabs."""
    pack, around, (cells, layers, rows, columns) = case.pack, case.surroundings, shape
    number = np.arange(cells * layers * rows * columns).reshape(shape)
    ambient = np.broadcast_to(around.ambient(*places(pack, shape, step_m))[:, None], shape)
    volumes, shapes, areas, own = [], [], [], []
    for axis, (array_axis, conductivity) in enumerate(zip((3, 2, 1), case.material.conductivity, strict=True)):
        for side in (0, -1):
            part = np.take(number, side, axis=array_axis)
            volumes.append(part.ravel())
            shapes.append((part.shape[0], part.shape[1], part.shape[2]))
            area = np.full(part.shape, step_m[0] * step_m[1] * step_m[2] / step_m[axis])
            areas.append((area - (covered_m2 if (axis, side) == (1, -1) else 0)).ravel())
            own.append(np.full(part.size, step_m[axis] / (2 * conductivity)))
    volume, area, inner = (np.concatenate(parts) for parts in (volumes, areas, own))
    side_faces = layers * rows
    left = np.arange(side_faces, cells * side_faces)  # the left faces of all cells but the first
    right = cells * side_faces + np.arange((cells - 1) * side_faces)  # the right ones of all but the last
    gaps = np.concatenate([left, right])
    film, emissivity = np.full(len(volume), around.convection_w_per_m2k), np.full(len(volume), around.emissivity)
    film[gaps] = AIR_W_PER_MK / pack.gap_m
    emissivity[gaps] = 1 / (2 / around.emissivity - 1) if around.emissivity else 0.0
    resistance = inner.copy()
    resistance[gaps] *= 2
    sun = np.zeros(len(volume))
    sun[-cells * rows * columns :] = _sun(case, shape, step_m).ravel()  # the front comes last
    partner = volume[np.concatenate([right, left])]
    return Faces(
        volume, partner, gaps, area, film, emissivity, resistance, inner, ambient.ravel()[volume], sun, tuple(shapes)
    )


def _sun(case: Case, shape: Shape, step_m: Step) -> Array:
    """Watts that each volume of the front absorbs, (cells, rows, columns)."""
    around, (x, _) = case.surroundings, places(case.pack, shape, step_m)
    lit = np.clip((around.shade_m - x) / step_m[0] + 0.5, 0, 1)
    watts = lit * around.sun_w_per_m2 * step_m[0] * step_m[1]
    return np.broadcast_to(watts, (shape[0], *shape[2:]))
