"""Training: a network, or the rules; then thresholds and least areas.

work/examples/                 shared by the candidates: the tiles and their classes
work/<candidate>/              checkpoints of a network
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.task import Json, Progress, TrainingData
from sightline.tasks.land_cover.augment import Channels, Windows, cut_window, raw_channels
from sightline.tasks.land_cover.bits import Bits, unpack
from sightline.tasks.land_cover.calibrate import Fitted, calibrate
from sightline.tasks.land_cover.examples import StoredExamples, store_examples
from sightline.tasks.land_cover.metrics import Pool, tile_counts
from sightline.tasks.land_cover.model import KIND, LandCoverModel, Recipe
from sightline.tasks.land_cover.params import RULES, TrainParams
from sightline.tasks.land_cover.rules import fit_rules
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import UNKNOWN
from sightline.vision.examples import require_usable
from sightline.vision.fit import NetworkShape, fit_network, mean_and_std, validator
from sightline.vision.losses import overlapping_loss
from sightline.vision.networks import load_start
from sightline.vision.saved import provenance_of
from sightline.vision.session import WEIGHTS
from sightline.vision.training import Fitting

if TYPE_CHECKING:
    from torch.nn import Module


_VALIDATED = 32
"""Most tiles of which a window is looked at after each stretch of steps."""


@dataclass(frozen=True)
class Sets:
    """What a network is fitted on."""

    examples: StoredExamples
    validation: StoredExamples
    channels: Channels
    params: TrainParams
    seed: int
    share: float


def train_model(
    candidate: str, data: TrainingData[LandCoverModel], params: TrainParams, seed: int, work: Path, progress: Progress
) -> LandCoverModel:
    """Fit one candidate; see `sightline.task.Task.train`.

    Raises:
        DataRejected: no sample can be used.
        ParamsError: the weights that params name are not there or not those.
    """
    require_usable(data.train, "tile")
    start = data.start
    examples = store_examples(data.train, work / "examples" / "train", progress)
    validation = store_examples(data.validation, work / "examples" / "validation", progress)
    rules = fit_rules(examples, params.rules, seed)
    fitted = Fitted(examples, validation, params.thresholds, progress)
    if candidate == RULES:
        files: dict[str, bytes] = {}
        made = calibrate(Recipe(method="rules", input=params.input, mean=(), std=(), rules=rules), files, {}, fitted)
    else:
        # A network that goes on has learnt to see tiles normalised in its own way.
        channels = start.recipe.channels if start else measure_channels(examples, params.input.indices)
        sets = Sets(examples, validation, channels, params, seed, data.share)
        files = _fit_network(candidate, sets, start, work, progress)
        may_replace = {CLASSES.index(name) for name in params.rules_may_replace}
        offered = {index: rule for index, rule in rules.items() if index in may_replace}
        recipe = Recipe(method="network", input=params.input, mean=channels.mean, std=channels.std, rules={})
        made = calibrate(recipe, files, offered, fitted)
    provenance = provenance_of(data, params, seed, len(examples), {"chosen": made.chosen})
    card = KIND.make_card(candidate, made.recipe, files, made.cutoffs.document(), provenance)
    return LandCoverModel(card, files)


def measure_channels(examples: StoredExamples, indices: bool) -> Channels:
    """Mean and standard deviation of each channel over all examples."""
    return Channels(*mean_and_std(raw_channels(examples.bands(index), indices) for index in range(len(examples))))


# ------------------------------------------------------------------------------------------------------- network


def _fit_network(
    candidate: str, sets: Sets, start: LandCoverModel | None, work: Path, progress: Progress
) -> dict[str, bytes]:
    params, recipe, bands = sets.params, sets.params.networks[candidate], len(sets.channels.mean)
    schedule = (recipe.scratch if start is None else recipe.continued).shortened(sets.share)

    def begin(network: Module) -> None:
        earlier = None if start is None else start.files[WEIGHTS]
        load_start(network, recipe.encoder, params.weights, params.weights_sha256, earlier)

    windows = Windows(sets.examples, sets.channels, params.augment, params.input.window_px, schedule.batch, sets.seed)
    fitting = Fitting(windows, overlapping_loss(params.smooth), _validator(sets))
    shape = NetworkShape(
        recipe.encoder, bands, len(CLASSES), params.decoder_channels, params.input.window_px, "sigmoid"
    )
    return fit_network(shape, begin, fitting, schedule, sets.seed, work / candidate, progress)


def _validator(sets: Sets) -> Callable[[Module], Mapping[str, float]]:
    """The competition's Jaccard on windows of the first validation tiles, before any threshold is fitted."""
    side = sets.params.input.window_px

    def window(index: int) -> tuple[NDArray[np.float32], Bits]:
        bands, bits = cut_window(*sets.validation[index], np.random.default_rng(index), side)
        return sets.channels(bands.astype(np.float32)), bits

    def count(truth: Bits, logits: NDArray[np.float32]) -> dict[str, Json]:
        probabilities = np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)
        return tile_counts(unpack(truth), probabilities >= UNKNOWN, probabilities)

    def score(counts: list[dict[str, Json]]) -> dict[str, float]:
        figures = Pool(counts).score(np.ones(len(counts)))
        return {name: figures[name] for name in ("jaccard_mean", "jaccard_soft_pooled")}

    return validator([partial(window, index) for index in range(min(len(sets.validation), _VALIDATED))], count, score)
