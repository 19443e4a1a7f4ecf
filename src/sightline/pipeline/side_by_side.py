"""Pictures beside each other, each with a caption above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Picture = NDArray[np.uint8]
"""(h, w, 3) RGB."""

_CAPTION_PX = 28
_WIDEST = 2.0  # of a picture over the height that is asked for: wider ones make all lower
_GAP_PX = 6
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


@dataclass(frozen=True)
class Panel:
    """A picture and what it shows, in a few words."""

    picture: Picture
    caption: str


def side_by_side(rows: Sequence[Sequence[Panel]], height_px: int) -> Picture:
    """Rows of panels, all of one height; what is small is enlarged without smoothing, so that pixels stay seen."""
    from PIL import Image, ImageDraw, ImageFont

    widest = max(panel.picture.shape[1] / panel.picture.shape[0] for row in rows for panel in row)
    most_px = round(_WIDEST * height_px)
    height_px = max(round(height_px * min(1.0, _WIDEST / widest)), 1)
    font = ImageFont.load_default(size=_CAPTION_PX * 0.6)
    strips = []
    for row in rows:
        scaled = [_scaled(panel.picture, height_px, most_px) for panel in row]
        width = sum(one.width for one in scaled) + _GAP_PX * (len(scaled) - 1)
        strip = Image.new("RGB", (width, height_px + _CAPTION_PX), _PAPER)
        draw, x = ImageDraw.Draw(strip), 0
        for picture, panel in zip(scaled, row, strict=True):
            draw.text((x + 4, 4), panel.caption, _INK, font)
            strip.paste(picture, (x, _CAPTION_PX))
            x += picture.width + _GAP_PX
        strips.append(strip)
    sheet = Image.new("RGB", (max(one.width for one in strips), sum(one.height for one in strips)), _PAPER)
    for number, strip in enumerate(strips):
        sheet.paste(strip, (0, number * (height_px + _CAPTION_PX)))
    return np.asarray(sheet)


def _scaled(picture: Picture, height_px: int, most_px: int) -> Image.Image:
    from PIL import Image

    image = Image.fromarray(picture)
    smooth = Image.Resampling.LANCZOS if image.height > height_px else Image.Resampling.NEAREST
    width = max(round(image.width * height_px / image.height), 1)
    return image.resize((min(width, most_px), height_px), smooth)
