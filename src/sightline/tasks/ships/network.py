"""What finds vessels: a feature pyramid, or ConvNeXt (Liu et al., 2022) as a classifier of windows in a dense scan.

**Pyramid.** EfficientNet-Lite0 with a feature pyramid (`vision.networks`; Lin et al., 2017) answers every 4 pixels
whether the middle of a vessel is there, as CenterNet does (Zhou et al., 2019), and how long it is.

**Windows.** The features are timm's, under timm's names, so that its published weights fit. A window is averaged,
normalised and told by the head, as in timm; the head is applied at every place of the feature map, so that one pass
over a large tile answers all windows that lie in it.

ConvNeXt gives a feature every 32 pixels. With a finer stride the last steps of 2 are left out and what follows is
dilated instead (the algorithme a trous; Holschneider et al., 1989): the features at multiples of 32 pixels stay what
they were, and those between are what shifted pictures would give. Four times as many features so cost 1.5 times as
much, not 4 times, as the early stages are shared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from sightline.errors import ParamsError
from sightline.files import require_weights
from sightline.vision import networks

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


WindowsName = Literal["convnext_atto", "convnext_femto", "convnext_tiny", "convnext_small", "convnext_base"]
PyramidName = Literal["efficientnet_lite0"]
NetworkName = Literal[WindowsName, PyramidName]
PYRAMIDS: tuple[str, ...] = get_args(PyramidName)

FINEST_PX = 8
"""The finest step of a classifier of windows."""

CELL_PX = 4
"""From one answer of a pyramid to the next; it is its window too."""

STRIDE = 32
"""Pixels that one feature covers; sides of an input are multiples of it."""

IGNORED = -1
"""The class of windows that nothing is learnt from."""

UNKNOWN = -100.0
"""In place of a length that nobody knows."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of the colours in 0 .. 1: those of ImageNet, which published weights expect."""


LAYER_SCALE = 1.0
"""What each block counts for at first. With timm's 1e-6, which suits long trainings, a short one from nothing ends
before the blocks see anything around them; published weights bring their own."""


def build_network(size: NetworkName, pooled_px: int, stride_px: int) -> Module:
    """A network of this name: see `build_pyramid` and `build_windows`."""
    return build_pyramid(size) if size in PYRAMIDS else build_windows(size, pooled_px, stride_px)


def build_pyramid(encoder: str) -> Module:
    """(n, 3, h, w) float32, normalised as for windows, sides multiples of 32 -> answers (n, 3, h / 4, w / 4) and the
    mean features (n, d). The answers are the logits of no vessel and of a vessel's middle, and the vessel's length as
    the logarithm (base 2) of how many times 50 m it is. Weights are drawn at random.
    """
    import torch

    class Pyramid(torch.nn.Module):
        """See `build_pyramid`."""

        def __init__(self) -> None:
            super().__init__()
            body: Any = networks.build_network(cast(networks.EncoderName, encoder), len(MEAN), 3, (), "fpn")
            body.head[1] = torch.nn.Identity()  # the answer stays at a quarter of the resolution
            self.body: Any = body
            mean, std = networks.imagenet_normalisation(encoder)
            # The encoder's weights know another normalisation than the one in which windows come.
            own = ((torch.tensor(MEAN) - mean) / std, torch.tensor(STD) / std)
            self.shift: Tensor
            self.gain: Tensor
            for name, values in zip(("shift", "gain"), own, strict=True):
                self.register_buffer(name, values[None, :, None, None], persistent=False)

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            answers, features = self.body(image * self.gain + self.shift)
            return answers, features

    return Pyramid()


def build_windows(size: str, pooled_px: int, stride_px: int) -> Module:
    """A classifier of all windows of a picture; weights are drawn at random.

    (n, 3, h, w) float32, normalised, sides multiples of 32 -> logits (n, 2, rows, columns) of no-ship and ship, and
    the mean features (n, d). Window (i, j) covers pooled_px pixels from (i stride_px, j stride_px); all windows that
    lie in the picture are answered.

    Args:
        size: a name of timm's.
        pooled_px: side of a window, a multiple of 32.
        stride_px: 8, 16 or 32; the weights do not depend on it.
    """
    import timm
    import torch

    class Windows(torch.nn.Module):
        """See `build_windows`."""

        def __init__(self) -> None:
            super().__init__()
            body: Any = timm.create_model(size, pretrained=False, num_classes=2, ls_init_value=LAYER_SCALE)
            _dilate(body, stride_px)
            self.body: Any = body  # timm tells no types
            self.beyond = STRIDE // stride_px - 1  # features at the end that look over the picture's edge
            cells = pooled_px // STRIDE
            # A constant, as a graph's convolutions have kernels of known shapes; it is no weight.
            self.mean: Tensor
            self.register_buffer("mean", torch.full((body.num_features, 1, cells, 1), 1 / cells), persistent=False)

        def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
            head = self.body.head
            features = self.body.norm_pre(self.body.stages(self.body.stem(image)))
            if self.beyond:
                features = features[:, :, : -self.beyond, : -self.beyond]
            pooled = head.norm(self._pooled(features))
            logits = torch.nn.functional.conv2d(pooled, head.fc.weight[:, :, None, None], head.fc.bias)
            return logits, features.mean(dim=(2, 3))

        def _pooled(self, features: Tensor) -> Tensor:
            """Means over windows: of every 32nd pixel's feature, as the classifier has no others."""
            if pooled_px == STRIDE:
                return features
            step, mean = STRIDE // stride_px, self.mean.to(features.dtype)
            rows = torch.nn.functional.conv2d(features, mean, dilation=(step, 1), groups=len(mean))
            return torch.nn.functional.conv2d(rows, mean.transpose(2, 3), dilation=(1, step), groups=len(mean))

    return Windows()


def _dilate(body: Any, stride_px: int) -> None:
    """Make a timm ConvNeXt give features every `stride_px` pixels; its parameters keep their names and shapes."""
    import torch

    class EndPadded(torch.nn.Conv2d):
        """A convolution of 2 x 2 that is padded at its far ends, where its second tap looks."""

        def forward(self, image: Tensor) -> Tensor:
            reach = self.dilation[0]
            return super().forward(torch.nn.functional.pad(image, (0, reach, 0, reach)))

    for number, stage in enumerate(body.stages):
        nominal = 4 * 2**number
        dilation = max(nominal // stride_px, 1)
        if dilation == 1:
            continue
        old = stage.downsample[1]
        before = max(nominal // 2 // stride_px, 1)
        stage.downsample[1] = EndPadded(old.in_channels, old.out_channels, 2, dilation=before)
        stage.downsample[1].load_state_dict(old.state_dict())
        for block in stage.blocks:
            block.conv_dw.dilation = (dilation, dilation)
            block.conv_dw.padding = (3 * dilation, 3 * dilation)


def load_weights(network: Module, size: str, weights: Mapping[str, str], digests: Mapping[str, str]) -> bool:
    """Start a network from the weights that params name for its size; whether they name any.

    A pyramid takes them as `vision.networks.load_encoder` does. For a classifier of windows the file is a state dict of
    timm's model of this size; its last layer is left out, as it evaluates other classes.

    Raises:
        ParamsError: the file is not there, not that one, or does not fit.
    """
    if size not in weights:
        return False
    if size in PYRAMIDS:
        networks.load_encoder(network.get_submodule("body"), size, weights, digests)
        return True
    from safetensors.torch import load_file

    path = Path(weights[size]).expanduser()
    where = f"train.weights.{size}: {path}"
    require_weights(path, digests[size], where)
    own = {
        name: value for name, value in network.get_submodule("body").state_dict().items() if name.startswith("head.fc.")
    }
    try:
        network.get_submodule("body").load_state_dict({**load_file(path), **own})
    except Exception as error:  # safetensors has errors of its own for bytes that are none of its kind
        raise ParamsError(
            f"the weights do not fit the network ({str(error).splitlines()[-1].strip()})",
            where=where,
            way_out=f"Give a .safetensors file of timm's {size}.",
        ) from error
    return True


def freeze_features(network: Module, frozen: bool) -> None:
    """Let what stands on the features learn alone, or all."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not frozen or name.startswith(("body.head.", "body.decoder.")))


LENGTH_WEIGHT = 0.2
"""Of the error of lengths, in powers of two, beside the cross-entropy."""


def window_loss(smoothing: float, hard_example_share: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Of answers (n, 2 or 3, rows, columns) and truth (n, 2, rows, columns) of `Windows` -> scalar.

    The mean cross-entropy of the windows of vessels plus that of the hardest windows without one: nearly all windows
    are water, and water is soon learnt. With one window a picture and a share of 1 it is the usual one, but balanced.
    Of a network that tells lengths, also how far off they are where they are known.

    Args:
        smoothing: of the labels.
        hard_example_share: share of the windows without a vessel, those of the largest loss, at least one.
    """
    import torch

    def loss(answers: Tensor, truth: Tensor) -> Tensor:
        classes, lengths = truth[:, 0].long(), truth[:, 1]
        each = torch.nn.functional.cross_entropy(
            answers[:, :2], classes, ignore_index=IGNORED, label_smoothing=smoothing, reduction="none"
        )
        ships, others = each[classes == 1], each[classes == 0]
        if len(others):
            others = others.topk(math.ceil(len(others) * hard_example_share)).values
        parts = [part.mean() for part in (ships, others) if len(part)]
        whole = reduce(torch.add, parts) / len(parts) if parts else answers.sum() * 0
        known = (classes == 1) & (lengths > UNKNOWN)
        if answers.shape[1] < 3 or not known.any():
            return whole
        return whole + LENGTH_WEIGHT * torch.nn.functional.smooth_l1_loss(answers[:, 2][known], lengths[known])

    return loss


def export_network(network: Module, tells_lengths: bool = False) -> bytes:
    """The network as an ONNX graph: `image` (1, 3, h, w) -> `logit`, `embedding` (1, d).

    `logit` is (1, rows, columns) of a classifier of windows; of a pyramid (1, 2, rows, columns), with the length.

    Sides are free (multiples of 32).
    """
    import torch

    def of_ship(answers: Tensor) -> Tensor:
        logit = answers[:, 1] - answers[:, 0]
        return torch.stack([logit, answers[:, 2]], dim=1) if tells_lengths else logit

    axes = {2: "rows", 3: "columns"} if tells_lengths else {1: "rows", 2: "columns"}
    free: dict[str, dict[int, str]] = {"image": {2: "h", 3: "w"}, "logit": axes, "embedding": {}}
    return networks.trace_graph(network, of_ship, torch.zeros(1, 3, 256, 288), free)
