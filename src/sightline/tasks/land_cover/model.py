"""A trained model of this task: reading, predicting, drawing, saving and restoring. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field, field_serializer, field_validator

from sightline.conditions import check_gsd
from sightline.limits import Cost, Limits
from sightline.stopping import check
from sightline.task import Json, Prediction
from sightline.tasks.land_cover.augment import Channels
from sightline.tasks.land_cover.bands import BANDS, Bands, picture, without_data
from sightline.tasks.land_cover.bits import Bits, pack
from sightline.tasks.land_cover.colours import coloured
from sightline.tasks.land_cover.params import InputParams
from sightline.tasks.land_cover.raster import scene_size
from sightline.tasks.land_cover.rules import Rule, Rules, rule_features
from sightline.tasks.land_cover.scan import SceneFile, is_large, read_scene, scan
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import Cutoffs
from sightline.tasks.land_cover.tile import FORMATS, Tile, read_tile
from sightline.vision.images import MAX_BANDS, noise_picture, probe_within, read_bytes
from sightline.vision.masks import PIXELS, geojson, in_pixels, polygons_of
from sightline.vision.saved import ModelKind, SavedModel, SavedRecipe
from sightline.vision.session import GRAPH, WEIGHTS, Segmented, Segmenter
from sightline.vision.tiling import Read, Tiling, blend

if TYPE_CHECKING:
    from shapely import Polygon

NAME = "land_cover"
Method = Literal["network", "rules"]

CONDITIONS = {"gsd_m": "metres a pixel of the image; areas in square metres need it"}
"""What a user may tell of a tile."""

_GSD_M = (0.05, 100.0)
_EXAMPLE_PX = 256

_FIXED_BYTES, _PIXEL_BYTES, _SCAN_BYTES = 64 * 2**20, 110, 512 * 2**20
"""Held while a tile is answered: whatever its size, and for each pixel besides the file's values; for a scan."""

Source = Tile | SceneFile


class Recipe(SavedRecipe):
    """All that turns bands into probabilities.

    Attributes:
        method: a network, or rules alone.
        mean, std: of the network's channels, see `Channels`; empty for rules.
        rules: classes that are answered by a rule, also in a network's answer; by name in the card.
    """

    method: Method
    input: InputParams
    mean: tuple[float, ...]
    std: tuple[float, ...] = Field(validation_alias=AliasChoices("std", "spread"))  # cards of before say spread
    rules: Mapping[int, Rule]

    @property
    def channels(self) -> Channels:
        """Of the network."""
        return Channels(self.mean, self.std)

    @property
    def files(self) -> set[str]:
        """Of a model of this recipe."""
        return {GRAPH, WEIGHTS} if self.method == "network" else set()

    @field_validator("rules", mode="before")
    @classmethod
    def _by_index(cls, rules: Mapping[int | str, Json]) -> Mapping[int, Json]:
        if not all(rules.values()):
            raise ValueError("a rule has conditions")
        return {CLASSES.index(key) if isinstance(key, str) else key: rule for key, rule in rules.items()}

    @field_serializer("rules")
    def _by_name(self, rules: Rules) -> dict[str, Json]:
        return {CLASSES[index]: rule.model_dump(mode="json") for index, rule in sorted(rules.items())}


KIND = ModelKind(NAME, Recipe, CLASSES, FORMATS, CONDITIONS, thresholds=tuple(Cutoffs().document()))


@dataclass(frozen=True)
class Answer:
    """What was found: the masks as bits (h, w), each class's polygons in pixels, and the embedding."""

    bits: Bits
    polygons: Sequence[Sequence[Polygon]]
    embedding: NDArray[np.float32]


@dataclass
class LandCoverModel(SavedModel[Recipe]):
    """See `sightline.task.Model`."""

    @staticmethod
    def kind_of(_: str, /) -> ModelKind[Recipe]:
        """See `SavedModel`."""
        return KIND

    @cached_property
    def cutoffs(self) -> Cutoffs:
        """From the card."""
        return Cutoffs.from_document(self.card.thresholds)

    @cached_property
    def _network(self) -> Segmenter:
        """The session, opened at the first answer."""
        taken = self.recipe.input
        return Segmenter(self.files[GRAPH], taken.window_px, taken.overlap_px, self.threads)

    # ------------------------------------------------------------------------------------------------ reading

    def read(self, source: Path | bytes, limits: Limits) -> Source:
        """Decode a tile; a file beyond the limits is only checked, and read when it is answered.

        Raises:
            DataMissing: the file is not there.
            DataRejected: see `tile.read_tile` and `scan.read_scene`.
        """
        if isinstance(source, Path) and is_large(source, limits):
            return read_scene(source)
        return read_tile(source, limits)

    def weigh(self, source: Path | bytes, limits: Limits, _: Mapping[str, float]) -> Cost:
        """What a tile takes, by its head; of a file beyond the limits, what a scan of it takes.

        Raises:
            DataMissing: the file is not there.
            DataRejected: it is no TIFF, its head is broken, or the bytes hold more than the limits.
        """
        where = str(source) if isinstance(source, Path) else "image"
        if isinstance(source, Path) and is_large(source, limits):
            size, decoded_px, held_bytes = scene_size(source), 0, _SCAN_BYTES
        else:
            head = probe_within(read_bytes(source, limits, where), limits, where, every_band=True)
            stacked = head.bands > MAX_BANDS  # rows as pages: (h, w, bands) was written as h pages of (w, bands)
            size = (head.bands, head.height) if stacked else (head.height, head.width)
            decoded_px = head.decoding_values // len(BANDS)
            held_bytes = _FIXED_BYTES + math.prod(size) * (_PIXEL_BYTES + 2 * len(BANDS) * head.value_bytes)
        return Cost(size, decoded_px, self._tiling.seen_px(*size), held_bytes)

    @property
    def _tiling(self) -> Tiling:
        taken = self.recipe.input
        return Tiling(window_px=taken.window_px, overlap_px=taken.overlap_px, batch=1)

    def example(self) -> bytes:
        """Noise of eight bands of 11 bits."""
        return noise_picture(len(BANDS), _EXAMPLE_PX, _EXAMPLE_PX, 2047)

    def under(self, source: Source, conditions: Mapping[str, float]) -> Source:
        """The input with its ground sampling distance: see `sightline.capabilities.Conditioned`."""
        gsd_m = conditions["gsd_m"]
        check_gsd(gsd_m, _GSD_M)
        return replace(source, gsd_m=gsd_m)

    # --------------------------------------------------------------------------------------------- predicting

    def strips(
        self, read: Read, size: tuple[int, int], embeddings: list[NDArray[np.float32]]
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """The probabilities (10, rows, w) of what `read` gives, from the top; adds each window's embedding."""

        def predict(windows: Bands) -> NDArray[np.float32]:
            found = [self._window(window) for window in windows]
            embeddings.extend(one.embedding for one in found)
            return np.stack([one.probabilities for one in found])

        return blend(read, predict, *size, len(CLASSES), self._tiling)

    def _window(self, bands: Bands) -> Segmented:
        """(8, window, window) -> (10, window, window); nothing where there are no data."""
        features = rule_features(bands)
        if self.recipe.method == "network":
            answered, embeddings = self._network.run(self.recipe.channels(bands)[None])
            probabilities, embedding = answered[0], embeddings[0]
        else:
            probabilities = np.zeros((len(CLASSES), *bands.shape[1:]), dtype=np.float32)
            embedding = np.concatenate([features.mean(axis=(1, 2)), features.std(axis=(1, 2))])
        for index, rule in self.recipe.rules.items():
            probabilities[index] = rule(features)
        probabilities[:, without_data(bands)] = 0
        return Segmented(probabilities, embedding)

    def segment(self, bands: Bands) -> Segmented:
        """Probabilities of a tile (8, h, w) in 0 .. 1."""
        embeddings: list[NDArray[np.float32]] = []
        size = bands.shape[1], bands.shape[2]
        probabilities = np.empty((len(CLASSES), *size), dtype=np.float32)
        for top, rows in self.strips(_part_of(bands), size, embeddings):
            probabilities[:, top : top + rows.shape[1]] = rows
        return Segmented(probabilities, _mean(embeddings))

    def predict(self, batch: Sequence[Source]) -> list[Prediction]:
        """Answer tiles and scenes, each by itself: no answer depends on another."""
        return [self.answer(source, self._find(source)) for source in batch]

    def _find(self, source: Source) -> Answer:
        if isinstance(source, Tile):
            found = self.segment(source.bands)
            return self.answer_of(self.cutoffs.masks(found.probabilities), found.embedding)
        with TemporaryDirectory(prefix="sightline-scan-") as folder:
            return self.scan(source, Path(folder) / "mask.tif")

    def scan(self, scene: SceneFile, target: Path) -> Answer:
        """Answer a scene by way of its mask in a file, which stays: see `scan.scan`."""
        import tifffile

        embeddings: list[NDArray[np.float32]] = []
        polygons = scan(scene, lambda read, size: self.strips(read, size, embeddings), self.cutoffs, target)
        return Answer(tifffile.imread(target), polygons, _mean(embeddings))

    def answer_of(self, masks: NDArray[np.bool_], embedding: NDArray[np.float32]) -> Answer:
        """From masks (10, h, w)."""
        return Answer(pack(masks), [_polygons(mask) for mask in masks], embedding)

    def answer(self, source: Source, found: Answer) -> Prediction:
        """The prediction of one input."""
        height, width = found.bits.shape
        areas = [round(sum(polygon.area for polygon in polygons)) for polygons in found.polygons]
        seen_px = found.bits.size * (1 - source.no_data_share)
        square_m = None if source.gsd_m is None else source.gsd_m**2
        shares = {name: round(min(area / seen_px, 1.0), 8) for name, area in zip(CLASSES, areas, strict=True)}
        document: dict[str, Json] = {
            "image": {"width": width, "height": height, "sha256": source.sha256},
            "gsd_m": source.gsd_m,
            "no_data": round(source.no_data_share, 6),
            "classes": {
                name: {
                    "share": shares[name],
                    "area_px": area,
                    "area_m2": _area_m2(area, square_m),
                    "polygons": len(polygons),
                }
                for name, area, polygons in zip(CLASSES, areas, found.polygons, strict=True)
            },
        }
        row: dict[str, float | int | str] = {f"input_{name}": value for name, value in source.statistics.items()}
        row |= {f"output_share_{name}": area / seen_px for name, area in zip(CLASSES, areas, strict=True)}
        row["output_polygons"] = sum(len(polygons) for polygons in found.polygons)
        exports: dict[str, Json] = {f"wkt.{PIXELS}": _wkt(found), PIXELS: _features(found, square_m)}
        summary = {f"share_{name}": share for name, share in shares.items()}
        return Prediction(row, found.embedding, document, exports, {"mask": found.bits}, _in_words(shares), summary)

    # ------------------------------------------------------------------------------------------------ drawing

    def draw(self, source: Source, prediction: Prediction) -> NDArray[np.uint8]:
        """The picture, and beside it the classes in colour; scenes are made smaller."""
        step, bands = (1, source.bands) if isinstance(source, Tile) else source.reduced()
        mask: Bits = np.asarray(prediction.rasters["mask"][::step, ::step], dtype=np.uint16)
        return np.concatenate([picture(bands), coloured(mask)], axis=1)


def _area_m2(area_px: int, square_m: float | None) -> float | None:
    """None where it is not known how many square metres a pixel is."""
    return None if square_m is None else round(area_px * square_m, 2)


def _wkt(found: Answer) -> dict[str, str]:
    """Each class's polygons as one WKT in pixels."""
    import shapely

    return {
        name: shapely.to_wkt(shapely.MultiPolygon(list(polygons)), rounding_precision=0, trim=True)
        for name, polygons in zip(CLASSES, found.polygons, strict=True)
    }


def _in_words(shares: Mapping[str, float]) -> str:
    """The classes that are there, the largest first."""
    seen = [f"{name} {share:.1%}" for name, share in sorted(shares.items(), key=lambda item: -item[1]) if share > 0]
    return ", ".join(seen) or "nothing"


def _features(found: Answer, square_m: float | None) -> dict[str, Json]:
    """A GeoJSON feature for each polygon, in pixels."""
    features = []
    for name, polygons in zip(CLASSES, found.polygons, strict=True):
        for polygon in polygons:
            properties: dict[str, Json] = {"class": name, "area_px": round(polygon.area)}
            if square_m is not None:
                properties["area_m2"] = round(polygon.area * square_m, 2)
            features.append((polygon, properties))
    return in_pixels(geojson(features))


def _polygons(mask: NDArray[np.bool_]) -> list[Polygon]:
    check()
    return polygons_of(mask)


def _part_of(bands: Bands) -> Read:
    return lambda top, left, rows, columns: bands[:, top : top + rows, left : left + columns]


def _mean(embeddings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray(np.mean(embeddings, axis=0, dtype=np.float64), dtype=np.float32)
