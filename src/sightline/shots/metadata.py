"""When, where and how a picture was taken: EXIF 2.32 (CIPA DC-008), and XMP as DJI, FLIR and Pix4D write it.

All of it is untrusted and much of it is not there: whatever is absent, is no number or cannot be, is None. FLIR's
cameras write zeros where no autopilot tells them anything; such zeros are no answer either.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import SupportsFloat

from sightline.vision.images import jpeg_segments
from sightline.vision.images.orientation import TAG, UPRIGHT, read_orientation

_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_XMP_TAG = 700
_MAX_XMP_BYTES = 256 * 2**10
_XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_FIELD = re.compile(r"""([A-Za-z][\w-]{1,30}:[A-Za-z]\w{1,40})\s*(?:=\s*["']([^"'<]{1,60})["']|>([^<]{1,60})</)""")
_RATIONAL = re.compile(r"\s*([+-]?[\d.]+)\s*(?:/\s*([+-]?[\d.]+))?\s*")
_FULL_FRAME_MM = 36.0  # width of the film that "35 mm equivalent" speaks of
_UNITS_MM: Mapping[object, float] = {2: 25.4, 3: 10.0, 4: 1.0}  # of the resolution of the focal plane
_RTK_FIXED = "50"  # DJI: positions to centimetres
_MOST_TEXT = 64


@dataclass(frozen=True)
class Shot:
    """How one picture was taken. None where the file does not say.

    Attributes:
        time: ISO 8601; with an offset where the file tells one.
        camera: maker and model.
        lon, lat: degrees, WGS 84.
        altitude_m: above sea level, by the file's word.
        height_m: above the place of take-off.
        yaw_deg: where the top of the picture points, clockwise from north.
        pitch_deg: of the line of sight: -90 straight down, 0 level.
        roll_deg: about the line of sight.
        focal_share: focal length over the width of the sensor: that of a picture as it was stored.
        position_error_m: one standard deviation of the position on the ground.
        turned: whether the picture is shown in another orientation than it was stored in.
    """

    time: str | None = None
    camera: str | None = None
    lon: float | None = None
    lat: float | None = None
    altitude_m: float | None = None
    height_m: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    focal_share: float | None = None
    position_error_m: float | None = None
    turned: bool = False

    @property
    def located(self) -> bool:
        """Whether its place is known."""
        return self.lon is not None and self.lat is not None


NOTHING_KNOWN = Shot()


def read_shot(data: bytes) -> Shot:
    """What the bytes of a JPEG, PNG or TIFF file tell of how it was taken. Decodes no pixel and never raises."""
    try:
        from PIL import Image

        # Headers alone are read; the formats are named, so that no other decoder sees untrusted bytes.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "TIFF")) as image:
                exif, size = image.getexif(), image.size
                main, camera, gps = dict(exif), dict(exif.get_ifd(_EXIF_IFD)), dict(exif.get_ifd(_GPS_IFD))
    except Exception:  # whatever a library raises on bytes that it does not like: nothing is known then
        return NOTHING_KNOWN
    xmp = _xmp_fields(data, main.get(_XMP_TAG, camera.get(_XMP_TAG)))
    lon, lat = _position(gps, xmp)
    yaw, pitch, roll = _attitude(gps, xmp)
    return Shot(
        time=_time(camera, main, gps),
        camera=_camera(main),
        lon=lon,
        lat=lat,
        altitude_m=_first(_number(xmp.get("drone-dji:AbsoluteAltitude")), _exif_altitude(gps)),
        height_m=_positive(
            _first(_number(xmp.get("drone-dji:RelativeAltitude")), _from_autopilot(xmp, "FLIR:MAVRelativeAltitude"))
        ),
        yaw_deg=yaw,
        pitch_deg=pitch,
        roll_deg=roll,
        focal_share=_focal_share(camera, xmp, size),
        position_error_m=_position_error(gps, xmp),
        turned=read_orientation(main.get(TAG)) != UPRIGHT,
    )


# ----------------------------------------------------------------------------------------------------------- XMP


def _xmp_fields(data: bytes, tag: object) -> dict[str, str]:
    """`prefix:Name` -> text of the fields of an XMP packet, as attributes or elements; not parsed as XML.

    The packet is untrusted XML, and what is wanted of it are flat fields: a search for these expands no entity.
    """
    packet = next(
        (
            payload[len(_XMP_HEAD) :]
            for marker, payload in jpeg_segments(data)
            if marker == 0xE1 and payload.startswith(_XMP_HEAD)
        ),
        tag if isinstance(tag, bytes) else b"",
    )
    also = tag if isinstance(tag, bytes) else b""
    text = (also[:_MAX_XMP_BYTES] + b"\n" + packet[:_MAX_XMP_BYTES]).decode("utf-8", "replace")
    return {name: (first or second).strip() for name, first, second in _XMP_FIELD.findall(text)}


def _from_autopilot(xmp: Mapping[str, str], name: str) -> float | None:
    """A figure that FLIR's cameras copy from the autopilot; None where they write nothing but zeros."""
    copied = ("Camera:Yaw", "Camera:Pitch", "Camera:Roll", "FLIR:MAVRelativeAltitude")
    return _number(xmp.get(name)) if any(_number(xmp.get(one)) for one in copied) else None


# ---------------------------------------------------------------------------------------------------------- EXIF


def _number(value: object) -> float | None:
    """A finite number from EXIF's rationals or XMP's text ("10.6", "+30.10", "53/5")."""
    try:
        if isinstance(value, str):
            found = _RATIONAL.fullmatch(value)
            number = math.nan if found is None else float(found[1]) / float(found[2] or 1)
        else:
            number = float(value) if isinstance(value, SupportsFloat | bytes) else math.nan
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) else None


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _positive(value: float | None) -> float | None:
    return value if value is not None and value > 0 else None


def _text(value: object) -> str:
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return "".join(c for c in text.partition("\0")[0] if c.isprintable()).strip()[:_MOST_TEXT]


def _camera(main: Mapping[int, object]) -> str | None:
    maker, model = _text(main.get(0x010F)), _text(main.get(0x0110))
    return (model if model.startswith(maker) else f"{maker} {model}".strip()) or None


def _time(camera: Mapping[int, object], main: Mapping[int, object], gps: Mapping[int, object]) -> str | None:
    """When it was taken: the camera's clock, or the time of the satellites (UTC)."""
    written = _text(camera.get(0x9003) or main.get(0x0132))
    offset = _text(camera.get(0x9011) or camera.get(0x9010))
    try:
        moment = datetime.strptime(written, "%Y:%m:%d %H:%M:%S")  # the zone is told apart, if at all
        return moment.isoformat() + (offset if re.fullmatch(r"[+-]\d\d:\d\d", offset) else "")
    except ValueError:
        pass
    clock = gps.get(7)
    parts = [_number(part) or 0.0 for part in clock] if isinstance(clock, tuple) else []
    try:
        written = f"{_text(gps.get(29))} " + ":".join(f"{part:02.0f}" for part in parts)
        return datetime.strptime(f"{written}+0000", "%Y:%m:%d %H:%M:%S%z").isoformat()
    except ValueError:
        return None


def _position(gps: Mapping[int, object], xmp: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Longitude and latitude; neither where one is absent, impossible, or both are the zeros of a lost signal."""
    lat, lon = _degrees(gps.get(2), gps.get(1)), _degrees(gps.get(4), gps.get(3))
    if lat is None or lon is None:
        lat = _number(xmp.get("drone-dji:GpsLatitude"))
        # The name is misspelt in the files of some models.
        lon = _first(_number(xmp.get("drone-dji:GpsLongitude")), _number(xmp.get("drone-dji:GpsLongtitude")))
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180 or (lat == 0 and lon == 0):
        return None, None
    return lon, lat


def _degrees(parts: object, side: object) -> float | None:
    if not isinstance(parts, tuple) or len(parts) != 3:
        return None
    numbers = [_number(part) for part in parts]
    hemisphere = _text(side).upper()[:1]
    if None in numbers or hemisphere not in ("N", "S", "E", "W"):
        return None
    degrees, minutes, seconds = (number or 0.0 for number in numbers)
    return (degrees + minutes / 60 + seconds / 3600) * (-1 if hemisphere in "SW" else 1)


def _exif_altitude(gps: Mapping[int, object]) -> float | None:
    altitude = _number(gps.get(6))
    below = gps.get(5) in (b"\x01", 1)
    return None if altitude is None else -altitude if below else altitude


def _attitude(gps: Mapping[int, object], xmp: Mapping[str, str]) -> tuple[float | None, float | None, float | None]:
    """Yaw, pitch and roll of the line of sight."""
    gimbal = [_number(xmp.get(f"drone-dji:Gimbal{name}Degree")) for name in ("Yaw", "Pitch", "Roll")]
    if gimbal[0] is not None and gimbal[1] is not None:
        return gimbal[0], gimbal[1], gimbal[2] or 0.0
    pix4d = [_from_autopilot(xmp, f"Camera:{name}") for name in ("Yaw", "Pitch", "Roll")]
    if pix4d[0] is not None and pix4d[1] is not None:
        return pix4d[0], pix4d[1] - 90.0, pix4d[2] or 0.0  # their pitch counts from straight down
    heading = _number(gps.get(17)) or None  # zero is what a camera without a compass writes
    return (heading, None, None)


def _focal_share(camera: Mapping[int, object], xmp: Mapping[str, str], size: tuple[int, int]) -> float | None:
    """Focal length over the sensor's width, from whatever of it the file tells."""
    width = max(size)
    calibrated_px = _positive(_number(xmp.get("drone-dji:CalibratedFocalLength")))
    if calibrated_px is not None and 0.2 < calibrated_px / width < 20:
        return calibrated_px / width
    focal_mm, per_unit = _positive(_number(camera.get(0x920A))), _positive(_number(camera.get(0xA20E)))
    unit_mm = _UNITS_MM.get(camera.get(0xA210, 2))
    if focal_mm is not None and per_unit is not None and unit_mm is not None:
        share = focal_mm / (width / per_unit * unit_mm)
        if 0.2 < share < 20:
            return share
    equivalent_mm = _positive(_number(camera.get(0xA405)))
    return None if equivalent_mm is None else equivalent_mm / _FULL_FRAME_MM


def _position_error(gps: Mapping[int, object], xmp: Mapping[str, str]) -> float | None:
    error = _positive(_number(gps.get(31)))
    deviations = [_number(xmp.get(f"drone-dji:RtkStd{name}")) for name in ("Lon", "Lat")]
    if xmp.get("drone-dji:RtkFlag") == _RTK_FIXED and deviations[0] is not None and deviations[1] is not None:
        return _positive(max(deviations[0], deviations[1]))
    return _first(error, _positive(_number(xmp.get("Camera:GPSXYAccuracy"))))
