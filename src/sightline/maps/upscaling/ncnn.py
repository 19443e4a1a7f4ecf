"""Convolutions of a network in ncnn's format: a text of layers (`.param`), and their weights in that order (`.bin`).

The text: 7767517; the number of layers and of blobs (what passes between layers); then a layer a line: kind, name,
number of inputs and outputs, their names, and `key=value` with numbers for keys. The weights of a convolution: a tag of
four bytes, 0x01306B47 where half precision follows (padded to a multiple of four bytes), 0 where float32 does; then the
bias, float32 without a tag. All of it is little-endian. Source: ncnn's docs/developer-guide (BSD-3-Clause).

Nothing else is read: another kind of layer, another tag or another option of a convolution is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ModelRejected

Floats = NDArray[np.float32]

MAGIC = "7767517"
HALF, SINGLE = 0x01306B47, 0
"""Tags of weights."""

_CONVOLUTION = "Convolution"
_WITHOUT_WEIGHTS = ("Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp")

_OUTPUTS, _KERNEL, _PADDING, _HAS_BIAS, _WEIGHTS = 0, 1, 4, 5, 6
_ACTIVATION, _SLOPE = 9, -23310
_KNOWN = {_OUTPUTS, _KERNEL, _PADDING, _HAS_BIAS, _WEIGHTS, _ACTIVATION, _SLOPE}
"""Keys of a convolution with a square kernel, a step of one pixel, one group and its own bias."""

_AGAIN = "Get both files again, from one source."


@dataclass(frozen=True)
class Layer:
    """A line of the text.

    Attributes:
        kind: for example Convolution.
        name: of the layer.
        inputs: the blobs that it takes.
        outputs: the blobs that it makes.
        options: key -> what stands behind the `=`.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: Mapping[int, str]


@dataclass(frozen=True)
class Convolution:
    """Weights of one layer.

    Attributes:
        name: of the layer.
        weight: (outputs, inputs, kernel, kernel).
        bias: (outputs,).
    """

    name: str
    weight: Floats = field(repr=False)
    bias: Floats = field(repr=False)


def read_convolutions(text: bytes, weights: bytes, where: str) -> list[Convolution]:
    """The convolutions of a network, in the order in which it runs them.

    Args:
        text: the bytes of the `.param`.
        weights: the bytes of the `.bin`.
        where: named in errors.

    Raises:
        ModelRejected: one of them is not what the module's docstring says, or they do not belong together.
    """
    cursor = _Cursor(weights, where)
    found = [_convolution(layer, cursor) for layer in read_layers(text, where) if layer.kind == _CONVOLUTION]
    cursor.check_end()
    return found


# ------------------------------------------------------------------------------------------------------- layers


def read_layers(text: bytes, where: str) -> list[Layer]:
    """The layers, in the order in which the network runs them.

    Raises:
        ModelRejected: the text is not of this format, or a layer takes what none before it has made.
    """
    try:
        lines = text.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise _rejected("the text of layers is not ASCII", where) from error
    if len(lines) < 2 or lines[0].strip() != MAGIC:
        raise _rejected(f"the text of layers does not begin with {MAGIC}", where)
    layers = [_layer(line, f"{where}, line {number}") for number, line in enumerate(lines[2:], start=3)]
    blobs = sum(len(layer.outputs) for layer in layers)
    said = lines[1].strip()[:40]
    if said.split() != [str(len(layers)), str(blobs)]:
        raise _rejected(f"line 2 says {said!r}, and there are {len(layers)} layers with {blobs} blobs", where)
    _check_order(layers, where)
    return layers


def _layer(line: str, where: str) -> Layer:
    try:
        kind, name, inputs, outputs, *rest = line.split()
        takes, makes = int(inputs), int(outputs)
        if not (0 <= takes <= len(rest) and 0 <= makes <= len(rest) - takes):
            raise ValueError("it names fewer blobs than it says")
        ends = takes + makes
        pairs = [option.partition("=") for option in rest[ends:]]
        options = {int(key): value for key, _, value in pairs}
    except ValueError as error:
        raise _rejected(f"this is no layer: {str(error)[:80]}", where) from error
    if len(options) != len(pairs):
        raise _rejected("an option is given twice", where)
    if kind != _CONVOLUTION and kind not in _WITHOUT_WEIGHTS:
        raise _rejected(f"layers of the kind {kind!r} are not read", where)
    return Layer(kind, name, tuple(rest[:takes]), tuple(rest[takes:ends]), options)


def _check_order(layers: Sequence[Layer], where: str) -> None:
    """Each blob is made once, before it is taken; otherwise the order of the lines is not that of the network."""
    made: set[str] = set()
    for layer in layers:
        absent = [blob for blob in layer.inputs if blob not in made]
        if absent:
            raise _rejected(f"{layer.name} takes {absent[0]}, which no layer before it makes", where)
        twice = [blob for blob in layer.outputs if blob in made]
        if twice or len(set(layer.outputs)) < len(layer.outputs):
            raise _rejected(f"{layer.name} makes a blob that is there already", where)
        made.update(layer.outputs)


# ------------------------------------------------------------------------------------------------------ weights


class _Cursor:
    """Goes through the bytes of the weights."""

    def __init__(self, data: bytes, where: str) -> None:
        self._data, self._at, self.where = data, 0, where

    def take(self, dtype: str, count: int, layer: str) -> NDArray[np.generic]:
        """The next `count` numbers; the type's size divides four, to a multiple of which the end is padded."""
        wanted = count * np.dtype(dtype).itemsize
        padded = -(-wanted // 4) * 4
        if padded > len(self._data) - self._at:
            raise _rejected(f"the weights end within those of {layer}", self.where)
        values = np.frombuffer(self._data, dtype, count, self._at)
        self._at += padded
        return values

    def check_end(self) -> None:
        """Raise ModelRejected where bytes are left."""
        left = len(self._data) - self._at
        if left:
            raise _rejected(f"{left:,} bytes of weights belong to no layer", self.where)


def _convolution(layer: Layer, cursor: _Cursor) -> Convolution:
    outputs, kernel, size = _sizes(layer, cursor.where)
    (tag,) = cursor.take("<u4", 1, layer.name).tolist()
    if tag not in (HALF, SINGLE):
        raise _rejected(f"the weights of {layer.name} have the unknown tag 0x{tag:08X}", cursor.where)
    weight = cursor.take("<f2" if tag == HALF else "<f4", size, layer.name)
    bias = cursor.take("<f4", outputs, layer.name)
    shape = (outputs, size // (outputs * kernel**2), kernel, kernel)
    return Convolution(layer.name, weight.astype(np.float32).reshape(shape), bias.astype(np.float32))


def _sizes(layer: Layer, where: str) -> tuple[int, int, int]:
    """Outputs, side of the kernel, and number of weights; all other options are those of a plain convolution."""
    unknown = sorted(layer.options.keys() - _KNOWN)
    if unknown:
        raise _rejected(f"{layer.name} has the option {unknown[0]}, which is not read", where)
    outputs, kernel, padding, has_bias, size = _numbers(
        layer, (_OUTPUTS, _KERNEL, _PADDING, _HAS_BIAS, _WEIGHTS), where
    )
    if min(outputs, kernel, size) < 1 or size % (outputs * kernel**2):
        raise _rejected(f"{layer.name} has {size} weights for {outputs} outputs of {kernel} x {kernel}", where)
    if padding != kernel // 2 or has_bias != 1:
        raise _rejected(f"{layer.name} has no bias, or another padding than {kernel // 2}", where)
    return outputs, kernel, size


def _numbers(layer: Layer, keys: Sequence[int], where: str) -> Iterator[int]:
    for key in keys:
        value = layer.options.get(key, "")
        if not (value.isdecimal() and len(value) < 10):
            raise _rejected(f"the option {key} of {layer.name} is {value[:20]!r}, not a number", where)
        yield int(value)


def _rejected(what: str, where: str) -> ModelRejected:
    return ModelRejected(what, where=where, way_out=_AGAIN)
