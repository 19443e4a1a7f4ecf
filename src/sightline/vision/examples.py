"""Labelled examples of a training, decoded once into files that are mapped into memory.

A set may be larger than memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from sightline.errors import DataRejected
from sightline.files import write_json
from sightline.task import Json, Manifest, Sample

ScalarT = TypeVar("ScalarT", bound=np.generic)


def usable_samples(data: Manifest, role: str | None = None) -> tuple[Sample, ...]:
    """Those without a problem; where a role is named, those that have such a file."""
    return tuple(s for s in data.samples if not s.problem and (role is None or role in s.files))


def require_usable(data: Manifest, noun: str, role: str | None = None) -> tuple[Sample, ...]:
    """`usable_samples` to train on; `noun` is what messages call one of them.

    Raises:
        DataRejected: there is none.
    """
    found = usable_samples(data, role)
    if not found:
        raise DataRejected(
            f"there is no usable labelled {noun} to train on",
            where=data.root,
            way_out="Add some, or correct those that the gate lists.",
        )
    return found


class StoredArrays(Generic[ScalarT]):
    """Arrays of one type and of any shapes, one after another in a file; only what is asked for is read.

    Args:
        path: of the file.
        dtype: of the values.
        shapes: of the arrays, in their order.
    """

    def __init__(self, path: Path, dtype: type[ScalarT], shapes: Sequence[tuple[int, ...]]) -> None:
        self._shapes = shapes
        self._starts = [0, *np.cumsum([prod(shape) for shape in shapes]).tolist()]
        # An empty file cannot be mapped.
        self._values: NDArray[ScalarT] = np.memmap(path, dtype, "r") if shapes else np.empty(0, dtype)

    def __getitem__(self, index: int) -> NDArray[ScalarT]:
        return self._values[self._starts[index] : self._starts[index + 1]].reshape(self._shapes[index])


def store_once(folder: Path, write: Callable[[Path], Mapping[str, Json]]) -> None:
    """Have `write` make the files of the examples in `folder`, and keep the index that it returns beside them.

    What an earlier call finished is taken as it is.
    """
    if not (folder / "index.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_json(folder / "index.json", dict(write(folder)))


class Kept(BaseModel):
    """What `store_once` keeps of stored examples."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """As it is kept in a folder."""
        return cls.model_validate_json((folder / "index.json").read_text(encoding="utf-8"))


class Index(Kept):
    """What a set of stored pictures says of each: (h, w), and what its task adds."""

    sizes: list[tuple[int, int]]
