"""A flight from start to report: pictures a second of `predict` against answering file by file; findings against truth.

    .venv/bin/python -m bench.flight --frames 1000 --model build/models/pv_hotspots/fused/final

Writes synthetic thermograms of several sites with position, height, direction and lens in EXIF and XMP, as drones do,
and what is true of them. Then, on the same pictures and the same machine:

    plain       file by file in one process: read, predict, draw, save PNG and JSON (what predict did before)
    predict     `sightline predict FOLDER --out`, which ends with tables, GeoPackage and report
    undrawn     the same with --no-pictures
    again       predict once more: nothing is left to do

The first `--plain` pictures are answered plainly. Prints a table and writes build/bench/flight.json. Some ten minutes.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sightline.files import write_json
from sightline.limits import Limits
from sightline.params import load_section
from sightline.settings import load_settings
from sightline.shots.ground import metres_per_degree
from sightline.task import Json
from sightline.tasks import open_task, params_model
from sightline.tasks.pv_hotspots.synthetic.camera import Camera, display, pose_of
from sightline.tasks.pv_hotspots.synthetic.sample import SampleParams
from sightline.tasks.pv_hotspots.synthetic.scene import Site, SiteFaults, build_site, render
from sightline.tasks.pv_hotspots.synthetic.simulation import Module
from sightline.tasks.pv_hotspots.thermogram import write_thermogram
from sightline.vision.hardware import cores

_LON, _LAT = 10.5, 48.2
_APART_M = 300.0  # from site to site
_HEIGHT_M, _STEP_M, _LINE_M = 11.0, 3.0, 5.0
_ERROR_M = 0.02  # of an RTK receiver
_SITE_FRAMES = 100

_XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description drone-dji:RelativeAltitude="+{height:.2f}"'
    ' drone-dji:GimbalYawDegree="+0.00" drone-dji:GimbalPitchDegree="{pitch:.2f}" drone-dji:GimbalRollDegree="+0.00"'
    ' drone-dji:CalibratedFocalLength="{focal:.1f}" drone-dji:RtkFlag="50" drone-dji:RtkStdLon="{error}"'
    ' drone-dji:RtkStdLat="{error}"/></x:xmpmeta>'
)


@dataclass(frozen=True)
class Part:
    """The frames of one site."""

    number: int
    frames: int
    folder: Path
    params: SampleParams


def main() -> None:
    """Make the flight, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--plain", type=int, default=100, help="how many are answered plainly")
    parser.add_argument("--model", type=Path, required=True, help="a saved model of pv_hotspots")
    options = parser.parse_args()
    root = load_settings().build / "bench" / "flight"
    flight = root / f"pictures-{options.frames}"
    truth = make_flight(flight, options.frames)
    files = sorted(flight.glob("*.jpg"))
    found: dict[str, Json] = {"machine": {"cores": cores(), "load": os.getloadavg()[0]}, "true_hot_modules": truth}
    found["plain"] = plainly(files[: options.plain], options.model, root / "plain")
    for name, more in (("predict", ()), ("again", ()), ("undrawn", ("--no-pictures",))):
        out = root / f"report-{options.frames}{'-undrawn' if more else ''}"
        found[name] = commanded(flight, options.model, out, more, len(files))
    report = root / f"report-{options.frames}"
    found |= {"report_mb": round((report / "report.html").stat().st_size / 1e6, 1), **counted(report)}
    write_json(load_settings().build / "bench" / "flight.json", found)
    print(json.dumps(found, indent=2))


# ----------------------------------------------------------------------------------------------------- the flight


def make_flight(folder: Path, frames: int) -> int:
    """Write the pictures, if they are not there; how many hot modules they show, each counted once."""
    done = folder / "truth.json"
    if not done.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        section = load_section(load_settings().root / "params.yaml", "pv_hotspots", params_model("pv_hotspots"))
        params: SampleParams = section.sample  # type: ignore[attr-defined]
        parts = [
            Part(number, min(_SITE_FRAMES, frames - number * _SITE_FRAMES), folder, params)
            for number in range(-(-frames // _SITE_FRAMES))
        ]
        with ProcessPoolExecutor(cores()) as pool:
            write_json(done, {"hot_modules": sum(pool.map(_write_part, parts))})
    return int(json.loads(done.read_text(encoding="utf-8"))["hot_modules"])


def _write_part(part: Part) -> int:
    params, rng = part.params, np.random.default_rng([7, part.number])
    module = Module(params.heat, 1.0)
    site = build_site(rng, params.site, module, (950.0, 25.0), SiteFaults(0.03, params.faults))
    camera, shown = Camera(params.camera), set()
    north_m = part.number * _APART_M
    for frame, (x, y) in enumerate(_course(site, part.frames)):
        pose = pose_of((x, y, _HEIGHT_M), np.radians(10.0), 0.0, 0.0)
        counts = camera.expose(render(site, camera, pose, np.zeros(camera.rays.shape[:2])), rng)
        path = part.folder / f"flight_{part.number:03d}_{frame:03d}.jpg"
        write_thermogram(path, counts, params.camera.planck, display(counts))
        noise = rng.normal(0, _ERROR_M, 2)
        path.write_bytes(_tagged(path.read_bytes(), x + noise[0], y + north_m + noise[1], params.camera.focal_px))
        shown |= set(_hot_in(site, camera, pose))
    return len(shown)


def _course(site: Site, frames: int) -> Iterator[tuple[float, float]]:
    """Lines from west to east and back, over all tables."""
    reach = max(abs(table.origin_m[0]) for table in site.tables) * 0.8
    steps = int(2 * reach / _STEP_M)
    first = min(table.origin_m[1] for table in site.tables)
    for number in range(frames):
        line, along = divmod(number, steps)
        x = -reach + along * _STEP_M
        yield (x if line % 2 == 0 else -x), first + line * _LINE_M


def _hot_in(site: Site, camera: Camera, pose: object) -> Iterator[tuple[int, int]]:
    """(table, module) of the faulty modules that a frame shows whole."""
    size = np.array([camera.params.width_px, camera.params.height_px])
    for number, table in enumerate(site.tables):
        corners = camera.project(table.points_m(table.corners_m), pose)  # type: ignore[arg-type]
        inside = ((corners > 0) & (corners < size)).all(axis=(1, 2))
        yield from ((number, int(index)) for index in np.flatnonzero(inside & table.defective))


def _tagged(jpeg: bytes, east_m: float, north_m: float, focal_px: float) -> bytes:
    """With EXIF and XMP behind the start of the image."""
    lon, lat = np.array([_LON, _LAT]) + np.array([east_m, north_m]) / metres_per_degree(_LAT)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Sightline", "synthetic"
    exif.get_ifd(0x8769).update({0x9003: "2026:06:01 12:00:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: _sexagesimal(lat), 3: "E", 4: _sexagesimal(lon)})
    xmp = _XMP.format(height=_HEIGHT_M, pitch=-80.0, focal=focal_px, error=_ERROR_M).encode()
    parts = [b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0"), b"http://ns.adobe.com/xap/1.0/\0" + xmp]
    segments = b"".join(b"\xff\xe1" + (len(part) + 2).to_bytes(2, "big") + part for part in parts)
    return jpeg[:2] + segments + jpeg[2:]


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    whole, rest = divmod(degrees, 1)
    minutes, rest = divmod(rest * 60, 1)
    return float(whole), float(minutes), round(rest * 60, 5)


# ------------------------------------------------------------------------------------------------------ measuring


def plainly(files: list[Path], directory: Path, out: Path) -> dict[str, float]:
    """File by file in this process, as predict did before."""
    out.mkdir(parents=True, exist_ok=True)
    start_s = time.perf_counter()
    section = load_section(load_settings().root / "params.yaml", "pv_hotspots", params_model("pv_hotspots"))
    model = open_task("pv_hotspots", section).restore(directory)
    for path in files:
        source = model.read(path, Limits())
        prediction = model.predict([source])[0]
        write_json(out / f"{path.stem}.json", prediction.document)
        for suffix, document in prediction.exports.items():
            write_json(out / f"{path.stem}.{suffix}", document)
        file = io.BytesIO()
        Image.fromarray(model.draw(source, prediction)).save(file, "PNG")
        (out / f"{path.stem}.png").write_bytes(file.getvalue())
    return _rate(len(files), time.perf_counter() - start_s)


def commanded(flight: Path, model: Path, out: Path, more: tuple[str, ...], count: int) -> dict[str, float]:
    """The command, with the peak memory of its largest process."""
    program = Path(sys.executable).parent / "sightline"
    start_s = time.perf_counter()
    subprocess.run(
        [program, "predict", "pv_hotspots", "--model", model, flight, "--out", out, *more],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    peak_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {**_rate(count, time.perf_counter() - start_s), "peak_mb": round(peak_mb)}


def _rate(count: int, seconds: float) -> dict[str, float]:
    return {"pictures": count, "seconds": round(seconds, 1), "pictures_per_s": round(count / seconds, 2)}


def counted(report: Path) -> dict[str, int]:
    """Findings, and the things that they show."""
    import csv

    with (report / "findings.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {"findings": len(rows), "things": len({row["thing"] for row in rows})}


if __name__ == "__main__":
    main()
