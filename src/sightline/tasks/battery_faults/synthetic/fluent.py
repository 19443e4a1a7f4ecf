"""A pack as Ansys Fluent draws it: colours of a fixed scale, shaded, over a floor that mirrors them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.battery_faults.colour import RANGE_K
from sightline.tasks.battery_faults.synthetic import backdrop
from sightline.tasks.battery_faults.synthetic.backdrop import Picture, scale_colours
from sightline.tasks.battery_faults.synthetic.camera import SIDES, Camera, Pose, View, look
from sightline.tasks.battery_faults.synthetic.pack import Pack
from sightline.tasks.battery_faults.synthetic.rays import Rays, bundle
from sightline.tasks.battery_faults.synthetic.skin import Kelvin, Skin

_LIGHT = np.ones(3) / np.sqrt(3)  # from the upper right of the front: it stays with the pack
_AMBIENT, _DIFFUSE, _GLOSS, _SHININESS = 0.325, 0.497, 0.18, 2.44  # measured in the published pictures
_BEVEL_M = 0.0014
_MIRROR = 0.2
_TABLE = scale_colours(np.linspace(0, 1, 8193))


class Fluent:
    """One video's look.

    `oversampling`: rays a pixel along each side, so that edges are smooth as in the published pictures.
    """

    def __init__(self, camera: Camera, pack: Pack, skin: Skin, oversampling: int = 2) -> None:
        self._camera, self._pack, self._skin, self._times = camera, pack, skin, oversampling
        self._normals, self._sizes = _zones(skin)

    def draw(self, pose: Pose, temperatures: Kelvin, title: str) -> tuple[Picture, NDArray[np.uint8], View]:
        """The picture (h, w, 3), which cell each pixel shows (h, w; 0 none), and the view as it was traced."""
        camera, boxes = self._camera, self._skin.boxes
        picture = backdrop.graded(camera.width_px, camera.height_px).copy()
        floor = backdrop.floor_of(self._pack, pose)
        mirrored = pose.mirrored(floor.axis, floor.level_m)
        self._lay(picture, bundle(look(camera, mirrored, boxes), 1), mirrored, temperatures, _MIRROR)
        backdrop.draw_grid(picture, camera, pose, floor)
        backdrop.cast_shadow(picture, camera, pose, floor, self._pack)
        view = look(camera.finer(self._times), pose, boxes)
        rays = bundle(view, self._times)
        self._lay(picture, rays, pose, temperatures, 1.0)
        backdrop.draw_scale(picture, title, RANGE_K)
        backdrop.draw_triad(picture, pose)
        instances = np.zeros(picture.shape[:2], np.uint8)
        instances[rays.inside] = rays.instances(self._skin.owners)
        return picture, instances, view

    def _lay(self, picture: Picture, rays: Rays, pose: Pose, temperatures: Kelvin, cover: float) -> None:
        """Lay what rays meet over a picture, in place."""
        colours = rays.gather(self._shaded(rays, pose, temperatures)) * np.float32(cover)
        left = 1 - np.float32(cover) * rays.gather()[..., None]
        picture[rays.inside] = np.rint(picture[rays.inside] * left + colours).clip(0, 255).astype(np.uint8)

    def _shaded(self, rays: Rays, pose: Pose, temperatures: Kelvin) -> NDArray[np.float32]:
        """Colours (n, 3) from 0 to 255 of what rays meet."""
        outwards = pose.position - np.array(self._pack.middle_m)
        light = self._normals @ _LIGHT
        diffuse = 255 * (_AMBIENT + _DIFFUSE * np.clip(light, 0, None))
        reflected = 2 * light[:, None] * self._normals - _LIGHT
        towards = np.clip(reflected @ outwards / np.linalg.norm(outwards), 0, None)
        gloss = 255 * _GLOSS * towards**_SHININESS * (light > 0)
        face = rays.face
        zone = 9 * face.astype(np.int32) + 4
        zone += 3 * _edge(rays.row_m, self._sizes[face, 0]) + _edge(rays.column_m, self._sizes[face, 1])
        share = self._skin.sample(temperatures, rays) - np.float32(RANGE_K[0])
        share *= np.float32((len(_TABLE) - 1) / (RANGE_K[1] - RANGE_K[0]))
        place = np.rint(share.clip(0, len(_TABLE) - 1)).astype(np.int32)
        shaded = _TABLE[place] * diffuse.astype(np.float32)[zone, None]
        return np.asarray(shaded + gloss.astype(np.float32)[zone, None])


def _edge(place_m: NDArray[np.float32], size_m: NDArray[np.float32]) -> NDArray[np.int8]:
    """-1 in the bevel at the lower edge, 1 in that at the upper, else 0."""
    bevel = np.float32(_BEVEL_M)
    return (place_m > size_m - bevel).astype(np.int8) - (place_m < bevel)


def _zones(skin: Skin) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Normals (9 * faces, 3), of the middle of each face and of its rounded edges; sizes (faces, 2), metres."""
    normals, sizes = [], []
    for box in skin.boxes:
        for axis in range(3):
            rows, columns = SIDES[axis]
            for side in (-1, 1):
                sizes.append((box.size[rows], box.size[columns]))
                for row in (-1, 0, 1):
                    for column in (-1, 0, 1):
                        normal = np.zeros(3)
                        normal[axis], normal[rows], normal[columns] = side, row, column
                        normals.append(normal / np.linalg.norm(normal))
    return np.array(normals), np.array(sizes, dtype=np.float32)
