"""The served network: boxes of modules by ONNX Runtime, without torch.

The network is YOLOv8n. Its graph takes (1, 3, h, w) float32 in 0 .. 1 and gives `boxes` (1, 4 + classes, anchors) -
centre, size and class probabilities - and `embedding` (1, d), the mean of its deepest feature map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.tasks.pv_hotspots.feature import Level, Scale, frame_scale, network_input
from sightline.tasks.pv_hotspots.params import DetectionParams, InputParams
from sightline.vision.graphs import open_session

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Boxes:
    """Modules found in one frame.

    Attributes:
        boxes: (n, 4) x0, y0, x1, y1 in pixels of the frame, inside it; the most certain first.
        classes: (n, 2) the network's probability of each class.
        embedding: (d,) float32.
    """

    boxes: Floats
    classes: Floats
    embedding: NDArray[np.float32]

    @property
    def objectness(self) -> Floats:
        """(n,) probability of being a module of any class."""
        return np.asarray(self.classes.max(axis=1, initial=0.0))


class Detector:
    """A network in an ONNX Runtime session.

    Args:
        graph: the ONNX file's bytes.
        threads: of the session; None: as `SIGHTLINE_ONNX_THREADS` says, else all cores.
    """

    def __init__(
        self, graph: bytes, input_params: InputParams, detection: DetectionParams, threads: int | None = None
    ) -> None:
        self.input_params = input_params
        self.detection = detection
        self._session = open_session(graph, threads)

    def __call__(self, level: Level) -> Boxes:
        """Find the modules in one frame (h, w)."""
        picture, shrink = fit_frame(level, self.input_params)
        answer, embedding = self._session.run(None, {"image": picture.astype(np.float32)[None] / np.float32(255)})
        height, width = level.shape
        return decode(answer[0], embedding[0], self.detection, (width, height), shrink)


def fit_frame(level: Level, params: InputParams) -> tuple[NDArray[np.uint8], float]:
    """(3, h, w) input of the network's size, and by what factor the frame was made smaller or larger for it.

    The frame keeps its aspect and lies in the upper left; the rest is as cold as its coldest parts.
    """
    import cv2

    height, width = level.shape
    factor = min(params.width_px / width, params.height_px / height)
    scale = frame_scale(level, params)
    if (height, width) != (params.height_px, params.width_px):
        size = (max(round(width * factor), 1), max(round(height * factor), 1))
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        canvas = np.full((params.height_px, params.width_px), scale.low, dtype=np.float32)
        canvas[: size[1], : size[0]] = cv2.resize(level, size, interpolation=method)
        level = canvas
    return network_input(level, Scale(scale.low, scale.span), params), factor


def decode(
    answer: NDArray[np.float32],
    embedding: NDArray[np.float32],
    params: DetectionParams,
    size: tuple[int, int],
    factor: float = 1.0,
) -> Boxes:
    """Boxes of a frame of `size` (width, height) from the network's answer (4 + classes, anchors)."""
    values = answer.T.astype(np.float64)
    values = values[values[:, 4:].max(axis=1) >= params.min_objectness]
    centre, half = values[:, :2] / factor, values[:, 2:4] / factor / 2
    limits = np.array([*size, *size], dtype=np.float64)
    boxes = np.clip(np.concatenate([centre - half, centre + half], axis=1), 0, limits)
    solid = ((boxes[:, 2:] - boxes[:, :2]) >= 1).all(axis=1)
    boxes, classes = boxes[solid], values[solid, 4:]
    kept = non_maximum_suppression(boxes, classes.max(axis=1, initial=0.0), params.nms_iou)[: params.max_boxes]
    return Boxes(boxes[kept], classes[kept], np.asarray(embedding, dtype=np.float32))


def non_maximum_suppression(boxes: Floats, scores: Floats, iou: float) -> NDArray[np.int64]:
    """Indices of the boxes that no better box overlaps by more than `iou`, best first."""
    order = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = boxes[order].T
    area = (x1 - x0) * (y1 - y0)
    alive = np.ones(len(order), dtype=np.bool_)
    kept = []
    for index in range(len(order)):
        if not alive[index]:
            continue
        kept.append(order[index])
        rest = slice(index + 1, None)
        across = np.minimum(x1[rest], x1[index]) - np.maximum(x0[rest], x0[index])
        along = np.minimum(y1[rest], y1[index]) - np.maximum(y0[rest], y0[index])
        overlap = np.clip(across, 0, None) * np.clip(along, 0, None)
        alive[rest] &= overlap <= iou * (area[rest] + area[index] - overlap)
    return np.array(kept, dtype=np.int64)
