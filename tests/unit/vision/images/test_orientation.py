"""A picture stands upright once it is read, in whichever way its pixels are stored."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from sightline.limits import Limits
from sightline.vision.images import decode, decode_bands, decode_indices, upright
from sightline.vision.images.orientation import as_stored, exif_orientation
from tests.unit.bad_images import exif, with_exif

LIMITS = Limits()
ORIENTATIONS = range(1, 9)


def shown_picture() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(40, 64, 3): dark at the top left, light at the right, so that no turn leaves it as it was."""
    values = np.full((40, 64, 3), 120, np.uint8)
    values[:12, :20] = 10
    values[:, 56:] = 240
    return values


def stored(shown: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    return np.ascontiguousarray(as_stored(shown, orientation))


def encoded(kind: str, values: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, kind, **({"quality": 100, "subsampling": 0} if kind == "JPEG" else {}))
    return buffer.getvalue()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_is_what_other_programs_do(orientation: int) -> None:
    values = np.random.default_rng(0).integers(0, 255, (5, 8, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    image.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(upright(values, orientation), expected)
    assert np.array_equal(stored(expected, orientation), values)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_stands_upright(kind: str, orientation: int) -> None:
    data = with_exif(encoded(kind, stored(shown_picture(), orientation)), orientation)
    decoded = decode(data, LIMITS, "a").astype(int)
    assert decoded.shape == (40, 64, 3)
    assert np.abs(decoded - shown_picture()).max() <= (60 if kind == "JPEG" else 0)
    assert np.abs(decoded - shown_picture()).mean() < 2


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_tiff_stands_upright(orientation: int) -> None:
    data = io.BytesIO()
    tifffile.imwrite(data, stored(shown_picture(), orientation), extratags=[(274, "H", 1, orientation, True)])
    assert np.array_equal(decode(data.getvalue(), LIMITS, "a"), shown_picture())


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_bands_stand_upright(planar: str, orientation: int) -> None:
    shown = np.random.default_rng(0).integers(0, 2047, (40, 64, 5), dtype=np.uint16)
    values = stored(shown, orientation)
    values = values if planar == "contig" else np.ascontiguousarray(np.moveaxis(values, -1, 0))
    data = io.BytesIO()
    tags = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(data, values, photometric="minisblack", planarconfig=planar, extratags=tags)
    assert np.array_equal(decode_bands(data.getvalue(), LIMITS, "a").values, np.moveaxis(shown, -1, 0))


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_labels_are_turned_by_their_own_orientation(orientation: int) -> None:
    labels = np.random.default_rng(2).integers(0, 6, (31, 45), dtype=np.uint8)
    data = with_exif(encoded("PNG", stored(labels, orientation)), orientation)
    assert np.array_equal(decode_indices(data, LIMITS, "a"), labels)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_opacity_is_turned_with_the_colours(orientation: int) -> None:
    shown = np.concatenate([shown_picture(), np.full((40, 64, 1), 255, np.uint8)], axis=-1)
    shown[:5, :9, 3] = 0
    decoded = decode(with_exif(encoded("PNG", stored(shown, orientation)), orientation), LIMITS, "a")
    assert not decoded[:5, :9].any()
    assert np.array_equal(decoded[5:], shown[5:, :, :3])


@pytest.mark.parametrize(
    "block",
    [
        b"", b"II*\0", b"MM\0*\0\0\0\x08", exif(6)[:-8], exif(0), exif(9), b"MM\0*\xff\xff\xff\xff" + bytes(20),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(12), b"XX" + exif(6)[2:],
    ],
)  # fmt: skip
def test_broken_exif_means_upright(block: bytes) -> None:
    assert exif_orientation(block) == 1


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_is_read_in_either_byte_order(order: str) -> None:
    assert exif_orientation(exif(6, order)) == 6
