"""A trained model of these tasks: reading, predicting, drawing, saving and restoring. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from sightline.limits import Cost, Limits
from sightline.stopping import check
from sightline.task import Finding, Json, Prediction
from sightline.tasks.panel_defects.augment import Normalisation
from sightline.tasks.panel_defects.domain import Domain, domain_of
from sightline.tasks.panel_defects.params import InputParams
from sightline.tasks.panel_defects.picture import Picture, picture_of_chip
from sightline.tasks.panel_defects.pixels import PixelClassifier
from sightline.vision.answers import Words, box_of
from sightline.vision.images import noise_picture
from sightline.vision.masks import PIXELS, geojson, in_pixels, polygons_of
from sightline.vision.saved import ModelKind, SavedModel, SavedRecipe
from sightline.vision.scaling import enlarged_rows, scaled
from sightline.vision.session import GRAPH, WEIGHTS, Segmented, Segmenter
from sightline.vision.tiling import Tiling

if TYPE_CHECKING:
    from shapely import Polygon

Method = Literal["network", "pixels"]

_EMBEDDED = 8
"""Side of the grid on which the plain classifier's answer is averaged for its embedding."""

_EXAMPLE_PX = 256

_STRIP_PX = 1 << 21
"""About how many pixels of the answer are decided together."""

_SHOWN_PX = 2048
"""Most pixels of a side in pictures."""

_FIXED_BYTES, _SEEN_BYTES = 64 * 2**20, 80
"""Held while a picture is answered: whatever its size, and for each pixel at the network's scale."""


class Recipe(SavedRecipe):
    """All that turns a picture into the graph's input.

    Attributes:
        method: a network, or the plain classifier.
        mean, std: of the bands, see `Normalisation`.
        found: the classes that its answer has, in its order.
        sigmas_px: of the plain classifier's surroundings.
        class_weights: the probabilities are multiplied with them before the greatest is taken.
    """

    before: ClassVar[Mapping[str, Mapping[str, Json]]] = {"input": {"longest_px": 2048}}

    method: Method
    input: InputParams
    mean: tuple[float, ...]
    std: tuple[float, ...] = Field(validation_alias=AliasChoices("std", "spread"))  # cards of before say spread
    found: tuple[int, ...]
    sigmas_px: tuple[float, ...] = ()
    class_weights: tuple[float, ...] = ()

    @property
    def normalisation(self) -> Normalisation:
        """Of the bands."""
        return Normalisation(self.mean, self.std)

    @property
    def files(self) -> set[str]:
        """Of a model of this recipe."""
        return {GRAPH, WEIGHTS} if self.method == "network" else {GRAPH}

    def seen_size(self, size: tuple[int, ...]) -> tuple[int, int]:
        """(h, w) at which a picture of (h, w) is looked at."""
        scale = min(self.input.scale, self.input.longest_px / max(size))
        height, width = (max(round(length * scale), 1) for length in size)
        return height, width


def kind_of(domain: Domain) -> ModelKind[Recipe]:
    """What the saved models of a domain have in common."""
    return ModelKind(domain.name, Recipe, domain.classes, domain.formats, domain.conditions)


@dataclass(frozen=True)
class Answer:
    """What was found in one picture: the mask (h, w) at the picture's own size, and its pixels' mean certainty."""

    mask: NDArray[np.uint8]
    certainty: float
    embedding: NDArray[np.float32]


@dataclass(frozen=True)
class Region:
    """A connected region of one class: its outline in pixels, its class, its area, and x0, y0, x1, y1 around it."""

    polygon: Polygon
    kind: str
    area_px: float
    box: tuple[float, float, float, float]

    @property
    def properties(self) -> dict[str, Json]:
        """As JSON, without the outline."""
        return {"class": self.kind, "area_px": self.area_px, "box": list(self.box)}


@dataclass
class SegmentationModel(SavedModel[Recipe]):
    """See `sightline.task.Model`."""

    @staticmethod
    def kind_of(task: str, /) -> ModelKind[Recipe]:
        """See `SavedModel`."""
        return kind_of(domain_of(task))

    @cached_property
    def domain(self) -> Domain:
        """Which of the two tasks it is of."""
        return domain_of(self.card.task)

    @cached_property
    def _segment(self) -> Callable[[NDArray[np.float32]], Segmented]:
        """The session, opened at the first answer: of (bands, h, w)."""
        recipe, graph = self.recipe, self.files[GRAPH]
        if recipe.method == "network":
            return Segmenter(graph, recipe.input.window_px, recipe.input.overlap_px, self.threads)
        classify = PixelClassifier(graph, recipe.found, len(self.card.classes), recipe.sigmas_px, self.threads)

        def segment(bands: NDArray[np.float32]) -> Segmented:
            probabilities = classify(bands)
            return Segmented(probabilities, _grid_means(probabilities))

        return segment

    def read(self, source: Path | bytes, limits: Limits) -> Picture:
        """Decode a picture. Raises DataMissing or DataRejected."""
        return self.domain.picture(source, limits)

    def weigh(self, source: Path | bytes, limits: Limits, _: Mapping[str, float]) -> Cost:
        """What a picture takes, by its head. Raises DataMissing or DataRejected."""
        recipe, (head, values) = self.recipe, self.domain.head(source, limits)
        height, width = recipe.seen_size(head)
        seen_px = height * width
        if recipe.method == "network":
            seen_px = Tiling(recipe.input.window_px, recipe.input.overlap_px).seen_px(height, width)
        held_bytes = _FIXED_BYTES + self.domain.pixel_bytes * math.prod(head) + _SEEN_BYTES * height * width
        return Cost(head, values // self.domain.bands, seen_px, held_bytes)

    def example(self) -> bytes:
        """Noise of the domain's bands."""
        return noise_picture(self.domain.bands, _EXAMPLE_PX, _EXAMPLE_PX, self.domain.example_high)

    def segment(self, picture: Picture) -> Answer:
        """Mask and certainty of one picture."""
        height, width = picture.pixels.shape[:2]
        return decide(self.probabilities(picture), self.recipe.class_weights, (height, width), picture.valid)

    def under(self, source: Picture, conditions: Mapping[str, float]) -> Picture:
        """The picture with an offset of its counts: see `sightline.capabilities.Conditioned`."""
        if source.chip is None:
            raise TypeError(f"{self.card.task} has no conditions")
        return picture_of_chip(source.chip.shifted(conditions["offset"]))

    def probabilities(self, picture: Picture) -> Segmented:
        """Probabilities of the classes at the network's scale, before they are weighted."""
        recipe = self.recipe
        pixels = scaled(picture.pixels, *recipe.seen_size(picture.pixels.shape[:2]))
        unit = np.float32(1 / 255 if pixels.dtype == np.uint8 else 1)
        return self._segment(np.ascontiguousarray(recipe.normalisation(pixels * unit).transpose(2, 0, 1)))

    def predict(self, batch: Sequence[Picture]) -> list[Prediction]:
        """Answer pictures, each by itself: no answer depends on another."""
        return [self.answer(picture, self.segment(picture)) for picture in batch]

    def answer(self, picture: Picture, found: Answer) -> Prediction:
        """The prediction of one picture from its mask."""
        height, width = found.mask.shape
        classes = self.card.classes
        seen = found.mask.ravel() if picture.valid is None else found.mask[picture.valid]
        counted = (np.bincount(seen, minlength=len(classes)) / seen.size).tolist()
        shares = dict(zip(classes, map(float, counted), strict=True))
        rounded = {name: round(share, 6) for name, share in shares.items()}
        regions = self._regions(found)
        document: dict[str, Json] = {
            "image": {"width": width, "height": height, "sha256": picture.sha256},
            "no_data": round(picture.no_data_share, 6),
            "note": picture.note,
            "shares": rounded,
            "certainty": round(found.certainty, 6),
            "regions": [region.properties for region in regions],
        }
        row: dict[str, float | int | str] = {f"input_{name}": value for name, value in picture.statistics.items()}
        row |= {f"output_share_{name}": share for name, share in shares.items()}
        row |= {"output_regions": len(regions), "output_certainty": found.certainty}
        features = geojson((region.polygon, region.properties) for region in regions)
        exports, rasters = {PIXELS: in_pixels(features)}, {"mask": found.mask}
        return Prediction(row, found.embedding, document, exports, rasters, **_in_words(rounded, regions))

    def _regions(self, found: Answer) -> list[Region]:
        """The regions of each class but the background, the largest first."""
        regions = []
        for index, name in enumerate(self.card.classes[1:], start=1):
            check()
            for polygon in polygons_of(found.mask == index, self.recipe.input.least_region_px):
                box = box_of([round(value, 2) for value in polygon.bounds])
                regions.append(Region(polygon, name, round(polygon.area, 1), box))
        return sorted(regions, key=lambda region: -region.area_px)

    def draw(self, source: Picture, prediction: Prediction) -> NDArray[np.uint8]:
        """The picture, and beside it the same with the classes' colours laid over it; a large one is made smaller."""
        step = -(-max(source.display.shape) // _SHOWN_PX)
        shown = replace(source, display=source.display[::step, ::step])
        mask = prediction.rasters["mask"][::step, ::step].astype(np.uint8)
        return np.concatenate([shown.display, self.overlay(shown, mask)], axis=1)

    def overlay(self, source: Picture, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture (h, w, 3) with a mask's classes in colour."""
        colours = np.array(self.domain.colours, dtype=np.float32)[mask]
        mixed = np.where(mask[..., None] > 0, 0.5 * source.display + 0.5 * colours, source.display)
        return np.asarray(mixed, dtype=np.uint8)


def _in_words(shares: Mapping[str, float], regions: Sequence[Region]) -> Words:
    """Shares of the classes but the background, and regions."""
    shares = dict(list(shares.items())[1:])
    seen = [f"{name} {share:.1%}" for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0]
    findings = tuple(Finding(region.kind, 1.0, region.box, figures={"area_px": region.area_px}) for region in regions)
    summary = {f"share_{name}": share for name, share in shares.items()}
    return {"found": ", ".join(seen) or "nothing", "summary": summary, "findings": findings}


def decide(
    found: Segmented, class_weights: Sequence[float], size: tuple[int, int], valid: NDArray[np.bool_] | None = None
) -> Answer:
    """The class with the greatest weighted probability for each pixel of a picture of this size (h, w).

    Where there are no data (`valid` is False), it is background, and counts nothing.
    """
    weights = np.array(class_weights or [1.0] * len(found.probabilities), dtype=np.float32)[:, None, None]
    probabilities = found.probabilities * weights
    probabilities /= probabilities.sum(axis=0)
    mask = np.zeros(size, dtype=np.uint8)
    certain = 0.0
    for top, strips in _strips_of(probabilities, size):
        check()
        part = mask[top : top + strips[0].shape[0]]
        best = np.full(part.shape, -1.0, dtype=np.float32)
        for index, strip in enumerate(strips):
            better = strip > best
            part[better] = index
            best[better] = strip[better]
        if valid is not None:
            missing = ~valid[top : top + len(part)]
            part[missing] = best[missing] = 0
        certain += float(best.sum(dtype=np.float64))
    return Answer(mask, certain / (mask.size if valid is None else int(valid.sum())), found.embedding)


def _strips_of(planes: NDArray[np.float32], size: tuple[int, int]) -> Iterator[tuple[int, list[NDArray[np.float32]]]]:
    """Planes (classes, h, w) in another size (h', w'), some rows of all of them at a time: all might be too large."""
    rows = max(_STRIP_PX // size[1], 1)
    if math.prod(size) <= max(planes[0].size, _STRIP_PX):  # made smaller, or not large
        yield 0, [scaled(plane, *size) for plane in planes]
        return
    for top in range(0, size[0], rows):
        yield top, [enlarged_rows(plane, *size, slice(top, min(top + rows, size[0]))) for plane in planes]


def _grid_means(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """(classes * 64,) means of the probabilities over the cells of a grid."""
    import cv2

    cells = [cv2.resize(plane, (_EMBEDDED, _EMBEDDED), interpolation=cv2.INTER_AREA) for plane in probabilities]
    return np.concatenate([cell.ravel() for cell in cells]).astype(np.float32)
