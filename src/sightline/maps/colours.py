"""Red, green and blue of an open TIFF, window by window, as its tags say what a band is.

A band is opacity only where it is tagged so: the fourth one of most satellites is near infrared. What a declared value
without data, an opacity, or a mask inside or beside the file hides, is black and told as hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.vision.images.orientation import UPRIGHT, shown_size, upright
from sightline.vision.images.refusals import broken
from sightline.vision.images.tiff_windows import opened_tiff

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

Pixels = NDArray[np.uint8]
Hidden = NDArray[np.bool_]

_CONVERT = "Save it as RGB with 8 bits a colour: gdal_translate -ot Byte -scale LOW HIGH 0 255 IN OUT."
_NAMES = ("red", "green", "blue")
_LOOKED_AT_PX = 1024
_LEAST_BRIGHT = 1.5
"""Values that are all below are shares, as reflectances are, not grey levels of 0 to 255."""


@dataclass(frozen=True)
class Colours:
    """What reads the colours of an open dataset.

    Attributes:
        dataset: the raster.
        bands: numbers of red, green and blue, from 1.
        opacity: number of the band that is tagged as such.
        masked: whether anything declares pixels without data.
        mask: a file of its own that tells them.
        where: for messages.
        orientation: how the stored pixels are turned to be shown, 1 .. 8; windows are those of what is shown.
    """

    dataset: DatasetReader
    bands: tuple[int, int, int]
    opacity: int | None
    masked: bool
    mask: DatasetReader | None
    where: str
    orientation: int = UPRIGHT

    def __call__(self, top: int, left: int, height: int, width: int) -> Pixels:
        """(height, width, 3) of a window that lies within the raster; black where it is hidden."""
        window = self._stored(top, left, height, width)
        pixels = np.moveaxis(self._grey_levels(self._read(self.dataset, self.bands, window)), 0, -1)
        if self.hides:
            pixels = pixels * ~self._hidden(window)[..., None]
        return np.ascontiguousarray(upright(pixels, self.orientation))

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) as shown."""
        height, width = self.dataset.shape
        return shown_size(width, height, self.orientation)[::-1]

    @property
    def hides(self) -> bool:
        """Whether pixels may be hidden."""
        return self.masked or self.opacity is not None or self.mask is not None

    def hidden(self, top: int, left: int, height: int, width: int) -> Hidden:
        """(height, width): where there is nothing to see."""
        return upright(self._hidden(self._stored(top, left, height, width)), self.orientation)

    def _hidden(self, window: Window) -> Hidden:
        shown = np.ones((window.height, window.width), dtype=bool)
        if self.masked:  # nodata is nothing only where all colours have it
            shown &= (self._read(self.dataset, self.bands, window, masks=True) != 0).any(axis=0)
        if self.opacity is not None:
            shown &= self._read(self.dataset, (self.opacity,), window)[0] != 0
        if self.mask is not None:
            shown &= (self._read(self.mask, tuple(range(1, self.mask.count + 1)), window) != 0).any(axis=0)
        return ~shown

    def _stored(self, top: int, left: int, height: int, width: int) -> Window:
        """The window of the stored pixels that is shown as this one; see `orientation.as_stored`."""
        from rasterio.windows import Window

        if self.orientation in (5, 6, 7, 8):
            top, left, height, width = left, top, width, height
        rows, columns = self.dataset.shape
        if self.orientation in (3, 4, 6, 7):
            top = rows - top - height
        if self.orientation in (2, 3, 7, 8):
            left = columns - left - width
        return Window(left, top, width, height)

    def _read(
        self, dataset: DatasetReader, bands: tuple[int, ...], window: Window, masks: bool = False
    ) -> NDArray[np.generic]:
        from rasterio.errors import RasterioError

        try:
            return np.asarray((dataset.read_masks if masks else dataset.read)(bands, window=window))
        except RasterioError as error:
            raise broken(error, self.where) from error

    def _grey_levels(self, stored: NDArray[np.generic]) -> Pixels:
        """(3, h, w) as stored to 0 .. 255, by the file's own scale and offset."""
        if stored.dtype == np.uint8 and not _is_scaled(self.dataset, self.bands):
            return np.asarray(stored, dtype=np.uint8)
        scales, offsets = (
            np.array([scaling[band - 1] for band in self.bands])[:, None, None]
            for scaling in (self.dataset.scales, self.dataset.offsets)
        )
        levels = (stored.astype(np.float64) * scales + offsets) * _gain_of(self.dataset, self.bands)
        levels[~np.isfinite(levels)] = 0
        return np.asarray(np.clip(np.round(levels), 0, 255), dtype=np.uint8)


def colours_of(
    dataset: DatasetReader, where: str, mask: DatasetReader | None = None, orientation: int = UPRIGHT
) -> Colours:
    """What reads a dataset's colours.

    Args:
        dataset: of a TIFF.
        where: for messages.
        mask: the `.msk` beside it.
        orientation: how its pixels are turned to be shown.

    Raises:
        DataRejected: it has no three colours, or its values are no grey levels and the file does not say how to make
            such of them.
    """
    from rasterio.enums import ColorInterp, MaskFlags

    kinds = list(dataset.colorinterp)
    opacity = kinds.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in kinds else None
    bands = _bands_of(dataset, where)
    if mask is not None and mask.shape != dataset.shape:
        raise DataRejected(
            "the mask file beside it has another size",
            where=where,
            way_out=f"Remove {mask.name}, or save it in the size of the image.",
        )
    flags = [dataset.mask_flag_enums[band - 1] for band in bands]
    masked = any(MaskFlags.all_valid not in one and MaskFlags.alpha not in one for one in flags)
    colours = Colours(dataset, bands, opacity, masked, mask, where, orientation)
    _check_levels(colours)
    return colours


def _bands_of(dataset: DatasetReader, where: str) -> tuple[int, int, int]:
    """Those that are tagged or described as red, green and blue, else the first three."""
    from rasterio.enums import ColorInterp

    kinds = list(dataset.colorinterp)
    described = [(text or "").strip().lower() for text in dataset.descriptions]
    # A description is written by hand, while most writers tag the first three as RGB.
    named = _places_of_colours(described) or _places_of_colours([kind.name for kind in kinds])
    if named is not None:
        return named
    seen = [number for number, kind in enumerate(kinds, start=1) if kind is not ColorInterp.alpha]
    odd = {ColorInterp.palette, ColorInterp.cyan, ColorInterp.hue, ColorInterp.lightness} & set(kinds)
    if len(seen) not in (3, 4) or odd:
        raise DataRejected(
            f"it has {dataset.count} bands, not red, green and blue",
            where=where,
            way_out="Save three bands of 8 bits, or tag which are red, green and blue.",
        )
    return 1, 2, 3


def _places_of_colours(names: Sequence[str]) -> tuple[int, int, int] | None:
    """The numbers of the bands called red, green and blue; None unless each name occurs once."""
    if any(names.count(name) != 1 for name in _NAMES):
        return None
    red, green, blue = (names.index(name) + 1 for name in _NAMES)
    return red, green, blue


def _is_scaled(dataset: DatasetReader, bands: tuple[int, ...]) -> bool:
    return any((dataset.scales[band - 1], dataset.offsets[band - 1]) != (1, 0) for band in bands)


def _gain_of(dataset: DatasetReader, bands: tuple[int, ...]) -> float:
    """255 where 8 bits stand for shares of the brightest; what is deeper and a share is a reflectance, no picture."""
    brightest = max(255 * dataset.scales[band - 1] + dataset.offsets[band - 1] for band in bands)
    return 255.0 if dataset.dtypes[bands[0] - 1] == "uint8" and brightest < _LEAST_BRIGHT else 1.0


def _check_levels(colours: Colours) -> None:
    """Grey levels of 8 bits as they are; others by a scale and an offset that make such of them."""
    dataset = colours.dataset
    kind = dataset.dtypes[colours.bands[0] - 1]
    scaled = _is_scaled(dataset, colours.bands)
    if kind == "uint8" and not scaled:
        return
    if not scaled:
        raise DataRejected(f"it holds {kind} values, not 8 bits a colour", where=colours.where, way_out=_CONVERT)
    (height, width), side = colours.size, _LOOKED_AT_PX
    rows, columns = min(height, side), min(width, side)
    window = colours._stored((height - rows) // 2, (width - columns) // 2, rows, columns)
    stored, shown = colours._read(dataset, colours.bands, window), ~colours._hidden(window)
    numbered = zip(stored, colours.bands, strict=True)
    values = np.stack([band[shown] * dataset.scales[at - 1] + dataset.offsets[at - 1] for band, at in numbered])
    values = values[np.isfinite(values)] * _gain_of(dataset, colours.bands)
    if values.size and not (values.min() > -1 and _LEAST_BRIGHT < values.max() < 256):
        raise DataRejected(
            f"by its scale and offset it holds values of {values.min():.3g} to {values.max():.3g}, not grey levels "
            "of 0 to 255",
            where=colours.where,
            way_out=_CONVERT,
        )


@contextmanager
def opened_colours(
    source: Path | bytes, where: str, mask: Path | None = None, orientation: int = UPRIGHT
) -> Iterator[Colours]:
    """Open a TIFF that `pictures.check_tiff` has passed.

    Args:
        source: a file, or its bytes.
        where: for messages.
        mask: the `.msk` beside it, which that function has passed too.
        orientation: how its pixels are turned to be shown.

    Raises:
        DataRejected: it is broken, or see `colours_of`.
    """
    with opened_tiff(source, where) as dataset:
        if mask is None:
            yield colours_of(dataset, where, None, orientation)
            return
        with opened_tiff(mask, str(mask)) as hiding:
            yield colours_of(dataset, where, hiding, orientation)
