"""The YouTube-VIS layout, read and written."""

from __future__ import annotations

from dataclasses import dataclass, field

from sightline.tasks.battery_faults.runs import RunLengths

__all__ = ["Facts", "Fault", "RunLengths", "Track", "Video"]


@dataclass(frozen=True)
class Fault:
    """One faulty cell of a pack.

    Attributes:
        cell: 1 .. from the left of the pack in its own frame of reference.
        onset: the first frame in which it is warmer than its siblings.
        power_w: of the short; None where nobody knows.
    """

    cell: int
    onset: int
    power_w: float | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a video besides its masks.

    Attributes:
        path: the camera's.
        faults: the cells that are faulty, also those that are never seen.
        pack: the geometry's name; empty where nobody knows, as in what follows.
        look: `fluent` or `field`.
        cells: of the pack; 0 where nobody knows.
        ambient_k: temperature around.
        visible: a row a frame, a number a cell: share of its pixels that nothing hides.
        rise_k: a row a frame, a number a cell: its warmest place over the ambient temperature at the first frame.
    """

    path: str = ""
    faults: tuple[Fault, ...] = ()
    pack: str = ""
    look: str = ""
    cells: int = 0
    ambient_k: float | None = None
    visible: tuple[tuple[float, ...], ...] = ()
    rise_k: tuple[tuple[float, ...], ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether no cell is faulty."""
        return not self.faults


@dataclass(frozen=True)
class Track:
    """One faulty cell through a video.

    Attributes:
        category: its class; 1 is `cell`.
        masks: one a frame, None where it is not faulty yet or not in sight.
        cell: which one it is; None where nobody says.
    """

    category: int
    masks: tuple[RunLengths | None, ...]
    cell: int | None = None


@dataclass(frozen=True)
class Video:
    """One video and its truth.

    Attributes:
        id: in the document.
        name: of its folder.
        frames: files in the order of time, relative to `JPEGImages`.
        size: (h, w) in pixels.
        tracks: of faulty cells; annotations of nothing but nulls are none.
        facts: what else is known of it.
        empty_annotations: annotations of nothing but nulls, which the published protocol counts.
    """

    id: int
    name: str
    frames: tuple[str, ...]
    size: tuple[int, int]
    tracks: tuple[Track, ...] = ()
    facts: Facts = field(default_factory=Facts)
    empty_annotations: int = 0
