"""Training of the fast enlargement on real scenes, and its evaluation on ground that it has not seen.

work/checkpoint/            of one training; killed and called again, it goes on from there
work/<ground>-<digest>/     of the fit that has not seen this ground: its checkpoint, then its saved network
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightline.errors import DataMissing, DataRejected
from sightline.files import replacing_folder
from sightline.limits import Limits
from sightline.listing import find_files
from sightline.maps.pictures import FORMATS, read_scene_pixels
from sightline.maps.upscaling.compact import FACTOR, build_compact
from sightline.maps.upscaling.evaluate import BASELINES, Compared, compare
from sightline.maps.upscaling.pairs import GroundScene, Pairs, fine_px
from sightline.maps.upscaling.params import UpscaleParams
from sightline.maps.upscaling.upscale import CARD_NAME, fast_upscaler, open_upscaler, read_fast, write_fast
from sightline.task import Card, Json, Progress
from sightline.vision.training import Fitting, train_network

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


Picture = NDArray[np.uint8]

_VALIDATED_PX = 256
"""Side of the fine picture in the middle of a scene that is looked at during training."""


def read_scenes(folder: Path, limits: Limits) -> list[GroundScene]:
    """All pictures in a folder, each a ground of its own; they need no labels.

    Raises:
        DataMissing: the folder holds no picture.
        DataRejected: one of them is no picture of 8-bit RGB, broken or beyond the limits.
    """
    paths = find_files(folder, (".png", ".jpg", ".jpeg", ".tif", ".tiff"))
    if not paths:
        way_out = "Give a folder with whole scenes, for example data/ships/real/scenes."
        raise DataMissing("the folder has no pictures", where=folder, way_out=way_out)
    return [GroundScene(path.stem, path.stem, read_scene_pixels(path, limits)) for path in paths]


def work_folder(out: Path, scenes: Sequence[GroundScene], params: UpscaleParams, seed: int) -> Path:
    """A folder beside `out` for the checkpoints of this training and no other."""
    return out.with_name(f".{out.name}-{_key(_card(scenes, params, seed))}")


def train_fast(
    scenes: Sequence[GroundScene],
    params: UpscaleParams,
    seed: int,
    work: Path,
    progress: Progress,
    unseen: Sequence[GroundScene] = (),
) -> tuple[Card, bytes]:
    """Fit the fast network.

    Args:
        scenes: what it is fitted on.
        params: its size and recipe.
        seed: of weights and crops.
        work: for checkpoints; private to these scenes, parameters and seed.
        progress: told how far it is.
        unseen: scenes whose PSNR is reported during training, on a part of each; nothing is chosen by them.

    Returns:
        What `upscale.write_fast` writes.

    Raises:
        DataRejected: there is no scene, or one that is smaller than a crop.
    """
    import torch
    from safetensors.torch import save

    _check_scenes(scenes, params)
    torch.manual_seed(seed)
    network = build_compact(params.features, params.depth)
    fitting = Fitting(Pairs(scenes, params, seed), _loss(params.loss), _validator(unseen, params))
    work.mkdir(parents=True, exist_ok=True)
    state = train_network(_answering(network), fitting, params.schedule, work, progress)
    shutil.rmtree(work / "checkpoint", ignore_errors=True)
    weights = save({name.removeprefix("network."): value for name, value in state.items()})
    return _card(scenes, params, seed), weights


def _check_scenes(scenes: Sequence[GroundScene], params: UpscaleParams) -> None:
    if not scenes:
        raise DataRejected(
            "no scene is left to train the enlargement on", way_out="Add whole scenes; chips are too small."
        )
    side = fine_px(params)
    for scene in scenes:
        if min(scene.pixels.shape[:2]) < side:
            raise DataRejected(
                f"the scene has fewer than {side} px on a side", where=scene.name, way_out="Leave this scene out."
            )


def _answering(network: Module) -> Module:
    """The training loop expects an answer and an embedding."""
    import torch

    class Answering(torch.nn.Module):
        """The network, without an embedding."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> tuple[Tensor, None]:
            return self.network(image), None

    return Answering()


def _loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    import torch

    def charbonnier(answer: Tensor, truth: Tensor) -> Tensor:
        return torch.sqrt((answer - truth) ** 2 + 1e-6).mean()

    if name == "charbonnier":
        return charbonnier
    return torch.nn.functional.l1_loss if name == "l1" else torch.nn.functional.mse_loss


def _validator(scenes: Sequence[GroundScene], params: UpscaleParams) -> Callable[[Module], Mapping[str, float]]:
    """Mean PSNR over the middle parts of the scenes."""
    middles = [GroundScene(scene.name, scene.ground, _middle(scene.pixels)) for scene in scenes]

    def validate(network: Module) -> dict[str, float]:
        if not middles:
            return {}
        upscaler = fast_upscaler(network.get_submodule("network"), params.depth)
        found = compare(middles, {CARD_NAME: upscaler}, params.degrade)
        return {"unseen_psnr_db": float(np.mean([one.figures.psnr_db for one in found]))}

    return validate


def _middle(pixels: Picture) -> Picture:
    height, width = (min(size, _VALIDATED_PX) for size in pixels.shape[:2])
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def _card(scenes: Sequence[GroundScene], params: UpscaleParams, seed: int) -> Card:
    provenance: dict[str, Json] = {
        "seed": seed,
        "parameters": params.model_dump(mode="json"),
        "scenes": {scene.name: _digest(scene.pixels) for scene in scenes},
        "grounds": sorted({scene.ground for scene in scenes}),
    }
    return Card(
        task="ships",
        candidate=CARD_NAME,
        classes=(),
        formats=FORMATS,
        preprocessing={"features": params.features, "depth": params.depth, "factor": FACTOR},
        thresholds={},
        provenance=provenance,
    )


def _key(card: Card) -> str:
    """Tells apart two trainings."""
    return hashlib.sha256(json.dumps(card.provenance, sort_keys=True).encode()).hexdigest()[:12]


def _digest(pixels: Picture) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def save_fast(directory: Path, card: Card, weights: bytes) -> None:
    """Write a trained network into a folder of its own, which is there whole or not at all.

    Raises:
        BackendError: the disk is full or the folder cannot be written.
    """
    with replacing_folder(directory, "the network") as fresh:
        write_fast(fresh, card, weights)


# -------------------------------------------------------------------------------------------------------- evaluating


def leave_one_ground_out(
    scenes: Sequence[GroundScene], params: UpscaleParams, seed: int, work: Path, progress: Progress
) -> list[Compared]:
    """Fit a network without each ground in turn, and compare it there with the baselines.

    Killed and called again with the same `work`, it goes on.

    Raises:
        DataRejected: there are fewer than two grounds.
    """
    grounds = sorted({scene.ground for scene in scenes})
    if len(grounds) < 2:
        raise DataRejected(
            f"the scenes show {len(grounds)} ground", way_out="Add scenes of another place: one is left out each time."
        )
    found = []
    for ground in grounds:
        seen = [scene for scene in scenes if scene.ground != ground]
        unseen = [scene for scene in scenes if scene.ground == ground]
        folder = work / f"{ground}-{_key(_card(seen, params, seed))}"
        if not (folder / "network").is_dir():
            save_fast(folder / "network", *train_fast(seen, params, seed, folder, progress, unseen))
        ways = {name: open_upscaler(name) for name in BASELINES} | {CARD_NAME: read_fast(folder / "network")}
        found += compare(unseen, ways, params.degrade)
    return found
