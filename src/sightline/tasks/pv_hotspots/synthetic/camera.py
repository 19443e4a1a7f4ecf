"""A thermal camera over a site: where a pixel looks, and what optics, detector and display make of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.radiometry import Counts, Planck
from sightline.tasks.pv_hotspots.palette import colourise
from sightline.tasks.pv_hotspots.synthetic.simulation import Array


class CameraParams(Frozen):
    """A camera like the FLIR Vue Pro 640 with the 9 mm lens (17 um pixels: 529 px of focal length)."""

    width_px: int = Field(ge=64)
    height_px: int = Field(ge=64)
    focal_px: float = Field(gt=0)
    barrel: float = Field(ge=0, lt=1, description="k of the division model, lengths in focal lengths")
    psf_px: float = Field(ge=0, description="standard deviation of the optics' blur")
    netd_k: float = Field(ge=0, description="noise of a pixel")
    column_noise_k: float = Field(ge=0, description="fixed offset of each column")
    row_noise_k: float = Field(ge=0, description="fixed offset of each row")
    supersampling: int = Field(ge=1, description="rays along a side of a pixel")
    jpeg_quality: int = Field(ge=1, le=95)
    # The factory's constants of that camera, but for the offset: 53 degrees Celsius give 8,300 counts, which is what
    # the published files read on modules, and a kelvin is 63 counts there.
    planck_r1: float = Field(gt=0)
    planck_b: float = Field(gt=0)
    planck_f: float
    planck_o: int
    planck_r2: float = Field(gt=0)

    @property
    def planck(self) -> Planck:
        """The constants as the file's record holds them."""
        return Planck(self.planck_r1, self.planck_b, self.planck_f, float(self.planck_o), self.planck_r2)


@dataclass(frozen=True)
class Pose:
    """Where the camera is and looks.

    Attributes:
        position_m: (3,) east, north, up.
        rotation: (3, 3), rows are the camera's axes right, down and forward in the world.
    """

    position_m: Array
    rotation: Array


def pose_of(position_m: tuple[float, float, float], pitch: float, yaw: float, roll: float) -> Pose:
    """A camera that looks down and `pitch` radians to the north, turned by `yaw` about the vertical."""
    forward = np.array([np.sin(pitch) * np.sin(yaw), np.sin(pitch) * np.cos(yaw), -np.cos(pitch)])
    level = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    below = np.cross(forward, level)
    right = np.cos(roll) * level + np.sin(roll) * below
    return Pose(np.array(position_m), np.stack([right, np.cross(forward, right), forward]))


class Camera:
    """Pixels to rays and back, with the division model of barrel distortion (Fitzgibbon 2001)."""

    def __init__(self, params: CameraParams) -> None:
        self.params = params
        step = 1 / params.supersampling
        x = (np.arange(params.width_px * params.supersampling) + 0.5) * step - params.width_px / 2
        y = (np.arange(params.height_px * params.supersampling) + 0.5) * step - params.height_px / 2
        bent_x, bent_y = np.meshgrid(x / params.focal_px, y / params.focal_px)
        scale = 1 / (1 - params.barrel * (bent_x**2 + bent_y**2))
        self.rays = np.stack([bent_x * scale, bent_y * scale, np.ones_like(scale)], axis=-1)

    def project(self, points_m: Array, pose: Pose) -> Array:
        """Points (..., 3) in front of the camera to pixels (..., 2); NaN for those behind it."""
        local = (points_m - pose.position_m) @ pose.rotation.T
        depth = np.where(local[..., 2:] > 0.1, local[..., 2:], np.nan)
        straight = local[..., :2] / depth
        squared = (straight**2).sum(axis=-1, keepdims=True)
        bent = straight * 2 / (1 + np.sqrt(1 + 4 * self.params.barrel * squared))
        return np.asarray(bent * self.params.focal_px + [self.params.width_px / 2, self.params.height_px / 2])

    def expose(self, celsius: Array, rng: np.random.Generator) -> Counts:
        """Temperatures at the rays to raw counts (h, w): blur, mean over each pixel, noise, Planck's law."""
        from scipy.ndimage import gaussian_filter

        fold = self.params.supersampling
        sharp = gaussian_filter(celsius, self.params.psf_px * fold, mode="nearest")
        pixels = sharp.reshape(self.params.height_px, fold, self.params.width_px, fold).mean(axis=(1, 3))
        pixels += self.params.netd_k * rng.standard_normal(pixels.shape)
        pixels += self.params.column_noise_k * rng.standard_normal(pixels.shape[1])
        pixels += self.params.row_noise_k * rng.standard_normal(pixels.shape[0])[:, None]
        return self.params.planck.counts(pixels)


def display(counts: Counts) -> NDArray[np.uint8]:
    """The picture (h, w, 3) the camera shows: counts stretched from the least to the most, iron palette."""
    low, high = int(counts.min()), int(counts.max())
    return colourise((counts.astype(np.float64) - low) * (255 / max(high - low, 1)), "iron")
