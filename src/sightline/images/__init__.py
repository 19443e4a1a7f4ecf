"""Reading untrusted images: what JPEG, PNG and TIFF claim is checked before a pixel is decoded."""

from sightline.images.decoding import decode, decode_bands, decode_indices, decode_picture
from sightline.images.encoding import KEPT, encode_png, noise_picture
from sightline.images.heads import ImageHead, probe, probe_within
from sightline.images.jpeg import jpeg_segments
from sightline.images.orientation import UPRIGHT, upright
from sightline.images.pixels import Pixels, filled, without_data
from sightline.images.reading import read_bytes
from sightline.images.tiff_pixels import MAX_BANDS

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
