"""What a fitted candidate still lacks: its probabilities and its two thresholds, on labelled videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.task import Manifest, Progress, Sample
from sightline.tasks.battery_faults.data import source_of
from sightline.tasks.battery_faults.metrics import FALSE_ALARM_SHARE
from sightline.tasks.battery_faults.model import BatteryModel
from sightline.tasks.battery_faults.verdict import Thresholds, logit_of
from sightline.vision.calibration import fit_calibration

UNKNOWN = Thresholds(0.5, 0.5)
"""Where there are no videos of both kinds to choose by."""

_MISSED_SHARE = 0.02
"""Of the faulty videos, that may lie below the threshold of a healthy pack."""


def calibrated(model: BatteryModel, data: Manifest, samples: Sequence[Sample], progress: Progress) -> BatteryModel:
    """The model with the probabilities and the thresholds that follow from its scores of these videos."""
    scores, labels = look_at(model, data, samples, progress)
    calibration = fit_calibration(np.array([logit_of(one) for one in scores]), labels)
    told = np.array([float(calibration(logit_of(one))) for one in scores])
    thresholds = choose_thresholds(told, labels)
    recipe = model.recipe.model_copy(update={"calibration": calibration})
    card = model.card.model_copy(
        update={
            "preprocessing": recipe.model_dump(mode="json"),
            "thresholds": {"healthy": thresholds.healthy, "faulty": thresholds.faulty},
        }
    )
    return BatteryModel(card, model.files)


def look_at(
    model: BatteryModel, data: Manifest, samples: Sequence[Sample], progress: Progress
) -> tuple[list[float], NDArray[np.int64]]:
    """The scores of videos, and whether a cell is faulty in them."""
    scores = []
    for number, sample in enumerate(samples, start=1):
        scores.append(model.told(model.read(source_of(data, sample), data.limits)).score)
        progress.advance(number, len(samples), f"calibration {number}/{len(samples)}")
    return scores, np.array([int(sample.figures["faulty"]) for sample in samples], dtype=np.int64)


def choose_thresholds(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> Thresholds:
    """Two thresholds on calibrated scores (n,), by labels (n,) of 0 and 1.

    `faulty` is the lowest above which at most FALSE_ALARM_SHARE of the healthy videos lie, `healthy` the highest below
    which at most a fiftieth of the faulty ones lie. Where the two kinds are told apart they meet halfway between them.
    Where a healthy video scores as high as any faulty one, nothing would ever reach that: `faulty` is then where most
    faulty videos more than healthy ones lie above (Youden, 1950), and false alarms are seen when it is evaluated.
    """
    healthy, faulty = np.sort(scores[labels == 0]), np.sort(scores[labels == 1])
    if not len(healthy) or not len(faulty):
        return UNKNOWN
    high = healthy[len(healthy) - 1 - int(FALSE_ALARM_SHARE * len(healthy))]
    low = faulty[int(_MISSED_SHARE * len(faulty))]
    if high < low:
        middle = round(float(high + low) / 2, 6)
        return Thresholds(middle, middle)
    above = round(float(np.nextafter(high, 2)) + 1e-6, 6)
    reached = above if above <= faulty[-1] else _best_divide(healthy, faulty, above)
    return Thresholds(min(round(float(low), 6), reached), reached)


def _best_divide(healthy: NDArray[np.float64], faulty: NDArray[np.float64], otherwise: float) -> float:
    """Just below the faulty score that divides sorted scores best; `otherwise` where none is better than chance."""
    gain = [float((faulty >= score).mean() - (healthy >= score).mean()) for score in faulty[::-1]]
    best = int(np.argmax(gain))
    return round(float(faulty[::-1][best]) - 1e-6, 6) if gain[best] > 0 else otherwise
