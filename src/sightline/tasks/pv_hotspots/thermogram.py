"""Thermograms: reading what infrared cameras write (untrusted), and writing radiometric JPEG.

The scalar temperature signal is the `level`: raw counts where the file has them, else the palette inverted, else the
grey values. Absolute temperatures are not to be trusted (factory constants); differences within a picture are.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sightline.errors import DataRejected
from sightline.files import replace_bytes
from sightline.limits import Limits
from sightline.radiometry import Counts, Planck, embed_radiometry, read_radiometry
from sightline.tasks.pv_hotspots.palette import find_palette, follows_palette, invert_palette
from sightline.tasks.pv_hotspots.severity import Conditions
from sightline.vision.images import UPRIGHT, decode_picture, jpeg_segments, read_bytes, upright
from sightline.vision.images.refusals import check_sides

FORMATS = ("image/jpeg", "image/png", "image/tiff")
"""Media types that `read_thermogram` takes."""

MIN_SIDE_PX = 16

_ABSOLUTE_ZERO_C = -273.15
_DJI = (
    "This is a thermal JPEG of DJI: its temperatures are in DJI's own format, which is not read here. The answer is "
    "from the picture's colours, and rises are in levels, not in kelvin. Export degrees Celsius with DJI's Thermal "
    "SDK: dji_irp -a measure --measurefmt float32, and save them as a TIFF of float32."
)


_NO_THERMOGRAM = (
    "this is not a readable thermogram: it has no temperatures, and its colours follow none of the palettes iron, "
    "rainbow and grey, so nothing was measured. Give the thermal picture: as radiometric JPEG, as grey TIFF or PNG, or "
    "exported in one of these palettes."
)


@dataclass(frozen=True)
class Thermogram:
    """One thermogram, decoded.

    Attributes:
        picture: (h, w, 3) uint8 RGB, as stored (grey ones stretched to 8 bits).
        level: (h, w) float32, rises with temperature: raw counts, the palette's index 0 .. 255, or grey values.
        radiometric: whether `level` holds raw counts.
        palette: "iron", "rainbow" or "grey": what the picture's colours follow best.
        celsius: (h, w) float32 by Planck's law with the file's constants, emissivity 1; uncalibrated. None where the
            file has no counts or no constants.
        sha256: of the file's bytes.
        statistics: figures of the input as it came in, for drift (see `input_statistics`).
        name: the file's name or what the caller called it, for messages.
        conditions: what the user knows of the picture; without, no severity is given.
        valid: (h, w), False where the file has no data, and `level` holds the median; None where it has everywhere.
        note: what a person should know of the file's temperatures; empty where there is nothing to say.
        thermal: False where `level` says nothing of temperature: neither counts nor the colours of a known palette.
    """

    picture: NDArray[np.uint8]
    level: NDArray[np.float32]
    radiometric: bool
    palette: str
    celsius: NDArray[np.float32] | None
    sha256: str
    statistics: Mapping[str, float] = field(repr=False)
    name: str = ""
    conditions: Conditions | None = None
    valid: NDArray[np.bool_] | None = field(default=None, repr=False)
    note: str = ""
    thermal: bool = True


# ------------------------------------------------------------------------------------------------------ reading


def read_thermogram(source: Path | bytes, limits: Limits, where: str = "") -> Thermogram:
    """Decode a JPEG (radiometric or not), PNG or TIFF (8 or 16 bits, or float).

    Args:
        source: a file, or its bytes.
        limits: most bytes and pixels; both are checked before anything is decoded.
        where: what messages call the input; the path, or "image", where empty.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such image, broken, too large or of a kind that holds no thermogram.
    """
    where = where or (str(source) if isinstance(source, Path) else "image")
    data = read_bytes(source, limits, where)
    decoded = decode_picture(data, limits, where)
    values = decoded.values
    check_sides(values.shape[:2], MIN_SIDE_PX, where)
    _check_level(values, where)
    picture = values if values.ndim == 3 else _grey_picture(values)
    palette = find_palette(picture[::4, ::4])
    level, celsius = _radiometric_level(data, picture, decoded.orientation, limits)
    radiometric = level is not None
    thermal = radiometric or values.ndim == 2 or follows_palette(picture[::4, ::4], palette)
    if level is None:
        level = values.astype(np.float32) if values.ndim == 2 else invert_palette(picture, palette)
    return Thermogram(
        picture=picture,
        level=level,
        radiometric=radiometric,
        palette=palette,
        celsius=celsius,
        sha256=hashlib.sha256(data).hexdigest(),
        statistics=input_statistics(picture, level),
        name=where,
        valid=decoded.valid,
        note="" if radiometric else " ".join(filter(None, ("" if thermal else _NO_THERMOGRAM, temperature_note(data)))),
        thermal=thermal,
    )


def _check_level(values: NDArray[np.generic], where: str) -> None:
    """Refuse what stands for "no data" without being declared: it would be the coldest part of the picture."""
    if values.dtype.kind == "f" and float(values.min()) <= _ABSOLUTE_ZERO_C:
        raise DataRejected(
            f"it holds {float(values.min()):g}, which is neither a temperature nor a count",
            where=where,
            way_out="If it stands for missing pixels, declare it: gdal_edit.py -a_nodata VALUE FILE.",
        )


def temperature_note(data: bytes) -> str:
    """What to say of a JPEG whose temperatures cannot be read, where it is known to have some; else nothing.

    DJI's cameras (M2EA, H20T, M30T, M3T, H30T ...) put the detector's values into segments APP3 and their parameters
    into APP4, in a format of their own (ExifTool's tables DJI ThermalData and ThermalParams). Their older ones by FLIR
    (XT, XT2) write FLIR's format, which is read.
    """
    made_by_dji = detector_values = False
    for marker, payload in jpeg_segments(data) if data[:2] == b"\xff\xd8" else ():
        made_by_dji |= marker == 0xE1 and (b"DJI\0" in payload[:4096] or b"drone-dji" in payload)
        detector_values |= marker == 0xE3 or (marker == 0xE4 and payload[:2] == b"\xaa\x55")
    return _DJI if made_by_dji and detector_values else ""


def _grey_picture(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """8-bit grey as it is; others stretched from the smallest to the largest value."""
    if values.dtype != np.uint8:
        floats = values.astype(np.float64)
        low, high = floats.min(), floats.max()
        values = ((floats - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8)
    return np.repeat(values[..., None].astype(np.uint8), 3, axis=2)


def _radiometric_level(
    data: bytes, picture: NDArray[np.uint8], orientation: int, limits: Limits
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Raw counts and Celsius of a JPEG, resampled to the picture's (h, w) where the detector is coarser."""
    radiometry = read_radiometry(data, limits.pixels) if data[:2] == b"\xff\xd8" else None
    if radiometry is None:
        return None, None
    shape = (picture.shape[0], picture.shape[1])
    counts = _as_shown(radiometry.counts, picture, orientation)
    if not _same_aspect(counts.shape, shape):
        return None, None
    celsius = radiometry.planck.celsius(counts) if radiometry.planck else None
    level = _resample(counts.astype(np.float32), shape)
    return level, None if celsius is None else _resample(celsius, shape)


def _as_shown(counts: Counts, picture: NDArray[np.uint8], orientation: int) -> Counts:
    """The counts as the picture is shown.

    EXIF speaks of the picture. The counts beside it lie as the picture is stored, and are turned with it, unless they
    are upright already: some cameras and programs turn the one and not the other. What resembles the picture more is
    right.
    """
    if orientation == UPRIGHT:
        return counts
    turned = upright(counts, orientation)
    return turned if _likeness(turned, picture) >= _likeness(counts, picture) else counts


def _likeness(counts: Counts, picture: NDArray[np.uint8]) -> float:
    """Absolute correlation with the picture's luminance, on a coarse grid: palettes may run either way."""
    if not _same_aspect(counts.shape, (picture.shape[0], picture.shape[1])):
        return -1.0
    grey = picture.astype(np.float32).mean(axis=2)
    first, second = (_coarse(values) - _coarse(values).mean() for values in (counts.astype(np.float32), grey))
    spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return abs(float((first * second).sum())) / spread if spread else 0.0


def _coarse(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(values).resize((64, 64), Image.Resampling.BOX), dtype=np.float32)


def _same_aspect(first: tuple[int, ...], second: tuple[int, int]) -> bool:
    """Within 2 %: else the counts do not show what the picture shows."""
    return abs(first[0] * second[1] - first[1] * second[0]) <= 0.02 * first[1] * second[0]


def _resample(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    if values.shape == shape:
        return values
    return np.asarray(Image.fromarray(values).resize(shape[::-1], Image.Resampling.BILINEAR), dtype=np.float32)


# --------------------------------------------------------------------------------------------------- statistics


def input_statistics(picture: NDArray[np.uint8], level: NDArray[np.float32]) -> dict[str, float]:
    """Figures by which drift is seen, of the central 1024 x 1024 pixels at most.

    luminance_*: mean, spread and percentiles of the picture's luminance (ITU-R BT.601), 0 .. 255;
    chroma_a, chroma_b: mean opponent colours (red - green, yellow - blue), -1 .. 1: another palette;
    saturation: mean of (max - min) / max of the colours;
    sharpness: variance of the Laplacian over the variance of luminance: falls with blur;
    level_median, level_spread: median and 5 .. 95 % range of the level: a hotter or more contrasted scene;
    level_noise: standard deviation of the noise (Immerkaer 1996), in units of the level.
    """
    import cv2

    rgb, signal = np.ascontiguousarray(_centre(picture)), np.ascontiguousarray(_centre(level), dtype=np.float32)
    # One pass each, without temporaries as large as the picture: this runs for every answer of the endpoint.
    luminance = cv2.transform(rgb.astype(np.float32), np.array([[0.299, 0.587, 0.114]], dtype=np.float32))
    colours = cv2.split(rgb)
    largest, smallest = cv2.max(cv2.max(*colours[:2]), colours[2]), cv2.min(cv2.min(*colours[:2]), colours[2])
    saturation = cv2.divide((largest - smallest).astype(np.float32), cv2.max(largest, 1.0).astype(np.float32))
    red, green, blue = (float(value) for value in cv2.mean(rgb)[:3])
    low, high = np.percentile(luminance[::2, ::2], (5, 95))
    cold, median, hot = np.percentile(signal[::2, ::2], (5, 50, 95))
    mean, spread = _mean_and_spread(luminance)
    _, edges = _mean_and_spread(cv2.Laplacian(luminance, cv2.CV_32F)[1:-1, 1:-1])
    return {
        "luminance_mean": mean,
        "luminance_std": spread,
        "luminance_p05": float(low),
        "luminance_p95": float(high),
        "chroma_a": (red - green) / 255,
        "chroma_b": ((red + green) / 2 - blue) / 255,
        "saturation": float(cv2.mean(saturation)[0]),
        "sharpness": edges**2 / max(spread**2, 1e-6),
        "level_median": float(median),
        "level_spread": float(hot - cold),
        "level_noise": _noise(signal),
    }


def _centre(values: NDArray[np.generic], side_px: int = 1024) -> NDArray[np.generic]:
    top, left = (max(size - side_px, 0) // 2 for size in values.shape[:2])
    return values[top : top + side_px, left : left + side_px]


def _mean_and_spread(values: NDArray[np.float32]) -> tuple[float, float]:
    import cv2

    mean, spread = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(spread[0, 0])


def _noise(values: NDArray[np.float32]) -> float:
    """Immerkaer, Fast noise variance estimation, CVIU 64 (1996): the mean absolute double second difference."""
    import cv2

    second = np.array([1, -2, 1], dtype=np.float32)
    both = cv2.sepFilter2D(values, cv2.CV_32F, second, second)[1:-1, 1:-1]
    return float(cv2.norm(both, cv2.NORM_L1) / both.size * np.sqrt(np.pi / 2) / 6)


# ------------------------------------------------------------------------------------------------------ writing


def write_thermogram(
    path: Path, counts: Counts, planck: Planck, picture: NDArray[np.uint8], *, quality: int = 90
) -> None:
    """Write a radiometric JPEG such that `read_thermogram` gives the same counts, bit for bit.

    Args:
        path: the file; written under a temporary name, then renamed.
        counts: (h, w) uint16, the detector's raw counts.
        planck: their constants.
        picture: (h, w, 3) uint8 RGB.
        quality: of the JPEG, 1 .. 95.

    Raises:
        ValueError: the shapes or types do not fit, or the counts exceed 16 MiB.
    """
    if picture.shape != (*counts.shape, 3):
        raise ValueError(f"the picture {picture.shape} and the counts {counts.shape} differ in size")
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality)
    replace_bytes(path, embed_radiometry(buffer.getvalue(), counts, planck))
