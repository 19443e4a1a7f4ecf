"""How often drift is raised without a shift, and found with one, by how many groups the reference has.

    .venv/bin/python bench/drift_power.py [--repetitions 100] [--current 60]

Inputs have six figures and an embedding of eight, of which flights share half of the variance; each flight of the
reference has four frames, the current inputs are of a flight each. A part of them is of another kind: its
figures and its embedding lie `distance` standard deviations away. The verdict is that of
`sightline.drift.report.compare`; scipy computes what Evidently would.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp

from sightline.drift.comparison import Observation
from sightline.drift.report import compare
from sightline.params import load_section
from sightline.settings import load_settings
from sightline.tasks import params_model

GROUPS = (3, 10, 50)
SHIFTS = ((0.0, 0.0), (0.25, 6.0), (0.5, 6.0), (1.0, 6.0), (1.0, 2.0))
"""(share of the current inputs of another kind, how many standard deviations away)."""


def draw_side(tag: str, flights: int, frames: int, strange: float, distance: float, seed: int) -> list[Observation]:
    """Inputs of one side; the first `strange` share of the flights is of the other kind."""
    rng = np.random.default_rng(seed)
    found = []
    for flight in range(flights):
        away = distance if flight < round(strange * flights) else 0.0
        common = rng.normal(size=14) * np.sqrt(0.5) + away
        for frame in range(frames):
            values = common + rng.normal(size=14) * np.sqrt(0.5)
            row = {f"input_{k}": float(value) for k, value in enumerate(values[:6])}
            name = f"{tag} {flight}-{frame}"
            found.append(Observation(name, name, f"{tag} {flight}", row, values[6:]))
    return found


def compare_columns(reference: pd.DataFrame, current: pd.DataFrame, _level: float, _folder: Path) -> dict[str, float]:
    """Kolmogorov and Smirnov, as in Evidently's report."""
    return {str(name): float(ks_2samp(reference[name], current[name]).pvalue) for name in reference}


def count_states(
    groups: int, current_inputs: int, shift: tuple[float, float], repetitions: int, folder: Path
) -> Counter[str]:
    """State -> how many of the repetitions end in it."""
    states: Counter[str] = Counter()
    watch = load_section(load_settings().root / "params.yaml", "pv_hotspots", params_model("pv_hotspots")).watch
    for number in range(repetitions):
        reference = draw_side("reference", groups, 4, 0.0, 0.0, 2 * number)
        current = draw_side("current", current_inputs, 1, *shift, 2 * number + 1)
        found = compare(reference, current, watch, number, folder / "report", compare_columns)
        states[found.state] += 1
    return states


def main() -> None:
    """Print the table, in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--current", type=int, default=60)
    given = parser.parse_args()
    print("| groups of the reference | current inputs of another kind | drift | no drift | cannot tell |")
    print("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for groups in GROUPS:
            for share, distance in SHIFTS:
                states = count_states(groups, given.current, (share, distance), given.repetitions, Path(folder))
                calm = states["same"] + states["changed"]
                kind = f"{share:.0%}, {distance:g} sd away" if share else "none"
                cells = (f"{n / given.repetitions:.0%}" for n in (states["drift"], calm, states["cannot tell"]))
                print(f"| {groups} | {kind} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
