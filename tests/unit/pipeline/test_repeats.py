"""What several pictures show is one thing, where that can be told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.pipeline.repeats import Repeats, find_repeats
from sightline.shots import Shot, ground_of
from sightline.shots.ground import metres_per_degree

SHOT = Shot(lon=10.0, lat=50.0, height_m=20.0, yaw_deg=0.0, pitch_deg=-90.0, focal_share=0.8, position_error_m=0.05)
PIXEL_M = 20 / 512
MODULE_M = (1.0, 1.7)


def east(shot: Shot, metres: float) -> Shot:
    assert shot.lon is not None
    return replace(shot, lon=shot.lon + metres / float(metres_per_degree(50.0)[0]))


def seen(shot: Shot, *middles_m: tuple[float, float], kind: str = "hot module") -> tuple:
    """A picture of modules around these places east and north of 10 E 50 N."""
    ground = ground_of(shot, 640, 512)
    findings = []
    for x_m, y_m in middles_m:
        here = x_m - (shot.lon - 10.0) * float(metres_per_degree(50.0)[0])
        x, y = 320 + here / PIXEL_M, 256 - y_m / PIXEL_M
        w, h = (side / PIXEL_M / 2 for side in MODULE_M)
        corners = [(x - w, y - h), (x + w, y - h), (x + w, y + h), (x - w, y + h)]
        place = ground.lonlat(corners).tolist() if ground is not None else None
        findings.append({"kind": kind, "box": [x - w, y - h, x + w, y + h], "figures": {}, "ground": place})
    return findings, shot, (640, 512)


def cut_to_m(picture: tuple, *widths_m: float) -> tuple:
    """The first boxes of a picture with less of their right side."""
    findings, shot, size = picture
    ground = ground_of(shot, *size)
    for finding, width_m in zip(findings, widths_m, strict=False):
        x0, y0, _, y1 = finding["box"]
        x1 = x0 + width_m / PIXEL_M
        place = ground.lonlat([(x0, y0), (x1, y0), (x1, y1), (x0, y1)]).tolist()
        finding.update(box=[x0, y0, x1, y1], ground=place)
    return findings, shot, size


def things(repeats: Repeats) -> int:
    return len({place for places in repeats.places for place in places})


def test_a_module_in_three_pictures_is_one_and_its_neighbour_another() -> None:
    modules = [(0.0, 0.0), (1.02, 0.0)]
    found = find_repeats([seen(east(SHOT, x), *modules) for x in (0.0, 3.0, 6.0)])
    assert found.known
    assert things(found) == 2
    assert found.places[0] == found.places[1] == found.places[2]
    assert "6 findings show 2 things" in found.why


def test_a_picture_turned_about_sees_the_same_module() -> None:
    ahead, back = seen(SHOT, (2.0, 1.0)), seen(replace(SHOT, yaw_deg=180.0), (-2.0, -1.0))
    assert things(find_repeats([ahead, back])) == 1


def test_a_module_at_the_antimeridian_is_one_from_both_sides() -> None:
    west, east_of_it = replace(SHOT, lon=179.99999), replace(SHOT, lon=-179.99999)  # 1.4 m apart
    ends = [ground_of(shot, 640, 512) for shot in (west, east_of_it)]
    corners = np.array([(-0.5, -0.85), (0.5, -0.85), (0.5, 0.85), (-0.5, 0.85)])
    shift_m = 2e-5 * float(metres_per_degree(50.0)[0])
    places = [ends[0].at(corners + np.array([shift_m, 0.0])), ends[1].at(corners)]
    found = find_repeats(
        [
            ([{"kind": "hot module", "figures": {}, "ground": place.tolist()}], shot, None)
            for place, shot in zip(places, (west, east_of_it), strict=True)
        ]
    )
    assert found.known
    assert things(found) == 1


def test_two_boxes_of_one_picture_are_two_things() -> None:
    found = find_repeats([seen(SHOT, (0.0, 0.0), (0.3, 0.0)), seen(east(SHOT, 3.0), (9.0, 0.0))])
    assert things(found) == 3


def test_neighbours_are_not_joined_through_a_box_between_them() -> None:
    """A third picture, off by half a module, overlaps both; it shows one of them, and there are two."""
    found = find_repeats([seen(SHOT, (0.0, 0.0), (1.02, 0.0)), seen(east(SHOT, 1.0), (0.45, 0.0))])
    assert found.known
    assert found.places[0][0] != found.places[0][1]
    assert found.places[1][0] == found.places[0][0], "the nearer one"
    assert "show 2 things" in found.why


def test_one_thing_is_said_in_the_singular() -> None:
    assert "2 findings show 1 thing," in find_repeats([seen(SHOT, (0, 0)), seen(east(SHOT, 1), (0, 0))]).why


def test_what_the_frame_cuts_off_says_nothing_of_how_large_things_are() -> None:
    left_m = -320 * PIXEL_M
    sliver = cut_to_m(seen(SHOT, (left_m + MODULE_M[0] / 2, 0.0), (0.0, 0.0)), 0.02)
    found = find_repeats([sliver, seen(east(SHOT, 1.0), (0.0, 0.0))])
    assert found.known
    assert things(found) == 2


def test_one_sliver_among_many_things_keeps_none_apart() -> None:
    row = [(1.1 * x, 0.0) for x in range(-2, 4)]
    found = find_repeats([cut_to_m(seen(east(SHOT, x), *row), *([0.02] if x == 0 else [])) for x in (0.0, 0.5, 1.0)])
    assert found.known
    assert "18 findings" in found.why


def test_where_most_things_are_smaller_than_the_error_they_are_not_joined() -> None:
    found = find_repeats([cut_to_m(seen(SHOT, (0, 0), (1.1, 0)), 0.05, 0.05), seen(east(SHOT, 1.0), (0, 0))])
    assert not found.known
    assert "as small as 0.05 m" in found.why


def test_ships_of_georeferenced_pictures_lie_somewhere_and_how_exactly_is_not_known() -> None:
    ship = {"kind": "ship", "box": [1, 1, 9, 9], "figures": {"lon": 10.0, "lat": 50.0}}
    found = find_repeats([([ship], Shot(), (64, 64)), ([ship], Shot(), (64, 64))])
    assert not found.known
    assert "more than once" in found.why
    assert "the accuracy of the pictures' georeferences" in found.why


def test_things_of_two_classes_are_never_one() -> None:
    found = find_repeats([seen(SHOT, (0, 0)), seen(east(SHOT, 1), (0, 0), kind="dust")])
    assert things(found) == 2


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"position_error_m": None}, "not known"),
        ({"position_error_m": 3.0}, "3 m"),
        ({"height_m": None}, "height"),
        ({"yaw_deg": None}, "direction"),
    ],
)
def test_where_it_cannot_be_told_it_says_so_and_counts_each(change: dict, why: str) -> None:
    shot = replace(SHOT, **change)
    found = find_repeats([seen(shot, (0.0, 0.0)), seen(east(shot, 1.0), (0.0, 0.0))])
    assert not found.known
    assert things(found) == 2
    assert "more than once" in found.why
    assert why in found.why


def test_nothing_or_one_picture_repeats_nothing() -> None:
    assert find_repeats([]).known
    assert things(find_repeats([seen(SHOT, (0, 0), (3, 0)), ([], SHOT, None)])) == 2


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-2, 2)), min_size=1, max_size=8, unique=True))
def test_the_count_is_that_of_the_modules_whatever_the_flight(cells: list[tuple[int, int]]) -> None:
    middles = [(1.1 * x, 1.8 * y) for x, y in cells]
    rng = np.random.default_rng(0)
    flight = [seen(east(SHOT, x), *middles) for x in rng.uniform(-2, 2, 4)]
    assert things(find_repeats(flight)) == len(cells)
