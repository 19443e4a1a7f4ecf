"""Whether a training of the networks has converged, by what they do on videos that were held out of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sightline.files import write_json
from sightline.task import Progress

LEAST_IOU = 0.5
"""Of a mask with the fault: below this a training has not converged."""

CHANCE_AUC = 0.5
"""How often a coin ranks a clip with a fault over one without."""


class KeptFigures:
    """A `Progress` that passes all on, and keeps the newest figures of `validate` in a file.

    A training that was killed after its last step and is called again has none to tell.

    Args:
        progress: what is told.
        path: of the file.
    """

    def __init__(self, progress: Progress, path: Path) -> None:
        self._progress, self._path = progress, path
        self.advance = progress.advance

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Keep the figures of a step, and pass them on."""
        write_json(self._path, {name: value for name, value in values.items() if name.startswith("validation_")})
        self._progress.metrics(step, values)

    def note(self, refined: bool) -> str:
        """See `convergence_note`, of the file."""
        return convergence_note(json.loads(self._path.read_text("utf-8")) if self._path.is_file() else {}, refined)


def convergence_note(figures: Mapping[str, float], refined: bool) -> str:
    """Why the weights of which `validate` told these figures have not converged, in words; empty where they have.

    They have where the masks (of stage 2, if `refined`) reach LEAST_IOU, and the scores rank clips better than a coin.
    """
    iou, auc = figures.get(f"validation_iou_{'refined' if refined else 'coarse'}"), figures.get("validation_auc")
    if iou is None or auc is None:
        return "nobody knows whether it has converged: there are no figures on videos held out of its training"
    if iou >= LEAST_IOU and auc > CHANCE_AUC:
        return ""
    return (
        f"it has not converged: on videos held out of its training its masks overlap the fault by {iou:.2f} (IoU; at"
        f" least {LEAST_IOU} is asked for), and a clip with a fault scores higher than one without {auc:.0%} of the"
        f" time (by chance {CHANCE_AUC:.0%})"
    )
