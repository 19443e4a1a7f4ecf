"""The synthetic set of `panel_defects`, in the layout of the photographs: JPEG and one COCO document with polygons.

    _annotations.coco.json
    images/Dust-12-_jpg.rf.0f3a....jpg

As in the real set a name begins with what the picture was taken for, many have no defect, and some are there twice
with another brightness and compression.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from sightline.files import replace_bytes, write_json
from sightline.geometry import Polygon, polygon_area
from sightline.params import Frozen
from sightline.task import Progress
from sightline.tasks.panel_defects.coco import Photograph, Shape, coco_document
from sightline.tasks.panel_defects.data import CLASSES, DOCUMENT
from sightline.tasks.panel_defects.synthetic.panel_scene import SceneParams, View, draw_panels, photograph
from sightline.tasks.panel_defects.synthetic.soiling import SPOILS, Area, SoilingParams
from sightline.vision.synthesis import Floats, random_stream

_PREFIXES = ("Clean", "Bird", "Dust", "Electrical", "Physical", "Snow")  # in the order of CLASSES
_FINE = 4  # outlines are traced on a grid this much finer, so that a line of one pixel has an area


class SampleParams(Frozen):
    """Everything the synthetic set depends on."""

    seed: int = Field(ge=0)
    scenes: int = Field(ge=1)
    side_px: int = Field(ge=32, le=2048)
    shares: tuple[float, float, float, float, float, float] = Field(
        description="of scenes by their main defect, as the classes"
    )
    second_share: float = Field(ge=0, le=1, description="of spoilt scenes that have droppings too")
    repeated_share: float = Field(ge=0, le=1, description="of scenes that are there twice")
    jpeg_quality: tuple[int, int]
    least_area_px: float = Field(ge=0, description="smaller areas are not labelled")
    outline_px: float = Field(ge=0, description="how closely a polygon follows its area")
    scene: SceneParams
    soiling: SoilingParams


def write_sample(root: Path, params: SampleParams, progress: Progress) -> None:
    """Write the set into `root`. The same parameters give the same bytes (on one type of CPU).

    Each scene has a random stream of its own, so it does not depend on how many others there are.
    """
    images = root / "images"
    images.mkdir(parents=True, exist_ok=True)
    listed: list[Photograph] = []
    for number in range(params.scenes):
        kind, rng = _kind(params, number), random_stream(params.seed, number)
        view = _view(rng, params, kind)
        shapes = tuple(shape for name, area in view.areas.items() for shape in _shapes(area, name, params))
        exposed = view.colour + params.scene.noise * rng.standard_normal(view.colour.shape)
        for _ in range(2 if rng.random() < params.repeated_share else 1):
            content = _jpeg(rng, params, exposed)
            digest = hashlib.sha256(content).hexdigest()[:32]
            name = f"{_PREFIXES[kind]}-{number + 1}-_jpg.rf.{digest}.jpg"
            replace_bytes(images / name, content)
            listed.append(Photograph(name, params.side_px, params.side_px, shapes, "", ""))
        progress.advance(number + 1, params.scenes, f"scene {number + 1}/{params.scenes}")
    write_json(root / DOCUMENT, coco_document(listed, CLASSES))


def _kind(params: SampleParams, scene: int) -> int:
    """The main class of a scene; which scene has which is drawn once for the whole set, so that the shares are met."""
    ends = np.cumsum(params.shares) / sum(params.shares)
    order = np.random.Generator(np.random.PCG64(params.seed)).permutation(params.scenes)
    return int(np.searchsorted(ends, (order[scene] + 0.5) / params.scenes))


def _view(rng: np.random.Generator, params: SampleParams, kind: int) -> View:
    """Panels, spoilt on their surface, then looked at."""
    flat = draw_panels(rng, params.scene)
    kinds = [CLASSES[kind]] if kind else []
    if kinds and kinds != ["bird-drop"] and rng.random() < params.second_share:
        kinds.append("bird-drop")
    areas: dict[str, Area] = {}
    for name in kinds:
        flat, areas[name] = SPOILS[name](rng, params.soiling, flat, params.scene.cell_px)
    return photograph(rng, params.scene, params.side_px, flat, areas)


def _jpeg(rng: np.random.Generator, params: SampleParams, colour: Floats) -> bytes:
    """One export of a photograph: a little brighter or darker, more or less compressed."""
    pixels = np.clip(colour * rng.uniform(0.96, 1.04) * 255, 0, 255).round().astype(np.uint8)
    content = io.BytesIO()
    quality = int(rng.integers(params.jpeg_quality[0], params.jpeg_quality[1] + 1))
    Image.fromarray(pixels).save(content, format="JPEG", quality=quality)
    return content.getvalue()


def _shapes(area: NDArray[np.bool_], name: str, params: SampleParams) -> list[Shape]:
    """A polygon around each connected part, not to the pixel.

    COCO has no holes: the ring goes over to a hole and back on the same line, which the even-odd rule does not see.
    """
    import cv2

    fine = np.repeat(np.repeat(area.astype(np.uint8), _FINE, axis=0), _FINE, axis=1)
    outlines, tree = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_ring(outline, params) for outline in outlines]
    shapes = []
    for number, ring in enumerate(rings):
        if tree[0, number, 3] >= 0 or polygon_area(ring) < params.least_area_px:
            continue
        inner = [hole for hole, (_, _, _, parent) in zip(rings, tree[0], strict=True) if parent == number]
        holes = [hole for hole in inner if polygon_area(hole) >= params.least_area_px]
        shapes.append(Shape(CLASSES.index(name), (_joined(ring, holes),)))
    return shapes


def _joined(ring: Polygon, holes: Sequence[Polygon]) -> Polygon:
    return np.concatenate([ring] + [part for hole in holes for part in (ring[:1], hole, hole[:1])])


def _ring(outline: NDArray[np.int32], params: SampleParams) -> Polygon:
    """(k, 2) corners of a traced outline in pixels of the picture."""
    import cv2

    corners = cv2.approxPolyDP(outline, params.outline_px * _FINE, closed=True)[:, 0]
    return np.asarray((corners + 0.5) / _FINE, dtype=np.float64)
