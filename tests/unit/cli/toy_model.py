"""A saved model of the toy task."""

from __future__ import annotations

from pathlib import Path

from sightline.task import Card
from tests.toy import ToyModel


def saved_toy(directory: Path) -> Path:
    directory.mkdir(parents=True)
    card = Card(
        task="toy",
        candidate="threshold",
        classes=("no", "spot"),
        formats=("image/png",),
        preprocessing={},
        thresholds={"level": 100.0},
        provenance={},
    )
    ToyModel(card).save(directory)
    return directory
