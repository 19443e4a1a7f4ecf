"""What cameras write beside the pixels, read back; and what is no answer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sightline.shots import Shot, read_shot

DJI = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description rdf:about="DJI Meta Data"'
    b' drone-dji:AbsoluteAltitude="+121.30" drone-dji:RelativeAltitude="+30.10" drone-dji:GimbalRollDegree="+0.00"'
    b' drone-dji:GimbalYawDegree="-85.20" drone-dji:GimbalPitchDegree="-89.90" drone-dji:CalibratedFocalLength="800.0"'
    b' drone-dji:RtkFlag="50" drone-dji:RtkStdLon="0.01" drone-dji:RtkStdLat="0.02"/></rdf:RDF></x:xmpmeta>'
)


def picture(
    *,
    gps: dict[int, object] | None = None,
    camera: dict[int, object] | None = None,
    xmp: bytes = b"",
    kind: str = "JPEG",
) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "DJI", "XT2"
    exif.get_ifd(0x8825).update(gps or {})
    exif.get_ifd(0x8769).update(camera or {})
    if kind == "TIFF":
        exif[0x8825] = exif[0x8769] = 0  # Pillow writes into a TIFF only those directories that the main one names
    file = io.BytesIO()
    options = {"xmp": xmp} if xmp else {}
    Image.fromarray(np.zeros((64, 80, 3), np.uint8)).save(file, kind, exif=exif, **options)
    return file.getvalue()


SOUTH_WEST = {1: "S", 2: (33.0, 30.0, 36.0), 3: "W", 4: (70.0, 15.0, 0.0), 5: b"\x01", 6: 12.5}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_place_time_and_camera_are_read_from_every_format(kind: str) -> None:
    shot = read_shot(picture(gps=SOUTH_WEST, camera={0x9003: "2024:06:01 12:30:00", 0x9011: "-04:00"}, kind=kind))
    assert shot.lat == pytest.approx(-33.51)
    assert shot.lon == pytest.approx(-70.25)
    assert shot.altitude_m == -12.5
    assert shot.time == "2024-06-01T12:30:00-04:00"
    assert shot.camera == "DJI XT2"


def test_the_time_of_the_satellites_serves_where_the_camera_has_no_clock() -> None:
    shot = read_shot(picture(gps={**SOUTH_WEST, 7: (9.0, 5.0, 7.0), 29: "2024:06:01"}))
    assert shot.time == "2024-06-01T09:05:07+00:00"


def test_height_attitude_lens_and_accuracy_of_a_dji() -> None:
    shot = read_shot(picture(gps=SOUTH_WEST, xmp=DJI))
    assert (shot.altitude_m, shot.height_m) == (121.3, 30.1)
    assert (shot.yaw_deg, shot.pitch_deg, shot.roll_deg) == (-85.2, -89.9, 0.0)
    assert shot.focal_share == pytest.approx(10.0)
    assert shot.position_error_m == 0.02


def test_the_lens_from_the_sensor_and_from_the_film_it_equals() -> None:
    # 9 mm before a sensor with 80 pixels on 8 mm; 100 pixels a centimetre are 10 a millimetre.
    assert read_shot(picture(camera={0x920A: 9.0, 0xA20E: 100.0, 0xA210: 3})).focal_share == pytest.approx(9 / 8)
    assert read_shot(picture(camera={0xA405: 24})).focal_share == pytest.approx(24 / 36)


def test_zeros_are_no_place_and_no_attitude() -> None:
    lost = {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0), 17: 0.0}
    idle = b"<x:xmpmeta><Camera:Yaw>0/100</Camera:Yaw><Camera:Pitch>0/100</Camera:Pitch></x:xmpmeta>"
    shot = read_shot(picture(gps=lost, xmp=idle))
    assert not shot.located
    assert (shot.yaw_deg, shot.pitch_deg, shot.height_m) == (None, None, None)


@pytest.mark.parametrize("gps", [{2: (99.0, 0.0, 0.0), 1: "N"}, {1: "N", 2: (1.0, 2.0)}, {1: "Q", 2: (1.0, 2.0, 3.0)}])
def test_an_impossible_place_is_none(gps: dict[int, object]) -> None:
    assert not read_shot(picture(gps={3: "E", 4: (10.0, 0.0, 0.0), **gps})).located


@given(st.binary(max_size=400))
def test_whatever_the_bytes_are_it_only_knows_less(data: bytes) -> None:
    assert isinstance(read_shot(data), Shot)
    assert isinstance(read_shot(b"\xff\xd8\xff\xe1" + data), Shot)


def test_a_real_thermogram_has_place_and_time_but_no_height(real_data: Path) -> None:
    files = sorted((real_data / "pv_hotspots" / "dataset_2" / "images").glob("*.jpg"))
    shots = [read_shot(file.read_bytes()) for file in files]
    assert all(shot.located and shot.height_m is None and shot.yaw_deg is None for shot in shots)
    assert shots[0].camera == "FLIR Vue Pro 640 9mm"
    assert shots[0].time == "2018-06-30T15:40:38"
