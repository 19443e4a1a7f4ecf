"""What is known of the set's samples while they are listed, and which of them show the same ground."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

SAME_GROUND = (("lb_1", "scene_2"), ("sfbay_1", "scene_1", "scene_4"))
"""Scenes that are known under several names, or on several dates."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
"""Of pictures."""

MOST_OFF = 1.05
"""How far a pixel may be from what is said of it: training takes a picture as it is, a model by what it says."""


@dataclass(frozen=True)
class Item:
    """What is known of a sample once it was looked at; `scene` is what its ground is told by.

    `pixels_sha256` is of a chip's pixels: the same for a file and for a row of a document.
    """

    id: str
    files: Mapping[str, str]
    scene: str
    stratum: str
    sha256: str = ""
    labels_sha256: str = ""
    problem: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    pixels_sha256: str = ""


class Grounds:
    """Which scenes hang together: sets that share a scene are one ground, named by its smallest scene."""

    def __init__(self, sets: Iterable[Sequence[str]]) -> None:
        self._members: list[set[str]] = []
        for one in sets:
            joined = set(one).union(*(known for known in self._members if known & set(one)))
            self._members = [known for known in self._members if not known & joined] + [joined]

    def of(self, scene: str) -> str:
        """The ground of a scene."""
        return next((min(members) for members in self._members if scene in members), scene)
