"""The whole scenes of a set, for what is trained on ground without labels."""

from __future__ import annotations

from pathlib import Path

from sightline.limits import Limits
from sightline.maps.pictures import read_scene_pixels
from sightline.maps.upscaling.pairs import GroundScene
from sightline.tasks.ships.data import scene_pictures


def read_ground_scenes(root: Path, limits: Limits) -> list[GroundScene]:
    """The whole scenes of a set (`data/<task>/<set>`), decoded; they need no labels.

    Raises:
        DataRejected: one of them is no picture of 8-bit RGB, broken or beyond the limits.
    """
    return [GroundScene(name, ground, read_scene_pixels(path, limits)) for name, ground, path in scene_pictures(root)]
