"""Training: a network, or the plain classifier of pixels.

work/examples/<scale>/         shared by the candidates: the pictures at the network's scale
work/<candidate>/              checkpoints of a network
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json, Progress, TrainingData
from sightline.tasks.panel_defects.augment import Normalisation, Windows, cut_window
from sightline.tasks.panel_defects.domain import Domain
from sightline.tasks.panel_defects.examples import StoredExamples, store_examples
from sightline.tasks.panel_defects.metrics import Pool, confusion_of
from sightline.tasks.panel_defects.model import Recipe, SegmentationModel, decide, kind_of
from sightline.tasks.panel_defects.params import PIXELS, InputParams, TrainParams
from sightline.tasks.panel_defects.pixels import pixel_features, train_pixels
from sightline.vision.examples import require_usable, usable_samples
from sightline.vision.fit import NetworkShape, fit_network, mean_and_std, validator
from sightline.vision.losses import exclusive_loss
from sightline.vision.networks import IMAGENET, imagenet_normalisation, load_start
from sightline.vision.saved import provenance_of
from sightline.vision.session import GRAPH, WEIGHTS
from sightline.vision.training import Fitting

if TYPE_CHECKING:
    from torch.nn import Module


Data = TrainingData[SegmentationModel]

_VALIDATED = 64
"""Most pictures that are looked at after each stretch of steps."""


@dataclass(frozen=True)
class Fitted:
    """What all candidates of a fit share."""

    domain: Domain
    examples: StoredExamples
    normalisation: Normalisation
    input: InputParams
    params: TrainParams
    seed: int
    share: float


def train_model(
    candidate: str, data: Data, domain: Domain, params: TrainParams, seed: int, work: Path, progress: Progress
) -> SegmentationModel:
    """Fit one candidate; see `sightline.task.Task.train`.

    Raises:
        DataRejected: no sample can be used.
        ParamsError: the weights that params name are not there or not those.
    """
    require_usable(data.train, "picture", "labels")
    start = data.start
    taken = params.input_of(candidate)
    stored = work / "examples" / f"{taken.scale:g}"
    examples = store_examples(domain, data.train, taken.scale, stored / "train", progress)
    normalisation = _normalisation(candidate, start, examples, params)
    fitted = Fitted(domain, examples, normalisation, taken, params, seed, data.share)
    recipe_of = partial(Recipe, input=taken, mean=normalisation.mean, std=normalisation.std)
    if candidate == PIXELS:
        graph, found = fit_pixels(fitted, progress)
        files = {GRAPH: graph}
        recipe = recipe_of(method="pixels", found=found, sigmas_px=params.pixels.sigmas_px)
    else:
        validation = store_examples(domain, data.validation, taken.scale, stored / "validation", progress)
        files = _fit_network(candidate, fitted, validation, start, work / candidate, progress)
        recipe = recipe_of(method="network", found=tuple(range(len(domain.classes))))
    kind = kind_of(domain)
    plain = SegmentationModel(kind.make_card(candidate, recipe, files, {}, {}), files)
    recipe = recipe.model_copy(update={"class_weights": choose_weights(plain, data, fitted)})
    provenance = provenance_of(data, params, seed, len(examples))
    return SegmentationModel(kind.make_card(candidate, recipe, files, {}, provenance), files)


def _normalisation(
    candidate: str, start: SegmentationModel | None, examples: StoredExamples, params: TrainParams
) -> Normalisation:
    """A network that goes on has learnt to see pictures normalised in its own way; so have published weights."""
    if candidate == PIXELS:
        return measure_bands(examples)
    if start is not None:
        return start.recipe.normalisation
    encoder = params.networks[candidate].encoder
    if params.weights.get(encoder) != IMAGENET:
        return measure_bands(examples)
    mean, std = imagenet_normalisation(encoder)
    return Normalisation((mean,) * examples.bands, (std,) * examples.bands)


def measure_bands(examples: StoredExamples) -> Normalisation:
    """Mean and standard deviation of each band over all examples."""
    return Normalisation(*mean_and_std(examples[index][0].transpose(2, 0, 1) for index in range(len(examples))))


def choose_weights(model: SegmentationModel, data: Data, fitted: Fitted) -> tuple[float, ...]:
    """(classes,) weights of the answer, powers of the classes' frequency: those with the best mean IoU on validation.

    A loss that weights rare classes, and rare strata drawn more often, make a network answer rare classes too easily.
    Without validation, or where several are as good, the exponent nearest to 0 is taken.
    """
    domain = fitted.domain
    share = class_shares(fitted.examples, len(domain.classes))
    share = np.where(share > 0, share, share.max()) / share.max()
    tried = [tuple((share**exponent).round(6).tolist()) for exponent in sorted(fitted.params.priors, key=abs)]
    held = replace(data.validation, samples=usable_samples(data.validation, "labels"))
    if not held.samples or len(tried) == 1:
        return tried[0]
    counts: list[list[dict[str, Json]]] = [[] for _ in tried]
    for _, picture, truth in domain.labelled(held):
        found, size = model.probabilities(picture), (truth.shape[0], truth.shape[1])
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


# -------------------------------------------------------------------------------------------------------- pixels


def fit_pixels(fitted: Fitted, progress: Progress) -> tuple[bytes, tuple[int, ...]]:
    """The plain classifier, grown on pixels drawn from the examples: its graph, and the classes that it has seen."""
    examples, params = fitted.examples, fitted.params.pixels
    features, truth = [], []
    for index in range(len(examples)):
        pixels, mask = examples[index]
        bands = np.ascontiguousarray(fitted.normalisation(pixels).transpose(2, 0, 1))
        rng = np.random.default_rng([fitted.seed, index])
        drawn = rng.choice(mask.size, min(params.pixels_per_image, mask.size), replace=False)
        features.append(pixel_features(bands, params.sigmas_px)[drawn])
        truth.append(mask.ravel()[drawn])
        progress.advance(index + 1, len(examples) + 1, f"trees: picture {index + 1}/{len(examples)}")
    labels = np.concatenate(truth)
    graph = train_pixels(np.concatenate(features), labels, params, fitted.seed)
    progress.advance(1, 1, "trees")
    return graph, tuple(int(index) for index in np.unique(labels))


# ------------------------------------------------------------------------------------------------------- network


def _fit_network(
    candidate: str,
    fitted: Fitted,
    validation: StoredExamples,
    start: SegmentationModel | None,
    work: Path,
    progress: Progress,
) -> dict[str, bytes]:
    params, recipe, domain = fitted.params, fitted.params.networks[candidate], fitted.domain
    schedule = (recipe.scratch if start is None else recipe.continued).shortened(fitted.share)

    def begin(network: Module) -> None:
        earlier = None if start is None else start.files[WEIGHTS]
        load_start(network, recipe.encoder, params.weights, params.weights_sha256, earlier)

    windows = Windows(
        fitted.examples,
        shares_of_strata(fitted.examples.strata, params.balance),
        fitted.normalisation,
        params.augment,
        fitted.input.window_px,
        schedule.batch,
        fitted.seed,
    )
    weights = class_weights(fitted.examples, len(domain.classes), params.balance)
    fitting = Fitting(windows, exclusive_loss(params.loss, weights), _validator(fitted, validation))
    shape = NetworkShape(
        recipe.encoder,
        domain.bands,
        len(domain.classes),
        params.decoder_channels,
        fitted.input.window_px,
        "softmax",
        recipe.decoder,
    )
    return fit_network(shape, begin, fitting, schedule, fitted.seed, work, progress)


def _validator(fitted: Fitted, validation: StoredExamples) -> Callable[[Module], Mapping[str, float]]:
    """Mean IoU on windows of the first validation pictures."""
    classes, side = fitted.domain.classes, fitted.input.window_px

    def window(index: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        pixels, mask = cut_window(*validation[index], np.random.default_rng(index), side)
        return fitted.normalisation(pixels).transpose(2, 0, 1), mask

    def count(truth: NDArray[np.uint8], logits: NDArray[np.float32]) -> dict[str, Json]:
        return confusion_of(truth, logits.argmax(axis=0).astype(np.uint8), len(classes))

    def score(counts: list[dict[str, Json]]) -> dict[str, float]:
        figures = Pool(counts, classes).score(np.ones(len(counts)))
        return {name: figures[name] for name in ("iou_mean", "iou_mean_foreground")}

    return validator([partial(window, index) for index in range(min(len(validation), _VALIDATED))], count, score)
