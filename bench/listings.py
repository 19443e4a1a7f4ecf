"""Listing a set: decoding it each time, as every command and stage did, against the listing that is kept.

    .venv/bin/python -m bench.listings
    .venv/bin/python -m bench.listings --pictures 685 5000

Writes synthetic photographs of panel_defects, as many as asked for, and lists them: without a kept listing, with one
that is made now (cold), and with one that is there (warm). CPU seconds of this process; prints a table and writes
build/bench/listings.json.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sightline.cli.show import table
from sightline.files import write_json
from sightline.params import TaskParams, load_section
from sightline.pipeline.listings import list_set
from sightline.progress import Bars
from sightline.settings import load_settings
from sightline.task import Manifest
from sightline.tasks import open_task, params_model

TASK = "panel_defects"


def cpu_s(work: Callable[[], Manifest]) -> float:
    """CPU seconds that it takes."""
    start_s = time.process_time()
    work()
    return round(time.process_time() - start_s, 3)


def measure(params: TaskParams, folder: Path) -> dict[str, float]:
    """Seconds of each way for one set; a set of this size is written first."""
    task, place, kept = open_task(TASK, params), folder / "sample", folder / "kept.json"
    with Bars("sample") as bars:
        task.sample(place, bars)
    time.sleep(2.5)  # what was written just now is not kept
    found = {"each time": cpu_s(lambda: task.load(place))}
    task = open_task(TASK, params)
    found["cold"] = cpu_s(lambda: list_set(task, params, place, kept))
    found["warm"] = cpu_s(lambda: list_set(task, params, place, kept))
    return found


def main() -> None:
    """Measure each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, nargs="+", default=[685, 5000])
    parser.add_argument("--side", type=int, default=256, help="pixels of a side")
    given = parser.parse_args()
    settings = load_settings()
    section = load_section(settings.root / "params.yaml", TASK, params_model(TASK))
    rows = []
    for pictures in given.pictures:
        document = section.model_dump()
        document["sample"] |= {"scenes": pictures, "side_px": given.side, "repeated_share": 0.0}
        params = params_model(TASK).model_validate(document)
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"pictures": pictures, **measure(params, Path(folder))})
    table("CPU seconds", rows)
    write_json(settings.build / "bench" / "listings.json", rows)


if __name__ == "__main__":
    main()
