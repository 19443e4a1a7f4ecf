"""What an input may weigh, and what answering it takes: known before anything of it is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What an input may weigh before it is decoded.

    Attributes:
        bytes: of the file.
        pixels: of the picture; of several bands, their values.
        work_pixels: of the picture at the scale at which a network looks at it, of an upload; see `ships.cost`.
    """

    bytes: int = 32 * 2**20
    pixels: int = 64 * 2**20
    work_pixels: int = 256 * 2**20


USUAL = Limits()
"""Where nobody has set others."""


@dataclass(frozen=True)
class Cost:
    """What answering one input takes, told from its head alone, before anything is decoded.

    Attributes:
        size: (h, w) pixels of the input as its head says, for messages.
        decoded_px: pixels that are decoded, as often as they are gone through.
        seen_px: pixels that the model looks at, at its own scale and with the overlaps of its windows.
        held_bytes: most that is in memory for it at a time, while it is decoded, answered or drawn.
    """

    size: tuple[int, int]
    decoded_px: int
    seen_px: int
    held_bytes: int
