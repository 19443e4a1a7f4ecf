"""From reflectance on the ground to counts of WorldView-3: sun, haze, optics, detector."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.land_cover.bands import MAX_COUNT

Eight = tuple[float, float, float, float, float, float, float, float]
Image = NDArray[np.float32]
Span = tuple[float, float]


class SensorParams(Frozen):
    """The satellite and the light, per band from coastal to NIR2.

    Gain and offset are those of the vendor's calibration 2016v0, `esun` is Thuillier (2003) weighted with the bands.
    Calibration factors, bandwidths and the height of the sun come with a delivery, but not with Dstl's files: those
    here are of a usual size, assumed.
    """

    gain: Eight
    offset: Eight = Field(description="W / (m2 sr um)")
    esun: Eight = Field(description="W / (m2 um)")
    calibration: Eight = Field(description="W / (m2 sr) a count; assumed")
    bandwidth_um: Eight = Field(description="assumed")
    sun_elevation_deg: Span = Field(description="of a region; assumed")
    sun_azimuth_deg: Span = Field(description="clockwise from north, of a region; assumed")
    sun_distance_au: float = Field(gt=0.98, lt=1.02)
    haze: Eight = Field(description="reflectance of the clear air")
    haze_factor: Span = Field(description="of a region")
    psf_px: float = Field(ge=0, description="standard deviation of the point spread, in pixels")
    snr: float = Field(gt=1, description="signal over the standard deviation of its noise")
    shift_px: Span = Field(description="of P, A and three_band against M, in pixels of M")
    swir_plants: Eight = Field(description="of NIR2 reflectance in A; assumed")
    swir_mineral: Eight = Field(description="of NIR2 reflectance in A; assumed")


class Light:
    """Sun and haze over one region, drawn once."""

    def __init__(self, rng: np.random.Generator, params: SensorParams) -> None:
        self.elevation_rad = math.radians(rng.uniform(*params.sun_elevation_deg))
        azimuth = math.radians(rng.uniform(*params.sun_azimuth_deg))
        self.haze = np.array(params.haze) * rng.uniform(*params.haze_factor)
        reach = 1 / math.tan(self.elevation_rad)
        self.shadow = (-math.sin(azimuth) * reach, math.cos(azimuth) * reach)
        """Metres to the right and down that a height of 1 m throws its shadow."""


def expose(reflectance: Image, light: Light, params: SensorParams, step: int, rng: np.random.Generator) -> Image:
    """Counts (8, h / step, w / step), not yet rounded, of reflectance (8, h, w) on a grid `step` times finer.

    counts = (L - offset) / (gain calibration / bandwidth), L = reflectance esun sin(elevation) / (pi d2)
    """
    focused = blurred(reflectance, params.psf_px * step, step)
    scale = np.array(params.esun) * math.sin(light.elevation_rad) / (math.pi * params.sun_distance_au**2)
    per_count = np.array(params.gain) * np.array(params.calibration) / np.array(params.bandwidth_um)
    slope, base = scale / per_count, (scale * light.haze - np.array(params.offset)) / per_count
    counts = focused * slope[:, None, None].astype(np.float32) + base[:, None, None].astype(np.float32)
    noise = rng.standard_normal(counts.shape, dtype=np.float32)
    return np.asarray(counts * (1 + noise / np.float32(params.snr)))


def blurred(planes: Image, sigma: float, step: int) -> Image:
    """(b, h / step, w / step): planes (b, h, w) seen through a Gaussian, then gathered by square pixels."""
    import cv2

    seen = []
    for plane in planes:
        soft = cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) if sigma > 0 else plane
        rows, columns = (side // step for side in plane.shape)
        seen.append(cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_AREA))
    return np.stack(seen)


def digital(counts: Image, largest: int = MAX_COUNT) -> NDArray[np.uint16]:
    """Counts as the detector writes them: whole numbers from 0 to `largest`."""
    return np.clip(np.rint(counts), 0, largest).astype(np.uint16)
