"""Both learned stages as one network with one file of weights, and as a follower of one camera."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import ModelRejected
from sightline.tasks.battery_faults.losses import enlarge
from sightline.tasks.battery_faults.params import NetworkParams, RefineParams
from sightline.tasks.battery_faults.quadtree import build_refiner
from sightline.tasks.battery_faults.query import Answer, Memory, build_query_network
from sightline.vision.hardware import SHORT_SPIN

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


Floats = NDArray[np.float32]

_SAME_CELL = 0.6
"""IoU of boxes from which on two queries are held to tell the same fault."""


def build_stages(network: NetworkParams, refine: RefineParams) -> Module:
    """A module with the parts `query` (stage 1) and `refiner` (stage 2); weights are drawn at random."""
    import torch

    query = build_query_network(network)
    pyramid = query.get_submodule("pyramid")
    channels = [int(getattr(pyramid, f"{name}_channels")) for name in ("stem", "early")]
    return torch.nn.ModuleDict({"query": query, "refiner": build_refiner(network, refine, *channels)})


def load_stages(network: NetworkParams, refine: RefineParams, weights: bytes) -> Module:
    """The stages with the weights of a safetensors file, ready to answer.

    Raises:
        ModelRejected: the weights are not those of such a network.
    """
    os.environ.setdefault(*SHORT_SPIN)  # beside other programs, threads that spin take ten times as long
    stages = build_stages(network, refine)
    put_weights(stages, weights)
    return stages.eval().requires_grad_(False)


def put_weights(stages: Module, weights: bytes) -> None:
    """Put the weights of a safetensors file into the stages. Raises ModelRejected where they are of other networks."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stages.load_state_dict(load(weights))
    except (SafetensorError, RuntimeError, KeyError) as error:
        raise ModelRejected(
            "the weights do not fit the network that the card describes",
            way_out="Train the model again, or download it again from the registry.",
        ) from error


@dataclass(frozen=True)
class Seen:
    """One fault in one frame.

    Attributes:
        score: probability of a fault, 0..1, from this frame and those before it.
        query: which of the network's queries tells it; the same in the frames of a video.
        box: (4,) centre and size as shares of the input's width and height.
        coarse: (h, w) probabilities of stage 1.
        mask: (h, w) probabilities after stage 2; those of stage 1 where that is left out.
        embedding: (width,) the query.
    """

    score: float
    query: int
    box: Floats
    coarse: Floats
    mask: Floats
    embedding: Floats


class Follower:
    """The stages on the frames of one camera, one after another; what it remembers does not grow.

    Args:
        stages: of `load_stages`; several followers may share them.
        floor: least score of what is told.
        most: faults told at most in a frame, the likeliest.
        refined: whether stage 2 looks at the masks.
    """

    def __init__(self, stages: Module, floor: float, most: int, refined: bool = True) -> None:
        self._query: Any = stages.get_submodule("query")  # torch tells no types of a module's own methods
        self._refiner: Any = stages.get_submodule("refiner")
        self._floor, self._most, self._refined = floor, most, refined
        self._memory: Memory | None = None
        self.scores: Floats = np.empty(0, np.float32)
        """(q,) the score of each query in the newest frame."""
        self.embedding: Floats = np.empty(0, np.float32)
        """(width,) the likeliest of them."""

    def forget(self) -> None:
        """Begin anew, as with another video."""
        self._memory = None

    def push(self, frame: Floats) -> list[Seen]:
        """What is seen in the next frame (3, h, w), the likeliest first; nothing where all is healthy."""
        import torch

        with torch.inference_mode():
            answer, self._memory = self._query(torch.from_numpy(frame)[None, None], self._memory)
            last = answer.last
            self.scores = last.logits[0, 0].sigmoid().numpy()
            self.embedding = last.queries[0, 0, int(self.scores.argmax())].numpy()
            boxes = last.boxes[0, 0].numpy()
            chosen = distinct(self.scores, boxes, self._floor, self._most)
            if not chosen:
                return []
            return self._masks(answer, chosen, boxes, (frame.shape[1], frame.shape[2]))

    def _masks(self, answer: Answer, chosen: list[int], boxes: Floats, size: tuple[int, int]) -> list[Seen]:
        import torch

        last, height, width = answer.last, *size
        features = answer.mask_features[0].expand(len(chosen), -1, -1, -1)
        coarse = enlarge(self._query.masks(features, last.queries[0, 0, chosen], last.boxes[0, 0, chosen]))
        fine = (
            self._refiner(answer.features.picked(torch.zeros(len(chosen), dtype=torch.int64)), coarse).logits
            if self._refined
            else coarse
        )
        filled = answer.features.frames.shape[2:]
        shares = np.array([filled[1] / width, filled[0] / height] * 2, np.float32)
        return [
            Seen(
                score=float(self.scores[query]),
                query=query,
                box=boxes[query] * shares,
                coarse=_probabilities(coarse[place], size),
                mask=_probabilities(fine[place], size),
                embedding=last.queries[0, 0, query].numpy(),
            )
            for place, query in enumerate(chosen)
        ]


def _probabilities(logits: Tensor, size: tuple[int, int]) -> Floats:
    values: Floats = logits[: size[0], : size[1]].sigmoid().numpy()
    return values


def distinct(scores: Floats, boxes: Floats, floor: float, most: int) -> list[int]:
    """Queries with scores from `floor` on, the highest first, without those that tell what a higher one told.

    Args:
        scores: (q,).
        boxes: (q, 4) centre and size.
        floor: see above.
        most: of what is returned.
    """
    from sightline.geometry import box_iou

    corners = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)
    overlaps = box_iou(corners, corners)
    chosen: list[int] = []
    for query in np.argsort(-scores, kind="stable"):
        if scores[query] < floor or len(chosen) == most:
            break
        if all(overlaps[query, other] < _SAME_CELL for other in chosen):
            chosen.append(int(query))
    return chosen
