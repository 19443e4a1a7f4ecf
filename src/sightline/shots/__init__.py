"""What a camera wrote beside the pixels: when, where and how a picture was taken, and which ground it shows."""

from sightline.shots.ground import Ground, footprint_of, ground_of
from sightline.shots.metadata import Shot, read_shot

__all__ = ["Ground", "Shot", "footprint_of", "ground_of", "read_shot"]
