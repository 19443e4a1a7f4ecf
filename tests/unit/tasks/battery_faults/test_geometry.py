from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.capabilities import Frame
from sightline.tasks.battery_faults.geometry import CellFinder, find_cells, find_pack
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Scale, Thermometer
from sightline.tasks.battery_faults.ytvis import find_documents, read_videos
from tests.unit.tasks.battery_faults.scenes import backdrop, draw_bar, pack_picture


def _measured(picture: np.ndarray) -> Thermal:
    return Thermometer(Scale()).measure(Frame(picture, 0))


@pytest.mark.parametrize("gap", [0.0, 0.08])
@pytest.mark.parametrize("yaw_deg", [-60.0, -35.0, 0.0, 20.0, 50.0])
def test_each_cell_is_found_from_any_side(yaw_deg: float, gap: float) -> None:
    picture, masks = pack_picture(yaw_deg, gap=gap)
    cells = find_cells(_measured(picture))
    assert cells is not None
    for number, mask in enumerate(masks, start=1):
        found = cells.mask(number)
        assert (found & mask).sum() / (found | mask).sum() > (0.93 if gap else 0.9), number


def test_the_pack_is_found_beside_bar_and_backdrop() -> None:
    picture, masks = pack_picture(20.0)
    box = find_pack(_measured(picture))
    rows, columns = np.nonzero(np.any(masks, axis=0))
    assert box is not None
    assert np.abs(np.array(box) - [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).max() <= 1


def test_without_a_pack_there_are_no_cells() -> None:
    picture = backdrop(208, 536)
    draw_bar(picture, 8, 40, 120, 8)
    assert find_pack(_measured(picture)) is None
    assert find_cells(_measured(picture)) is None
    assert find_cells(_measured(backdrop(208, 536))) is None


def test_a_warm_pack_is_found_in_counts_too() -> None:
    _, masks = pack_picture(30.0)
    rng = np.random.default_rng(2)
    kelvin = np.where(np.any(masks, axis=0), 306.0, 295.0) + rng.normal(0, 0.05, masks[0].shape)
    counts = np.rint(kelvin * 100).astype(np.uint16)
    cells = find_cells(Thermometer(Scale(kelvin_per_count=0.01)).measure(Frame(counts, 0)))
    assert cells is not None
    for number, mask in enumerate(masks, start=1):
        found = cells.mask(number)
        assert (found & mask).sum() / (found | mask).sum() > 0.9


def test_faulty_cells_of_the_published_videos_are_cut_out_well(real_data: Path) -> None:
    """The rule that was measured before had 0.86 to 0.97 a video, with borders snapped to edges."""
    (document,) = find_documents(real_data / "battery_faults")
    for entry in read_videos(document):
        thermometer, shared, either = Thermometer(Scale()), 0, 0
        for track in entry.video.tracks:
            for number, mask in list(enumerate(track.masks))[::6]:
                with Image.open(entry.folder / entry.video.frames[number]) as image:
                    cells = find_cells(thermometer.measure(Frame(np.asarray(image.convert("RGB")), number)))
                assert cells is not None
                if mask is not None and track.cell is not None:
                    truth, found = mask.decode(), cells.mask(track.cell)
                    shared, either = shared + int((truth & found).sum()), either + int((truth | found).sum())
        assert not entry.video.tracks or shared / either > 0.95, entry.video.name


def test_a_finder_follows_a_pack_through_the_frames_of_a_camera() -> None:
    finder, rng = CellFinder(), np.random.default_rng(5)
    for yaw_deg in (0.0, 5.0, 10.0):
        _, masks = pack_picture(yaw_deg)
        kelvin = np.where(np.any(masks, axis=0), 306.0, 295.0) + rng.normal(0, 0.05, masks[0].shape)
        box = finder.find_pack(Thermometer(Scale(0.01)).measure(Frame(np.rint(kelvin * 100).astype(np.uint16), 0)))
        rows, columns = np.nonzero(np.any(masks, axis=0))
        assert box is not None
        assert np.abs(np.array(box) - [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).max() <= 8


@pytest.mark.parametrize("yaw_deg", [-40, 40])
def test_cells_that_are_slanted_from_high_above_are_found(yaw_deg: float) -> None:
    picture, truth = pack_picture(yaw_deg, from_above_deg=35.0)
    cells = find_cells(_measured(picture))
    assert cells is not None
    for number, mask in enumerate(truth, start=1):
        assert (cells.mask(number) & mask).sum() / (cells.mask(number) | mask).sum() > 0.75
