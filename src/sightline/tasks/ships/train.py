"""Training: a network, or the rule of blobs; then the calibration and the threshold.

work/examples/                 shared by the candidates: chips and scenes with their labels
work/<candidate>/head, all     checkpoints of a network: of its head alone, then of all
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline.task import Progress, TrainingData
from sightline.tasks.ships.calibrate import calibrated, fit_blobs, look_at, uncalibrated
from sightline.tasks.ships.examples import StoredExamples, store_examples
from sightline.tasks.ships.model import GRAPH, WEIGHTS, Recipe, ShipModel
from sightline.tasks.ships.params import BLOBS, AugmentParams, TrainParams
from sightline.tasks.ships.windows import Windows
from sightline.vision.examples import require_usable
from sightline.vision.saved import provenance_of

if TYPE_CHECKING:
    from torch.nn import Module


_VALIDATED = 8
"""Batches of validation crops that are looked at after each stretch of steps."""


@dataclass(frozen=True)
class Sets:
    """What a network is fitted on."""

    examples: StoredExamples
    validation: StoredExamples
    params: TrainParams
    seed: int
    share: float


def train_model(
    candidate: str, data: TrainingData[ShipModel], params: TrainParams, seed: int, work: Path, progress: Progress
) -> ShipModel:
    """Fit one candidate; see `sightline.task.Task.train`.

    Raises:
        DataRejected: no sample can be used.
        ParamsError: the weights that params name are not there or not those.
    """
    require_usable(data.train, "chip or scene")
    params = params.of(candidate)
    start = data.start
    examples = store_examples(data.train, work / "examples" / "train", progress)
    validation = store_examples(data.validation, work / "examples" / "validation", progress)
    evaluated = validation if _is_of_same_sets(data) and _has_ships(validation) else examples
    if candidate == BLOBS:
        made = fit_blobs(candidate, params, evaluated, progress)
    else:
        files = _fit_network(candidate, Sets(examples, validation, params, seed, data.share), start, work, progress)
        recipe = Recipe(method="network", input=params.input, scan=params.scan, blobs=params.blobs)
        model = uncalibrated(candidate, recipe, files)
        # Pixels as they are: in coarser ones the shorter vessels cannot be told, and would be missed by no threshold.
        sensors = None if evaluated is validation else params.augment.model_copy(update={"coarse_share": 0.0})
        made = calibrated(model, look_at(model, evaluated, progress, sensors))
    provenance = provenance_of(
        data, params, seed, len(examples), {"calibrated_on": "validation" if evaluated is validation else "train"}
    )
    return ShipModel(made.card.model_copy(update={"provenance": provenance}), made.files)


def _is_of_same_sets(data: TrainingData[ShipModel]) -> bool:
    """Whether validation is of what is trained on; scenes of a synthetic set say little of real ones."""
    return {sample.set for sample in data.validation.samples} <= {sample.set for sample in data.train.samples}


def _has_ships(examples: StoredExamples) -> bool:
    return any(box.kind == "ship" for index in examples.scenes for box in examples.boxes[index])


# ------------------------------------------------------------------------------------------------------- network


def _fit_network(
    candidate: str, sets: Sets, start: ShipModel | None, work: Path, progress: Progress
) -> dict[str, bytes]:
    import torch
    from safetensors.torch import load, save

    from sightline.tasks.ships.network import (
        PYRAMIDS,
        build_network,
        export_network,
        freeze_features,
        load_weights,
        window_loss,
    )
    from sightline.vision.training import Fitting, train_network

    params, recipe, windows = sets.params, sets.params.networks[candidate], sets.params.windows
    schedule = (recipe.scratch if start is None else recipe.continued).shortened(sets.share)
    torch.manual_seed(sets.seed)
    network = build_network(recipe.size, params.input.pooled_px, windows.stride_px)
    if start is not None:
        network.load_state_dict(load(start.files[WEIGHTS]))
        warm = True
    else:
        warm = load_weights(network, recipe.size, params.weights, params.weights_sha256)
    loss = window_loss(windows.smoothing, windows.hard_example_share)
    validate = _validator(sets, schedule.batch)
    folder = work / candidate
    for name, one in (("head", recipe.head), ("all", schedule)):
        if name == "head" and not warm:
            continue  # features that are drawn at random are nothing to learn a head on
        freeze_features(network, name == "head")
        batches = Windows(sets.examples, params.input, windows, params.augment, one.batch, sets.seed)
        (folder / name).mkdir(parents=True, exist_ok=True)
        state = train_network(network, Fitting(batches, loss, validate), one, folder / name, progress)
        network.load_state_dict(state)
    shutil.rmtree(folder, ignore_errors=True)  # the checkpoints; the finished model is the platform's to keep
    scanned = build_network(recipe.size, params.input.pooled_px, params.scan.graph_stride_px)
    scanned.load_state_dict(state)
    return {WEIGHTS: save(state), GRAPH: export_network(scanned.eval(), recipe.size in PYRAMIDS)}


def _validator(sets: Sets, batch: int) -> Callable[[Module], Mapping[str, float]]:
    """Shares of right windows, with a ship and without, on crops of validation; nothing where there are none."""
    params = sets.params
    changed = set(AugmentParams.model_fields) - {"zoom", "coarsest", "jpeg_quality"}
    plain = params.augment.model_copy(update=dict.fromkeys(changed, 0.0))
    windows = Windows(sets.validation, params.input, params.windows, plain, batch, sets.seed)

    def validate(network: Module) -> dict[str, float]:
        import torch

        if not len(sets.validation):
            return {}
        counts = np.zeros((2, 2))
        device = next(network.parameters()).device
        for step in range(_VALIDATED):
            inputs, truth = windows(step)
            with torch.inference_mode():
                logits, _ = network(torch.from_numpy(inputs).to(device))
            right = logits[:, :2].argmax(dim=1).cpu().numpy() == truth[:, 0]
            for label in (0, 1):
                own = truth[:, 0] == label
                counts[label] += right[own].sum(), own.sum()
        names = ("validation_no_ship_right", "validation_ship_right")
        return {name: float(hits / of) for name, (hits, of) in zip(names, counts, strict=True) if of}

    return validate
