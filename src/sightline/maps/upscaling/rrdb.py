"""RRDBNet, the generator of ESRGAN (Wang et al., 2018) and Real-ESRGAN (Wang et al., 2021), four times finer.

The names of its parameters are the published ones, so that `RealESRGAN_x4plus.pth` (BSD-3-Clause) loads strictly.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from sightline.errors import ModelMissing, ModelRejected

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Conv2d, Module


State: TypeAlias = "dict[str, Tensor]"
"""Parameter name -> tensor, float32 on the CPU."""

BLOCKS = 23
"""Residual-in-residual blocks of the published network."""

MAX_BYTES = 2**28
"""The published file has 67 MB; what is far larger is not read at all."""

_FEATURES, _GROWTH = 64, 32
_CONTAINERS = ("params_ema", "params")
_AGAIN = "Download RealESRGAN_x4plus.pth again, and give the SHA-256 that its publisher names."


def build_rrdb(blocks: int = BLOCKS) -> Module:
    """The network: (n, 3, h, w) float32 of 0 .. 1 -> (n, 3, 4 h, 4 w), not clipped.

    Args:
        blocks: 23 in the published network, with which it has 702 tensors and 16,697,987 parameters.

    Returns:
        A `torch.nn.Module` in evaluation mode. Weights are drawn at random.
    """
    import torch

    nearest = torch.nn.Upsample(scale_factor=2, mode="nearest")
    relu = torch.nn.LeakyReLU(0.2)

    def convolution(inputs: int, outputs: int) -> Conv2d:
        return torch.nn.Conv2d(inputs, outputs, 3, padding=1)

    class Dense(torch.nn.Module):
        """Five convolutions, each of which sees all before it."""

        def __init__(self) -> None:
            super().__init__()
            for number in range(1, 5):
                setattr(self, f"conv{number}", convolution(_FEATURES + (number - 1) * _GROWTH, _GROWTH))
            self.conv5 = convolution(_FEATURES + 4 * _GROWTH, _FEATURES)

        def forward(self, features: Tensor) -> Tensor:
            seen = features
            for number in range(1, 5):
                seen = torch.cat([seen, relu(getattr(self, f"conv{number}")(seen))], dim=1)
            last: Tensor = self.conv5(seen)
            return features + 0.2 * last

    class Block(torch.nn.Module):
        """Three dense blocks around which the features pass."""

        def __init__(self) -> None:
            super().__init__()
            self.rdb1, self.rdb2, self.rdb3 = Dense(), Dense(), Dense()

        def forward(self, features: Tensor) -> Tensor:
            last: Tensor = self.rdb3(self.rdb2(self.rdb1(features)))
            return features + 0.2 * last

    class RRDBNet(torch.nn.Module):
        """See `build_rrdb`."""

        def __init__(self) -> None:
            super().__init__()
            self.conv_first = convolution(3, _FEATURES)
            self.body = torch.nn.Sequential(*(Block() for _ in range(blocks)))
            self.conv_body = convolution(_FEATURES, _FEATURES)
            self.conv_up1 = convolution(_FEATURES, _FEATURES)
            self.conv_up2 = convolution(_FEATURES, _FEATURES)
            self.conv_hr = convolution(_FEATURES, _FEATURES)
            self.conv_last = convolution(_FEATURES, 3)

        def forward(self, image: Tensor) -> Tensor:
            features = self.conv_first(image)
            features = features + self.conv_body(self.body(features))
            features = relu(self.conv_up1(nearest(features)))
            features = relu(self.conv_up2(nearest(features)))
            enlarged: Tensor = self.conv_last(relu(self.conv_hr(features)))
            return enlarged

    return RRDBNet().eval()


def open_rrdb(path: Path, sha256: str) -> Module:
    """The published network with the weights of a file, in evaluation mode.

    Raises:
        ModelMissing, ModelRejected: see `read_weights`; or names or shapes are not those of the published network.
    """
    network = build_rrdb()
    load_strictly(network, read_weights(path, sha256), str(path))
    return network


def read_weights(path: Path, sha256: str) -> State:
    """The state dict in a `.pth` or `.safetensors` file: under `params_ema`, else under `params`, else bare.

    What the file is, is told by its content. Code in a pickle is never run.

    Args:
        path: the file.
        sha256: of its bytes, 64 hexadecimal digits.

    Raises:
        ModelMissing: there is no such file.
        ModelRejected: another SHA-256, truncated, or it holds anything else than tensors.
    """
    data = _verified(path, sha256)
    where = str(path)
    state = _from_torch(data, where) if data[:4] == b"PK\x03\x04" or data[:1] == b"\x80" else _from_safe(data, where)
    return {name: value.float() for name, value in state.items()}


def load_strictly(network: Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load a state dict whose names and shapes are exactly the network's, and whose values are numbers.

    Raises:
        ModelRejected: they are not; the message names some.
    """
    expected = network.state_dict()
    for what, names in _oddities(expected, state).items():
        if names:
            shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise ModelRejected(
                f"the state dict {what} {shown}",
                where=where,
                way_out=f"Give the weights of RRDBNet x4 with {len(expected)} tensors (RealESRGAN_x4plus).",
            )
    network.load_state_dict(state, strict=True)


def _oddities(expected: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """What of a state dict is not as expected -> the names of the tensors."""
    known = [name for name in expected if name in state]
    return {
        "lacks": _absent(expected, state),
        "has unknown": _absent(state, expected),
        "has in another shape": [name for name in known if _differs(expected, state, name)],
        "has NaN or infinity in": [name for name in known if not _finite(state[name])],
    }


def _absent(names: Iterable[str], others: Container[str]) -> list[str]:
    """Those of the names that the others lack."""
    return [name for name in names if name not in others]


def _verified(path: Path, sha256: str) -> bytes:
    """The bytes that are hashed are those that are loaded."""
    try:
        size = path.stat().st_size
        if not path.is_file() or size > MAX_BYTES:
            raise ModelRejected(f"this is no file of {MAX_BYTES:,} bytes at most", where=path, way_out=_AGAIN)
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelMissing("the file of weights does not exist", where=path, way_out=_AGAIN) from error
    except OSError as error:
        raise ModelRejected(f"the file cannot be read ({error.strerror})", where=path, way_out=_AGAIN) from error
    found = hashlib.sha256(data).hexdigest()
    if found != sha256.lower():
        raise ModelRejected(
            f"the file's SHA-256 is {found}, not {sha256 or '(none given)'}", where=path, way_out=_AGAIN
        )
    return data


def _from_torch(data: bytes, where: str) -> State:
    import torch

    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelRejected(
            "the file is broken, or holds other things than tensors; none of them was run", where=where, way_out=_AGAIN
        ) from error
    except Exception as error:  # whatever torch raises on bytes it does not like: the file is broken
        raise _broken(error, where) from error
    state = _unwrapped(found)
    if not isinstance(state, dict) or not state:
        raise ModelRejected("the file holds no state dict", where=where, way_out=_AGAIN)
    if not all(isinstance(name, str) and torch.is_tensor(value) for name, value in state.items()):
        raise ModelRejected("its state dict holds more than named tensors", where=where, way_out=_AGAIN)
    return state


def _unwrapped(found: object) -> object:
    """What lies under the names that trainers keep a state dict by."""
    for name in _CONTAINERS:
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    return found


def _from_safe(data: bytes, where: str) -> State:
    from safetensors.torch import load

    try:
        return load(data)
    except Exception as error:  # a class of the vendor's own that tells no more
        raise _broken(error, where) from error


def _broken(error: Exception, where: str) -> ModelRejected:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelRejected(f"the file is broken or no weights ({reason})", where=where, way_out=_AGAIN)


def _differs(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], name: str) -> bool:
    return tuple(expected[name].shape) != tuple(state[name].shape)


def _finite(value: Tensor) -> bool:
    return bool(value.isfinite().all())
