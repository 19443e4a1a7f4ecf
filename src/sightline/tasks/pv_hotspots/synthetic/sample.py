"""The synthetic set, in the upstream's layout: radiometric JPEGs and corners of modules, flight by flight.

    dataset_1/images/20190105_101500.jpg
    dataset_1/annotations/20190105_101500.json

The frames of one flight are seconds apart and show the same modules with the same faults; flights are minutes apart.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from pydantic import Field

from sightline.files import write_text
from sightline.geometry import clip_polygon, polygon_area
from sightline.params import Frozen
from sightline.task import Json, Progress
from sightline.tasks.pv_hotspots.synthetic.camera import Camera, CameraParams, Pose, display, pose_of
from sightline.tasks.pv_hotspots.synthetic.faults import FaultParams
from sightline.tasks.pv_hotspots.synthetic.scene import Site, SiteFaults, SiteParams, build_site, render
from sightline.tasks.pv_hotspots.synthetic.simulation import Array, HeatParams, Module
from sightline.tasks.pv_hotspots.thermogram import write_thermogram
from sightline.vision.synthesis import random_stream


class SampleParams(Frozen):
    """Everything the synthetic set depends on. Pairs are the bounds of a uniform draw."""

    seed: int = Field(ge=0)
    flights: int = Field(ge=1)
    frames_per_flight: int = Field(ge=1)
    frame_interval_s: int = Field(ge=1, description="between frames of a flight")
    flight_interval_s: int = Field(ge=60, description="between flights")
    defective_share: float = Field(ge=0, le=1, description="of modules")
    affected_share: float = Field(gt=0, le=1, description="of flights (so of frames) with any")
    defect_boost: float = Field(ge=0, description="multiplies both shares: more faults to learn from")
    height_m: tuple[float, float] = Field(description="of the camera above ground")
    pitch_deg: tuple[float, float] = Field(description="from straight down to the north")
    yaw_deg: tuple[float, float]
    roll_deg: tuple[float, float]
    step_m: tuple[float, float] = Field(description="flown between frames")
    least_visible: float = Field(ge=0, le=1, description="modules showing less are not labelled")
    heat: HeatParams
    faults: FaultParams
    site: SiteParams
    camera: CameraParams


def write_sample(root: Path, params: SampleParams, progress: Progress) -> None:
    """Write the set into `root`. The same parameters give the same bytes (on one type of CPU).

    Each flight and each frame has a random stream of its own, so a frame does not depend on how many others there
    are.
    """
    images, annotations = root / "dataset_1" / "images", root / "dataset_1" / "annotations"
    for folder in (images, annotations):
        folder.mkdir(parents=True, exist_ok=True)
    camera = Camera(params.camera)
    total = params.flights * params.frames_per_flight
    for flight in range(params.flights):
        site = _site(params, flight)
        for frame, pose in enumerate(_poses(params, flight, site)):
            stem = _stem(params, flight, frame)
            rng = random_stream(params.seed, flight, frame + 1)
            celsius = render(site, camera, pose, _glare(rng, params, camera))
            counts = camera.expose(celsius, rng)
            path = images / f"{stem}.jpg"
            write_thermogram(path, counts, params.camera.planck, display(counts), quality=params.camera.jpeg_quality)
            labels = {"instances": _instances(site, camera, pose, params)}
            write_text(annotations / f"{stem}.json", json.dumps(labels))
            done = flight * params.frames_per_flight + frame + 1
            progress.advance(done, total, f"frame {done}/{total}")


def _stem(params: SampleParams, flight: int, frame: int) -> str:
    seconds = flight * params.flight_interval_s + frame * params.frame_interval_s
    return (datetime(2019, 1, 5, 10, 15) + timedelta(seconds=seconds)).strftime("%Y%m%d_%H%M%S")


def _site(params: SampleParams, flight: int) -> Site:
    """The site of a flight; in which flights there are faults at all is drawn once for the whole set."""
    affected = min(1.0, params.affected_share * params.defect_boost)
    order = np.random.Generator(np.random.PCG64(params.seed)).permutation(params.flights)
    has_faults = order[flight] < round(affected * params.flights)
    share = params.defective_share * params.defect_boost / affected if has_faults else 0.0
    rng = random_stream(params.seed, flight, 0)
    module = Module(params.heat, rng.uniform(*params.site.wind_m_per_s))
    weather = (rng.uniform(*params.site.irradiance_w_per_m2), rng.uniform(*params.site.air_c))
    return build_site(rng, params.site, module, weather, SiteFaults(min(share, 1.0), params.faults))


def _poses(params: SampleParams, flight: int, site: Site) -> list[Pose]:
    """The camera's poses along a straight flight over the site's inner tables."""
    rng = random_stream(params.seed, flight, 10**6)
    height = rng.uniform(*params.height_m)
    pitch, yaw = np.radians(rng.uniform(*params.pitch_deg)), np.radians(rng.uniform(*params.yaw_deg))
    course = rng.uniform(-0.4, 0.4) + np.pi * rng.integers(2)
    reach_x = max(abs(table.origin_m[0]) for table in site.tables) * 0.65
    reach_y = max(abs(table.origin_m[1]) for table in site.tables) * 0.5
    x, y = rng.uniform(-reach_x, reach_x), rng.uniform(-reach_y, reach_y) - height * np.tan(pitch)
    poses = []
    for _ in range(params.frames_per_flight):
        roll = np.radians(rng.uniform(*params.roll_deg))
        sway = rng.normal(0, 0.02, 2)
        poses.append(pose_of((x, y, height + rng.normal(0, 0.1)), pitch + sway[0], yaw + sway[1], roll))
        step = rng.uniform(*params.step_m)
        x, y = x + step * np.cos(course), y + step * np.sin(course)
    return poses


def _glare(rng: np.random.Generator, params: SampleParams, camera: Camera) -> Array:
    """What the sky adds on glass: a slow change over the frame, and sometimes a bright spot."""
    height, width = camera.rays.shape[:2]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    most = params.site.glare_k
    slow = rng.uniform(-most, most) * y / 2 + rng.uniform(-most, most) * x / 2
    if rng.random() < 0.25:
        centre, size = rng.uniform(-1, 1, 2), rng.uniform(0.08, 0.3, 2)
        slow += (
            rng.uniform(0.5, 2) * most * np.exp(-(((x - centre[0]) / size[0]) ** 2) - ((y - centre[1]) / size[1]) ** 2)
        )
    return np.asarray(slow)


def _instances(site: Site, camera: Camera, pose: Pose, params: SampleParams) -> list[Json]:
    """The labels of a frame: each module that shows enough, its corners as projected (they may lie outside)."""
    instances: list[Json] = []
    width, height = params.camera.width_px, params.camera.height_px
    for table in site.tables:
        corners = camera.project(table.points_m(table.corners_m), pose)
        for quad, defective in zip(corners, table.defective, strict=True):
            if not np.isfinite(quad).all():
                continue
            visible = polygon_area(clip_polygon(quad, width, height))
            if visible > 0 and visible >= params.least_visible * polygon_area(quad):
                instances.append(
                    {
                        "corners": [_point(corner) for corner in quad],
                        "center": _point(quad.mean(axis=0)),
                        "defected_module": bool(defective),
                    }
                )
    return instances


def _point(xy: Array) -> dict[str, float]:
    return {"x": float(xy[0]), "y": float(xy[1])}
