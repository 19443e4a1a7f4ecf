"""A trained model of this task: reading, predicting, drawing, saving and restoring. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from sightline.limits import Cost, Limits
from sightline.task import Finding, Json, Prediction
from sightline.tasks.pv_hotspots.answer import Answer, Module
from sightline.tasks.pv_hotspots.data import CLASSES, coco_document
from sightline.tasks.pv_hotspots.detector import Boxes, Detector
from sightline.tasks.pv_hotspots.drawing import draw_modules
from sightline.tasks.pv_hotspots.explanation import alone_probability, explain
from sightline.tasks.pv_hotspots.feature import (
    Floats,
    Measured,
    box_rise,
    measure_modules,
)
from sightline.tasks.pv_hotspots.metrics import Detections
from sightline.tasks.pv_hotspots.params import DetectionParams, InputParams, RegionParams, ScoreParams
from sightline.tasks.pv_hotspots.scoring import Scorer
from sightline.tasks.pv_hotspots.severity import CONDITIONS, read_conditions, severity
from sightline.tasks.pv_hotspots.thermogram import FORMATS, Thermogram, read_thermogram
from sightline.vision.answers import Words, box_of
from sightline.vision.images import noise_picture, probe_within, read_bytes
from sightline.vision.saved import ModelKind, SavedModel, SavedRecipe

NAME = "pv_hotspots"
WEIGHTS = "detector.safetensors"
GRAPHS = {"float32": "detector.onnx", "int8": "detector.int8.onnx"}

_FIXED_BYTES, _PIXEL_BYTES = 32 * 2**20, 20
"""Held while a thermogram is answered: whatever its size, and for each pixel."""

_MEASURED_SHARE = 16
"""Pixels of a frame that are shrunk and measured in the time of one that the network sees, about."""

Precision = Literal["float32", "int8"]

_REFERENCE_RISE = 100.0
"""Counts; a module that is hotter than this somewhere is suspicious."""

_LEAST_SHARE_WITH_DATA = 0.5
_TYPICAL_RISE = 60.0
"""Counts by which the hottest pixel of a healthy module exceeds its median, in radiometric frames."""


class Recipe(SavedRecipe):
    """All that turns the network's answers into modules."""

    input: InputParams
    detection: DetectionParams
    region: RegionParams
    shrink: float
    scorer: Scorer
    precision: Precision

    @field_validator("scorer")
    @classmethod
    def _features_are_known(cls, scorer: Scorer) -> Scorer:
        ScoreParams.model_validate(asdict(scorer))
        return scorer

    @property
    def files(self) -> set[str]:
        """Of a model of this recipe."""
        return {WEIGHTS, *GRAPHS.values()}


KIND = ModelKind(NAME, Recipe, CLASSES, FORMATS, CONDITIONS, thresholds=("defected",))


# ------------------------------------------------------------------------------------------------------ features


def module_features(thermogram: Thermogram, found: Boxes, measured: Measured, shrink: float) -> dict[str, Floats]:
    """What the scorer may use of each module.

    network: log odds of the network's probability of `defected`. The others are logarithms of a rise over 100 counts:
    box: hottest pixel over the median, in the shrunk box; region: the same in the module's parallelogram; neighbours:
    hottest pixel of the parallelogram over the median of the modules around.
    """
    share = np.clip(found.classes[:, 1], 1e-6, 1 - 1e-6)
    unit = _unit(thermogram, measured.rise)
    rises = {
        "box": box_rise(thermogram.level, found.boxes, shrink),
        "region": measured.rise,
        "neighbours": measured.over_neighbours,
    }
    features = {name: np.log(np.maximum(rise / unit, 1.0) / _REFERENCE_RISE) for name, rise in rises.items()}
    return {"network": np.log(share / (1 - share)), **features}


def _unit(thermogram: Thermogram, rise: Floats) -> float:
    """How many levels make a count. Without radiometry the palette is stretched over each frame, so the frame's
    ordinary modules serve as the measure."""
    if thermogram.radiometric or not len(rise):
        return 1.0
    least = max(0.01 * thermogram.statistics["level_spread"], 1e-6)
    return max(float(np.median(rise)), least) / _TYPICAL_RISE


@dataclass(frozen=True)
class Modules:
    """The modules of one frame with all that is known of them; n of each."""

    found: Boxes
    defect: Floats  # probability of being defected
    rise: Floats  # hottest pixel over the neighbours' median: kelvin, or levels without radiometry
    rise_within: Floats  # hottest pixel over the module's own median, likewise
    alone: Mapping[str, Floats]  # "network", "physics" -> probability of defected, were the other as in most modules

    @property
    def detections(self) -> Detections:
        """What is evaluated."""
        return Detections(self.found.boxes, self.found.objectness, self.defect)


# --------------------------------------------------------------------------------------------------------- model


@dataclass
class HotspotModel(SavedModel[Recipe]):
    """See `sightline.task.Model`.

    Attributes:
        precision: which graph answers; what the card says, unless set otherwise before the first answer.
    """

    precision: Precision | None = None

    @staticmethod
    def kind_of(_: str, /) -> ModelKind[Recipe]:
        """See `SavedModel`."""
        return KIND

    @cached_property
    def detector(self) -> Detector:
        """The session, opened at the first answer."""
        graph = self.files[GRAPHS[self.precision or self.recipe.precision]]
        return Detector(graph, self.recipe.input, self.recipe.detection, self.threads)

    def read(self, source: Path | bytes, limits: Limits) -> Thermogram:
        """Decode a thermogram. Raises DataMissing or DataRejected."""
        return read_thermogram(source, limits)

    def weigh(self, source: Path | bytes, limits: Limits, _: Mapping[str, float]) -> Cost:
        """What a thermogram takes, by its head: the network sees all of them at one size. Raises as `read`."""
        where = str(source) if isinstance(source, Path) else "image"
        head = probe_within(read_bytes(source, limits, where), limits, where)
        seen_px = self.recipe.input.height_px * self.recipe.input.width_px + head.pixels // _MEASURED_SHARE
        values = head.decoding_values // head.bands
        return Cost((head.height, head.width), values, seen_px, _FIXED_BYTES + _PIXEL_BYTES * head.pixels)

    def example(self) -> bytes:
        """Noise of the size that the network sees."""
        return noise_picture(3, self.recipe.input.height_px, self.recipe.input.width_px, 255)

    def under(self, source: Thermogram, conditions: Mapping[str, float]) -> Thermogram:
        """The thermogram with the irradiance and the camera's calibration: see `sightline.capabilities.Conditioned`."""
        return replace(source, conditions=read_conditions(conditions))

    def modules(self, thermogram: Thermogram) -> Modules:
        """Find and measure the modules of one frame; those most likely defected first."""
        recipe = self.recipe
        found = _with_data(self.detector(thermogram.level), _readable(thermogram))
        signals = [thermogram.level] if thermogram.celsius is None else [thermogram.level, thermogram.celsius]
        measured = measure_modules(signals, found.boxes, recipe.region)
        features = module_features(thermogram, found, measured[0], recipe.shrink)
        defect = recipe.scorer.probability(features)
        order = np.argsort(-defect, kind="stable")
        ranked = Boxes(found.boxes[order], found.classes[order], found.embedding)
        alone = {name: part[order] for name, part in alone_probability(recipe.scorer, features).items()}
        return Modules(ranked, defect[order], measured[-1].over_neighbours[order], measured[-1].rise[order], alone)

    def predict(self, batch: Sequence[Thermogram]) -> list[Prediction]:
        """Answer frames, each by itself: one at a time is fastest on a CPU, and no answer depends on another."""
        return [self.answer(thermogram, self.modules(thermogram)) for thermogram in batch]

    def answer(self, thermogram: Thermogram, modules: Modules) -> Prediction:
        """The prediction of one frame from its modules."""
        height, width = thermogram.level.shape
        defected = (modules.defect >= self.card.thresholds["defected"]).astype(np.int64)
        scores = np.where(defected == 1, modules.defect, 1 - modules.defect)
        listed = [self._module(thermogram, modules, index, defected, scores) for index in range(len(defected))]
        document: dict[str, Json] = {
            "image": {"width": width, "height": height, "sha256": thermogram.sha256},
            "radiometric": thermogram.radiometric,
            "thermogram": thermogram.thermal,
            "no_data": 0.0 if thermogram.valid is None else round(float(1 - thermogram.valid.mean()), 6),
            "note": thermogram.note,
            "modules": [module.model_dump(by_alias=True) for module in listed],
        }
        return Prediction(
            row=_flat_row(thermogram, modules, defected),
            embedding=modules.found.embedding,
            document=document,
            exports={
                "coco.json": coco_document(
                    Path(thermogram.name).name, (width, height), modules.found.boxes, defected.tolist(), scores.tolist()
                )
            },
            **(_in_words(listed) if thermogram.thermal else _NOT_MEASURED),
        )

    @property
    def adjustable(self) -> Mapping[str, str]:
        """See `sightline.capabilities.Adjustable`."""
        return {"threshold": "probability from which on a module is called defected, 0 to 1"}

    def adjusted(self, values: Mapping[str, float]) -> HotspotModel:
        """The same model that calls a module defected from another probability on.

        Raises:
            ParamsError: it is not a probability.
        """
        return self.with_threshold("defected", values["threshold"])

    def _module(
        self, thermogram: Thermogram, modules: Modules, index: int, defected: NDArray[np.int64], scores: Floats
    ) -> Module:
        in_kelvin = thermogram.celsius is not None
        rise = float(modules.rise[index])
        conditions = thermogram.conditions if in_kelvin else None
        unit = "K" if in_kelvin else "level"
        said = self._why(modules, index, unit) if defected[index] else ("", "")
        document = {
            "box": [round(float(value), 2) for value in modules.found.boxes[index]],
            "class": CLASSES[defected[index]],
            "score": round(float(scores[index]), 6),
            "defect_probability": round(float(modules.defect[index]), 6),
            "network_probability": round(float(modules.found.classes[index, 1]), 6),
            "objectness": round(float(modules.found.objectness[index]), 6),
            "rise": round(rise, 2),
            "rise_within": round(float(modules.rise_within[index]), 2),
            "rise_unit": unit,
            "flagged_by": said[0],
            "reason": said[1],
            "rise_calibrated": conditions is not None and conditions.calibrated,
            "severity": severity(rise, conditions if defected[index] else None),
        }
        return Module.model_validate(document)

    def _why(self, modules: Modules, index: int, unit: str) -> tuple[str, str]:
        rises = float(modules.rise[index]), float(modules.rise_within[index])
        alone = {name: float(share[index]) for name, share in modules.alone.items()}
        return explain(alone, self.card.thresholds["defected"], float(modules.found.classes[index, 1]), rises, unit)

    def draw(self, source: Thermogram, prediction: Prediction) -> NDArray[np.uint8]:
        """The picture with the modules' boxes: defected ones bold, with their rise."""
        return draw_modules(source, Answer.model_validate(prediction.document).modules)


def _readable(thermogram: Thermogram) -> NDArray[np.bool_] | None:
    """Where a level can be trusted: nowhere in what is no thermogram."""
    return thermogram.valid if thermogram.thermal else np.zeros(thermogram.level.shape, dtype=np.bool_)


def _with_data(found: Boxes, valid: NDArray[np.bool_] | None) -> Boxes:
    """The modules of which at least half is in the file."""
    if valid is None or not len(found.boxes):
        return found
    corners = np.rint(found.boxes).astype(np.int64)
    shares = [valid[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].mean() for x0, y0, x1, y1 in corners.tolist()]
    kept = np.array(shares) >= _LEAST_SHARE_WITH_DATA
    return Boxes(found.boxes[kept], found.classes[kept], found.embedding)


_NOT_MEASURED: Words = {"found": "no thermogram: nothing was measured", "summary": {}, "findings": ()}


def _in_words(modules: Sequence[Module]) -> Words:
    """The hot modules, those that rise most first."""
    hot = sorted((module for module in modules if module.kind == CLASSES[1]), key=lambda module: -module.rise)
    findings = tuple(
        Finding(
            kind="hot module",
            score=module.score,
            box=box_of(module.box),
            severity=module.severity,
            figures={f"rise_{module.rise_unit.lower()}": module.rise, "reason": module.reason},
        )
        for module in hot
    )
    found = f"{len(modules)} modules, {len(hot)} hot"
    summary: dict[str, float | int | str] = {"modules": len(modules), "hot_modules": len(hot)}
    if hot:
        found += f", largest rise {hot[0].rise:.1f} {hot[0].rise_unit}"
        summary[f"largest_rise_{hot[0].rise_unit.lower()}"] = hot[0].rise
    return {"found": found, "summary": summary, "findings": findings}


def _flat_row(thermogram: Thermogram, modules: Modules, defected: NDArray[np.int64]) -> dict[str, float | int | str]:
    count = len(defected)
    sides = modules.found.boxes[:, 2:] - modules.found.boxes[:, :2]
    row: dict[str, float | int | str] = {f"input_{name}": value for name, value in thermogram.statistics.items()}
    row |= {
        "output_modules": count,
        "output_defected": int(defected.sum()),
        "output_defected_share": float(defected.mean()) if count else 0.0,
        "output_objectness": float(modules.found.objectness.mean()) if count else 0.0,
        "output_largest_defect_probability": float(modules.defect.max(initial=0.0)),
        "output_largest_rise": float(modules.rise.max(initial=0.0)),
        "output_module_side_px": float(np.sqrt(sides.prod(axis=1)).mean()) if count else 0.0,
    }
    return row
