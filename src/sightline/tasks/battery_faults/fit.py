"""Fitting a candidate: the rule, stage 1, or both stages; then its probabilities and thresholds.

work/clips/     what the networks learn from, cut out once
work/stages/    both stages, which the candidates `query` and `refined` share: trained once; and what they do on videos
                that were held out, by which the card says where they have not converged
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from sightline.files import replace_bytes
from sightline.task import Json, Manifest, Progress, Sample, TrainingData
from sightline.tasks.battery_faults.calibrate import UNKNOWN, calibrated
from sightline.tasks.battery_faults.convergence import KeptFigures
from sightline.tasks.battery_faults.data import read_truth, source_of
from sightline.tasks.battery_faults.examples import Look, StoredClips, looks_of, store_clips
from sightline.tasks.battery_faults.model import KIND, WEIGHTS, BatteryModel, Recipe
from sightline.tasks.battery_faults.params import RULE, TrainParams
from sightline.vision.examples import require_usable, usable_samples
from sightline.vision.saved import provenance_of

Learned = Literal["query", "refined"]


def fit_model(
    candidate: str, data: TrainingData[BatteryModel], params: TrainParams, seed: int, work: Path, progress: Progress
) -> BatteryModel:
    """Fit one candidate; see `sightline.task.Task.train`.

    Raises:
        DataRejected: no video can be used.
    """
    used = require_usable(data.train, "video")
    files: dict[str, bytes] = {}
    note = ""
    recipe = Recipe(method="rule", rule=params.rule)
    if candidate != RULE:
        learned = params.learned
        method: Learned = "query" if candidate == "query" else "refined"
        recipe = Recipe(method=method, rule=params.rule, network=learned.network, refine=learned.refine)
        kept = KeptFigures(progress, work / "stages" / "figures.json")
        files = {WEIGHTS: _trained(data, params, seed, work, kept)}
        note = kept.note(refined=method == "refined")
    evaluated = _to_calibrate_on(data)
    chosen = usable_samples(evaluated)
    if candidate != RULE:  # which is fast
        chosen = _thinned(chosen, params.calibrated_on)
    known: dict[str, Json] = {"calibrated_on": len(chosen), **({"note": note} if note else {})}
    provenance = provenance_of(data, params, seed, len(used), known)
    thresholds = {"healthy": UNKNOWN.healthy, "faulty": UNKNOWN.faulty}
    card = KIND.make_card(candidate, recipe, files, thresholds, provenance)
    return calibrated(BatteryModel(card, files), evaluated, chosen, progress)


def _trained(data: TrainingData[BatteryModel], params: TrainParams, seed: int, work: Path, progress: Progress) -> bytes:
    """The weights of both stages; those that an earlier call has finished are taken as they are."""
    from sightline.tasks.battery_faults.train import train_stages

    done = work / "stages" / WEIGHTS
    if done.is_file():
        return done.read_bytes()
    videos = _clips(data.train, work / "clips" / "train", progress)
    held_out = _clips(data.validation, work / "clips" / "validation", progress)
    start = None if data.start is None else data.start.files.get(WEIGHTS)
    learned = params.learned if start is None else params.learned.continued_from
    learned = learned.model_copy(update={"learning": learned.learning.shortened(data.share)})
    weights = train_stages(videos, held_out, learned, seed, work / "stages", progress, start)
    replace_bytes(done, weights)
    return weights


def _clips(data: Manifest, folder: Path, progress: Progress) -> StoredClips:
    from sightline.tasks.battery_faults.clip import read_clip

    def looks(sample: Sample) -> Iterator[Look]:  # opened when it is its turn
        clip = read_clip(source_of(data, sample), data.limits)
        yield from looks_of(read_truth(data, sample), clip.frames(), clip.scale)

    return store_clips([(sample.key, looks(sample)) for sample in usable_samples(data)], folder, progress)


def _to_calibrate_on(data: TrainingData[BatteryModel]) -> Manifest:
    """Validation, where it has healthy and faulty videos; else what was trained on."""
    kinds = {sample.figures["faulty"] for sample in usable_samples(data.validation)}
    return data.validation if len(kinds) > 1 else data.train


def _thinned(samples: tuple[Sample, ...], most: int) -> tuple[Sample, ...]:
    """So many of them at most, evenly spread over healthy and faulty ones."""
    ordered = sorted(samples, key=lambda sample: sample.figures["faulty"])
    step = max(len(ordered) / most, 1.0)
    return tuple(ordered[int(k * step)] for k in range(min(most, len(ordered))))
