"""What is said of images that are not read, and the checks that are the same for all formats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sightline.errors import DataError, DataRejected
from sightline.limits import Limits

COPY_AGAIN = "Copy the file again from the original."
_DARK = 256 // 16
_CONVERT = "Convert it to an 8-bit RGB or grey, or a 16-bit grey image."


def check_pixels(width: int, height: int, limits: Limits, where: str) -> None:
    """Raise DataRejected where a header names no size, or more pixels than the limit."""
    if width <= 0 or height <= 0:
        raise DataRejected("the header names no size", where=where, way_out=COPY_AGAIN)
    if width * height > limits.pixels:
        raise DataRejected(
            f"{width:,} x {height:,} pixels are more than {limits.pixels:,}",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_PIXELS.",
        )


def check_values(width: int, height: int, bands: int, limits: Limits, where: str) -> None:
    """`check_pixels` of a picture of several bands, whose values are counted."""
    check_pixels(width, height, limits, where)
    if width * height * bands > limits.pixels:
        raise DataRejected(
            f"{width:,} x {height:,} pixels x {bands} are more than {limits.pixels:,} values",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_PIXELS.",
        )


def check_sides(size: tuple[int, ...], least_px: int, where: str) -> None:
    """Raise DataRejected where a picture of (h, w) is too small to show anything."""
    height, width = size
    if min(size) < least_px:
        raise DataRejected(
            f"{width} x {height} pixels are too few",
            where=where,
            way_out=f"Give an image of at least {least_px} x {least_px} pixels.",
        )


def check_depth(highest: int, where: str) -> None:
    """Raise DataRejected where colours of 16 bits would be next to black once they are cut to 8."""
    if highest < _DARK:
        raise DataRejected(
            "its colours use less than a sixteenth of their 16-bit range, and would be black with 8 bits",
            where=where,
            way_out="Stretch its contrast and save it with 8 bits a colour.",
        )


def unread_mode(mode: str, where: str) -> DataRejected:
    """Of a kind of image that is not read."""
    return DataRejected(f"a {mode} image is not supported", where=where, way_out=_CONVERT)


def truncated(where: str) -> DataRejected:
    """Of a file that breaks off."""
    return DataRejected("the image is truncated: its end is missing", where=where, way_out=COPY_AGAIN)


def broken(error: Exception | str, where: str) -> DataRejected:
    """Of a file that a library cannot read, in the first line of the library's words."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataRejected(f"the image is broken: {reason}", where=where, way_out=COPY_AGAIN)


@contextmanager
def refusing_broken(where: str) -> Iterator[None]:
    """Whatever a library raises on bytes that it does not like means that the file is broken.

    Raises:
        DataError: as was raised on purpose, or that the file is broken.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise broken(error, where) from error
