"""Pictures of whole scenes: what is read as they are, and what is refused with a reason."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.maps.pictures import read_scene_pixels
from tests.unit.bad_images import BAD_IMAGES, noise, tiff


def png(pixels, mode=None):
    content = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize("encode", [png, lambda values: tiff(values, photometric="rgb")])
def test_colours_come_as_they_are_and_black_where_nothing_is(encode):
    pixels = noise(4)
    pixels[..., 3] = 255
    pixels[:20, :10, 3] = 0
    pixels[40:, :, 3] = 9
    read = read_scene_pixels(encode(pixels), Limits())
    assert read.dtype == np.uint8
    assert not read[:20, :10].any()
    assert (read[20:] == pixels[20:, :, :3]).all()


@pytest.mark.parametrize("encode", [png, lambda values: tiff(values, photometric="rgb")])
def test_a_picture_without_opacity_is_read_whole(encode):
    assert (read_scene_pixels(encode(noise()), Limits()) == noise()).all()


def test_a_palette_with_a_transparent_colour_is_black_there():
    indexed = Image.fromarray((noise(1) % 2).astype(np.uint8)).convert("P")
    indexed.putpalette([200, 10, 10, 90, 90, 90])
    content = io.BytesIO()
    indexed.save(content, "PNG", transparency=1)
    read = read_scene_pixels(content.getvalue(), Limits())
    assert {tuple(colour) for colour in read.reshape(-1, 3).tolist()} == {(200, 10, 10), (0, 0, 0)}


def test_jpeg_bytes_under_the_name_of_a_png_are_read(tmp_path):
    content = io.BytesIO()
    Image.fromarray(noise()).save(content, "JPEG")
    (tmp_path / "scene.png").write_bytes(content.getvalue())
    assert read_scene_pixels(tmp_path / "scene.png", Limits()).shape == noise().shape


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (png(noise(1)), "one band"),
        (png(noise(1).astype(np.uint16) * 257), "16 bits"),
        (tiff(noise(1), photometric="minisblack"), "1 x uint8"),
        (tiff(noise().astype(np.uint16), photometric="rgb"), "uint16"),
        (tiff(noise().astype(np.float32), photometric="rgb"), "float32"),
        (tiff(np.zeros((7, 64, 64), np.uint8), photometric="minisblack", planarconfig="separate"), "7 bands"),
    ],
)
def test_one_band_many_bands_and_deep_colours_are_refused(content, words):
    with pytest.raises(DataRejected, match=words):
        read_scene_pixels(content, Limits(), "port.tif")


def test_rgb_of_16_bits_is_refused_not_cut():
    import cv2

    done, content = cv2.imencode(".png", noise().astype(np.uint16) * 257)
    assert done
    with pytest.raises(DataRejected, match="16 bits"):
        read_scene_pixels(content.tobytes(), Limits())


@pytest.mark.parametrize("name", sorted(BAD_IMAGES))
def test_bad_images_are_refused(name):
    with pytest.raises(DataRejected):
        read_scene_pixels(BAD_IMAGES[name][0], Limits(), "x")


def test_limits_hold_before_decoding():
    with pytest.raises(DataRejected, match=re.escape("64 x 64 pixels are more than 1,000")):
        read_scene_pixels(png(noise()), Limits(pixels=1000))
    with pytest.raises(DataRejected, match="larger than 100 bytes"):
        read_scene_pixels(png(noise()), Limits(bytes=100))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataMissing, match="gone"):
        read_scene_pixels(tmp_path / "gone.png", Limits())
