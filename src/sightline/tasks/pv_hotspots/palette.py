"""False-colour palettes of thermal cameras: from a level to a colour and back.

A palette maps a scalar level, stretched to 0 .. 255 over one picture, to a colour. Hue therefore *is* temperature,
and inverting the palette brings it back (up to the stretch, which differs from picture to picture).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

GREY = "grey"

_FAR = 10.0  # mean distance of the colours from the palette, 0 .. 441: JPEG alone makes some 5
_TINT = 8.0  # mean difference of the channels: a grey thermogram has none but for JPEG and an overlay

# (level, red, green, blue). `iron`: read off FLIR Vue Pro thermograms by pairing the picture with the raw counts;
# it keeps to the studio range 16 .. 235. `rainbow`: the usual run through the hues from blue to red.
_ANCHORS: dict[str, tuple[tuple[float, int, int, int], ...]] = {
    "iron": (
        (0, 16, 16, 16), (4, 17, 15, 31), (7, 18, 15, 50), (14, 22, 15, 95), (17, 26, 15, 110), (23, 41, 15, 123),
        (33, 65, 15, 138), (43, 93, 15, 144), (57, 131, 15, 149), (66, 152, 15, 147), (76, 171, 17, 142),
        (84, 182, 23, 134), (92, 190, 31, 126), (98, 196, 40, 111), (104, 202, 50, 97), (112, 208, 64, 64),
        (120, 213, 77, 34), (127, 218, 86, 26), (134, 222, 96, 19), (143, 224, 111, 15), (155, 227, 130, 13),
        (169, 230, 154, 13), (177, 233, 169, 13), (186, 233, 184, 15), (193, 233, 193, 18), (198, 232, 201, 30),
        (204, 232, 208, 46), (208, 232, 215, 64), (213, 233, 219, 93), (218, 233, 223, 128), (223, 233, 226, 163),
        (229, 234, 230, 188), (241, 236, 234, 214), (255, 235, 235, 235),
    ),
    "rainbow": (
        (0, 0, 0, 128), (28, 0, 0, 255), (64, 0, 128, 255), (92, 0, 255, 255), (128, 0, 255, 0),
        (164, 255, 255, 0), (200, 255, 128, 0), (228, 255, 0, 0), (255, 255, 192, 192),
    ),
}  # fmt: skip


@cache
def lookup_table(name: str) -> NDArray[np.uint8]:
    """The palette `name` ("iron", "rainbow" or "grey") as (256, 3) RGB."""
    if name == GREY:
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    anchors = np.array(_ANCHORS[name], dtype=np.float64)
    levels = np.arange(256)
    channels = [np.interp(levels, anchors[:, 0], anchors[:, k]) for k in (1, 2, 3)]
    table: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return table


@cache
def _distances(name: str) -> NDArray[np.float32]:
    """(32768,) distance of each colour, in bins of 8, to the nearest colour of the palette."""
    axis = (np.arange(32) * 8 + 3.5).astype(np.float32)
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    table = lookup_table(name).astype(np.float32)
    squared = (cube**2).sum(1)[:, None] - 2 * cube @ table.T + (table**2).sum(1)[None]
    distances: NDArray[np.float32] = np.sqrt(np.maximum(squared.min(axis=1), 0))
    return distances


def colourise(level: NDArray[np.floating], name: str) -> NDArray[np.uint8]:
    """Levels (h, w), clipped to 0 .. 255, as a picture (h, w, 3) RGB."""
    picture: NDArray[np.uint8] = lookup_table(name)[np.clip(np.rint(level), 0, 255).astype(np.uint8)]
    return picture


def find_palette(picture: NDArray[np.uint8]) -> str:
    """The palette whose colours a picture (h, w, 3) RGB follows best: "iron", "rainbow" or "grey"."""
    counts = _colours(picture)
    return min((*_ANCHORS, GREY), key=lambda name: float(counts @ _distances(name)))


def follows_palette(picture: NDArray[np.uint8], name: str) -> bool:
    """Whether the colours of a picture (h, w, 3) RGB are those of a palette at all; a photograph's are not.

    Real and synthetic thermograms lie 4 to 7 from iron in the mean; of 400 photographs of solar panels all but the
    greyest twentieth lie farther from every palette.
    """
    if name == GREY:
        return float(np.ptp(picture, axis=2).mean()) <= _TINT
    counts = _colours(picture)
    return float(counts @ _distances(name)) <= _FAR * float(counts.sum())


def _colours(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(32768,) how many pixels have each colour, in bins of 8."""
    bins = (picture >> 3).astype(np.int32)
    code = (bins[..., 0] << 10) | (bins[..., 1] << 5) | bins[..., 2]
    return np.bincount(code.ravel(), minlength=32**3)


def invert_palette(picture: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    """The level (h, w), 0 .. 255, of each pixel of a picture (h, w, 3) RGB: nearest neighbour in RGB on the table."""
    if name == GREY:
        return np.asarray(picture.mean(axis=2), dtype=np.float32)
    return _nearest_level(picture, name)


def _nearest_level(picture: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    """Exact nearest neighbour on the table; the colours of a picture repeat, so each is looked up once."""
    packed = (picture[..., 0].astype(np.int32) << 16) | (picture[..., 1].astype(np.int32) << 8) | picture[..., 2]
    colours, where = np.unique(packed, return_inverse=True)
    table = lookup_table(name).astype(np.float32)
    levels = np.empty(len(colours), dtype=np.float32)
    for start in range(0, len(colours), 2**14):  # bounds the distance matrix to 16 MiB
        part = colours[start : start + 2**14]
        rgb = np.stack([part >> 16, (part >> 8) & 255, part & 255], axis=1).astype(np.float32)
        levels[start : start + 2**14] = ((table**2).sum(1)[None] - 2 * rgb @ table.T).argmin(axis=1)
    return levels[where].reshape(picture.shape[:2])
