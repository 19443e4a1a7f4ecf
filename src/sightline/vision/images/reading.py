"""The bytes of an image file, where they are not too many."""

from __future__ import annotations

import os
from pathlib import Path

from sightline.errors import DataRejected
from sightline.files import open_file
from sightline.limits import Limits
from sightline.vision.images.refusals import COPY_AGAIN


def read_bytes(source: Path | bytes, limits: Limits, where: str) -> bytes:
    """The bytes of a file, or those given, where they are not too many.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is no file (a folder, a pipe, a device), unreadable, empty or larger than the limit.
    """
    if isinstance(source, bytes):
        data = source
    else:
        with open_file(source, where) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                data = file.read(min(size, limits.bytes) + 1)  # a buffer of that size is made at once
            except OSError as error:
                reason = error.strerror or str(error)
                raise DataRejected(f"the file cannot be read: {reason}", where=where, way_out=COPY_AGAIN) from error
    if len(data) > limits.bytes:
        raise DataRejected(
            f"the file is larger than {limits.bytes:,} bytes",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_BYTES.",
        )
    if not data:
        raise DataRejected("the file is empty", where=where, way_out=COPY_AGAIN)
    return data
