"""How near each way of enlarging comes to real scenes that were made coarser."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sightline.maps.upscaling.choices import Choice
from sightline.maps.upscaling.compact import FACTOR
from sightline.maps.upscaling.fidelity import Fidelity, fidelity
from sightline.maps.upscaling.pairs import GroundScene, degrade
from sightline.maps.upscaling.params import DegradeParams
from sightline.maps.upscaling.upscale import Upscaler
from sightline.task import Json

BASELINES: tuple[Choice, ...] = ("bicubic", "lanczos")


@dataclass(frozen=True)
class Compared:
    """How near one way comes on one scene."""

    scene: str
    ground: str
    way: str
    figures: Fidelity


def compare(scenes: Sequence[GroundScene], ways: Mapping[str, Upscaler], how: DegradeParams) -> list[Compared]:
    """Make each scene four times coarser, enlarge it in each way, and compare with the scene itself."""
    found = []
    for scene in scenes:
        height, width = (size - size % FACTOR for size in scene.pixels.shape[:2])
        fine = scene.pixels[:height, :width]
        # The same noise for all ways and at any time.
        noise_seed = int(hashlib.sha256(fine.tobytes()).hexdigest()[:8], 16)
        coarse = degrade(fine, how.evaluated_blur_px, how.evaluated_noise, np.random.default_rng(noise_seed))
        for way, upscaler in ways.items():
            found.append(Compared(scene.name, scene.ground, way, fidelity(fine, upscaler(coarse))))
    return found


def summarise(found: Sequence[Compared]) -> dict[str, Json]:
    """Way -> its mean PSNR and SSIM over scenes, and the least gain over bicubic on a scene; with what they are of."""
    ways = list(dict.fromkeys(one.way for one in found))
    figures = {(one.way, one.scene): one.figures for one in found}
    scenes = list(dict.fromkeys(one.scene for one in found))

    def least_gain(way: str) -> float:
        return min(figures[way, scene].psnr_db - figures["bicubic", scene].psnr_db for scene in scenes)

    return {
        "scenes": len(scenes),
        "grounds": len({one.ground for one in found}),
        "ways": {
            way: {
                "psnr_db": float(np.mean([figures[way, scene].psnr_db for scene in scenes])),
                "ssim": float(np.mean([figures[way, scene].ssim for scene in scenes])),
                "least_gain_db": least_gain(way),
            }
            for way in ways
        },
    }
