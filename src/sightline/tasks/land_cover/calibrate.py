"""After the fit: which classes a rule answers, and each class's threshold and least area.

Fitted on validation; a class that does not occur there on the training set, where a network looks better than it is;
one that occurs nowhere keeps `thresholds.UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sightline.task import Json, Progress
from sightline.tasks.land_cover.bits import unpack
from sightline.tasks.land_cover.examples import StoredExamples
from sightline.tasks.land_cover.model import KIND, LandCoverModel, Recipe
from sightline.tasks.land_cover.params import ThresholdParams
from sightline.tasks.land_cover.rules import Rules
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import UNKNOWN, Cutoffs, Trial


@dataclass(frozen=True)
class Fitted:
    """What a recipe was fitted on, and what is tried now."""

    examples: StoredExamples
    validation: StoredExamples
    thresholds: ThresholdParams
    progress: Progress


@dataclass(frozen=True)
class Calibrated:
    """The recipe with the rules it takes in, its cutoffs, and for each class what decided."""

    recipe: Recipe
    cutoffs: Cutoffs
    chosen: dict[str, dict[str, Json]]


def calibrate(recipe: Recipe, files: Mapping[str, bytes], rules: Rules, fitted: Fitted) -> Calibrated:
    """Fit thresholds and least areas.

    Args:
        recipe: of a network, or of rules alone.
        files: its weights.
        rules: those that may replace the network's answer for their class, where they win on validation.
        fitted: see there.
    """
    found = _trial(recipe, files, fitted.validation, fitted)
    missing = _missing(found, fitted.examples)
    at_home = _trial(recipe, files, fitted.examples, fitted) if missing else found
    by_rule = (
        _trial(recipe.model_copy(update={"method": "rules", "rules": rules}), {}, fitted.validation, fitted)
        if rules
        else found
    )
    chosen: dict[str, dict[str, Json]] = {}
    taken = dict(recipe.rules)
    cutoffs: list[tuple[float, int]] = []
    for kind, name in enumerate(CLASSES):
        jaccard, probability, area = (at_home if kind in missing else found).best(kind)
        described: dict[str, Json] = {
            "by": _answered_by(kind, recipe),
            "fitted_on": _fitted_on(kind, found, missing),
            "jaccard": round(jaccard, 4),
        }
        if kind in rules and found.present(kind):
            of_rule = by_rule.best(kind)
            described["jaccard_of_rule"] = round(of_rule[0], 4)
            if of_rule[0] > jaccard:
                taken[kind], described["by"], (_, probability, area) = rules[kind], "rule", of_rule
        cutoffs.append((probability, area))
        chosen[name] = described
    probabilities, areas = zip(*cutoffs, strict=True)
    return Calibrated(recipe.model_copy(update={"rules": taken}), Cutoffs(probabilities, areas), chosen)


def _trial(recipe: Recipe, files: Mapping[str, bytes], examples: StoredExamples, fitted: Fitted) -> Trial:
    """Every threshold with every least area on some examples; a rule's answer is 0 or 1, so it needs one threshold."""
    grid = fitted.thresholds
    trial = Trial((UNKNOWN,) if recipe.method == "rules" else grid.probability, grid.area_px)
    model = LandCoverModel(KIND.make_card("", recipe, files, Cutoffs().document(), {}), files)
    for index in range(len(examples)):
        trial.add(model.segment(examples.bands(index)).probabilities, unpack(examples[index][1]))
        fitted.progress.advance(index + 1, len(examples), f"thresholds {index + 1}/{len(examples)}")
    return trial


def _missing(found: Trial, examples: StoredExamples) -> list[int]:
    """Classes that do not occur in validation, but among these examples."""
    absent = (kind for kind in range(len(CLASSES)) if not found.present(kind))
    return [kind for kind in absent if examples.counts[:, kind].any()]


def _fitted_on(kind: int, found: Trial, missing: Sequence[int]) -> str:
    if kind in missing:
        return "training"
    return "validation" if found.present(kind) else "nothing"


def _answered_by(kind: int, recipe: Recipe) -> str:
    if kind in recipe.rules:
        return "rule"
    return "network" if recipe.method == "network" else "nothing"
