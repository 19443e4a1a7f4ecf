"""Heat in a pack by finite volumes: rho c dT/dt = div(K grad T) + q in the cells, h (T - Ta) + eps sigma (T^4 - Ta^4)
on their faces.

The volumes of a cell form one box of one material, so conduction along x, y and z commutes: its step is exact in time,
a product with a small matrix exponential along each axis, and stable however long. What is left (the short, faces,
gaps, tabs) is slow and is added halfway. Tabs and busbars are a network of a few volumes, stepped implicitly. Every
flux is taken from one volume and given to another, so that heat is conserved to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.battery_faults.synthetic.case import Array, Case, Short
from sightline.tasks.battery_faults.synthetic.faces import faces_of, places, radiated, tab_contacts
from sightline.tasks.battery_faults.synthetic.metal import metal_of
from sightline.tasks.battery_faults.synthetic.pack import overlap

_SMOOTHED_S = 20.0
_FINENESS = 8  # points a side of a volume, to find its share of a disc


class GridParams(Frozen):
    """How fine the simulation is. See the decision record on the solver for the error of each."""

    volume_m: float = Field(gt=0, description="what a volume measures in the plane of a cell, nearly")
    layer_m: float = Field(gt=0, description="what it measures through the cell, nearly")
    step_s: float = Field(gt=0)


_COARSE = GridParams(volume_m=0.016, layer_m=0.0025, step_s=2.0)


@dataclass
class Balance:
    """Heat since the start, joules."""

    generated: float = 0.0
    lost: float = 0.0


class Heat:
    """The temperatures of a pack, and how they change.

    Attributes:
        kelvin: (cells, layers, rows, columns) of the volumes: z from the back, y from below, x from the left.
        metal: (parts,) of tabs and strips, in the order of `Metal`.
        seconds: since the start.
        balance: what was generated and lost since then.
    """

    def __init__(self, case: Case, grid: GridParams) -> None:
        pack, material = case.pack, case.material
        self.case, self.grid = case, grid
        (width, height, thickness), plane = pack.cell_m, grid.volume_m
        columns, rows = max(1, round(width / plane)), max(1, round(height / plane))
        layers = max(1, round(thickness / grid.layer_m))
        self.shape = (pack.cells, layers, rows, columns)
        self.step_m = (width / columns, height / rows, thickness / layers)
        self._volume_j_per_k = material.capacity_j_per_m3k * float(np.prod(self.step_m))
        middles = case.surroundings.ambient(*places(pack, self.shape, self.step_m))
        offsets = np.array(case.offsets_k or [0.0] * pack.cells)[:, None, None]
        self.kelvin: Array = np.broadcast_to((middles + offsets)[:, None], self.shape).astype(np.float64)
        self._metal = metal_of(pack, material.metal_w_per_mk, material.metal_j_per_m3k)
        covered = tab_contacts(pack, self.shape, self.step_m)
        half = self.step_m[1] / material.in_plane_w_per_mk + pack.tab_m[1] / material.metal_w_per_mk
        self._contact = np.broadcast_to(covered / (half / 2), (pack.cells, *covered.shape)).copy()
        self._metal_ambient = case.surroundings.ambient(*self._metal.place.T)
        self.metal = self._metal_ambient.copy()
        self._faces = faces_of(case, self.shape, self.step_m, covered.sum(axis=0))
        self._loads_w = np.array(case.loads_w or [0.0] * pack.cells)
        self._sources = [(short, self._share(short)) for short in case.shorts]
        self._conduction: dict[float, tuple[Array, Array, Array]] = {}
        self._network: dict[float, Array] = {}
        self.seconds = 0.0
        self.balance = Balance()

    @property
    def parts_a_strip(self) -> int:
        """Into how many volumes a busbar is divided."""
        return self._metal.parts_a_strip

    @property
    def stored_j(self) -> float:
        """Heat in all volumes over 0 K."""
        return float(self.kelvin.sum() * self._volume_j_per_k + self.metal @ self._metal.capacity)

    def advance(self, seconds: float) -> None:
        """Go on by so much, in steps of at most `grid.step_s`."""
        steps = max(1, int(np.ceil(seconds / self.grid.step_s - 1e-9)))
        step = seconds / steps
        self.conduct(step / 2)
        for number in range(steps):
            self._exchange(step)
            self.conduct(step if number < steps - 1 else step / 2)

    def settle(self, seconds: float) -> None:
        """Begin where the pack is after so long without its shorts: sun, current and draught have come to rest.

        All but the last seconds pass on a coarse grid. The clock and the balance stay at 0.
        """
        case = replace(self.case, shorts=())
        quiet, fine = Heat(case, _COARSE), Heat(case, self.grid)
        quiet.advance(max(seconds - _SMOOTHED_S, _COARSE.step_s))
        for axis in (1, 2, 3):
            quiet.kelvin = np.moveaxis(_spread(np.moveaxis(quiet.kelvin, axis, -1), self.shape[axis]), -1, axis)
        fine.kelvin, fine.metal = np.ascontiguousarray(quiet.kelvin), quiet.metal
        fine.advance(_SMOOTHED_S)
        self.kelvin, self.metal = fine.kelvin, fine.metal

    def surfaces(self) -> tuple[NDArray[np.float32], ...]:
        """Temperatures on the faces of the cells: left, right, bottom, top, back, front; each (cells, rows, columns).

        The rows of left and right go from the back and the columns from below; those of bottom and top from the back
        and from the left; those of back and front from below and from the left.
        """
        faces = self._faces
        inside, flux = self._flux()
        kelvin = (inside - faces.own * flux / faces.area.clip(1e-12)).astype(np.float32)
        parts = np.split(kelvin, np.cumsum([int(np.prod(shape)) for shape in faces.shapes])[:-1])
        return tuple(part.reshape(shape) for part, shape in zip(parts, faces.shapes, strict=True))

    # ------------------------------------------------------------------------------------------------ conduction

    def conduct(self, step: float) -> None:
        """Conduction within the cells alone, `step` seconds on."""
        if step not in self._conduction:
            k, capacity = self.case.material.conductivity, self.case.material.capacity_j_per_m3k
            rates = [k[axis] / capacity / self.step_m[axis] ** 2 for axis in range(3)]
            sizes = (self.shape[3], self.shape[2], self.shape[1])
            x, y, z = (decay(n, rate * step) for n, rate in zip(sizes, rates, strict=True))
            self._conduction[step] = (x, y, z)
        x, y, z = self._conduction[step]
        cells, layers, rows, columns = self.shape
        through = np.matmul(z, self.kelvin.reshape(cells, layers, rows * columns)).reshape(self.shape)
        self.kelvin = np.matmul(y, np.matmul(through, x))  # x is symmetric

    # -------------------------------------------------------------------------------- sources, faces, tabs and gaps

    def _flux(self) -> tuple[Array, Array]:
        """Of each face: the temperature of its volume, and the watts that leave it."""
        faces, flat = self._faces, self.kelvin.ravel()
        inside, outside = flat[faces.volume], faces.ambient.copy()
        outside[faces.gaps] = flat[faces.partner]
        radiation = radiated(faces.emissivity, inside, outside)
        flux = faces.area * (inside - outside) / (1 / (faces.film + radiation + 1e-30) + faces.resistance)
        return inside, flux - faces.sun

    def _exchange(self, step: float) -> None:
        _, flux = self._flux()
        volumes = np.asarray(-np.bincount(self._faces.volume, flux, self.kelvin.size), dtype=np.float64)
        volumes = volumes.reshape(self.shape)
        self._metal_step(step, volumes)
        absorbed = float(self._faces.sun.sum())
        self.balance.lost += (float(flux.sum()) + absorbed) * step
        self.balance.generated += absorbed * step
        volumes += (self._loads_w / volumes[0].size)[:, None, None, None]
        self.balance.generated += float(self._loads_w.sum()) * step
        for short, share in self._sources:
            on = min(max(self.seconds + step - short.onset_s, 0.0), step) / step
            if on:
                volumes[short.cell - 1] += share * (short.power_w * on)
                self.balance.generated += short.power_w * on * step
        self.kelvin += volumes * (step / self._volume_j_per_k)
        self.seconds += step

    def _metal_step(self, step: float, volumes: Array) -> None:
        """Tabs and strips an implicit step on; what they take from the cells' upper rows is added to `volumes`."""
        metal, cells = self._metal, self.shape[0]
        contact, tabs = self._contact, 2 * cells
        touching = self.kelvin[:, None, :, -1, :]  # (cells, 1, layers, columns)
        taken = np.zeros(len(self.metal))
        taken[:tabs] = (contact * touching).sum(axis=(2, 3)).ravel()
        around = self.case.surroundings
        radiation = radiated(around.emissivity, self.metal, self._metal_ambient)
        lost = metal.area * (around.convection_w_per_m2k + radiation) * (self.metal - self._metal_ambient)
        heated = metal.strip * (around.busbar_w / metal.parts_a_strip)
        if step not in self._network:
            sums = np.zeros(len(self.metal))
            sums[:tabs] = contact.sum(axis=(2, 3)).ravel()
            self._network[step] = np.linalg.inv(np.diag(metal.capacity / step + sums) + metal.conductance)
        self.metal = self._network[step] @ (metal.capacity / step * self.metal + taken + heated - lost)
        volumes[:, :, -1, :] += (contact * (self.metal[:tabs].reshape(cells, 2, 1, 1) - touching)).sum(axis=1)
        self.balance.lost += float(lost.sum()) * step
        self.balance.generated += float(heated.sum()) * step

    def _share(self, short: Short) -> Array:
        """Which part of a short's heat arises in each volume of its cell, (layers, rows, columns); adds up to 1."""
        thickness = self.case.pack.cell_m[2]
        middle = thickness / 2 if short.z_m is None else short.z_m
        edges = np.arange(self.shape[1] + 1) * self.step_m[2]
        depth = overlap(middle - short.depth_m / 2, middle + short.depth_m / 2, edges)
        x, y = (
            (np.arange(n * _FINENESS) + 0.5) * step / _FINENESS
            for n, step in ((self.shape[3], self.step_m[0]), (self.shape[2], self.step_m[1]))
        )
        inside = (x - short.x_m) ** 2 + (y[:, None] - short.y_m) ** 2 <= short.radius_m**2
        disc = inside.reshape(self.shape[2], _FINENESS, self.shape[3], _FINENESS).sum(axis=(1, 3))
        share = depth[:, None, None] * disc
        return np.asarray(share / share.sum())


def decay(count: int, rate: float) -> Array:
    """The exponential of `rate` times the second difference over `count` volumes in a row with insulated ends, (n, n).

    Its eigenvectors are cosines (the discrete cosine transform), so nothing has to be solved. Symmetric; each row and
    column adds up to 1.
    """
    modes = np.arange(count)
    cosines = np.cos(np.pi * modes[:, None] * (np.arange(count) + 0.5) / count)
    cosines *= np.sqrt(np.where(modes == 0, 1, 2) / count)[:, None]
    return np.asarray((cosines.T * np.exp(-4 * rate * np.sin(np.pi * modes / (2 * count)) ** 2)) @ cosines)


def _spread(values: Array, count: int) -> Array:
    """Values at the middles of equal volumes along the last axis, for `count` volumes in the same length: linear."""
    middles = (np.arange(count) + 0.5) / count
    given = (np.arange(values.shape[-1]) + 0.5) / values.shape[-1]
    weights = np.stack([np.interp(middles, given, unit) for unit in np.eye(len(given))])
    return np.asarray(values @ weights)
