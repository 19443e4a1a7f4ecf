"""Reading untrusted images: what JPEG, PNG and TIFF claim is checked before a pixel is decoded."""

from sightline.images.decoding import decode, decode_bands, decode_indices
from sightline.images.encoding import encode_png, noise_picture
from sightline.images.heads import ImageHead, probe
from sightline.images.jpeg import jpeg_segments
from sightline.images.reading import read_bytes
from sightline.images.tiff import MAX_BANDS

__all__ = [
    "MAX_BANDS",
    "ImageHead",
    "decode",
    "decode_bands",
    "decode_indices",
    "encode_png",
    "jpeg_segments",
    "noise_picture",
    "probe",
    "read_bytes",
]
