"""What a harbour has: terminals on made land, finger piers, jetties for tankers, moles, marinas; and their berths."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.ships.synthetic.ground import (
    CONCRETE,
    ROCK,
    Axes,
    Berth,
    Ground,
    disc,
    lane,
    paint_pattern,
    tinted,
)
from sightline.tasks.ships.synthetic.patterns import cars, containers, houses, marina, sheds, tank_farm

Span = tuple[float, float]


def build_harbour(rng: np.random.Generator, ground: Ground, axes: Axes, reach_m: float) -> None:
    """From one end of the coast to the other: terminals, piers, jetties, marinas, or nothing; a mole before it all."""
    room_m = min(ground.extent_m)
    at = -reach_m
    while at < reach_m:
        wide = min(rng.uniform(180, 900), 0.8 * room_m)
        choice = rng.random()
        if choice < 0.45:
            build_terminal(rng, ground, axes, (at, at + wide), min(rng.uniform(80, 900), 0.45 * room_m))
        elif choice < 0.62:
            deep, broad = rng.uniform(70, 330), rng.uniform(8, 34)
            for place in np.arange(at + 30, at + wide, broad + rng.uniform(50, 150)):
                build_pier(rng, ground, axes, float(place), (min(deep, 0.35 * room_m), broad))
        elif choice < 0.78:
            build_jetty(rng, ground, axes, at + wide / 2, min(rng.uniform(60, 400), 0.35 * room_m))
        elif choice < 0.9:
            build_marina(rng, ground, axes, (at + 20, at + min(wide, 300)), rng.uniform(80, 220))
        at += wide + rng.uniform(20, 200)
    if rng.random() < 0.6:
        build_mole(rng, ground, axes, rng.uniform(-0.8, 0.8) * reach_m, room_m)


# --------------------------------------------------------------------------------------------------- terminals


def build_terminal(rng: np.random.Generator, ground: Ground, axes: Axes, along: Span, reach_m: float) -> None:
    """Made land with straight edges: an apron along them, and behind it what is handled there."""
    axes = axes.moved(along[0], 0, rng.normal(0, 0.06))
    wide = along[1] - along[0]
    ground.build(axes.rectangle((0, wide), (-140, reach_m)), tinted(rng, CONCRETE, 14))
    apron = min(rng.uniform(18, 60), 0.2 * reach_m)
    yard = (apron, wide - apron), (-100.0, reach_m - apron)
    for inset in np.arange(0.15, 0.8, rng.uniform(0.2, 0.6)) * apron:  # rails and roads along the edges
        strip = axes.rectangle((inset, wide - inset), (-100, reach_m - inset))
        ground.fill(strip, tinted(rng, (150, 144, 136), 16))
        ground.fill(
            axes.rectangle((inset + 3, wide - inset - 3), (-100, reach_m - inset - 3)), tinted(rng, CONCRETE, 8)
        )
    ground.fill(axes.rectangle(*yard), tinted(rng, (176, 168, 154), 18))
    boxes = _lay_yards(rng, ground, axes, yard)
    edge = Berth(axes.at(0, reach_m), axes.at(wide, reach_m), axes.out)
    ground.berths.append(edge)
    for end, side in ((0.0, -1.0), (wide, 1.0)):
        ground.berths.append(Berth(axes.at(end, 20), axes.at(end, reach_m), side * axes.along))
    if boxes:
        _stand_cranes(rng, ground, axes.moved(0, reach_m), wide)


def _lay_yards(rng: np.random.Generator, ground: Ground, axes: Axes, yard: tuple[Span, Span]) -> bool:
    """Divide a terminal by roads; whether containers stand there."""
    (left, right), (back, front) = yard
    boxes = bool(rng.random() < 0.5)
    at = left
    while at < right - 30:
        wide = min(rng.uniform(80, 320), right - at)
        area = axes.rectangle((at, at + wide - 14), (back, front))
        ground.fill(area, tinted(rng, [(198, 186, 164), (160, 156, 148), (206, 190, 160)][rng.integers(3)], 12))
        _cover_yard(rng, ground, axes.moved(at, back), area, boxes)
        at += wide
    road = axes.rectangle((left, right), (back + 0.4 * (front - back), back + 0.4 * (front - back) + 10))
    ground.fill(road, tinted(rng, (128, 126, 122)))
    return boxes


def _cover_yard(rng: np.random.Generator, ground: Ground, axes: Axes, area: NDArray[np.float64], boxes: bool) -> None:
    """One use of a part of a terminal; some lie bare."""
    angle = math.atan2(axes.along[1], axes.along[0])
    tanks = tank_farm(ground.shade_m * rng.uniform(0.6, 1.6), angle)
    patterns = (containers, cars, sheds, tanks, None)
    shares = (0.65, 0.1, 0.1, 0.05, 0.1) if boxes else (0.05, 0.3, 0.3, 0.15, 0.2)
    pattern = patterns[int(rng.choice(5, p=shares))]
    if pattern is not None:
        turned = axes if rng.random() < 0.5 else axes.moved(0, 0, math.pi / 2)
        if pattern is tanks:
            turned = axes
        paint_pattern(rng, ground, turned, area, pattern)


def _stand_cranes(rng: np.random.Generator, ground: Ground, edge: Axes, wide_m: float) -> None:
    """Gantries along an edge: a machine house, a frame, an arm over the water (some are raised), and their shadow."""
    colour = [(226, 226, 222), (110, 136, 158), (84, 104, 140), (168, 92, 70)][rng.integers(4)]
    at = rng.uniform(10, 60)
    while at < wide_m - 20:
        if rng.random() < 0.6:
            reach = rng.uniform(35, 62) if rng.random() < 0.75 else 6.0
            shade = edge.rectangle((at - 5, at + 5), (-30, reach)) + ground.shade_m * rng.uniform(1.5, 3.5)
            ground.fill(shade, (56, 56, 60))
            paint = tinted(rng, colour)
            for side in (-3.0, 1.6):
                ground.reach_over(edge.rectangle((at + side, at + side + 1.6), (-32, reach)), paint)
            for out in (-30.0, -2.0):
                ground.reach_over(edge.rectangle((at - 10, at + 10), (out, out + 1.8)), paint)
            ground.reach_over(edge.rectangle((at - 3.5, at + 3.5), (-30, -18)), tinted(rng, (240, 240, 238)))
        at += rng.uniform(22, 110)


# ------------------------------------------------------------------------------------------------ piers, jetties


def build_pier(rng: np.random.Generator, ground: Ground, axes: Axes, along: float, size: tuple[float, float]) -> None:
    """A pier that leads out, of (length, width) in metres; broad ones carry sheds or cars."""
    reach, wide = size
    axes = axes.moved(along, 0, rng.normal(0, 0.03))
    half = wide / 2
    ground.build(axes.rectangle((-half, half), (-40, reach)), tinted(rng, CONCRETE, 14))
    if wide > 20 and rng.random() < 0.7:
        ground.fill(axes.rectangle((-0.6 * half, 0.6 * half), (10, reach - 20)), tinted(rng, (170, 150, 135), 25))
    for side in (-1.0, 1.0):
        ground.berths.append(Berth(axes.at(side * half, 15), axes.at(side * half, reach), side * axes.along))


def build_jetty(rng: np.random.Generator, ground: Ground, axes: Axes, along: float, reach_m: float) -> None:
    """A trestle to a platform with dolphins on both sides of it, where tankers lie."""
    axes = axes.moved(along, 0, rng.normal(0, 0.1))
    colour = tinted(rng, CONCRETE, 12)
    ground.build(axes.rectangle((-2.5, 2.5), (-60, reach_m)), colour)
    half, deep = rng.uniform(14, 45), rng.uniform(12, 34)
    ground.build(axes.rectangle((-half, half), (reach_m - deep, reach_m)), colour)
    ground.fill(axes.rectangle((-0.5 * half, 0.5 * half), (reach_m - 0.7 * deep, reach_m - 0.3 * deep)), (96, 92, 88))
    far = half + rng.uniform(30, 110)
    for place in (-far, -(half + far) / 2, (half + far) / 2, far):
        ground.build(axes.rectangle((place - 4, place + 4), (reach_m - deep / 2 - 4, reach_m - deep / 2 + 4)), colour)
        link = np.array([axes.at(place, reach_m - deep / 2), axes.at(math.copysign(half, place), reach_m - deep / 2)])
        if rng.random() < 0.7:
            for piece in lane(link, 1.6):
                ground.build(piece, colour)
    for out, side in ((reach_m, 1.0), (reach_m - deep, -1.0)):
        ground.berths.append(Berth(axes.at(-far, out), axes.at(far, out), side * axes.out, "tankers"))


def build_mole(rng: np.random.Generator, ground: Ground, axes: Axes, along: float, room_m: float) -> None:
    """A long narrow mole that leads out and turns along the coast; vessels lie on its inner side."""
    out = rng.uniform(0.25, 0.5) * room_m
    turn = float(rng.choice((-1, 1)))
    points = [axes.at(along, -100), axes.at(along, out)]
    points.append(axes.at(along + turn * rng.uniform(0.2, 0.7) * room_m, out + rng.uniform(-0.1, 0.25) * room_m))
    wide = rng.uniform(10, 30)
    for piece in lane(np.array(points), wide + rng.uniform(4, 14)):
        ground.build(piece, tinted(rng, ROCK, 12))
    for piece in lane(np.array(points), wide):
        ground.build(piece, tinted(rng, CONCRETE, 12))
    edge = wide / 2 + 7
    for start, end in pairwise(points):
        ahead = (end - start) / np.linalg.norm(end - start)
        for side in (-1.0, 1.0):
            outward = side * np.array([-ahead[1], ahead[0]])
            ground.berths.append(Berth(start + ahead * 30 + outward * edge, end - ahead * 30 + outward * edge, outward))


def build_marina(rng: np.random.Generator, ground: Ground, axes: Axes, along: Span, reach_m: float) -> None:
    """Floating piers full of boats behind two arms of rocks; a quay for larger boats at the shore."""
    wide = along[1] - along[0]
    axes = axes.moved(along[0], 0)
    ground.build(axes.rectangle((-20, wide + 20), (-120, 6)), tinted(rng, CONCRETE, 12))
    if rng.random() < 0.5:
        paint_pattern(rng, ground, axes, axes.rectangle((0, wide), (-90, -12)), houses)
    paint_pattern(rng, ground, axes, axes.rectangle((8, wide - 8), (24, reach_m - 30)), marina, built=True)
    mouth = rng.uniform(0.2, 0.4) * wide
    for end, way in ((-15.0, 1.0), (wide + 15, -1.0)):
        arm = np.array(
            [axes.at(end, -60), axes.at(end, reach_m), axes.at(end + way * (wide - mouth) / 2, reach_m + 10)]
        )
        for piece in lane(arm, 10):
            ground.build(piece, tinted(rng, ROCK, 14))
    ground.berths.append(Berth(axes.at(0, 6), axes.at(wide, 6), axes.out, "rows"))
    ground.build(disc(axes.at(wide / 2 - mouth / 2, reach_m + 10), 4), tinted(rng, CONCRETE))
