"""How the camera goes: up, down, to the left or right of the front, or around the pack."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.battery_faults.synthetic.camera import Camera, Pose, orbit
from sightline.tasks.battery_faults.synthetic.pack import Pack

PathName = Literal["up", "down", "left", "right", "orbit"]
"""As published: on `up` the camera sinks below the pack, on `left` it goes to the pack's right."""


class PathParams(Frozen):
    """How the camera goes. Pairs are the bounds of a uniform draw unless said otherwise."""

    elevation_deg: tuple[float, float] = Field(description="lowest and highest; `up` and `down` end at them")
    azimuth_deg: float = Field(gt=0, le=180, description="farthest from the front on `left` and `right`")
    begin_deg: float = Field(
        ge=0,
        lt=90,
        description="farthest from the front where an orbit begins; from behind, cells count from the right",
    )
    swept: tuple[float, float] = Field(description="share of these that a video covers")
    fill: tuple[float, float] = Field(description="width of the pack in the picture, seen from the front, as a share")
    still: tuple[int, int] = Field(description="frames before the camera moves")
    hold: tuple[int, int] = Field(description="frames from one view, each")
    shake_deg: float = Field(ge=0, description="of a hand, standard deviation in each direction")
    aim_m: float = Field(ge=0, description="how far it wanders from the pack's middle, standard deviation")


def poses(
    rng: np.random.Generator, path: PathName, camera: Camera, pack: Pack, params: PathParams, frames: int
) -> list[Pose]:
    """Where the camera is in each frame."""
    distance = camera.focal_px * pack.width_m / (rng.uniform(*params.fill) * camera.width_px)
    still, hold = (int(rng.integers(low, high, endpoint=True)) for low, high in (params.still, params.hold))
    views = np.maximum(np.arange(frames) - still, -1) // hold + 1
    angles = _angles(rng, path, params, views / max(views[-1], 1))
    shake = params.shake_deg * rng.standard_normal((frames, 3))
    wander = params.aim_m * np.cumsum(rng.standard_normal((frames, 3)), axis=0) / np.sqrt(frames)
    along = distance * np.exp(0.05 * (params.aim_m > 0) * np.sin(rng.uniform(0, 6) + np.arange(frames) / 7))
    aims = np.array(pack.middle_m) + wander
    return [
        orbit(azimuth + shaken[0], elevation + shaken[1], far, (aim[0], aim[1], aim[2]), shaken[2])
        for (azimuth, elevation), shaken, far, aim in zip(angles, shake, along, aims, strict=True)
    ]


def _angles(
    rng: np.random.Generator, path: PathName, params: PathParams, shares: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> Iterator[tuple[float, float]]:
    """Azimuth and elevation at each share of the way, degrees."""
    low, high = params.elevation_deg
    swept = rng.uniform(*params.swept) * shares
    level, begin = rng.uniform(max(low, -20), min(high, 60)), rng.uniform(-params.begin_deg, params.begin_deg)
    turn = rng.choice([-360.0, 360.0])
    ends = {
        "up": (0.0, low),
        "down": (0.0, high),
        "left": (params.azimuth_deg, 0.0),
        "right": (-params.azimuth_deg, 0.0),
    }
    for share in swept.tolist():
        if path == "orbit":
            yield begin + turn * share, level
        else:
            yield ends[path][0] * share, ends[path][1] * share
