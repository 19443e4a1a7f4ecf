"""What a fitted candidate still lacks: its probabilities and its threshold, on labelled chips and scenes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.task import Progress
from sightline.tasks.ships.calibration import UNKNOWN, best_threshold, precise_threshold
from sightline.tasks.ships.colours import seen_otherwise
from sightline.tasks.ships.examples import StoredExamples
from sightline.tasks.ships.finder import Found
from sightline.tasks.ships.metrics import ALONGSIDE, NEITHER, OPEN_WATER, Pool, Scene, match_scene
from sightline.tasks.ships.model import KIND, Recipe, ShipModel
from sightline.tasks.ships.params import AugmentParams, TrainParams
from sightline.tasks.ships.raster import raster_of
from sightline.vision.calibration import Calibration, fit_calibration

_MOST_CHIPS = 200
"""Most chips that are looked at."""

_SIGHTS, _MOST_SIGHTS = 4, 24
"""How often a scene that was learnt from is looked at, each time by another sensor; and all of them at most."""

_PRECISION_ALONGSIDE = 0.8
"""Of what is answered to lie alongside, on the scenes that the threshold is fitted on."""


@dataclass(frozen=True)
class Evaluated:
    """What a model found in labelled examples, with raw logits.

    Attributes:
        scenes: what was found in each scene.
        chips: (n, 2) logit of the middle, and 1 where there is a ship.
    """

    scenes: Sequence[Scene]
    chips: NDArray[np.float64]

    @property
    def peaks(self) -> NDArray[np.float64]:
        """(n, 3) logit, verdict and place of the scenes' detections, without those on too short vessels."""
        rows = [
            (one.score, one.near, one.place) for scene in self.scenes for one in scene.detections if one.near != NEITHER
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 3)

    @property
    def ships(self) -> int:
        """In open water, in all scenes."""
        return sum(scene.ships for scene in self.scenes)

    @property
    def alongside(self) -> int:
        """In all scenes."""
        return sum(scene.alongside for scene in self.scenes)

    def f1(self, calibration: Calibration, thresholds: tuple[float, float]) -> float:
        """Of the vessels in open water; 0 where there are none. The thresholds are those of `match_scene`."""
        rows = [_calibrated(scene, calibration, thresholds).model_dump(mode="json") for scene in self.scenes]
        value = Pool(rows).score(np.ones(len(rows)))["f1"] if rows else 0.0
        return value if np.isfinite(value) else 0.0


def _calibrated(scene: Scene, calibration: Calibration, thresholds: tuple[float, float]) -> Scene:
    found = tuple(one._replace(score=float(calibration(one.score))) for one in scene.detections)
    own = dict(zip(("threshold", "alongside_threshold"), thresholds, strict=True))
    return scene.model_copy(update={**own, "detections": found})


def look_at(
    model: ShipModel, examples: StoredExamples, progress: Progress, sensors: AugmentParams | None = None
) -> Evaluated:
    """What a model finds in all scenes and in some chips of labelled examples.

    Args:
        model: with raw logits.
        examples: that it is evaluated on.
        progress: told how far it is.
        sensors: how other sensors would show the scenes, where the model has learnt from these: what it knows by heart
            it answers with more confidence than anything new, and a threshold between its own answers is too high.
    """
    scenes = [(index, sight) for index in examples.scenes for sight in range(_sights(examples, sensors))]
    chips = [(index, 0) for index in examples.chips[:: max(-(-len(examples.chips) // _MOST_CHIPS), 1)]]
    total = len(scenes) + len(chips)

    def find(number: int, index: int, sight: int) -> Found:
        example = examples[index]
        pixels = example.pixels
        if sensors is not None and not example.chip:
            pixels, _ = seen_otherwise(pixels, sensors, np.random.default_rng([index, sight]))
        found = model.finder(raster_of(pixels, example.gsd_m))
        progress.advance(number, total, f"calibration {number}/{total}")
        return found

    found = [find(number, *one) for number, one in enumerate([*scenes, *chips], start=1)]
    matched = [
        match_scene(one.detections, examples.boxes[index], examples.gsd_m[index])
        for (index, _), one in zip(scenes, found, strict=False)
    ]
    middles = [
        (one.middle, float(bool(examples.boxes[index])))
        for (index, _), one in zip(chips, found[len(scenes) :], strict=True)
    ]
    return Evaluated(matched, np.array(middles, dtype=np.float64).reshape(-1, 2))


def _sights(examples: StoredExamples, sensors: AugmentParams | None) -> int:
    """How often each scene is looked at."""
    if sensors is None:
        return 1
    return max(min(_SIGHTS, _MOST_SIGHTS // max(len(examples.scenes), 1)), 1)


def calibrated(model: ShipModel, evaluated: Evaluated) -> ShipModel:
    """The model with the probabilities and the threshold that fit what it found."""
    peaks, recipe = evaluated.peaks, model.recipe
    logits, labels = np.concatenate([peaks[:, :2], evaluated.chips]).T
    calibration = fit_calibration(logits, labels.astype(np.int64))
    floor = float(calibration(np.log(recipe.scan.floor / (1 - recipe.scan.floor))))

    def told(place: int) -> tuple[list[float], list[int]]:
        own = peaks[peaks[:, 2] == place]
        return [float(value) for value in calibration(own[:, 0])], [int(value) for value in own[:, 1]]

    threshold = best_threshold(*told(OPEN_WATER), evaluated.ships, floor)
    middles = [float(value) for value in calibration(evaluated.chips[:, 0])]
    of_chips = [int(value) for value in evaluated.chips[:, 1]]
    # Around a chip there is nothing to see: the same ship has another logit there.
    chip = best_threshold(middles, of_chips, sum(of_chips), floor)
    if middles and min(middles) >= chip:
        chip = UNKNOWN  # a threshold that all chips exceed tells nothing
    thresholds = {"ship": threshold, "chip": chip}
    # Quays are full of what looks like a vessel: there it takes more to be answered.
    berthed = precise_threshold(*told(ALONGSIDE), _PRECISION_ALONGSIDE, floor) if evaluated.alongside else threshold
    thresholds["alongside"] = max(threshold, berthed)
    recipe = recipe.model_copy(update={"calibration": calibration})
    card = KIND.make_card(model.card.candidate, recipe, model.files, thresholds, {})
    return ShipModel(card, model.files, model.threads)


def uncalibrated(candidate: str, recipe: Recipe, files: Mapping[str, bytes]) -> ShipModel:
    """A model with raw logits, and thresholds that say nothing."""
    return ShipModel(KIND.make_card(candidate, recipe, files, {"ship": UNKNOWN, "chip": UNKNOWN}, {}), files)


def fit_blobs(candidate: str, params: TrainParams, examples: StoredExamples, progress: Progress) -> ShipModel:
    """The rule of blobs with the least contrast that has the largest F1, of those that params name."""
    best, chosen = -1.0, None
    for deviations in params.blobs.deviations:
        recipe = Recipe(method="blobs", input=params.input, scan=params.scan, blobs=params.blobs, deviations=deviations)
        model = uncalibrated(candidate, recipe, {})
        evaluated = look_at(model, examples, progress)
        model = calibrated(model, evaluated)
        f1 = evaluated.f1(model.recipe.calibration, model.thresholds)
        if f1 > best:
            best, chosen = f1, model
    assert chosen is not None
    return chosen
