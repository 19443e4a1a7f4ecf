from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.capabilities import Frame
from sightline.errors import DataRejected, RequestError
from sightline.tasks.battery_faults.colour import find_bar, fluent_bar
from sightline.tasks.battery_faults.thermometer import Scale, Thermometer, read_scale
from sightline.tasks.battery_faults.ytvis import find_documents, read_videos
from tests.unit.tasks.battery_faults.scenes import backdrop, colour, draw_bar, painted


def _picture(x: int = 21, y: int = 40, length: int = 186, upright: bool = True) -> np.ndarray:
    picture = backdrop(280, 400)
    draw_bar(picture, x, y, length, upright=upright)
    return picture


@pytest.mark.parametrize(
    ("x", "y", "length", "upright"), [(21, 40, 186, True), (350, 8, 120, True), (100, 250, 240, False)]
)
def test_the_bar_is_found_wherever_it_stands(x: int, y: int, length: int, upright: bool) -> None:
    bar = find_bar(_picture(x, y, length, upright))
    assert bar is not None
    assert bar.box == ((x, y, x + 12, y + length) if upright else (x, y, x + length, y + 12))


def test_temperatures_on_the_bar_are_exact_and_come_back_as_the_same_colours() -> None:
    bar = find_bar(_picture())
    assert bar is not None
    kelvin = 340 - 40 * (np.arange(186) + 0.5) / 186
    assert np.abs(bar.kelvin(bar.strip) - kelvin).max() < 0.02
    assert np.abs(bar.colours(kelvin).astype(int) - bar.strip).max() <= 1
    assert bar.kelvin(painted(np.array([[300.0, 340.0]]), 1.0))[0].tolist() == [300.0, 340.0]


def test_the_published_bar_can_be_drawn_by() -> None:
    kelvin = np.array([300.0, 306.0, 312.0, 320.0, 328.0, 340.0])
    pure = 255 * np.array([colour(k) for k in kelvin])
    assert np.abs(fluent_bar().colours(kelvin) - pure).max() <= 1
    assert np.abs(fluent_bar().kelvin(fluent_bar().colours(kelvin)) - kelvin).max() < 0.05


@pytest.mark.parametrize("white", [0.0, 0.1])
def test_shaded_surfaces_are_within_0_3_k(white: float) -> None:
    bar = find_bar(_picture())
    assert bar is not None
    rng = np.random.default_rng(4)
    kelvin = rng.uniform(300, 340, (60, 80))
    shade = rng.uniform(0.33, 0.72, (60, 80))
    error = bar.kelvin(painted(kelvin, shade, white)) - kelvin
    assert np.isfinite(error).all()
    assert float(np.sqrt((error**2).mean())) <= 0.3


def test_what_is_no_surface_has_no_temperature() -> None:
    bar = find_bar(_picture())
    assert bar is not None
    others = np.array([[[205, 213, 228], [0, 0, 0], [255, 255, 255], [199, 199, 231], [200, 0, 200]]], dtype=np.uint8)
    assert np.isnan(bar.kelvin(others)).all()


def test_a_bar_that_went_through_a_codec_is_found() -> None:
    import cv2

    content = cv2.imencode(".jpg", _picture()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    bar = find_bar(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1].copy())
    assert bar is not None
    kelvin = np.array([[302.0, 308.0, 315.0, 325.0]])
    assert np.abs(bar.kelvin(painted(kelvin, 0.6)) - kelvin).max() < 0.6


def test_without_a_bar_nothing_can_be_told() -> None:
    picture = backdrop(120, 160)
    picture[30:90, 40:120] = painted(np.full((60, 80), 300.0), 0.5)  # a pack, but no bar
    assert find_bar(picture) is None
    thermal = Thermometer(Scale()).measure(Frame(picture, 0, 0.5))
    assert not thermal.valid.any()
    assert (thermal.size, thermal.time_s) == ((120, 160), 0.5)
    assert (thermal.picture == picture).all()


def test_the_bar_itself_is_no_part_of_what_is_measured() -> None:
    picture = _picture()
    picture[100:200, 200:300] = painted(np.full((100, 100), 306.0), 0.5)
    thermal = Thermometer(Scale()).measure(Frame(picture, 0))
    assert thermal.valid.sum() == 100 * 100
    assert np.abs(thermal.kelvin[thermal.valid] - 306).max() < 0.2
    assert thermal.shading[150, 250] == pytest.approx(0.5, abs=0.01)


def test_a_bar_of_another_range_is_told() -> None:
    thermometer = Thermometer(read_scale({"bar_low_k": 280.0, "bar_high_k": 380.0}))
    picture = _picture()
    picture[100:200, 200:300] = painted(np.full((100, 100), 320.0), 0.5)
    assert thermometer.measure(Frame(picture, 0)).kelvin[150, 250] == pytest.approx(330.0, abs=0.3)


def test_a_bar_that_moves_is_followed_and_one_that_goes_is_missed() -> None:
    thermometer = Thermometer(Scale())
    boxes = []
    for picture in (_picture(21), _picture(340), backdrop(280, 400), _picture(21)):
        thermometer.measure(Frame(picture, 0))
        boxes.append(thermometer.bar.box[0] if thermometer.bar else None)
    assert boxes == [21, 340, None, 21]


def test_counts_become_kelvin_by_their_scale() -> None:
    counts = np.array([[30000, 30250], [0, 65535]], dtype=np.uint16)
    thermal = Thermometer(read_scale({"kelvin_per_count": 0.01})).measure(Frame(counts, 0))
    assert thermal.kelvin[0].tolist() == pytest.approx([300.0, 302.5])
    assert not thermal.valid[1, 0]
    assert not thermal.shading.any()
    celsius = Thermometer(read_scale({"kelvin_per_count": 0.04, "kelvin_at_zero": 273.15}))
    assert celsius.measure(Frame(np.full((2, 2), 1000, np.uint16), 0)).kelvin[0, 0] == pytest.approx(313.15)
    assert not Thermometer(Scale()).measure(Frame(counts, 0)).valid.any()


@pytest.mark.parametrize(
    ("conditions", "where"),
    [
        ({"kelvin_per_count": 0.0}, "kelvin_per_count"),
        ({"kelvin_per_count": -1.0}, "kelvin_per_count"),
        ({"bar_low_k": 350.0}, "bar_high_k"),
    ],
)
def test_a_scale_that_cannot_be_is_refused(conditions: dict[str, float], where: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_scale(conditions)
    assert caught.value.where == where


def test_a_frame_of_another_size_is_refused_and_the_next_goes_on() -> None:
    thermometer = Thermometer(Scale())
    thermometer.measure(Frame(_picture(), 0))
    for number, pixels in ((1, backdrop(100, 100)), (2, np.zeros((280, 400), np.uint16))):
        with pytest.raises(DataRejected, match=f"frame {number}: .* the first frame had 400 x 280 pixels of colours"):
            thermometer.measure(Frame(pixels, number))
    thermometer.measure(Frame(_picture(), 3))


def test_healthy_cells_of_the_published_videos_are_at_300_k(real_data: Path) -> None:
    (document,) = find_documents(real_data / "battery_faults")
    for entry in read_videos(document):
        thermometer = Thermometer(Scale())
        for number, frame in list(enumerate(entry.video.frames))[::8]:
            with Image.open(entry.folder / frame) as image:
                thermal = thermometer.measure(Frame(np.asarray(image.convert("RGB")), number))
            healthy = thermal.valid
            healthy[:, 800:] = False  # the triad of axes
            for track in entry.video.tracks:
                mask = track.masks[number]
                if mask is not None:
                    healthy &= ~mask.decode()
            off = np.abs(thermal.kelvin[healthy] - 300.0)
            assert np.median(off) == 0.0
            assert (off <= 0.5).mean() > 0.995, frame
