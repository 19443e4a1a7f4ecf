"""A pack as a real infrared camera sees it: emissivity, reflections, optics, noise, and counts or colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.battery_faults.synthetic import backdrop
from sightline.tasks.battery_faults.synthetic.camera import Camera, Pose, View, look
from sightline.tasks.battery_faults.synthetic.pack import Box, Pack
from sightline.tasks.battery_faults.synthetic.rays import Rays, bundle
from sightline.tasks.battery_faults.synthetic.skin import Kelvin, Skin

KELVIN_PER_COUNT = 0.01
"""Of 16-bit frames, from 0 K on: FLIR's TLinear in high resolution."""

_PLANCK_K = 1428.0  # of a long-wave camera: radiance goes with 1 / (exp(B / T) - 1)
_FLOOR_BELOW_M = 0.02
_LAMP_WIDTH = 60.0  # sharpness of a reflection: exp(width * (cosine - 1))


class FieldParams(Frozen):
    """The camera, and what is in its way. Pairs are the bounds of a uniform draw."""

    width_px: int = Field(ge=32, le=4096)
    height_px: int = Field(ge=32, le=4096)
    focal_px: float = Field(gt=0)
    oversampling: int = Field(ge=1, le=4, description="rays a pixel along each side")
    psf_px: tuple[float, float] = Field(description="standard deviation of the point spread")
    netd_k: float = Field(ge=0, description="noise of a pixel from frame to frame")
    pattern_k: float = Field(ge=0, description="fixed pattern: of each pixel, and of each column")
    drift_k: float = Field(ge=0, description="of the whole frame between two calibrations, standard deviation")
    vignette_k: float = Field(ge=0, description="most that the corners read too warm or too cold")
    cell_emissivity: tuple[float, float]
    metal_emissivity: tuple[float, float] = Field(description="of tabs and busbars")
    assumed_emissivity: float = Field(gt=0, le=1, description="that the camera corrects for")
    lamp_share: float = Field(ge=0, le=1, description="of the videos, with something hot that the pack reflects")
    lamp_k: tuple[float, float] = Field(description="how much hotter than the surroundings it is")
    background_k: float = Field(ge=0, description="of wall and floor around the ambient, standard deviation")
    texture_k: float = Field(ge=0, description="of the waves on the floor, standard deviation of each")
    occluders: int = Field(ge=0, description="most things that stand in the way")
    occluder_m: tuple[float, float] = Field(description="their width")
    occluder_k: tuple[float, float] = Field(description="over the ambient")
    automatic_share: float = Field(ge=0, le=1, description="of the videos as pictures with a scale, not as counts")


@dataclass(frozen=True)
class FieldScene:
    """What is drawn once a video.

    Attributes:
        emissivity: (boxes,) of each.
        lamp: (3,) direction to it; its kelvin over the surroundings, 0 where there is none.
        wall_k, floor_k: over the ambient; the wall's gradient with height, kelvin.
        texture: (n, 4) of the floor: wave numbers along x and z, phase, kelvin.
        pattern: (h, w) kelvin, the same in each frame.
        psf_px: of the point spread.
    """

    emissivity: NDArray[np.float32]
    lamp: NDArray[np.float64]
    lamp_k: float
    wall_k: tuple[float, float]
    floor_k: float
    texture: NDArray[np.float64]
    pattern: Kelvin
    psf_px: float


def draw_objects(
    rng: np.random.Generator, params: FieldParams, pack: Pack, ambient_k: float
) -> tuple[tuple[Box, float], ...]:
    """Things in front of the pack or behind it, upright or level, as wide as a cable or a hand; with their kelvin."""
    things = []
    for _ in range(int(rng.integers(0, params.occluders, endpoint=True))):
        width, distance = rng.uniform(*params.occluder_m), rng.uniform(0.03, 0.12) * rng.choice([-1, 1, 1, 1])
        if rng.random() < 0.6:
            x = rng.uniform(-0.55, 0.55) * pack.width_m
            low, high = (x, -0.02, distance), (x + width, rng.uniform(0.5, 1.6) * pack.cell_m[1], distance + width)
        else:
            y, left = rng.uniform(0, 1) * pack.cell_m[1], rng.uniform(-0.7, 0.2) * pack.width_m
            low, high = (left, y, distance), (left + rng.uniform(0.3, 0.6) * pack.width_m, y + width, distance + width)
        things.append((Box("object", 0, low, high), ambient_k + float(rng.uniform(*params.occluder_k))))
    return tuple(things)


def draw_field_scene(rng: np.random.Generator, params: FieldParams, skin: Skin) -> FieldScene:
    """A camera and the surroundings that it sees."""
    metal = np.array([box.kind in ("tab", "busbar") for box in skin.boxes])
    bounds = np.where(metal, np.array(params.metal_emissivity)[:, None], np.array(params.cell_emissivity)[:, None])
    lamp = rng.standard_normal(3) + np.array([0, 0.5, 1.0])
    shape = (params.height_px, params.width_px)
    across, down = np.linspace(-1, 1, shape[1]), np.linspace(-1, 1, shape[0])[:, None]
    vignette = rng.uniform(-1, 1) * params.vignette_k * (across * across + down * down) / 2
    pattern = params.pattern_k * (rng.standard_normal(shape) + rng.standard_normal((1, shape[1])))
    return FieldScene(
        emissivity=np.asarray(rng.uniform(bounds[0], bounds[1]), dtype=np.float32),
        lamp=lamp / np.linalg.norm(lamp),
        lamp_k=float(rng.uniform(*params.lamp_k)) if rng.random() < params.lamp_share else 0.0,
        wall_k=(float(rng.normal(0, params.background_k)), float(rng.normal(0, params.background_k))),
        floor_k=float(rng.normal(0, params.background_k)),
        texture=np.stack(
            [rng.normal(0, 25, 6), rng.normal(0, 25, 6), rng.uniform(0, 6.3, 6), rng.normal(0, params.texture_k, 6)], 1
        ),
        pattern=np.asarray(pattern + vignette, dtype=np.float32),
        psf_px=float(rng.uniform(*params.psf_px)),
    )


class Infrared:
    """One video's look."""

    def __init__(self, camera: Camera, skin: Skin, params: FieldParams, scene: FieldScene, ambient_k: float) -> None:
        self._camera, self._skin, self._params, self._scene = camera, skin, params, scene
        self._ambient_k = ambient_k

    def draw(
        self, rng: np.random.Generator, pose: Pose, temperatures: Kelvin
    ) -> tuple[Kelvin, NDArray[np.uint8], View]:
        """What the camera reads (h, w) in kelvin, which cell each pixel shows, and the view as it was traced."""
        import cv2

        view = look(self._camera.finer(self._params.oversampling), pose, self._skin.boxes)
        rays = bundle(view, self._params.oversampling)
        radiance = self._background(pose)
        part = radiance[rays.inside] * (1 - rays.gather()) + rays.gather(self._radiance(rays, pose, temperatures))
        radiance[rays.inside] = part
        radiance = cv2.GaussianBlur(radiance, (0, 0), self._scene.psf_px, borderType=cv2.BORDER_REPLICATE)
        assumed = np.float32(self._params.assumed_emissivity)
        reflected = radiance_of(np.float32(self._ambient_k)) * (1 - assumed)
        kelvin = kelvin_of((radiance - reflected) / assumed)
        kelvin += self._scene.pattern + np.float32(rng.normal(0, self._params.drift_k))
        kelvin += np.float32(self._params.netd_k) * rng.standard_normal(kelvin.shape, dtype=np.float32)
        instances = np.zeros(kelvin.shape, np.uint8)
        instances[rays.inside] = rays.instances(self._skin.owners)
        return kelvin, instances, view

    def _radiance(self, rays: Rays, pose: Pose, temperatures: Kelvin) -> Kelvin:
        """Of what rays meet: its own, and what it reflects."""
        emissivity = self._scene.emissivity[rays.face // 6]
        own = radiance_of(self._skin.sample(temperatures, rays))
        around = np.full(len(own), radiance_of(np.float32(self._ambient_k)), dtype=np.float32)
        if self._scene.lamp_k:
            around += self._lamp(rays, pose)
        return np.asarray(emissivity * own + (1 - emissivity) * around, dtype=np.float32)

    def _lamp(self, rays: Rays, pose: Pose) -> Kelvin:
        """Radiance that the lamp adds to what a face reflects towards each ray."""
        width = rays.shape[1]
        rows, columns = np.divmod(rays.pixel, width)
        x = (rays.window[0] + columns + 0.5 - self._camera.x_px) / self._camera.focal_px
        y = (rays.window[1] + rows + 0.5 - self._camera.y_px) / self._camera.focal_px
        length = np.sqrt(x * x + y * y + 1)
        axis, side = rays.face % 6 // 2, rays.face % 2
        flip = np.where(np.arange(3) == axis[:, None], -1, 1) * self._scene.lamp  # the lamp in the face's mirror
        towards = flip @ pose.rotation.T
        cosine = (towards[:, 0] * x + towards[:, 1] * y + towards[:, 2]) / length
        facing = np.where(side == 1, self._scene.lamp[axis], -self._scene.lamp[axis]) > 0
        hot = radiance_of(np.float32(self._ambient_k + self._scene.lamp_k)) - radiance_of(np.float32(self._ambient_k))
        return np.asarray(hot * facing * np.exp(_LAMP_WIDTH * (cosine - 1)), dtype=np.float32)

    def _background(self, pose: Pose) -> Kelvin:
        """Radiance of wall and floor, (h, w)."""
        camera, scene = self._camera, self._scene
        x = (np.arange(camera.width_px, dtype=np.float32) + 0.5 - camera.x_px) / camera.focal_px
        y = (np.arange(camera.height_px, dtype=np.float32)[:, None] + 0.5 - camera.y_px) / camera.focal_px
        turned = pose.rotation.astype(np.float32)
        ray = [turned[0, axis] * x + turned[1, axis] * y + turned[2, axis] for axis in range(3)]
        above = pose.position[1] + _FLOOR_BELOW_M
        to_floor = np.float32(-above) / np.where(np.abs(ray[1]) < 1e-6, np.float32(1e-6), ray[1])
        floor = (to_floor > 0) & (to_floor < 3)
        kelvin = np.float32(self._ambient_k + scene.wall_k[0]) + np.float32(scene.wall_k[1]) * np.clip(ray[1], -1, 1)
        along = [(np.float32(pose.position[axis]) + to_floor * ray[axis])[floor] for axis in (0, 2)]
        lying = np.full(along[0].shape, self._ambient_k + scene.floor_k, dtype=np.float32)
        for first, second, phase, waves_k in scene.texture.astype(np.float32):
            lying += waves_k * np.sin(first * along[0] + second * along[1] + phase)
        kelvin[floor] = lying
        return np.asarray(radiance_of(kelvin), dtype=np.float32)


def radiance_of(kelvin: Kelvin | np.float32) -> Kelvin:
    """In units of the camera's own, of a black body."""
    return np.asarray(1 / np.expm1(np.float32(_PLANCK_K) / kelvin), dtype=np.float32)


def kelvin_of(radiance: Kelvin) -> Kelvin:
    """Of the black body with this radiance."""
    return np.asarray(np.float32(_PLANCK_K) / np.log1p(1 / radiance), dtype=np.float32)


def counts_of(kelvin: Kelvin) -> NDArray[np.uint16]:
    """16-bit frames of `KELVIN_PER_COUNT`."""
    counts: NDArray[np.uint16] = np.rint(kelvin / np.float32(KELVIN_PER_COUNT)).clip(0, 65535).astype(np.uint16)
    return counts


def picture_of(kelvin: Kelvin, range_k: tuple[float, float]) -> backdrop.Picture:
    """Colours of a scale, drawn beside them: what a camera without radiometry records."""
    low, high = range_k
    colours = backdrop.scale_colours((kelvin - np.float32(low)) / np.float32(high - low))
    picture = np.rint(255 * colours).astype(np.uint8)
    backdrop.draw_scale(picture, "temperature", range_k)
    return picture
