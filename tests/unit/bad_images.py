"""Files that a reader of images must refuse, each made here: name -> (bytes, words of the reason)."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

SIDE_PX = 64


def noise(channels: int = 3) -> np.ndarray[Any, np.dtype[np.uint8]]:
    shape = (SIDE_PX, SIDE_PX, channels) if channels > 1 else (SIDE_PX, SIDE_PX)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def encoded(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise()).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(values: np.ndarray[Any, Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def deflated_zeros(count: int) -> bytes:
    """What `zlib.compress(bytes(count))` stands for, without its time: one compressed piece again and again."""
    pieces, rest = divmod(count, 2**16)
    head, tail = zlib.compressobj(9, wbits=-15), zlib.compressobj(9, wbits=-15)
    piece = head.compress(bytes(2**16)) + head.flush(zlib.Z_FULL_FLUSH)
    checksum = (count % 65521) << 16 | 1  # Adler-32 of zeros
    return b"\x78\xda" + piece * pieces + tail.compress(bytes(rest)) + tail.flush() + struct.pack(">I", checksum)


def png_bomb() -> bytes:
    """30,000 x 30,000 pixels of 1 bit, all black: some hundred kB that would be 900 MB of bytes."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    body = deflated_zeros(30_000 * 3_751)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose frame header lies about its size."""
    data = bytearray(encoded("JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def patched_tiff(values: np.ndarray[Any, Any], tag: int, value: int, **options: Any) -> bytes:
    """A TIFF one of whose tags is overwritten with a number."""
    data = bytearray(tiff(values, **options))
    with tifffile.TiffFile(io.BytesIO(bytes(data))) as file:
        entry = file.pages[0].tags[tag]  # type: ignore[union-attr]
        at, count = entry.offset, entry.count
    data[at + 2 : at + 12] = struct.pack("<HII", 4, count, value)
    return bytes(data)


def tiff_bomb(compression: str = "zlib") -> bytes:
    """64 x 64 pixels whose one strip inflates to 64 MiB."""
    plain = tiff(noise(1), compression=compression, rowsperstrip=SIDE_PX)
    encoders: dict[str, Callable[[bytes], bytes]] = {
        "zlib": lambda zeros: deflated_zeros(len(zeros)),
        "zstd": imagecodecs.zstd_encode,
        "lzw": imagecodecs.lzw_encode,
        "packbits": lambda zeros: b"\x81\0" * (len(zeros) // 128),  # the library's time grows with the size's square
    }
    strip = encoders[compression](bytes(64 * 2**20))
    data = bytearray(plain) + strip
    with tifffile.TiffFile(io.BytesIO(plain)) as file:
        tags = file.pages[0].tags  # type: ignore[union-attr]
        at = {name: tags[name].offset for name in ("StripOffsets", "StripByteCounts")}
    for name, value in (("StripOffsets", len(plain)), ("StripByteCounts", len(strip))):
        data[at[name] + 2 : at[name] + 12] = struct.pack("<HII", 4, 1, value)
    return bytes(data)


def animated_png() -> bytes:
    frames = [Image.fromarray(noise()), Image.fromarray(255 - noise())]
    buffer = io.BytesIO()
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def floats(value: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = noise(1).astype(np.float64)
    values[3, 5] = value
    return values


def bad_images() -> dict[str, tuple[bytes, str]]:
    """Every kind, and what its message must say."""
    jpeg, png = encoded("JPEG"), encoded("PNG")
    return {
        "empty": (b"", "empty"),
        "text": (b"a picture is worth a thousand words\n" * 9, "not that of a JPEG, PNG or TIFF"),
        "html.jpg": (b"<!doctype html><title>404</title>", "not that of a JPEG, PNG or TIFF"),
        "gif": (encoded("GIF"), "not that of a JPEG, PNG or TIFF"),
        "zip": (b"PK\x03\x04" + bytes(60), "not that of a JPEG, PNG or TIFF"),
        "jpeg_only_magic": (jpeg[:3], "no frame header"),
        "jpeg_half": (jpeg[: len(jpeg) // 2], "truncated"),
        "jpeg_without_end": (jpeg[:-2], "truncated"),
        "jpeg_header_gone": (jpeg[:20] + jpeg[200:], ""),
        "jpeg_huge": (jpeg_of_size(65_000, 65_000), "65,000 x 65,000 pixels are more"),
        "jpeg_no_size": (jpeg_of_size(0, 0), "no size"),
        "jpeg_cmyk": (encoded("JPEG", "CMYK"), "CMYK"),
        "png_only_magic": (png[:8], "truncated"),
        "png_half": (png[: len(png) // 2], "truncated"),
        "png_wrong_checksum": (png[:60] + bytes(4) + png[64:], "broken"),
        "png_bomb": (png_bomb(), "30,000 x 30,000 pixels are more"),
        "png_animated": (animated_png(), "animated"),
        "png_bilevel": (encoded("PNG", "1"), "black-and-white"),
        "tiff_only_magic": (b"II*\0", "broken"),
        "tiff_half": (tiff(noise())[: SIDE_PX * SIDE_PX], "truncated"),
        "tiff_nan": (tiff(floats(np.nan)), "NaN"),
        "tiff_infinite": (tiff(floats(-np.inf)), "infinite"),
        "tiff_astronomic": (tiff(floats(1e300)), "beyond"),
        "tiff_pages": (tiff(np.stack([noise(1)] * 2), photometric="minisblack"), "several pages"),
        "tiff_complex": (tiff(noise(1).astype(np.complex64)), "complex64"),
        "tiff_signed": (tiff(noise(1).astype(np.int16)), "int16"),
        "tiff_bands": (tiff(np.zeros((7, 64, 64), np.uint8), photometric="minisblack", planarconfig="separate"), ""),
        "tiff_huge": (patched_tiff(noise(1), 256, 2**31), "pixels are more"),
        "tiff_huge_tile": (patched_tiff(noise(1), 322, 2**30, tile=(16, 16)), "pixels are more"),
        "tiff_bomb": (tiff_bomb(), "broken"),
        "too_small": (tiff(noise(1)[:8, :8]), "8 x 8 pixels are too few"),
    }


# ------------------------------------------------------------------------------- odd files that must still be read


def exif(orientation: int, order: str = ">") -> bytes:
    """A block of EXIF that says nothing but the orientation."""
    head = b"MM\0*" if order == ">" else b"II*\0"
    value = struct.pack(order + "HH", orientation, 0)
    entry = struct.pack(order + "HHI", 0x0112, 3, 1) + value
    return head + struct.pack(order + "IH", 8, 1) + entry + bytes(4)


def with_exif(image: bytes, orientation: int, order: str = ">") -> bytes:
    """A JPEG or PNG with an orientation."""
    block = exif(orientation, order)
    if image.startswith(b"\xff\xd8"):
        body = b"Exif\0\0" + block
        return image[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + image[2:]
    return image[:33] + png_chunk(b"eXIf", block) + image[33:]


def many_scans(scans: int, side_px: int = SIDE_PX) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    buffer = io.BytesIO()
    Image.fromarray(noise()).resize((side_px, side_px)).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def motion_photo(jpeg: bytes) -> bytes:
    """A whole JPEG and a video behind it, in which the marker of a scan occurs."""
    video = np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8).tobytes()
    return jpeg + b"MotionPhoto_Data\0\0\0\x18ftypmp42" + video + b"\xff\xda" + bytes(5000)


def png_text_bomb(kind: bytes) -> bytes:
    """A good PNG with a compressed text or profile that inflates to 64 MiB."""
    head = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\x01\0\0\0", b"iCCP": b"a\0\0"}[kind]
    png = encoded("PNG")
    return png[:33] + png_chunk(kind, head + deflated_zeros(64 * 2**20)) + png[33:]


def plain_tiff(values: np.ndarray[Any, Any], left_out: tuple[int, ...] = (259,)) -> bytes:
    """A TIFF of one strip, (h, w) uint16 or (h, w, 3) uint8, that leaves out tags which have a default."""
    height, width = values.shape[:2]
    bands = values.shape[2] if values.ndim == 3 else 1
    bits, data = values.dtype.itemsize * 8, values.tobytes()
    data += b"\0" * (len(data) % 2)
    at = 8 + len(data)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, bands, bits), (259, 3, 1, 1)]
    tags += [(262, 3, 1, 2 if bands == 3 else 1), (273, 4, 1, 8), (277, 3, 1, bands), (278, 4, 1, height)]
    tags = [tag for tag in [*tags, (279, 4, 1, values.nbytes)] if tag[0] not in left_out]
    after = at + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, kind, count, after if count > 1 else value) for tag, kind, count, value in tags
    )
    directory = struct.pack("<H", len(tags)) + entries + bytes(4) + struct.pack("<HHH", bits, bits, bits)
    return b"II*\0" + struct.pack("<I", at) + data + directory


def costly_images() -> dict[str, tuple[bytes, str]]:
    """Small files that would take a decoder minutes, gigabytes, or where they should not go."""
    png = encoded("PNG")
    wider = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return {
        "jpeg_many_scans": (many_scans(2_000), "more than 100 scans"),
        "jpeg_many_segments": (b"\xff\xd8" + b"\xff\xfe\0\2" * 20_000, "segments"),
        "jpeg_without_end_but_another": (encoded("JPEG")[:-2] + encoded("JPEG"), "truncated"),
        "png_two_headers": (png[:33] + wider + png[33:], "two headers"),
        "png_transparent": (_transparent(), "no pixel has data"),
        "tiff_without_data": (tiff(floats(0) * 0 - 9999, extratags=[(42113, "s", 0, "-9999", True)]), "no pixel"),
    }


def _transparent() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


BAD_IMAGES = {**bad_images(), **costly_images()}
