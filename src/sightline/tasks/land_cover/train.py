"""Training: a network, or the rules; then thresholds and least areas.

work/examples/                 shared by the candidates: the tiles and their classes
work/<candidate>/              checkpoints of a network
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import DataRejected
from sightline.task import Json, Report, TrainingData
from sightline.tasks.land_cover.augment import Channels, Windows, cut_window, raw_channels
from sightline.tasks.land_cover.bits import unpack
from sightline.tasks.land_cover.calibrate import Fitted, calibrate
from sightline.tasks.land_cover.examples import StoredExamples, store_examples, usable
from sightline.tasks.land_cover.metrics import Pool, tile_counts
from sightline.tasks.land_cover.model import GRAPH, NAME, WEIGHTS, LandCoverModel, Recipe, make_card
from sightline.tasks.land_cover.params import RULES, TrainParams
from sightline.tasks.land_cover.rules import fit_rules
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import UNKNOWN

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


def train_model(
    candidate: str, data: TrainingData, params: TrainParams, seed: int, work: Path, report: Report
) -> LandCoverModel:
    """Fit one candidate; see `sightline.task.Task.train`.

    Raises:
        DataRejected: no sample can be used, or a start of another kind was given.
        ParamsError: the weights that params name are not there or not those.
    """
    if not any(usable(sample) for sample in data.train.samples):
        raise DataRejected(
            "no labelled tile is left to train on", where=data.train.root, way_out="Add tiles, or mend the listed."
        )
    start = _start(data)
    examples = store_examples(data.train, work / "examples" / "train", report)
    validation = store_examples(data.validation, work / "examples" / "validation", report)
    rules = fit_rules(examples, params.rules, seed)
    fitted = Fitted(examples, validation, params.thresholds, report)
    if candidate == RULES:
        files: dict[str, bytes] = {}
        made = calibrate(Recipe("rules", params.input, Channels((), ()), rules), files, {}, fitted)
    else:
        # A network that goes on has learnt to see tiles normalised in its own way.
        channels = start.recipe.channels if start else measure_channels(examples, params.input.indices)
        files = _fit_network(candidate, Sets(examples, validation, channels, params, seed), start, work, report)
        may_replace = {CLASSES.index(name) for name in params.rules_may_replace}
        offered = {index: rule for index, rule in rules.items() if index in may_replace}
        made = calibrate(Recipe("network", params.input, channels, {}), files, offered, fitted)
    provenance: dict[str, Json] = {
        "seed": seed,
        "parameters": params.model_dump(mode="json"),
        "train": data.train.digest(),
        "train_samples": len(examples),
        "chosen": made.chosen,
        "start": None if start is None else {"train": start.card.provenance.get("train"), "files": start.card.files},
    }
    return LandCoverModel(make_card(candidate, made.recipe, made.cutoffs, provenance, files), files)


def _start(data: TrainingData) -> LandCoverModel | None:
    if data.start is None:
        return None
    if not isinstance(data.start, LandCoverModel):
        raise DataRejected("the start is no model of this task", way_out=f"Start from a model of {NAME}.")
    return data.start


def measure_channels(examples: StoredExamples, indices: bool) -> Channels:
    """Mean and spread of each channel over all examples."""
    count, total, squares = 0, 0.0, 0.0
    for index in range(len(examples)):
        values = raw_channels(examples.bands(index), indices).astype(np.float64)
        count += values[0].size
        total = total + values.sum(axis=(1, 2))
        squares = squares + (values**2).sum(axis=(1, 2))
    mean = np.asarray(total) / count
    spread = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 1e-12))
    return Channels(tuple(mean.round(6).tolist()), tuple(np.maximum(spread, 1e-4).round(6).tolist()))


# ------------------------------------------------------------------------------------------------------- network


def _fit_network(
    candidate: str, sets: Sets, start: LandCoverModel | None, work: Path, report: Report
) -> dict[str, bytes]:
    import torch
    from safetensors.torch import load, save

    from sightline.segmentation.losses import overlapping_loss
    from sightline.segmentation.training import Fitting, train_network
    from sightline.segmentation.unet import build_unet, export_unet, load_encoder

    params, recipe, bands = sets.params, sets.params.networks[candidate], len(sets.channels.mean)
    schedule = recipe.scratch if start is None else recipe.continued
    torch.manual_seed(sets.seed)
    network = build_unet(recipe.encoder, bands, len(CLASSES), params.decoder_channels)
    if start is not None:
        network.load_state_dict(load(start.files[WEIGHTS]))
    else:
        load_encoder(network, recipe.encoder, params.weights, params.weights_sha256)
    windows = Windows(sets.examples, sets.channels, params.augment, params.input.window_px, schedule.batch, sets.seed)
    fitting = Fitting(windows, overlapping_loss(params.smooth), _validator(sets))
    folder = work / candidate
    folder.mkdir(parents=True, exist_ok=True)
    state = train_network(network, fitting, schedule, folder, report)
    network.cpu().load_state_dict(state)
    network.eval()
    graph = export_unet(network, bands, params.input.window_px, "sigmoid")
    shutil.rmtree(folder, ignore_errors=True)  # the checkpoints; the finished model is the platform's to keep
    return {WEIGHTS: save(state), GRAPH: graph}


def _validator(sets: Sets) -> Callable[[Any], Mapping[str, float]]:
    """The competition's Jaccard on windows of the first validation tiles, before any threshold is fitted."""
    side = sets.params.input.window_px

    def validate(network: Any) -> dict[str, float]:
        import torch

        counts = []
        device = next(network.parameters()).device
        for index in range(min(len(sets.validation), _VALIDATED)):
            bands, bits = cut_window(*sets.validation[index], np.random.default_rng(index), side)
            window = np.ascontiguousarray(sets.channels(bands.astype(np.float32))[None])
            with torch.inference_mode():
                logits, _ = network(torch.from_numpy(window).to(device))
            probabilities = logits[0].sigmoid().float().cpu().numpy()
            counts.append(tile_counts(unpack(bits), probabilities >= UNKNOWN, probabilities))
        if not counts:
            return {}
        figures = Pool(counts).score(np.ones(len(counts)))
        return {f"validation_{name}": figures[name] for name in ("jaccard_mean", "jaccard_soft_pooled")}

    return validate
