"""Pictures of the ground: red, green and blue of 8 bits, decoded at once or window by window. Untrusted."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataRejected
from sightline.files import open_file
from sightline.limits import Limits
from sightline.maps.colours import opened_colours
from sightline.vision.images import MAX_BANDS, decode_picture, read_bytes
from sightline.vision.images.orientation import UPRIGHT
from sightline.vision.images.refusals import broken, check_sides, refusing_broken
from sightline.vision.images.tiff_tags import orientation_of
from sightline.vision.images.tiff_windows import MAX_PIECE_BYTES, check_pieces

if TYPE_CHECKING:
    from tifffile import TiffPage


FORMATS = ("image/jpeg", "image/png", "image/tiff")
MIN_SIDE_PX = 32

MOST_PIXELS = 32_768 * 32_768
"""Of what is read window by window."""
_MOST_PAGES = 64
"""Overviews and masks of a raster: each is half as large as the one before."""
_KINDS = ("uint8", "uint16", "int16", "float32")
"""More than 8 bits are grey levels by a scale and an offset only: see `colours.colours_of`."""
_PHOTOMETRICS = ("MINISBLACK", "RGB", "YCBCR")
_COMPRESSIONS = ("NONE", "LZW", "PACKBITS", "DEFLATE", "ADOBE_DEFLATE", "ZSTD", "JPEG")
_REWRITE = "Convert it: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE -ot Byte IN OUT."

_CONVERT = "Save it as RGB with 8 bits a colour."


@dataclass(frozen=True)
class TiffHead:
    """What the headers of a TIFF say.

    Attributes:
        size: (h, w) of the pixels as they are stored.
        bands: how many.
        orientation: how they are turned to be shown, 1 .. 8.
    """

    size: tuple[int, int]
    bands: int
    orientation: int = UPRIGHT


@dataclass(frozen=True)
class Picture:
    """A decoded picture of the ground.

    Attributes:
        pixels: (h, w, 3) RGB; black where it is hidden.
        hidden: (h, w), True where there is nothing to see: opacity 0, no data, or masked; None where nothing is.
    """

    pixels: NDArray[np.uint8] = field(repr=False)
    hidden: NDArray[np.bool_] | None = field(default=None, repr=False)


def read_scene_pixels(source: Path | bytes, limits: Limits, where: str = "") -> NDArray[np.uint8]:
    """The (h, w, 3) RGB pixels of `read_scene`."""
    return read_scene(source, limits, where).pixels


def read_scene(
    source: Path | bytes, limits: Limits, where: str = "", mask: Path | None = None, as_stored: bool = False
) -> Picture:
    """A JPEG, PNG or TIFF; black where the picture hides what lies below.

    The format is told by the content: scenes come as JPEG under the name of a PNG.

    Args:
        source: a file, or its bytes.
        limits: most bytes and pixels (of a TIFF: values of all bands); both are checked before anything is decoded.
        where: what messages call the input; the path, or "image", where empty.
        mask: the `.msk` beside it, if it has one (`mask_beside`).
        as_stored: a TIFF's pixels are not turned, though it says so: its place on Earth speaks of them as they are.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such picture, broken, too large or too small, of one band or of 16 bits.
    """
    where = where or (str(source) if isinstance(source, Path) else "image")
    data = read_bytes(source, limits, where)
    if data[:2] in (b"II", b"MM"):
        return _from_tiff(data, limits, where, mask, as_stored)
    _refuse_deep_png(data, where)
    decoded = decode_picture(data, limits, where)
    values = decoded.values
    if values.ndim != 3:
        raise DataRejected("a picture of one band has no colours", where=where, way_out=_CONVERT)
    check_sides(values.shape[:2], MIN_SIDE_PX, where)
    if decoded.valid is None:
        return Picture(values)
    return Picture(values * decoded.valid[..., None], ~decoded.valid)


def _from_tiff(data: bytes, limits: Limits, where: str, mask: Path | None, as_stored: bool) -> Picture:
    """Read as a large one is, window by window; here one window is all of it."""
    # A tile may be larger than the image that it covers.
    head = check_tiff(data, where, most_piece_bytes=min(MAX_PIECE_BYTES, limits.pixels))
    height, width = head.size
    if height * width * head.bands > limits.pixels:
        raise DataRejected(
            f"{width:,} x {height:,} pixels x {head.bands} are more than {limits.pixels:,} values",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_PIXELS.",
        )
    with opened_colours(data, where, mask, UPRIGHT if as_stored else head.orientation) as colours:
        height, width = colours.size
        pixels = colours(0, 0, height, width)
        hidden = colours.hidden(0, 0, height, width) if colours.hides else None
    return Picture(pixels, hidden if hidden is not None and hidden.any() else None)


def mask_beside(path: Path) -> Path | None:
    """The `.msk` that GDAL wrote beside a raster, checked; None where there is none.

    Raises:
        DataRejected: it is none that can be read.
    """
    mask = path.with_name(f"{path.name}.msk")
    if not mask.is_file():
        return None
    check_tiff(mask, str(mask), least_bands=1)
    return mask


def _refuse_deep_png(data: bytes, where: str) -> None:
    """16 bits a colour would be cut to 8 without a word."""
    if data.startswith(b"\x89PNG") and data[24:25] == b"\x10":
        raise DataRejected("it holds 16 bits a colour", where=where, way_out=_CONVERT)


# -------------------------------------------------------------------------------------------------------- TIFF


def check_large(path: Path) -> None:
    """Whether a TIFF of 8 bits a colour can be read window by window, by its headers alone; see `check_tiff`."""
    check_tiff(path, str(path), kinds=("uint8",), most_bands=4)


def check_tiff(
    source: Path | bytes,
    where: str,
    least_bands: int = 3,
    most_bands: int = MAX_BANDS,
    kinds: tuple[str, ...] = _KINDS,
    most_piece_bytes: int = MAX_PIECE_BYTES,
) -> TiffHead:
    """Size, bands and orientation of a TIFF that can be read window by window, by its headers alone.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no such TIFF, broken, truncated, or stored in pieces too large to be decoded.
    """
    import tifffile

    opened = io.BytesIO(source) if isinstance(source, bytes) else open_file(source, where)
    with refusing_broken(where), opened, tifffile.TiffFile(opened, name=where) as tiff:
        size = opened.seek(0, io.SEEK_END)
        pages = list(islice(tiff.pages, _MOST_PAGES + 1))
        if len(pages) > _MOST_PAGES:
            raise DataRejected(f"it has more than {_MOST_PAGES} pages", where=where, way_out=_REWRITE)
        pictures = [page for page in pages if not int(page.subfiletype) & 0b101]  # no overviews and masks
        if not pictures:
            raise broken("it has no page", where)
        if len(pictures) != 1:
            raise DataRejected(
                f"it has {len(pictures)} pages", where=where, way_out="Save each page as a file of its own."
            )
        for page in pages:
            check_pieces(page, size, where, _REWRITE, most_piece_bytes)
        _check_page(pictures[0], where, range(least_bands, most_bands + 1), kinds)
        page = pictures[0]
        return TiffHead((page.imagelength, page.imagewidth), page.samplesperpixel, orientation_of(page))


def _check_page(page: TiffPage, where: str, bands: range, kinds: tuple[str, ...]) -> None:
    from tifffile import COMPRESSION, PHOTOMETRIC

    # Without its tag a TIFF is not compressed (TIFF 6.0, page 30); the library then has a number, not a name.
    compression, photometric = COMPRESSION(page.compression).name, PHOTOMETRIC(page.photometric).name
    kind = f"{page.samplesperpixel} x {page.dtype}, {compression}"
    known = compression in _COMPRESSIONS and photometric in _PHOTOMETRICS and page.imagedepth == 1
    mask = bands.start == 1 and page.bitspersample == 1
    if not (known and page.samplesperpixel in bands and (str(page.dtype) in kinds or mask)):
        raise DataRejected(f"a TIFF of {kind} is not supported", where=where, way_out=_REWRITE)
    if page.imagewidth * page.imagelength > MOST_PIXELS or min(page.imagewidth, page.imagelength) < MIN_SIDE_PX:
        raise DataRejected(
            f"{page.imagewidth:,} x {page.imagelength:,} pixels are too many or too few",
            where=where,
            way_out="Cut it into parts: gdal_translate -srcwin X Y WIDTH HEIGHT IN OUT.",
        )
