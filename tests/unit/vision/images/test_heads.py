"""What is told of an image by its headers alone."""

from __future__ import annotations

import io
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.vision.images import ImageHead, decode, probe
from tests.unit.bad_images import (
    encoded,
    jpeg_of_size,
    many_scans,
    motion_photo,
    noise,
    patched_tiff,
    plain_tiff,
    png_bomb,
    png_text_bomb,
    tiff,
    with_exif,
)

WIDE = np.ascontiguousarray(noise()[:40])  # 64 x 40


def written(kind: str, values: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (written("JPEG", WIDE), ("jpeg", 64, 40, 3, 1)),
        (written("JPEG", WIDE[..., 0]), ("jpeg", 64, 40, 1, 1)),
        (written("PNG", WIDE), ("png", 64, 40, 3, 1)),
        (written("PNG", WIDE[..., 0]), ("png", 64, 40, 1, 1)),
        (written("PNG", WIDE[..., 0].astype(np.uint16)), ("png", 64, 40, 1, 2)),
        (encoded("PNG", "P"), ("png", 64, 64, 3, 1)),
        (tiff(WIDE), ("tiff", 64, 40, 3, 1)),
        (tiff(WIDE[..., 0].astype(np.float32)), ("tiff", 64, 40, 1, 4)),
        (tiff(np.zeros((13, 40, 64), np.uint16), photometric="minisblack"), ("tiff", 64, 40, 13, 2)),
        (plain_tiff(WIDE), ("tiff", 64, 40, 3, 1)),
    ],
)
def test_sizes_are_those_that_decoding_gives(data: bytes, expected: tuple[Any, ...]) -> None:
    head = probe(data, "a")
    assert (head.format, head.width, head.height, head.bands, head.value_bytes) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_the_size_is_the_shown_one(kind: str, orientation: int, order: str) -> None:
    head = probe(with_exif(written(kind, WIDE), orientation, order), "a")
    assert head.orientation == orientation
    assert (head.width, head.height) == ((40, 64) if orientation > 4 else (64, 40))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_of_a_tiff_is_the_shown_one(orientation: int) -> None:
    head = probe(tiff(WIDE, extratags=[(274, "H", 1, orientation, True)]), "a")
    assert (head.width, head.height) == ((40, 64) if orientation > 4 else (64, 40))


def test_a_tiff_that_lies_on_a_map_is_as_it_is_stored() -> None:
    tags = [(274, "H", 1, 6, True), (33550, "d", 3, (3.0, 3.0, 0.0), True)]
    assert probe(tiff(WIDE, extratags=tags), "a").orientation == 1


def test_an_orientation_that_is_none_means_upright() -> None:
    for value in (0, 9, 77):
        assert probe(with_exif(encoded("JPEG"), value), "a").orientation == 1
    assert probe(tiff(WIDE, extratags=[(274, "H", 1, 0, True)]), "a").orientation == 1


def test_scans_of_a_progressive_picture_are_counted() -> None:
    assert probe(encoded("JPEG"), "a").scans == 1
    progressive = probe(encoded("JPEG", progressive=True), "a")
    assert progressive.scans == 10
    assert progressive.decoding_values == 10 * 64 * 64 * 3


def test_strips_and_tiles_are_counted() -> None:
    assert probe(tiff(noise(1), rowsperstrip=8), "a").chunks == 8
    tiled = probe(tiff(noise(1)[:10, :10], tile=(256, 256)), "a")
    assert (tiled.chunks, tiled.chunk_values) == (1, 256 * 256)
    assert tiled.decoding_values == 256 * 256


@pytest.mark.parametrize(
    ("data", "size"),
    [(png_bomb(), (30_000, 30_000)), (jpeg_of_size(65_000, 65_000), (65_000, 65_000)),
     (patched_tiff(noise(1), 257, 2**31), (64, 2**31)), (png_text_bomb(b"zTXt"), (64, 64)),
     (png_text_bomb(b"iCCP"), (64, 64))],
)  # fmt: skip
def test_what_would_be_huge_is_told_without_being_decoded(data: bytes, size: tuple[int, int]) -> None:
    probe(encoded("PNG"), "a")
    tracemalloc.start()
    try:
        head = probe(data, "a")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (head.width, head.height) == size
    assert peak < 2**20


def test_what_follows_the_picture_is_not_looked_at() -> None:
    assert probe(motion_photo(encoded("JPEG")), "a") == probe(encoded("JPEG"), "a")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"text", "not that of a JPEG, PNG or TIFF"),
        (b"", "not that of a JPEG, PNG or TIFF"),
        (encoded("JPEG")[:-2], "truncated"),
        (encoded("JPEG")[:300], ""),
        (encoded("PNG")[:-12], "truncated"),
        (encoded("PNG")[:33] + encoded("PNG")[8:], "two headers"),
        (b"II*\0", "broken"),
        (many_scans(12_000), "more than 100 scans"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000, "segments"),
        (b"\xff\xd8\xff" + b"\xff" * 2**20, "no frame header"),
        (encoded("PNG")[:33] + (struct.pack(">I", 0) + b"aaaa" + bytes(4)) * 140_000, "chunks"),
    ],
)
def test_broken_headers_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(DataRejected) as caught:
        probe(data, "upload 7")
    assert reason in caught.value.what
    assert caught.value.where == "upload 7"
    assert caught.value.way_out


def test_a_head_tells_formats_apart_by_their_content() -> None:
    assert isinstance(probe(encoded("PNG"), "a.jpg"), ImageHead)
    assert probe(encoded("PNG"), "a.jpg").format == "png"


def test_scans_are_bounded_before_a_pixel_is_decoded() -> None:
    with pytest.raises(DataRejected, match="more than 100 scans"):
        decode(many_scans(12_000), Limits(), "a.jpg")
    with pytest.raises(DataRejected, match="64 x 64 pixels in 49 scans"):
        decode(many_scans(40), Limits(pixels=64 * 64 * 2), "a.jpg")
    assert decode(many_scans(40), Limits(), "a.jpg").shape == (64, 64, 3)


def test_the_head_and_tifffile_agree() -> None:
    data = tiff(np.zeros((4, 40, 64), np.float32), photometric="minisblack", planarconfig="separate")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        head = probe(data, "a")
        assert head.pixels * head.bands * head.value_bytes == file.asarray().nbytes
