"""Whether enlarging finds more vessels: by size class, pixel size and way, once and twice.

    .venv/bin/python -m bench.enlarging MODEL:GROUND... --data data/ships/real --fast build/bench/upscaling
    .venv/bin/python -m bench.enlarging ... --gsd 10 --ways none bicubic fast realesrgan "fast twice"

Each model answers the labelled scenes of the ground that is named after it, which it has not seen, in windows around
the vessels (`--side` metres). A window is made coarser (a Gaussian of half a pixel, the mean over each pixel), enlarged
in one of the ways, four times or twice four times, and scanned at that pixel size; what is found is held against the
labels as the task does it. As many windows without a vessel, where a scene has them, are for false alarms. The outer
`--margin` metres are shown and not counted. The fast network is one that `bench.upscaling evaluate` has fitted without
that ground.

Each scene, pixel size and way is a file in build/bench/enlarging: killed and called again, it goes on. What would take
longer than `--most-s` there is left out, and said so. Prints the figures and what a way has more than `none`, with 95 %
intervals by the bootstrap over windows (the same draws for both); writes build/bench/enlarging.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sightline.files import write_json
from sightline.maps.upscaling.choices import SECONDS_A_MEGAPIXEL, Choice
from sightline.maps.upscaling.compact import FACTOR
from sightline.maps.upscaling.upscale import Upscaler, open_upscaler
from sightline.maps.zoom import GSD_BOUNDS_M
from sightline.resampling import Figure, figures
from sightline.settings import load_settings
from sightline.task import Json, Row, Sample
from sightline.tasks.ships.chips import GSD_M
from sightline.tasks.ships.data import load_manifest
from sightline.tasks.ships.detections import Detection
from sightline.tasks.ships.examples import Example, read_example
from sightline.tasks.ships.labels import Box
from sightline.tasks.ships.metrics import NEAR_M, Pool, scene_statistics
from sightline.tasks.ships.model import ShipModel
from sightline.tasks.ships.raster import raster_of

Picture = NDArray[np.uint8]
Statistics = Mapping[str, Json]

CHOSEN: tuple[Choice, ...] = ("bicubic", "fast", "realesrgan")
WAYS = ("none", *CHOSEN, *(f"{choice} twice" for choice in CHOSEN))

BLUR_PX = 0.5
NEARLY = 1.05
"""Pixel sizes that differ by less are the same."""
RESAMPLES = 1000


# ---------------------------------------------------------------------------------------------------------- windows


@dataclass(frozen=True)
class Window:
    """A part of a scene, all in its own pixels.

    Attributes:
        pixels: (h, w, 3).
        kept: x0, x1, y0, y1 of what is counted.
        boxes: the vessels whose middle lies there.
        others: the vessels beyond, beside which nothing is counted.
    """

    pixels: Picture = field(repr=False)
    kept: tuple[float, float, float, float]
    boxes: tuple[Box, ...]
    others: tuple[Box, ...]

    def counts(self, one: Detection, gsd_m: float) -> bool:
        """Whether a detection is held against the labels."""
        away = (np.hypot(one.x - x, one.y - y) * gsd_m for x, y in (box.centre for box in self.others))
        return _within((one.x, one.y), self.kept) and all(distance > NEAR_M for distance in away)

    def shows(self, box: Box) -> bool:
        """Whether the middle of a vessel lies in it, counted or not."""
        height, width = self.pixels.shape[:2]
        return _within(box.centre, (0, width, 0, height))


def windows_of(example: Example, gsd_m: float, side_m: float, margin_m: float) -> list[Window]:
    """Windows in which each vessel of a scene is counted once, and as many in which there is none, if there are."""
    side_px, margin_px = side_m / gsd_m, margin_m / gsd_m
    height, width = example.pixels.shape[:2]
    shown = [box for box in example.boxes if _within(box.centre, (0, width, 0, height))]
    left, made = sorted(shown, key=lambda box: box.centre), []
    while left:
        window, counted = _cut(example, left[0].centre, side_px, margin_px, left)
        left = [box for box in left if box not in counted]
        made.append(window)
    across, down = (np.arange(side_px / 2, max(size, side_px), side_px) for size in (width, height))
    cut = [_cut(example, (x, y), side_px, margin_px, example.boxes)[0] for y in down for x in across]
    empty = [window for window in cut if not any(window.shows(box) for box in (*window.boxes, *window.others))]
    chosen = np.linspace(0, len(empty) - 1, min(len(made), len(empty))).round().astype(int)
    return made + [empty[number] for number in chosen]


def _cut(
    example: Example, middle: tuple[float, float], side_px: float, margin_px: float, asked: Sequence[Box]
) -> tuple[Window, list[Box]]:
    """A window, and those of the boxes asked for that are counted in it, as they were."""
    height, width = example.pixels.shape[:2]
    x0, x1 = _span(middle[0], width, side_px)
    y0, y1 = _span(middle[1], height, side_px)
    inner = (*_kept(x0, width, x1, margin_px), *_kept(y0, height, y1, margin_px))
    counted = [box for box in asked if _within(box.centre, inner)]
    others = [box for box in example.boxes if box not in counted]
    kept = (inner[0] - x0, inner[1] - x0, inner[2] - y0, inner[3] - y0)
    return Window(example.pixels[y0:y1, x0:x1], kept, _moved(counted, x0, y0), _moved(others, x0, y0)), counted


def _kept(start: int, size: int, stop: int, margin_px: float) -> tuple[float, float]:
    """What of a window is counted along an axis: all but a margin, where it is not the picture's own border."""
    return start + margin_px * (start > 0), stop - margin_px * (stop < size)


def _span(middle: float, size: int, side_px: float) -> tuple[int, int]:
    """Where a window begins and ends along an axis: inside the picture, and as long as it can be."""
    length = min(round(side_px), size)
    start = min(max(round(middle - length / 2), 0), size - length)
    return start, start + length


def _within(point: tuple[float, float], area: tuple[float, float, float, float]) -> bool:
    return area[0] <= point[0] < area[1] and area[2] <= point[1] < area[3]


def _moved(boxes: Sequence[Box], x: int, y: int) -> tuple[Box, ...]:
    return tuple(replace(box, x0=box.x0 - x, x1=box.x1 - x, y0=box.y0 - y, y1=box.y1 - y) for box in boxes)


def coarser(pixels: Picture, factor: float) -> Picture:
    """A picture as a sensor with pixels `factor` times as large would see it; as it is where that is hardly more."""
    import cv2

    if factor < NEARLY:
        return pixels
    size = tuple(max(round(side / factor), 1) for side in (pixels.shape[1], pixels.shape[0]))
    blurred = cv2.GaussianBlur(pixels, (0, 0), BLUR_PX * factor, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.resize(blurred, size, interpolation=cv2.INTER_AREA))


# ------------------------------------------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class Asked:
    """One scene at one pixel size in one way.

    Attributes:
        model: that has not seen the scene.
        sample: the scene.
        example: its pixels and labels.
        scene_gsd_m: of its own pixels.
        gsd_m: of those that are enlarged.
        way: one of WAYS.
        steps: what enlarges, one after the other.
    """

    model: ShipModel
    sample: Sample
    example: Example = field(repr=False)
    scene_gsd_m: float
    gsd_m: float
    way: str
    steps: tuple[Upscaler, ...]

    def seconds(self, windows: Sequence[Window]) -> float:
        """What enlarging the windows takes, about: each with the context that the enlargement adds around it."""
        total = 0.0
        for window in windows:
            height, width = (side * self.scene_gsd_m / self.gsd_m for side in window.pixels.shape[:2])
            for number, step in enumerate(self.steps):
                around = 2 * step.plan.context_px
                pixels = (height * FACTOR**number + around) * (width * FACTOR**number + around)
                total += SECONDS_A_MEGAPIXEL[step.choice] * pixels / 1e6
        return total

    def key(self, side_m: float, margin_m: float) -> str:
        """Tells apart what may have another answer."""
        said = {
            "model": [self.model.card.files, self.model.thresholds, self.model.card.preprocessing],
            "scene": [self.sample.sha256, self.sample.labels_sha256, self.scene_gsd_m, self.gsd_m, side_m, margin_m],
            "steps": [f"{one.choice} {one.digest}" for one in self.steps],
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=dict).encode()).hexdigest()[:16]

    def answer(self, window: Window) -> Statistics:
        """What is found in a window, held against its labels."""
        picture = coarser(window.pixels, self.gsd_m / self.scene_gsd_m)
        for upscaler in self.steps:
            picture = upscaler(picture)
        down, across = (mine / its for mine, its in zip(window.pixels.shape[:2], picture.shape[:2], strict=True))
        found = self.model.find(raster_of(picture, self.scene_gsd_m * float(np.sqrt(down * across)))).detections
        counted = [one for one in (one.scaled(down, across) for one in found) if window.counts(one, self.scene_gsd_m)]
        return scene_statistics(counted, window.boxes, self.scene_gsd_m, self.model.thresholds)


def run(asked: Asked, windows: Sequence[Window], path: Path) -> list[Statistics]:
    """The statistics of all windows; those of an earlier run are taken as they are."""
    if not path.is_file():
        started = time.perf_counter()
        rows = [dict(asked.answer(window)) for window in windows]
        write_json(path, {"rows": rows, "seconds": round(time.perf_counter() - started, 1)})
    made: list[Statistics] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    return made


def steps_of(way: str, ground: str, fast: Path | None) -> tuple[Upscaler, ...]:
    """What a way enlarges with; the fast network is one that has not seen the ground."""
    choice, _, twice = way.partition(" ")
    if choice == "none":
        return ()
    folder = _fitted_without(ground, fast) if choice == "fast" else None
    return (open_upscaler(cast("Choice", choice), fast=folder),) * (2 if twice else 1)


def _fitted_without(ground: str, fast: Path | None) -> Path:
    """The first network below a folder that was not fitted on a ground."""
    for folder in sorted(fast.glob("*/network")) if fast else []:
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        if ground not in card["provenance"]["grounds"]:
            return folder
    raise SystemExit(f"{fast}: no network without {ground}. Run `python -m bench.upscaling evaluate` before.")


# ------------------------------------------------------------------------------------------------------------ report

Made = dict[tuple[float, str], list[Statistics]]
"""(pixel size, way) -> windows, the same for all ways of a size."""


def report_of(made: Made) -> list[dict[str, Json]]:
    """A row for each pixel size, way and figure, and what it has more than `none` at that size."""
    rows: list[dict[str, Json]] = []
    for (gsd_m, way), statistics in made.items():
        pool, plain = Pool(statistics), Pool(made[gsd_m, "none"])
        unnamed = [Row(str(number), "", "", "scene", {}) for number in range(len(statistics))]

        def more(weights: NDArray[np.float64], pool: Pool = pool, plain: Pool = plain) -> dict[str, float]:
            before = plain.score(weights)
            return {name: value - before[name] for name, value in pool.score(weights).items()}

        own = figures(unnamed, lambda _, weights, pool=pool: pool.score(weights), RESAMPLES, 0.95, seed=0)  # type: ignore[misc]
        gained = figures(unnamed, lambda _, weights, more=more: more(weights), RESAMPLES, 0.95, seed=0)  # type: ignore[misc]
        for name in own:
            if name in ("f1", "ap_30m", "precision") or name.startswith("recall"):
                figure: dict[str, Json] = {"gsd_m": gsd_m, "way": way, "figure": name, "windows": len(statistics)}
                rows.append({**figure, "own": _listed(own[name]), "more": _listed(gained[name])})
    return rows


def _listed(one: Figure) -> list[Json]:
    return [None if np.isnan(value) else round(value, 4) for value in (one.value, one.low, one.high)]


def show(rows: Sequence[Mapping[str, Json]]) -> None:
    """Print the table; what is not defined (no vessel of that class) is left out."""
    print(f"{'m a pixel':>9}  {'way':<18}{'figure':<18}{'value':>8}{'95 %':>18}{'more than none':>18}{'95 %':>18}")
    for row in rows:
        own, more = (cast("list[float | None]", row[name]) for name in ("own", "more"))
        if own[0] is not None:
            texts = f"{_number(own[0]):>8}{_span_of(own):>18}{_number(more[0]):>18}{_span_of(more):>18}"
            print(f"{row['gsd_m']:>9}  {row['way']:<18}{row['figure']:<18}{texts}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _span_of(values: Sequence[float | None]) -> str:
    return f"{_number(values[1])} .. {_number(values[2])}"


# -------------------------------------------------------------------------------------------------------------- main


def asked_for(given: argparse.Namespace) -> Iterator[Asked]:
    """All scenes, pixel sizes and ways; no coarser picture is made finer, and none finer than what can be scanned."""
    manifest = load_manifest(given.data.resolve())
    for pair in given.models:
        folder, _, ground = pair.rpartition(":")
        model = ShipModel.restore(Path(folder))
        scenes = manifest.where(lambda s, g=ground: s.stratum == "scene" and s.group == g)  # type: ignore[misc]
        steps = {way: steps_of(way, ground, given.fast) for way in given.ways}
        for sample in scenes.samples:
            example, scene_gsd_m = read_example(manifest, sample), sample.figures.get("gsd_m", GSD_M)
            for gsd_m in (one for one in given.gsd if one > scene_gsd_m / NEARLY):
                for way in given.ways:
                    if gsd_m / FACTOR ** len(steps[way]) >= GSD_BOUNDS_M[0]:
                        yield Asked(model, sample, example, scene_gsd_m, gsd_m, way, steps[way])


def main() -> None:
    """Run what has not been run, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL:GROUND", help="a saved model, and whom it has not seen")
    parser.add_argument("--data", type=Path, required=True, help="the set's folder")
    parser.add_argument(
        "--fast", type=Path, help="folder that `bench.upscaling evaluate` leaves: build/bench/upscaling"
    )
    parser.add_argument("--gsd", type=float, nargs="+", default=[3.0, 5.0, 10.0], help="metres a pixel")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--side", type=float, default=1000.0, help="metres of a window")
    parser.add_argument("--margin", type=float, default=150.0, help="metres of it at each side that are not counted")
    parser.add_argument("--most-s", type=float, default=1200.0, help="for one scene, pixel size and way")
    given = parser.parse_args()
    if given.margin * 2 >= given.side:
        parser.error("--side must be more than twice --margin")
    given.ways = [way for way in WAYS if way == "none" or way in given.ways]
    build = load_settings().build / "bench"
    made: Made = {}
    left_out: set[tuple[float, str]] = set()
    for asked in asked_for(given):
        windows = windows_of(asked.example, asked.scene_gsd_m, given.side, given.margin)
        name = f"{asked.sample.id}-{asked.gsd_m:g}m-{asked.way.replace(' ', '-')}"
        path = build / "enlarging" / f"{name}-{asked.key(given.side, given.margin)}.json"
        if not path.is_file() and asked.seconds(windows) > given.most_s:
            print(f"{name}: left out, it would take some {asked.seconds(windows):.0f} s", flush=True)
            left_out.add((asked.gsd_m, asked.way))
            continue
        made.setdefault((asked.gsd_m, asked.way), []).extend(run(asked, windows, path))
        print(f"{name}: {len(windows)} windows", flush=True)
    rows = report_of({key: one for key, one in sorted(made.items()) if key not in left_out})
    show(rows)
    write_json(build / "enlarging.json", {"side_m": given.side, "margin_m": given.margin, "rows": rows})


if __name__ == "__main__":
    main()
