"""Tiles on disk: the cache of what was downloaded, and folders of tiles; and what a tile's bytes must be."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mercantile import Tile
from numpy.typing import NDArray
from PIL import JpegImagePlugin, PngImagePlugin

from sightline.errors import BackendError, DataRejected

TILE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Of the tiles in somebody's folder, in the order in which they are looked for."""

MOST_TILE_BYTES = 4 * 2**20
_MOST_TILE_PX = 1024
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_MODES = ("RGB", "RGBA", "P", "PA", "L", "LA")
_UNREADABLE = "Allow yourself to read the file (chmod u+r), or remove it."


@dataclass(frozen=True)
class TileStore:
    """Tiles of one provider on disk.

    Attributes:
        root: above `z/x/`.
        owned: this is a cache, whose files may be written and removed; else somebody's folder, only read.
    """

    root: Path
    owned: bool

    def path(self, tile: Tile) -> Path:
        """The file of a tile; where there is none, the one that it would be."""
        folder = self.root / str(tile.z) / str(tile.x)
        if self.owned:
            return folder / f"{tile.y}.tile"
        names = [folder / f"{tile.y}{suffix}" for suffix in TILE_SUFFIXES]
        return next((path for path in names if path.is_file()), names[0])

    def age_days(self, tile: Tile) -> float | None:
        """How long ago a tile was written; None where there is none."""
        try:
            return max(time.time() - self.path(tile).stat().st_mtime, 0.0) / 86_400
        except OSError:
            return None

    def read(self, tile: Tile, tile_px: int) -> NDArray[np.uint8] | None:
        """(tile_px, tile_px, 4) RGBA of a tile; None where there is none.

        Raises:
            DataRejected: its bytes are no such picture. In a cache it is removed, so that it is asked for again.
        """
        path = self.path(tile)
        try:
            with path.open("rb") as file:
                content = file.read(MOST_TILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DataRejected(
                f"the tile cannot be read ({error.strerror})", where=path, way_out=_UNREADABLE
            ) from error
        try:
            return decode_tile(content, tile_px)
        except DataRejected:
            if self.owned:
                path.unlink(missing_ok=True)
            raise

    def write(self, tile: Tile, content: bytes) -> None:
        """Keep a tile: whole or not at all, also where two do it at once.

        Raises:
            BackendError: the disk is full or the folder cannot be written.
        """
        path = self.path(tile)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            with suppress(OSError):  # the folder itself may be the trouble
                temporary.unlink(missing_ok=True)
            raise BackendError(
                f"the tile cannot be written ({error.strerror})",
                where=path,
                way_out="Free some space on the disk and run the command again: it keeps what is there and continues.",
            ) from error


def decode_tile(content: bytes, tile_px: int) -> NDArray[np.uint8]:
    """(tile_px, tile_px, 4) RGBA of a JPEG or PNG; alpha 0 is what the provider left empty.

    Decoded whole: it is the only proof that a tile has come whole. Its size is checked first.

    Raises:
        DataRejected: empty, no picture, of another size, truncated or broken.
    """
    width, height = _size(content)
    if (width, height) != (tile_px, tile_px):
        raise DataRejected(f"it has {width} x {height} pixels, not {tile_px} x {tile_px}")
    opened = PngImagePlugin.PngImageFile if content.startswith(_PNG) else JpegImagePlugin.JpegImageFile
    try:
        with opened(io.BytesIO(content)) as image:
            if image.mode not in _MODES or image.size != (tile_px, tile_px) or getattr(image, "n_frames", 1) > 1:
                raise DataRejected(f"it is a {image.mode} picture, or several")
            return np.asarray(image.convert("RGBA"))
    except DataRejected:
        raise
    except Exception as error:  # whatever the library raises on bytes it does not like
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataRejected(f"the picture is broken: {reason}") from error


def square_side(path: Path) -> int:
    """The side of the tile in a file, by its header.

    Raises:
        DataRejected: it is no picture, not square, or too large for a tile.
    """
    try:
        with path.open("rb") as file:
            width, height = _size(file.read(MOST_TILE_BYTES))
    except OSError as error:
        raise DataRejected(f"the tile cannot be read ({error.strerror})", where=path, way_out=_UNREADABLE) from error
    if width != height or not 0 < width <= _MOST_TILE_PX:
        raise DataRejected(f"it has {width} x {height} pixels; a tile is a square of {_MOST_TILE_PX} at most")
    return width


def _size(content: bytes) -> tuple[int, int]:
    """(width, height) of a complete JPEG or PNG, by its header."""
    if not content:
        raise DataRejected("it is empty")
    if len(content) > MOST_TILE_BYTES:
        raise DataRejected(f"it has more than {MOST_TILE_BYTES:,} bytes")
    if content.startswith(_PNG):
        if b"IEND" not in content[-64:] or content[12:16] != b"IHDR":
            raise DataRejected("the PNG is truncated")
        width, height = struct.unpack(">II", content[16:24])
        return width, height
    if content.startswith(_JPEG):
        if b"\xff\xd9" not in content[-64:]:
            raise DataRejected("the JPEG is truncated")
        with suppress(Exception), JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as image:
            return image.size
        raise DataRejected("the JPEG is broken")
    raise DataRejected("the content is neither JPEG nor PNG")
