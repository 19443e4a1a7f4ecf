"""Modules drawn on the picture of a thermogram: those that were found, and those that were labelled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.pv_hotspots.answer import Module
from sightline.tasks.pv_hotspots.data import CLASSES, Labels
from sightline.tasks.pv_hotspots.thermogram import Thermogram


def draw_modules(source: Thermogram, modules: Sequence[Module]) -> NDArray[np.uint8]:
    """The picture with the boxes of an answer's modules: defected ones bold, with their rise, and on top."""
    import cv2

    picture = np.ascontiguousarray(source.picture).copy()
    if not source.thermal:
        _write(picture, "no thermogram: nothing was measured", (8, 20))
    for module in reversed(modules):
        x0, y0, x1, y1 = (round(value) for value in module.box)
        is_defected = module.kind == CLASSES[1]
        cv2.rectangle(picture, (x0, y0), (x1, y1), *(((255, 0, 0), 2) if is_defected else ((0, 255, 0), 1)))
        if is_defected:
            text = f"{module.rise:+.0f} {module.rise_unit}"
            if "physics" not in module.flagged_by:  # the rise alone would not say why it is marked
                text += f", network {module.network_probability:.0%}"
            _write(picture, text, (x0, max(y0 - 4, 12)))
    return np.asarray(picture, dtype=np.uint8)


def draw_labels(picture: NDArray[np.uint8], labels: Labels) -> NDArray[np.uint8]:
    """A picture with the labelled modules: defected ones bold."""
    import cv2

    drawn = np.ascontiguousarray(picture).copy()
    for kind in (0, 1):
        polygons = [
            np.rint(p).astype(np.int32) for p, c in zip(labels.polygons, labels.classes, strict=True) if c == kind
        ]
        cv2.polylines(drawn, polygons, True, *(((255, 0, 0), 2) if kind else ((0, 255, 0), 1)))
    return np.asarray(drawn, dtype=np.uint8)


def _write(picture: NDArray[np.uint8], text: str, at: tuple[int, int]) -> None:
    """White with a black edge, to be read on any colour."""
    import cv2

    for colour, weight in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, weight)
