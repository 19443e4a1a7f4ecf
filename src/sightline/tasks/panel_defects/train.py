"""Training: a network, alone or beside the plain classifier of pixels, or that classifier.

work/examples/                 shared by the candidates: the pictures at the network's scale
work/<candidate>/              checkpoints of a network, and its context
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.segmentation.fit import UnetShape, fit_unet, mean_and_spread, validator
from sightline.segmentation.losses import exclusive_loss
from sightline.segmentation.session import GRAPH, WEIGHTS
from sightline.segmentation.training import Fitting
from sightline.segmentation.unet import load_encoder, load_network
from sightline.task import Json, Report, TrainingData
from sightline.tasks.panel_defects.augment import Examples, Normalisation, Windows, centred, cut_window
from sightline.tasks.panel_defects.context import Answers, Trees, WithContext, fit_trees, folds_of, normalised
from sightline.tasks.panel_defects.domain import Domain
from sightline.tasks.panel_defects.examples import StoredExamples, store_examples, usable
from sightline.tasks.panel_defects.metrics import Pool, confusion_of
from sightline.tasks.panel_defects.model import TREES, Recipe, SegmentationModel, decide, make_card
from sightline.tasks.panel_defects.params import PIXELS, TrainParams

_VALIDATED = 64
"""Most pictures that are looked at after each stretch of steps."""


@dataclass(frozen=True)
class Fitted:
    """What all candidates of a fit share."""

    domain: Domain
    examples: StoredExamples
    normalisation: Normalisation
    params: TrainParams
    seed: int

    def trees(self, chosen: Iterable[int], report: Report) -> Trees:
        """The plain classifier, fitted on the chosen examples."""
        pixels, classes = self.params.pixels, len(self.domain.classes)
        return fit_trees(self.examples, chosen, self.normalisation, classes, pixels, self.seed, report)


@dataclass(frozen=True)
class Sets:
    """What a network is trained on and looked at with; see `augment.Examples`."""

    train: Examples
    validation: Examples


def train_model(
    candidate: str, data: TrainingData, domain: Domain, params: TrainParams, seed: int, work: Path, report: Report
) -> SegmentationModel:
    """Fit one candidate; see `sightline.task.Task.train`.

    Raises:
        DataRejected: no sample can be used, or a start of another kind was given.
        ParamsError: the weights that params name are not there or not those.
    """
    if not any(usable(sample) for sample in data.train.samples):
        raise DataRejected(
            "no labelled picture is left to train on",
            where=data.train.root,
            way_out="Add pictures, or mend the listed.",
        )
    start = _start(data, domain)
    examples = store_examples(domain, data.train, params.input.scale, work / "examples" / "train", report)
    # A network that goes on has learnt to see pictures normalised in its own way.
    normalisation = start.recipe.normalisation if start and candidate != PIXELS else measure_bands(examples)
    fitted = Fitted(domain, examples, normalisation, params, seed)
    every = tuple(range(len(domain.classes)))
    if candidate == PIXELS:
        trees = fitted.trees(range(len(examples)), report)
        files = {GRAPH: trees.graph}
        recipe = Recipe("pixels", params.input, normalisation, trees.found, params.pixels.sigmas_px)
    else:
        validation = store_examples(
            domain, data.validation, params.input.scale, work / "examples" / "validation", report
        )
        sets = Sets(examples, validation)
        recipe = Recipe("network", params.input, normalisation, every)
        files = {}
        if params.networks[candidate].context:
            trees, sets = _with_context(fitted, validation, work / candidate, report)
            files = {TREES: trees.graph}
            recipe = Recipe("context", params.input, normalisation, trees.found, params.pixels.sigmas_px)
        files |= _fit_network(candidate, fitted, sets, start, work / candidate, report)
    weights = choose_weights(SegmentationModel(make_card(candidate, domain, recipe, {}, files), files), data, fitted)
    recipe = replace(recipe, class_weights=weights)
    provenance: dict[str, Json] = {
        "seed": seed,
        "parameters": params.model_dump(mode="json"),
        "train": data.train.digest(),
        "train_samples": len(examples),
        "start": None if start is None else {"train": start.card.provenance.get("train"), "files": start.card.files},
    }
    return SegmentationModel(make_card(candidate, domain, recipe, provenance, files), files)


def _start(data: TrainingData, domain: Domain) -> SegmentationModel | None:
    if data.start is None:
        return None
    if not isinstance(data.start, SegmentationModel) or data.start.card.task != domain.name:
        raise DataRejected("the start is no model of this task", way_out=f"Start from a model of {domain.name}.")
    return data.start


def measure_bands(examples: StoredExamples) -> Normalisation:
    """Mean and spread of each band over all examples."""
    return Normalisation(*mean_and_spread(examples[index][0].transpose(2, 0, 1) for index in range(len(examples))))


def choose_weights(model: SegmentationModel, data: TrainingData, fitted: Fitted) -> tuple[float, ...]:
    """(classes,) weights of the answer, powers of the classes' frequency: those with the best mean IoU on validation.

    A loss that weights rare classes, and rare strata drawn more often, make a network answer rare classes too easily.
    Without validation, or where several are as good, the exponent nearest to 0 is taken.
    """
    domain = fitted.domain
    share = class_shares(fitted.examples, len(domain.classes))
    share = np.where(share > 0, share, share.max()) / share.max()
    tried = [tuple((share**exponent).round(6).tolist()) for exponent in sorted(fitted.params.priors, key=abs)]
    held = data.validation.where(usable)
    if not held.samples or len(tried) == 1:
        return tried[0]
    counts: list[list[Json]] = [[] for _ in tried]
    for _, picture, truth in domain.labelled(held):
        found, size = model.look(picture), (truth.shape[0], truth.shape[1])
        for weights, made in zip(tried, counts, strict=True):
            made.append(confusion_of(truth, decide(found, weights, size).mask, len(domain.classes)))
    scores = [Pool(made, domain.classes).score(np.ones(len(made)))["iou_mean"] for made in counts]
    return tried[int(np.argmax(scores))]


def class_shares(examples: StoredExamples, classes: int) -> NDArray[np.float64]:
    """(classes,) of the pixels of all examples."""
    counts = np.zeros(classes)
    for index in range(len(examples)):
        counts += np.bincount(examples[index][1].ravel(), minlength=classes)
    return np.asarray(counts / counts.sum())


def class_weights(examples: StoredExamples, classes: int, exponent: float) -> list[float]:
    """(classes,) frequency ** -exponent, with a mean of 1 over the pixels; classes that are absent get 0."""
    share = class_shares(examples, classes)
    weights = np.where(share > 0, np.maximum(share, 1e-12) ** -exponent, 0.0)
    return [float(weight) for weight in weights / (weights @ share)]


def shares_of_strata(strata: tuple[str, ...], exponent: float) -> list[float]:
    """(n,) how often each example is drawn: as its stratum's frequency ** -exponent has it; sums to 1."""
    counts = Counter(strata)
    weights = np.array([(counts[one] / len(strata)) ** -exponent for one in strata])
    return [float(weight) for weight in weights / weights.sum()]


# ------------------------------------------------------------------------------------------------------- network


def _with_context(fitted: Fitted, validation: StoredExamples, folder: Path, report: Report) -> tuple[Trees, Sets]:
    """The trees on all examples, and the sets with the answers of trees that have not seen the picture."""
    examples, classes = fitted.examples, len(fitted.domain.classes)
    folder.mkdir(parents=True, exist_ok=True)
    folds = folds_of(examples.groups, fitted.params.pixels.folds, fitted.seed)
    grown: dict[int, Trees] = {}

    def unseen(index: int) -> NDArray[np.float32]:
        fold = int(folds[index])
        if fold not in grown:
            others = np.flatnonzero(folds != fold)
            grown[fold] = fitted.trees(others if len(others) else range(len(examples)), report)
        return grown[fold](normalised(examples[index][0], fitted.normalisation))

    train = Answers(folder / "context-train.bin", examples, classes, unseen, report)
    trees = fitted.trees(range(len(examples)), report)

    def answered(index: int) -> NDArray[np.float32]:
        return trees(normalised(validation[index][0], fitted.normalisation))

    held = Answers(folder / "context-validation.bin", validation, classes, answered, report)
    return trees, Sets(WithContext(examples, train), WithContext(validation, held))


def _fit_network(
    candidate: str, fitted: Fitted, sets: Sets, start: SegmentationModel | None, work: Path, report: Report
) -> dict[str, bytes]:
    params, recipe, domain = fitted.params, fitted.params.networks[candidate], fitted.domain
    schedule = recipe.scratch if start is None else recipe.continued

    def begin(network: Any) -> None:
        if start is None:
            load_encoder(network, recipe.encoder, params.weights, params.weights_sha256)
        else:
            load_network(network, start.files[WEIGHTS])

    windows = Windows(
        sets.train,
        shares_of_strata(fitted.examples.strata, params.balance),
        fitted.normalisation,
        params.augment,
        params.input.window_px,
        schedule.batch,
        fitted.seed,
    )
    weights = class_weights(fitted.examples, len(domain.classes), params.balance)
    fitting = Fitting(windows, exclusive_loss(params.loss, weights), _validator(fitted, sets.validation))
    bands = domain.bands + (len(domain.classes) if recipe.context else 0)
    shape = UnetShape(
        recipe.encoder, bands, len(domain.classes), params.decoder_channels, params.input.window_px, "softmax"
    )
    return fit_unet(shape, begin, fitting, schedule, fitted.seed, work, report)


def _validator(fitted: Fitted, validation: Examples) -> Callable[[Any], Mapping[str, float]]:
    """Mean IoU on windows of the first validation pictures."""
    classes, side = fitted.domain.classes, fitted.params.input.window_px

    def window(index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        pixels, mask = cut_window(*validation[index], np.random.default_rng(index), side)
        bands = len(fitted.normalisation.mean)
        seen = [fitted.normalisation(pixels[..., :bands]), centred(pixels[..., bands:])]
        return np.concatenate(seen, axis=2).transpose(2, 0, 1), mask

    def count(truth: NDArray[np.uint8], logits: NDArray[np.float32]) -> Json:
        return confusion_of(truth, logits.argmax(axis=0).astype(np.uint8), len(classes))

    def score(counts: list[Json]) -> dict[str, float]:
        figures = Pool(counts, classes).score(np.ones(len(counts)))
        return {name: figures[name] for name in ("iou_mean", "iou_mean_foreground")}

    return validator([partial(window, index) for index in range(min(len(validation), _VALIDATED))], count, score)
