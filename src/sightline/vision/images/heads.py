"""What an image's headers say, and so what decoding it would cost; no pixel is decoded."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images import jpeg, png, tiff, tiff_tags
from sightline.vision.images.orientation import shown_size
from sightline.vision.images.refusals import COPY_AGAIN, check_pixels, check_values, refusing_broken

NO_IMAGE = "the content is not that of a JPEG, PNG or TIFF image"


@dataclass(frozen=True)
class ImageHead:
    """What the headers say of an image.

    Attributes:
        format: told by the content, not by a name.
        width, height: in pixels, as the picture is shown: this is what labels and documents mean.
        bands: values a pixel, those of all pages together.
        value_bytes: bytes a value once it is decoded.
        orientation: how the stored pixels are turned to be shown, 1 .. 8 (EXIF, TIFF 6.0).
        scans: how often a JPEG passes over all of its pixels; 1 for other formats.
        chunks: strips or tiles of a TIFF that are decoded one by one; 1 for other formats.
        chunk_values: values of each: a tile may be larger than the picture that it covers.
    """

    format: Literal["jpeg", "png", "tiff"]
    width: int
    height: int
    bands: int
    value_bytes: int
    orientation: int = 1
    scans: int = 1
    chunks: int = 1
    chunk_values: int = 0

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def decoding_values(self) -> int:
        """How many values a decoder goes through: the measure of its time."""
        return max(self.pixels * self.bands * self.scans, self.chunks * self.chunk_values)


def probe(data: bytes, where: str) -> ImageHead:
    """Read the headers of a JPEG, PNG or TIFF. At most a pass over the compressed bytes; nothing is inflated.

    The sizes are not compared with any limit: that is left to who asks. A head says nothing about whether the pixels
    can be decoded.

    Raises:
        DataRejected: not a JPEG, PNG or TIFF, its headers are broken, or it breaks off.
    """
    with refusing_broken(where):
        if data.startswith(jpeg.MAGIC):
            return _of_jpeg(data, where)
        if data.startswith(png.MAGIC):
            return _of_png(data, where)
        if data[:4] in tiff.MAGIC:
            return _of_tiff(data, where)
    raise DataRejected(NO_IMAGE, where=where, way_out="Convert the file to a JPEG, PNG or TIFF image.")


def probe_within(data: bytes, limits: Limits, where: str, every_band: bool = False) -> ImageHead:
    """`probe`, and the refusal of a decoder where the head names more than the limits.

    Args:
        data: the file.
        limits: most pixels.
        where: what messages call it.
        every_band: the values of all bands count, not the pixels.

    Raises:
        DataRejected: as `probe`, or the picture or a piece of it is too large.
    """
    head = probe(data, where)
    check_values(head.width, head.height, head.bands if every_band else 1, limits, where)
    if head.chunk_values:
        check_pixels(head.chunk_values, 1, limits, where)
    return head


def _of_jpeg(data: bytes, where: str) -> ImageHead:
    layout = jpeg.jpeg_layout(data, where)
    width, height = shown_size(layout.width, layout.height, layout.orientation)
    return ImageHead("jpeg", width, height, layout.bands, 1, layout.orientation, layout.scans)


def _of_png(data: bytes, where: str) -> ImageHead:
    layout = png.png_layout(data, where)
    width, height = shown_size(layout.width, layout.height, layout.orientation)
    grey = layout.colour_type in (png.GREY, png.GREY_ALPHA)
    return ImageHead("png", width, height, 1 if grey else 3, 2 if grey and layout.bits == 16 else 1, layout.orientation)


def _of_tiff(data: bytes, where: str) -> ImageHead:
    with tiff.open_tiff(data, where) as file:
        pages = tiff.picture_pages(file)
        if not pages or pages[0].dtype is None:
            raise DataRejected("it has no page that can be read", where=where, way_out=COPY_AGAIN)
        first = pages[0]
        orientation = tiff_tags.orientation_of(first)
        width, height = shown_size(first.imagewidth, first.imagelength, orientation)
        return ImageHead(
            format="tiff",
            width=width,
            height=height,
            bands=sum(page.samplesperpixel for page in pages),
            value_bytes=first.dtype.itemsize,
            orientation=orientation,
            chunks=sum(len(page.dataoffsets) for page in pages),
            chunk_values=max(math.prod(page.chunks) for page in pages),
        )
