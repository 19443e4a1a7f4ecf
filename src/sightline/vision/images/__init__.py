"""Reading untrusted images: what JPEG, PNG and TIFF claim is checked before a pixel is decoded."""

from sightline.vision.images.decoding import decode, decode_bands, decode_indices, decode_picture
from sightline.vision.images.encoding import KEPT, encode_png, noise_picture
from sightline.vision.images.heads import ImageHead, probe, probe_within
from sightline.vision.images.jpeg import jpeg_segments
from sightline.vision.images.orientation import UPRIGHT, upright
from sightline.vision.images.pixels import Pixels, filled, without_data
from sightline.vision.images.reading import read_bytes
from sightline.vision.images.tiff_pixels import MAX_BANDS

__all__ = [
    "KEPT",
    "MAX_BANDS",
    "UPRIGHT",
    "ImageHead",
    "Pixels",
    "decode",
    "decode_bands",
    "decode_indices",
    "decode_picture",
    "encode_png",
    "filled",
    "jpeg_segments",
    "noise_picture",
    "probe",
    "probe_within",
    "read_bytes",
    "upright",
    "without_data",
]
