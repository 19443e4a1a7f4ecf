"""The frames of simulated videos, as pixels and as temperatures; no file is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.tasks.battery_faults.colour import RANGE_K
from sightline.tasks.battery_faults.params import SyntheticParams
from sightline.tasks.battery_faults.synthetic.camera import Pose, View
from sightline.tasks.battery_faults.synthetic.field import (
    KELVIN_PER_COUNT,
    Infrared,
    counts_of,
    draw_field_scene,
    draw_objects,
    picture_of,
)
from sightline.tasks.battery_faults.synthetic.fluent import Fluent
from sightline.tasks.battery_faults.synthetic.heat import Heat
from sightline.tasks.battery_faults.synthetic.plan import draw_scene, generator
from sightline.tasks.battery_faults.synthetic.scene import Scene
from sightline.tasks.battery_faults.synthetic.skin import Kelvin, Skin
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Scale, Thermometer

_AUTOMATIC_K = (2.0, 25.0)  # a scale begins so far below the first frame, and is so long


@dataclass(frozen=True)
class Exposure:
    """One frame of a simulated video.

    Attributes:
        pixels: (h, w, 3) uint8 or (h, w) uint16, as its file has them.
        instances: (h, w) which cell a pixel shows, 1 .. from the left; 0: none.
        share: (cells,) of each cell's pixels that nothing hides and that are in the picture.
        rise_k: (cells,) how much the warmest-grown place of its surface has warmed since the first frame.
        shown_k: (cells,) the same of the places that are in sight; 0 where none is.
        time_s: since the first frame.
        scale: what the pixels mean.
    """

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    instances: NDArray[np.uint8]
    share: NDArray[np.float64]
    rise_k: NDArray[np.float64]
    shown_k: NDArray[np.float64]
    time_s: float
    scale: Scale


def thermals(params: SyntheticParams, number: int, width_px: int | None = None) -> Iterator[tuple[Thermal, Exposure]]:
    """A video as temperatures, as a model reads them from its frames, and what is true of each; no file is written.

    `width_px`: of smaller pictures, which are drawn faster; None: as in the parameters.
    """
    scene = draw_scene(params, number, width_px)
    thermometer: Thermometer | None = None
    for frame, exposure in enumerate(exposures(scene, params)):
        thermometer = thermometer or Thermometer(exposure.scale)
        yield thermometer.measure(Frame(exposure.pixels, frame, exposure.time_s)), exposure


def exposures(scene: Scene, params: SyntheticParams) -> Iterator[Exposure]:
    """The frames of a scene, one after the other."""
    rng = generator(params, scene.number, 1)
    ambient = scene.case.surroundings.ambient_k
    field = scene.look == "field"
    things = draw_objects(rng, params.field, scene.case.pack, ambient) if field else ()
    heat = Heat(scene.case, params.grid)
    if field and params.uneven.settled_s:
        heat.settle(params.uneven.settled_s)
    skin = Skin(heat, things)
    artist = _FieldArtist(scene, params, skin, rng) if field else _FluentArtist(scene, params, skin)
    before, first = _surfaces(heat), skin.temperatures()
    for frame, pose in enumerate(scene.poses):
        if frame:
            heat.advance(params.frame_s)
        temperatures = skin.temperatures()
        pixels, instances, view, scale = artist.draw(frame, pose, temperatures)
        rises = (_surfaces(heat) - before).max(axis=1).astype(np.float64)
        shown = skin.highest(temperatures - first, view, scene.case.pack.cells)
        yield Exposure(pixels, instances, view.share, rises, shown, frame * params.frame_s, scale)


def _surfaces(heat: Heat) -> Kelvin:
    """All faces of each cell, (cells, places)."""
    return np.concatenate([side.reshape(len(side), -1) for side in heat.surfaces()], axis=1)


_Drawn = tuple[NDArray[np.uint8] | NDArray[np.uint16], NDArray[np.uint8], View, Scale]


class _FluentArtist:
    """Frames as Fluent draws them."""

    def __init__(self, scene: Scene, params: SyntheticParams, skin: Skin) -> None:
        self._look = Fluent(scene.camera, scene.case.pack, skin, params.fluent.oversampling)
        self._first = scene.poses[0]

    def draw(self, frame: int, pose: Pose, temperatures: Kelvin) -> _Drawn:
        """A frame, which cell each pixel shows, the view, and what the colours mean."""
        del frame
        still = np.array_equal(pose.position, self._first.position)
        title = "contour-1" if still else "temperature"  # as the published pictures have it
        picture, instances, view = self._look.draw(pose, temperatures, title)
        return picture, instances, view, Scale(bar_k=RANGE_K)


class _FieldArtist:
    """Frames of a real camera: counts, or pictures with a scale that the first frame sets."""

    def __init__(self, scene: Scene, params: SyntheticParams, skin: Skin, rng: np.random.Generator) -> None:
        given = params.field.model_copy(update={"width_px": scene.camera.width_px, "height_px": scene.camera.height_px})
        self._rng = rng
        self._automatic = bool(rng.random() < given.automatic_share)
        self._range_k: tuple[float, float] | None = None
        surroundings = draw_field_scene(rng, given, skin)
        self._look = Infrared(scene.camera, skin, given, surroundings, scene.case.surroundings.ambient_k)

    def draw(self, frame: int, pose: Pose, temperatures: Kelvin) -> _Drawn:
        """A frame, which cell each pixel shows, the view, and what the counts or colours mean."""
        del frame
        kelvin, instances, view = self._look.draw(self._rng, pose, temperatures)
        if not self._automatic:
            return counts_of(kelvin), instances, view, Scale(KELVIN_PER_COUNT)
        if self._range_k is None:
            low = float(np.floor(np.percentile(kelvin, 1) - _AUTOMATIC_K[0]))
            self._range_k = (low, low + _AUTOMATIC_K[1])
        return picture_of(kelvin, self._range_k), instances, view, Scale(bar_k=self._range_k)
