"""A trained model of this task: reading, predicting, drawing, saving and restoring. Needs no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import OnProgress
from sightline.conditions import check_gsd
from sightline.errors import ParamsError, RequestError
from sightline.limits import Cost, Limits
from sightline.maps.pictures import FORMATS
from sightline.maps.zoom import GSD_BOUNDS_M
from sightline.task import Finding, Json, Prediction
from sightline.tasks.ships.answer import Answer, Ship
from sightline.tasks.ships.blobs import Rule
from sightline.tasks.ships.chip_files import CLASSES
from sightline.tasks.ships.cost import SLACK, check_work, held_bytes_of, most_scanned_px, scanned_px
from sightline.tasks.ships.detections import Detection
from sightline.tasks.ships.finder import BlobFinder, Finder, Found, NetworkFinder
from sightline.tasks.ships.labels import BOUNDS_M, LEAST_M, SIZE_CLASSES, SizeClass, size_class_of
from sightline.tasks.ships.network import CELL_PX, FINEST_PX
from sightline.tasks.ships.params import BlobParams, InputParams, ScanParams
from sightline.tasks.ships.raster import Raster, read_head, read_raster
from sightline.tasks.ships.scan import Scanner, Tiles
from sightline.vision.answers import Words, box_of
from sightline.vision.calibration import Calibration
from sightline.vision.images import noise_picture
from sightline.vision.masks import PIXELS, choose_features, geojson, in_pixels
from sightline.vision.saved import ModelKind, SavedModel, SavedRecipe

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

NAME = "ships"
GRAPH = "model.onnx"
WEIGHTS = "network.safetensors"
Method = Literal["network", "blobs"]

CONDITIONS = {"gsd_m": "metres a pixel of the image, if it has no georeference; 3 if the condition is not given"}
"""What a user may tell of a raster."""

ADJUSTABLE = {
    "threshold": "least probability of a vessel in open water that is reported, 0 to 1",
    "stride_px": "step of the scan in pixels of `gsd_m`, a multiple of 32",
}

_FOUND, _LABELLED = (255, 220, 0), (0, 255, 120)
_DECIMALS_LONLAT = 7
_DECIMALS_PX = 2
_EXAMPLE_PX = 512
_PIXELS_A_VESSEL = 5
"""What has fewer along, at the raster's own pixels, cannot be told from anything else."""


class Recipe(SavedRecipe):
    """All that turns a raster into probabilities.

    Attributes:
        method: a network, or the rule of blobs.
        input, scan, blobs: see there.
        deviations: of the rule; 0 for a network.
        calibration: of the logits.
    """

    retired: ClassVar[Mapping[str, frozenset[str]]] = {"scan": frozenset({"land_spread", "largest_m2"})}

    method: Method
    input: InputParams
    scan: ScanParams
    blobs: BlobParams
    deviations: float = 0.0
    calibration: Calibration = Calibration()

    @property
    def files(self) -> set[str]:
        """Of a model of this recipe."""
        return {GRAPH, WEIGHTS} if self.method == "network" else set()

    @property
    def finest_px(self) -> int:
        """The finest step that the network can have."""
        return CELL_PX if self.input.pooled_px == CELL_PX else FINEST_PX

    @property
    def tiles(self) -> Tiles:
        """How the network's scan cuts a raster."""
        return Tiles(self.scan.tile_px, self.scan.context_px, self.input.pooled_px, self.scan.stride_px)

    @property
    def rule(self) -> Rule:
        """Of the blobs, at the network's scale."""
        low, high = (length / self.input.gsd_m for length in self.blobs.length_m)
        return Rule(self.blobs.sea_px, self.deviations, (low, high), self.blobs.elongation, self.blobs.fill)


KIND = ModelKind(NAME, Recipe, CLASSES, FORMATS, CONDITIONS, thresholds=("ship", "chip"))


@dataclass
class ShipModel(SavedModel[Recipe]):
    """See `sightline.task.Model`."""

    @staticmethod
    def kind_of(_: str, /) -> ModelKind[Recipe]:
        """See `SavedModel`."""
        return KIND

    @property
    def threshold(self) -> float:
        """Probability from which on a detection is a ship."""
        return self.card.thresholds["ship"]

    @property
    def thresholds(self) -> tuple[float, float]:
        """The same in open water, and alongside something; models of before have one for both."""
        return self.threshold, self.card.thresholds.get("alongside", self.threshold)

    @property
    def chip_threshold(self) -> float:
        """Probability from which on the middle of a chip shows a ship."""
        return self.card.thresholds["chip"]

    @cached_property
    def finder(self) -> Finder:
        """What finds ships, with raw logits; the session is opened at the first answer."""
        recipe = self.recipe
        if recipe.method == "blobs":
            return BlobFinder(recipe.rule, recipe.input, recipe.scan)
        return NetworkFinder(Scanner(self.files[GRAPH], recipe.tiles, self.threads), recipe.input, recipe.scan)

    # ------------------------------------------------------------------------------------------------ reading

    def read(self, source: Path | bytes, limits: Limits) -> Raster:
        """Decode a raster; a GeoTIFF beyond the limits is only checked, and read when it is answered.

        Raises:
            DataMissing: the file is not there.
            DataRejected: see `raster.read_raster`.
        """
        return read_raster(source, limits, self.wanted_gsd_m)

    def weigh(self, source: Path | bytes, limits: Limits, conditions: Mapping[str, float]) -> Cost:
        """What answering a raster takes, by its head alone; nothing is decoded.

        Raises:
            DataMissing, DataRejected: `read` would refuse it too.
            RequestError: `under` would.
        """
        head = read_head(source, limits)
        told_m = conditions.get("gsd_m", head.gsd_m)
        if "gsd_m" in conditions:
            check_gsd(told_m, GSD_BOUNDS_M, SLACK)
        gsd_m = told_m if head.placement.gsd_m is None else head.gsd_m
        recipe, wanted_gsd_m = self.recipe, self.wanted_gsd_m
        check_work(head.size, gsd_m, wanted_gsd_m, most_scanned_px(source, limits), head.name)
        seen_px = scanned_px(head.size, gsd_m, wanted_gsd_m)
        held_bytes = held_bytes_of(head.size, seen_px, head.stays_on_disk)
        if recipe.method == "network":
            height, width = (max(round(side * gsd_m / wanted_gsd_m), 1) for side in head.size)
            seen_px = recipe.tiles.seen_px((height, width))
        decoded_px = 0 if head.stays_on_disk else math.prod(head.size) * head.scans
        return Cost(head.size, decoded_px, seen_px, held_bytes)

    def example(self) -> bytes:
        """Noise of the size of a small scene."""
        return noise_picture(3, _EXAMPLE_PX, _EXAMPLE_PX, 255)

    def under(self, source: Raster, conditions: Mapping[str, float]) -> Raster:
        """The input with its ground sampling distance: see `sightline.capabilities.Conditioned`."""
        gsd_m = conditions["gsd_m"]
        check_gsd(gsd_m, GSD_BOUNDS_M, SLACK)
        if source.gsd_from == "file":
            raise RequestError(
                f"the image says itself that its pixels are {source.gsd_m:.4g} m ({source.placement.source})",
                where="gsd_m",
                way_out="Leave out the condition, or remove the georeference from the image.",
                status=422,
            )
        check_work(source.size, gsd_m, self.wanted_gsd_m, source.most_scanned_px, source.name)
        return replace(source, gsd_m=gsd_m, gsd_from="user")

    # -------------------------------------------------------------------------------------------- areas of a map

    @property
    def wanted_gsd_m(self) -> float:
        """Metres a pixel of what the network sees; see `sightline.capabilities.Surveying`."""
        return self.recipe.input.gsd_m

    @property
    def adjustable(self) -> Mapping[str, str]:
        """See `sightline.capabilities.Adjustable`."""
        return ADJUSTABLE

    def adjusted(self, values: Mapping[str, float]) -> ShipModel:
        """The same model with another threshold or step of its scan.

        Raises:
            ParamsError: a value cannot be.
        """
        changed = self.with_threshold("ship", values["threshold"]) if "threshold" in values else self
        if "stride_px" in values:
            stride_px = values["stride_px"]
            try:
                if stride_px % self.recipe.finest_px:
                    raise ValueError("the network has no such step")
                scan = ScanParams.model_validate({**self.recipe.scan.model_dump(), "stride_px": stride_px})
            except ValueError as error:
                raise ParamsError(
                    f"the scan cannot have a step of {stride_px:g} px", where="stride", way_out="Give a multiple of 32."
                ) from error
            recipe = {**changed.card.preprocessing, "scan": scan.model_dump(mode="json")}
            changed = replace(changed, card=changed.card.model_copy(update={"preprocessing": recipe}))
        return changed

    def survey(self, source: Raster, on_progress: OnProgress) -> Prediction:
        """The answer to one raster; see `sightline.capabilities.Surveying`."""
        return self.answer(source, self.find(source, on_progress))

    def within(self, prediction: Prediction, area: BaseGeometry) -> Prediction:
        """Without the ships whose middle lies outside a geometry in longitude and latitude."""
        from shapely import Point

        ships = Answer.model_validate(prediction.document).ships
        kept = [number for number, ship in enumerate(ships) if area.intersects(Point(ship.lon, ship.lat))]
        inside = [ships[number] for number in kept]
        document = {**prediction.document, "ships": [_written(ship) for ship in inside], "count": len(inside)}
        exports = {"geojson": choose_features(prediction.exports["geojson"], kept)}
        words = _told(Answer.model_validate(document))
        return replace(prediction, document=document, exports=exports, **words)

    # --------------------------------------------------------------------------------------------- predicting

    def find(self, source: Raster, on_progress: OnProgress | None = None) -> Found:
        """All that was found down to the scan's floor, with probabilities."""
        found = self.finder(source, on_progress)
        calibrate = self.recipe.calibration
        ships = [replace(one, score=float(calibrate(one.score))) for one in found.detections]
        return Found(ships, float(calibrate(found.middle)), found.embedding)

    def predict(self, batch: Sequence[Raster]) -> list[Prediction]:
        """Answer rasters, each by itself: no answer depends on another."""
        return [self.answer(source, self.find(source)) for source in batch]

    def answer(self, source: Raster, found: Found) -> Prediction:
        """The prediction of one raster."""
        taken, ships = self._reported(found.detections, source)
        height, width = source.size
        document: dict[str, Json] = {
            "image": {"width": width, "height": height, "sha256": source.sha256},
            "gsd_m": round(source.gsd_m, 4),
            "gsd_from": source.gsd_from,
            "georeferenced": source.place is not None,
            "georeference": source.placement.said,
            "probability_middle": round(found.middle, 6),
            "count": len(ships),
            "too_coarse": too_coarse(source.gsd_m),
            "alongside_told": self.thresholds[1] < 1,
            "ships": [_written(ship) for ship in ships],
        }
        row: dict[str, float | int | str] = {f"input_{name}": value for name, value in source.statistics.items()}
        row |= {
            "output_count": len(ships),
            "output_score_mean": _mean([one.score for one in taken]),
            "output_length_mean_m": _mean([ship.length_m for ship in ships]),
            "output_middle": found.middle,
        }
        exports = {exported_as(source): features_of(taken, ships, source)}
        return Prediction(row, found.embedding, document, exports, **_told(Answer.model_validate(document)))

    def _reported(self, detections: Sequence[Detection], source: Raster) -> tuple[list[Detection], list[Ship]]:
        """What is above its threshold, and of a class of lengths that the pixels can show."""
        in_open, alongside = self.thresholds
        above = [one for one in detections if one.score >= (alongside if one.where == "alongside" else in_open)]
        pairs = [(one, _ship(one, source)) for one in above]
        hidden = set(SIZE_CLASSES) - set(told_classes(source.gsd_m))
        kept = [(one, ship) for one, ship in pairs if ship.size_class not in hidden]
        return [one for one, _ in kept], [ship for _, ship in kept]

    # ------------------------------------------------------------------------------------------------ drawing

    def draw(self, source: Raster, prediction: Prediction) -> NDArray[np.uint8]:
        """The picture with the ships' rectangles; a large one is made smaller."""
        step, pixels = source.reduced()
        ships = Answer.model_validate(prediction.document).ships
        polygons = [np.array(ship.polygon, dtype=np.float64) for ship in ships]
        return outlined(pixels, polygons, step)


def told_classes(gsd_m: float) -> tuple[SizeClass, ...]:
    """The classes of lengths of which something can be told in pixels of that size."""
    return SIZE_CLASSES[sum(bound <= _PIXELS_A_VESSEL * gsd_m for bound in BOUNDS_M) :]


def too_coarse(gsd_m: float) -> str:
    """A sentence on what cannot be told in pixels of that size; empty where all that is asked for can be."""
    lost = [bound for bound in BOUNDS_M if bound <= _PIXELS_A_VESSEL * gsd_m]
    if lost:
        return f"At {gsd_m:.3g} m a pixel nothing under {lost[-1]:g} m can be told."
    least_m = _PIXELS_A_VESSEL * gsd_m
    return f"At {gsd_m:.3g} m a pixel little under {least_m:.0f} m can be told." if least_m > LEAST_M * 1.05 else ""


def outlined(
    pixels: NDArray[np.uint8], polygons: Sequence[NDArray[np.float64]], step: int, labelled: bool = False
) -> NDArray[np.uint8]:
    """A picture (h, w, 3), of which each pixel stands for step x step, with outlines."""
    import cv2

    drawn = np.ascontiguousarray(pixels).copy()
    for polygon in polygons:
        corners = np.round(polygon / step - 0.5).astype(np.int32)
        cv2.polylines(drawn, [corners.reshape(-1, 1, 2)], True, _LABELLED if labelled else _FOUND, 1)
    return drawn


def _told(answer: Answer) -> Words:
    """What was found in words, and what was not looked for."""
    words = in_words(answer.ships)
    if answer.gsd_from == "assumed":
        words["found"] += f" ({answer.gsd_m:g} m a pixel assumed)"
    unsaid = "" if answer.alongside_told else "This model does not tell vessels that lie alongside."
    words["found"] = ". ".join(filter(None, (words["found"], f"{answer.too_coarse} {unsaid}".strip())))
    return words


def in_words(ships: Sequence[Ship]) -> Words:
    """Vessels by length, the longest first, and how many lie alongside."""
    ordered = sorted(ships, key=lambda ship: -ship.length_m)
    findings = tuple(Finding("ship", ship.score, box_of(ship.box), figures=_figures(ship)) for ship in ordered)
    sizes = Counter(ship.size_class for ship in ships)
    parts = [f"{sizes[name]} {words}" for name, (words, _) in _SIZES_IN_WORDS.items() if sizes[name]]
    alongside = sum(ship.where == "alongside" for ship in ships)
    if alongside:
        parts.append(f"{alongside} of them alongside")
    found = f"{len(ships)} {'vessel' if len(ships) == 1 else 'vessels'}" + (f": {', '.join(parts)}" if parts else "")
    summary = {"ships": len(ships), "alongside": alongside}
    summary |= {key: sizes[name] for name, (_, key) in _SIZES_IN_WORDS.items()}
    return {"found": found, "summary": summary, "findings": findings}


_SIZES_IN_WORDS: Mapping[SizeClass, tuple[str, str]] = {
    "20-50": ("below 50 m", "below_50_m"),
    "50-160": ("of 50 to 160 m", "50_to_160_m"),
    "160+": ("of 160 m or more", "from_160_m"),
}
"""How an answer speaks of the classes, and their names in its figures."""


def _figures(ship: Ship) -> dict[str, float | str]:
    figures: dict[str, float | str] = {"length_m": ship.length_m, "beam_m": ship.beam_m}
    figures |= {"size_class": ship.size_class, "where": ship.where}
    return figures if ship.lon is None or ship.lat is None else {**figures, "lon": ship.lon, "lat": ship.lat}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def _ship(one: Detection, source: Raster) -> Ship:
    """One ship in pixels, metres, and longitude and latitude where the raster is georeferenced."""
    gsd_m, lon, lat = source.gsd_m, None, None
    if source.place is not None:
        # Where the raster is tall, its pixels are not the same everywhere.
        gsd_m = math.sqrt(math.prod(source.place.gsd_m(one.x, one.y)))
        lon, lat = (round(float(value), _DECIMALS_LONLAT) for value in source.place.lonlat(one.x, one.y))
    length_m = round(one.length_px * gsd_m, 1)
    return Ship(
        box=[round(float(value), _DECIMALS_PX) for value in one.box],
        score=round(one.score, 6),
        center=[round(one.x, _DECIMALS_PX), round(one.y, _DECIMALS_PX)],
        polygon=[[round(float(x), _DECIMALS_PX), round(float(y), _DECIMALS_PX)] for x, y in one.corners],
        lon=lon,
        lat=lat,
        length_m=length_m,
        size_class=size_class_of(length_m),
        where=one.where,
        beam_m=round(one.beam_px * gsd_m, 1),
    )


def _written(ship: Ship) -> dict[str, Json]:
    return ship.model_dump(exclude_none=True)


def exported_as(source: Raster) -> str:
    """Suffix of the features: a GIS takes what is called GeoJSON for longitudes and latitudes."""
    return PIXELS if source.place is None else "geojson"


def features_of(found: Sequence[Detection], ships: Sequence[Ship], source: Raster) -> dict[str, Json]:
    """A feature for each ship: GeoJSON in longitude and latitude (RFC 7946), or marked as in pixels."""
    from shapely import Polygon

    properties = [
        ship.model_dump(include={"score", "length_m", "beam_m", "size_class", "where", "center"}) for ship in ships
    ]
    if source.place is None:
        polygons = [Polygon(one.corners) for one in found]
        return in_pixels(geojson(zip(polygons, properties, strict=True), _DECIMALS_PX))
    polygons = [Polygon(_ring(one, source.place)) for one in found]
    for said, ship in zip(properties, ships, strict=True):
        said |= {"lon": ship.lon, "lat": ship.lat}
    return geojson(zip(polygons, properties, strict=True), _DECIMALS_LONLAT)


def _ring(one: Detection, place: Any) -> list[tuple[float, float]]:
    """Corners as longitudes and latitudes; on the antimeridian they go on beyond 180, not around the Earth."""
    longitudes, latitudes = place.lonlat(one.corners[:, 0], one.corners[:, 1])
    apart = (longitudes - longitudes[0] + 180) % 360 - 180
    return [(float(lon), float(lat)) for lon, lat in zip(longitudes[0] + apart, latitudes, strict=True)]
