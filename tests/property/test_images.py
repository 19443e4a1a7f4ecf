"""Properties of the readers of images: bytes that anybody may have touched are read or refused, at little cost."""

from __future__ import annotations

import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images import decode_bands, decode_indices

LIMITS = Limits(pixels=2**20)
VALUES = np.random.default_rng(0).integers(0, 2047, (4, 20, 24), dtype=np.uint16)


def tiff(values: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, photometric="minisblack", **options)
    return buffer.getvalue()


def label_png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((VALUES[0] % 6).astype(np.uint8)).convert("P").save(buffer, "PNG")
    return buffer.getvalue()


LAST = np.ascontiguousarray(np.moveaxis(VALUES, 0, -1))
TIFFS = [
    tiff(VALUES),
    tiff(VALUES, planarconfig="separate", bigtiff=True, byteorder=">"),
    tiff(VALUES, planarconfig="separate", tile=(16, 16), compression="zstd"),
    tiff(LAST, planarconfig="contig", rowsperstrip=5, compression="lzw", predictor=2),
    tiff(LAST.astype(np.float32), planarconfig="contig", tile=(16, 16), compression="zlib", predictor=3),
    tiff(VALUES.astype(np.float16), compression="packbits"),
]


def touched(data: st.DataObject, content: bytes) -> bytes:
    """The content with a few bytes changed, the directories at its ends more often, and perhaps cut."""
    bytes_ = bytearray(content)
    ends = st.one_of(st.integers(0, 299), st.integers(len(bytes_) - 300, len(bytes_) - 1))
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.one_of(ends, st.integers(0, len(bytes_) - 1)))
        bytes_[at % len(bytes_)] = data.draw(st.one_of(st.sampled_from([0, 1, 127, 255]), st.integers(0, 255)))
    end = data.draw(st.one_of(st.just(len(bytes_)), st.just(len(bytes_)), st.integers(0, len(bytes_))))
    return bytes(bytes_[:end])


@pytest.fixture(autouse=True, scope="module")
def _decoders_are_loaded() -> None:
    for content in TIFFS:
        decode_bands(content, LIMITS, "a.tif")


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_touched_tiff_is_read_or_refused(data: st.DataObject) -> None:
    content = touched(data, data.draw(st.sampled_from(TIFFS)))
    tracemalloc.start()
    try:
        values = decode_bands(content, LIMITS, "a.tif").values
    except DataRejected:
        values = np.zeros((0, 1, 1))
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert values.ndim == 3
    assert values.size <= LIMITS.pixels
    assert peak < 64 * 2**20  # values of 8 bytes, twice, and some tags


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_touched_labels_are_read_or_refused(data: st.DataObject) -> None:
    try:
        values = decode_indices(touched(data, label_png()), LIMITS, "a.png")
    except DataRejected:
        return
    assert values.ndim == 2
    assert values.dtype == np.uint8
