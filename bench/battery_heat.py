"""The simulation of battery_faults against the same volumes in a plain loop and in a numpy stencil.

    OPENBLAS_NUM_THREADS=1 .venv/bin/python -m bench.battery_heat

Prints for each volumes times steps a second, the longest step it may take, and how much faster than time it runs; and
for our own the error of its step and its grid. Writes build/bench/battery_heat.json.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.files import write_json
from sightline.settings import load_settings
from sightline.tasks.battery_faults.synthetic.case import Case, Material, Short
from sightline.tasks.battery_faults.synthetic.heat import GridParams, Heat
from sightline.tasks.battery_faults.synthetic.pack import Pack

GRID = GridParams(volume_m=0.004, layer_m=0.00125, step_s=0.5)
FINEST = GridParams(volume_m=0.002, layer_m=0.000625, step_s=0.1)
Array = NDArray[np.floating]


def numpy_step(kelvin: Array, rates: tuple[float, float, float]) -> None:
    """One explicit step of conduction, in place; `rates` are diffusivity times step over size squared, z, y, x."""
    change = np.zeros_like(kelvin)
    for axis, rate in zip((1, 2, 3), rates, strict=True):
        flux = np.diff(kelvin, axis=axis) * rate
        front = [slice(None)] * 4
        back = [slice(None)] * 4
        front[axis], back[axis] = slice(None, -1), slice(1, None)
        change[tuple(front)] += flux
        change[tuple(back)] -= flux
    kelvin += change


def plain_step(kelvin: list[list[list[float]]], rates: tuple[float, float, float]) -> list[list[list[float]]]:
    """The same for one cell, volume by volume."""
    layers, rows, columns = len(kelvin), len(kelvin[0]), len(kelvin[0][0])
    new = [[list(row) for row in layer] for layer in kelvin]
    for z in range(layers):
        for y in range(rows):
            for x in range(columns):
                here, change = kelvin[z][y][x], 0.0
                if z:
                    change += rates[0] * (kelvin[z - 1][y][x] - here)
                if z < layers - 1:
                    change += rates[0] * (kelvin[z + 1][y][x] - here)
                if y:
                    change += rates[1] * (kelvin[z][y - 1][x] - here)
                if y < rows - 1:
                    change += rates[1] * (kelvin[z][y + 1][x] - here)
                if x:
                    change += rates[2] * (kelvin[z][y][x - 1] - here)
                if x < columns - 1:
                    change += rates[2] * (kelvin[z][y][x + 1] - here)
                new[z][y][x] = here + change
    return new


def median_s(step: Callable[[], Any], repeats: int) -> float:
    """Seconds a call takes, the median."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        step()
        times.append(time.perf_counter() - began)
    return float(np.median(times))


def peaks(grid: GridParams) -> list[float]:
    """Rises of the peak at 2, 5, 15 and 30 s, kelvin, 10 W."""
    heat = Heat(Case(Pack(), shorts=(Short(2, 0.0725, 0.11, 10.0),)), grid)
    rises = []
    for seconds in (2.0, 3.0, 10.0, 15.0):
        heat.advance(seconds)
        rises.append(float(heat.surfaces()[5].max()) - 300)
    return rises


def main() -> None:
    """Run the comparison."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    heat = Heat(Case(Pack(), shorts=(Short(2, 0.0725, 0.11, 10.0),)), GRID)
    material, volumes = Material(), heat.kelvin.size
    speeds = [k / material.capacity_j_per_m3k / m**2 for k, m in zip(material.conductivity, heat.step_m, strict=True)]
    longest_s = 0.5 / sum(speeds)
    rates = (speeds[2] * longest_s, speeds[1] * longest_s, speeds[0] * longest_s)
    kelvin, cell = heat.kelvin.copy(), heat.kelvin[0].tolist()
    cost_s = {
        "plain Python, conduction only": (3 * median_s(lambda: plain_step(cell, rates), 5), longest_s),
        "numpy stencil, conduction only": (median_s(lambda: numpy_step(kelvin, rates), 200), longest_s),
        "ours, conduction only": (median_s(lambda: heat.conduct(GRID.step_s), 200), GRID.step_s),
        "ours, everything": (median_s(lambda: heat.advance(GRID.step_s * 4), 100) / 4, GRID.step_s),
    }
    for name, (cost, step) in cost_s.items():
        print(f"{name}: {volumes / cost:.3g} volumes x steps/s, step {step:.3f} s, {step / cost:.0f} times real time")
    finest = peaks(FINEST)
    errors: dict[str, list[float]] = {}
    for step in (0.125, 0.25, 0.5, 1.0):
        off = np.subtract(peaks(GRID.model_copy(update={"step_s": step})), finest).round(3).tolist()
        errors[str(step)] = off
        print(f"step {step} s: rises at 2, 5, 15 and 30 s off by {off} K of {np.round(finest, 2).tolist()}")
    figures = {name: {"cell_steps_per_s": volumes / cost, "step_s": step} for name, (cost, step) in cost_s.items()}
    write_json(
        load_settings().build / "bench" / "battery_heat.json", {"volumes": volumes, "figures": figures, "off_k": errors}
    )


if __name__ == "__main__":
    main()
