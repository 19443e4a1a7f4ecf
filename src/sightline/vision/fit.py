"""One network from its shape to its files: built, started, trained, looked at while it learns, exported."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from sightline.task import Progress
from sightline.vision.networks import DecoderName, EncoderName, build_network, export_network
from sightline.vision.session import GRAPH, WEIGHTS
from sightline.vision.training import Fitting, ScheduleParams, train_network

if TYPE_CHECKING:
    from torch.nn import Module


Floats = NDArray[np.float32]
Truth = TypeVar("Truth")
Counts = TypeVar("Counts")


@dataclass(frozen=True)
class NetworkShape:
    """What a network is: see `networks.build_network` and `networks.export_network`."""

    encoder: EncoderName
    bands: int
    classes: int
    decoder_channels: tuple[int, ...]
    window_px: int
    activation: Literal["softmax", "sigmoid"]
    decoder: DecoderName = "unet"


def fit_network(
    shape: NetworkShape,
    begin: Callable[[Module], None],
    fitting: Fitting,
    schedule: ScheduleParams,
    seed: int,
    work: Path,
    progress: Progress,
) -> dict[str, bytes]:
    """Train a network, from the newest checkpoint in `work` where there is one.

    Args:
        shape: of the network.
        begin: puts weights of an earlier fit or of an encoder into the new network; or does nothing.
        fitting: see there.
        schedule: see there.
        seed: of the weights drawn at random.
        work: folder of the checkpoints; gone in the end, as the finished model is the caller's to keep.
        progress: told of steps and of metrics.

    Returns:
        WEIGHTS and GRAPH.
    """
    import torch
    from safetensors.torch import save

    torch.manual_seed(seed)
    network = build_network(shape.encoder, shape.bands, shape.classes, shape.decoder_channels, shape.decoder)
    begin(network)
    work.mkdir(parents=True, exist_ok=True)
    state = train_network(network, fitting, schedule, work, progress)
    network.cpu().load_state_dict(state)
    network.eval()
    graph = export_network(network, shape.bands, shape.window_px, shape.activation)
    shutil.rmtree(work, ignore_errors=True)
    return {WEIGHTS: save(state), GRAPH: graph}


def validator(
    windows: Sequence[Callable[[], tuple[Floats, Truth]]],
    count: Callable[[Truth, Floats], Counts],
    score: Callable[[list[Counts]], Mapping[str, float]],
) -> Callable[[Module], Mapping[str, float]]:
    """What `Fitting.validate` wants: figures of a network on some windows; nothing where there are none.

    Args:
        windows: each gives an input (bands, h, w) and its truth.
        count: of a truth and logits (classes, h, w), what `score` pools.
        score: figures of all counts.
    """

    def validate(network: Module) -> dict[str, float]:
        import torch

        device = next(network.parameters()).device
        counts = []
        for window in windows:
            inputs, truth = window()
            with torch.inference_mode():
                logits, _ = network(torch.from_numpy(np.ascontiguousarray(inputs[None])).to(device))
            counts.append(count(truth, logits[0].float().cpu().numpy()))
        return {f"validation_{name}": value for name, value in score(counts).items()} if counts else {}

    return validate


def mean_and_std(pictures: Iterable[NDArray[np.generic]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels of pictures (channels, h, w)."""
    count, total, squares = 0, 0.0, 0.0
    for picture in pictures:
        values = picture.reshape(len(picture), -1).astype(np.float64)
        count += values.shape[1]
        total = total + values.sum(axis=1)
        squares = squares + (values**2).sum(axis=1)
    mean = np.asarray(total) / count
    std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 1e-12))
    return tuple(mean.round(6).tolist()), tuple(np.maximum(std, 1e-4).round(6).tolist())
