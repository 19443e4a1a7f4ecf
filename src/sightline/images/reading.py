"""The bytes of an image file, where they are not too many."""

from __future__ import annotations

import os
from pathlib import Path

from sightline.errors import DataMissing, DataRejected
from sightline.task import Limits


def read_bytes(source: Path | bytes, limits: Limits, where: str) -> bytes:
    """The bytes of a file, or those given, where they are not too many.

    Raises:
        DataMissing: the file is not there.
        DataRejected: it is a folder, unreadable, empty or larger than the limit.
    """
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if source.exists() and not source.is_file():
                raise DataRejected("it is not a file", where=where, way_out="Give the path of one image.")
            with source.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                data = file.read(min(size, limits.bytes) + 1)  # a buffer of that size is made at once
        except FileNotFoundError as error:
            raise DataMissing("there is no such file", where=where, way_out="Check the path.") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataRejected(f"the file cannot be read: {reason}", where=where, way_out="Give a file.") from error
    if len(data) > limits.bytes:
        raise DataRejected(
            f"the file is larger than {limits.bytes:,} bytes",
            where=where,
            way_out="Give a smaller image or raise SIGHTLINE_MAX_BYTES.",
        )
    if not data:
        raise DataRejected("the file is empty", where=where, way_out="Copy it again from its source.")
    return data
