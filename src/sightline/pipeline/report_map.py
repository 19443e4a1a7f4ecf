"""A map as SVG: where pictures were taken, which ground they show, and what was found. No tiles from anywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.pipeline.delivery import Delivery, Picture, position_of
from sightline.shots.ground import offsets_of

_APART_M = 100.0  # pictures of one flight follow each other closely; a gap of one to two hundred metres ends a site
_MARGIN_PX = 30
_DRAWN = 5000  # most footprints and points of each kind: a browser draws no more with ease
_SEVERITY_ORDER = ("unknown", "", "low", "medium", "high")  # the last lie on top

Lonlat = NDArray[np.float64]


def draw_maps(delivery: Delivery) -> list[str]:
    """A map of each site as an SVG element, in the order of the pictures; empty where nothing has a place."""
    located = [(picture, place) for picture in delivery.pictures if (place := _place(picture)) is not None]
    return [_draw(pictures) for pictures in _sites(located)]


def _found(pictures: Sequence[Picture]) -> list[tuple[str, float, float]]:
    """Severity, longitude and latitude of what was found, the worst last, so that they are drawn above the others."""
    found = []
    for picture in pictures:
        for finding in picture.findings:
            lon, lat, _ = position_of(picture, finding)
            if lon is not None and lat is not None:
                found.append((finding["severity"], lon, lat))
    return sorted(found, key=lambda one: _SEVERITY_ORDER.index(one[0]))


def _draw(pictures: Sequence[Picture]) -> str:
    marks = _Marks(
        [corners for picture in pictures if (corners := picture.footprint) is not None],
        [place for picture in pictures if (place := _camera(picture)) is not None],
        _found(pictures),
    )
    paper = _Paper(marks.places())
    parts = [*marks.draw(paper), paper.scale_bar()]
    return (
        f'<svg class="map" viewBox="0 0 {paper.width:.0f} {paper.height:.0f}" role="img"'
        f' aria-label="Map of {len(pictures):,} pictures">{"".join(parts)}</svg>'
    )


@dataclass(frozen=True)
class _Marks:
    """What a map of a site shows.

    Attributes:
        outlines: of the ground in each picture, as longitudes and latitudes.
        cameras: longitude and latitude of each.
        found: severity, longitude and latitude; the worst last.
    """

    outlines: Sequence[Lonlat]
    cameras: Sequence[tuple[float, float]]
    found: Sequence[tuple[str, float, float]]

    def places(self) -> Lonlat:
        """All points, (n, 2)."""
        findings = ((lon, lat) for _, lon, lat in self.found)
        corners = (tuple(corner) for outline in self.outlines for corner in outline)
        return np.array([*self.cameras, *findings, *corners], dtype=np.float64)

    def draw(self, paper: _Paper) -> Iterator[str]:
        """The elements, those that lie on top last."""
        for outline in self.outlines[:_DRAWN]:
            yield f'<polygon class="ground" points="{paper.points(outline)}"/>'
        for lon, lat in self.cameras[:_DRAWN]:
            yield paper.dot(lon, lat, "camera", 2)
        for severity, lon, lat in self.found[-_DRAWN:]:
            yield paper.dot(lon, lat, f"finding severity-{severity or 'none'}", 4)


def _camera(picture: Picture) -> tuple[float, float] | None:
    lon, lat = picture.shot.lon, picture.shot.lat
    return None if lon is None or lat is None else (lon, lat)


def _place(picture: Picture) -> tuple[float, float] | None:
    """Where a picture was taken, else where something in it lies: longitude and latitude."""
    if (camera := _camera(picture)) is not None:
        return camera
    if picture.footprint is not None:
        return float(picture.footprint[0][0]), float(picture.footprint[0][1])
    placed = (position_of(picture, finding) for finding in picture.findings)
    return next(((lon, lat) for lon, lat, _ in placed if lon is not None and lat is not None), None)


def _sites(located: Sequence[tuple[Picture, tuple[float, float]]]) -> list[list[Picture]]:
    """Pictures that hang together: a drawing of two parks some kilometres apart would show two dots."""
    if not located:
        return []
    places = np.array([place for _, place in located], dtype=np.float64)
    offsets_m = offsets_of(places, places[0], float(places[:, 1].mean()))
    cells: dict[tuple[int, int], list[int]] = {}
    for index, (x, y) in enumerate(np.floor(offsets_m / _APART_M).astype(int).tolist()):
        cells.setdefault((x, y), []).append(index)
    sites = []
    while cells:
        sites.append(sorted(_take_site(cells)))
    return [[located[index][0] for index in members] for members in sorted(sites)]


def _take_site(cells: dict[tuple[int, int], list[int]]) -> list[int]:
    """What lies in a cell and in those that hang together with it; they are taken out of `cells`."""
    ahead, members = [next(iter(cells))], []
    while ahead:
        x, y = ahead.pop()
        members += cells.pop((x, y), [])
        ahead += [near for near in ((x + i, y + j) for i in (-1, 0, 1) for j in (-1, 0, 1)) if near in cells]
    return members


class _Paper:
    """Longitudes and latitudes to the pixels of a drawing that holds all of them in its middle."""

    width = 720
    _tallest = 540

    def __init__(self, places: Lonlat) -> None:
        self._origin, self._lat = places[0], float(places[:, 1].mean())
        across_m = self._metres(places)
        self._low = across_m.min(axis=0)
        wide_m, tall_m = np.maximum(across_m.max(axis=0) - self._low, 1.0).tolist()
        self.px_per_m = min((self.width - 2 * _MARGIN_PX) / wide_m, (self._tallest - 2 * _MARGIN_PX) / tall_m)
        self._left = (self.width - wide_m * self.px_per_m) / 2
        self.height = tall_m * self.px_per_m + 3 * _MARGIN_PX  # the scale bar has a margin of its own

    def _metres(self, places: Sequence[tuple[float, float]] | Lonlat) -> Lonlat:
        return offsets_of(places, self._origin, self._lat)

    def pixels(self, places: Sequence[tuple[float, float]] | Lonlat) -> Lonlat:
        """(n, 2) in the drawing, y down."""
        metres = self._metres(places) - self._low
        x = metres[:, 0] * self.px_per_m + self._left
        y = self.height - 2 * _MARGIN_PX - metres[:, 1] * self.px_per_m
        return np.column_stack([x, y])

    def points(self, places: Lonlat) -> str:
        """Of a polygon."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.pixels(places))

    def dot(self, lon: float, lat: float, kind: str, radius: int) -> str:
        """A circle."""
        x, y = self.pixels([(lon, lat)])[0]
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'

    def scale_bar(self) -> str:
        """A bar of a round length, about a fifth of the drawing."""
        wanted_m = self.width / 5 / self.px_per_m
        power = 10.0 ** math.floor(math.log10(wanted_m))
        length_m = max(step * power for step in (1, 2, 5) if step * power <= wanted_m)
        x, y = _MARGIN_PX, self.height - _MARGIN_PX / 2
        name = f"{length_m:g} m" if length_m < 1000 else f"{length_m / 1000:g} km"
        end = x + length_m * self.px_per_m
        bar = f'<path class="scale" d="M{x} {y}H{end:.1f}"/>'
        return f'{bar}<text class="scale" x="{end + 6:.1f}" y="{y + 4}">{name}</text>'
