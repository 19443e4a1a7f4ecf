"""What is simulated: a pack of some material, its surroundings, and the shorts in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.synthetic.pack import Pack

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Material:
    """What cells, tabs and busbars are made of."""

    in_plane_w_per_mk: float = 23.0
    through_w_per_mk: float = 1.1
    density_kg_per_m3: float = 2092.0
    specific_heat_j_per_kgk: float = 678.0
    metal_w_per_mk: float = 237.0  # aluminium
    metal_j_per_m3k: float = 2.43e6

    @property
    def capacity_j_per_m3k(self) -> float:
        """Of the cells."""
        return self.density_kg_per_m3 * self.specific_heat_j_per_kgk

    @property
    def conductivity(self) -> tuple[float, float, float]:
        """Along x, y and z, W/mK."""
        return self.in_plane_w_per_mk, self.in_plane_w_per_mk, self.through_w_per_mk


@dataclass(frozen=True)
class Surroundings:
    """What is around a pack.

    Attributes:
        ambient_k: at the middle of the pack.
        gradient_k_per_m: how the ambient temperature changes along x and y.
        convection_w_per_m2k: on free faces.
        emissivity: of all faces.
        sun_w_per_m2: absorbed by the front where the sun shines.
        shade_m: x of the border of the sun's patch; it shines to the left of it.
        busbar_w: heat of the current in each strip.
    """

    ambient_k: float = 300.0
    gradient_k_per_m: tuple[float, float] = (0.0, 0.0)
    convection_w_per_m2k: float = 10.0
    emissivity: float = 0.9
    sun_w_per_m2: float = 0.0
    shade_m: float = 0.0
    busbar_w: float = 0.0

    def ambient(self, x: Array, y: Array) -> Array:
        """Air temperature at places; y is counted from the middle of the pack."""
        return self.ambient_k + self.gradient_k_per_m[0] * x + self.gradient_k_per_m[1] * y


@dataclass(frozen=True)
class Short:
    """An internal short: heat in a disc in the plane of a cell.

    Attributes:
        cell: 1 .. from the left.
        x_m, y_m: its middle, from the lower left corner of the cell.
        power_w: from its onset on.
        onset_s: when it begins.
        radius_m, depth_m: of the disc.
        z_m: its middle, from the back of the cell; None: half the thickness.
    """

    cell: int
    x_m: float
    y_m: float
    power_w: float
    onset_s: float = 0.0
    radius_m: float = 0.008
    depth_m: float = 0.0025
    z_m: float | None = None


@dataclass(frozen=True)
class Case:
    """A pack in its surroundings, as a simulation begins.

    Attributes:
        offsets_k: of each cell at the start, over the ambient temperature; none: 0.
        loads_w: heat that the current makes in each cell, evenly; none: 0.
    """

    pack: Pack
    material: Material = field(default_factory=Material)
    surroundings: Surroundings = field(default_factory=Surroundings)
    shorts: tuple[Short, ...] = ()
    offsets_k: tuple[float, ...] = ()
    loads_w: tuple[float, ...] = ()
