"""Tiny ONNX graphs that answer like the networks, models around them and pictures for them; no training, no torch."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sightline.tasks.panel_defects.domain import DOMAINS, PHOTOGRAPHS
from sightline.tasks.panel_defects.model import Recipe, SegmentationModel, kind_of
from sightline.tasks.panel_defects.params import Params
from sightline.vision.session import GRAPH, WEIGHTS
from tests.parameters import changed, params_of

WINDOW = 64
CLASSES = len(PHOTOGRAPHS.classes)
INPUT = changed(
    params_of("panel_defects", Params).train.input, scale=1.0, window_px=WINDOW, overlap_px=24, least_region_px=4
)


def pointwise_graph(bands, classes, window_px=WINDOW):
    """A graph that evaluates each pixel by its first band alone: class k where it is nearest to k / (classes - 1)."""
    from onnx import TensorProto, helper, numpy_helper

    centres = np.linspace(0, 1, classes)
    weights = np.zeros((classes, bands, 1, 1), dtype=np.float32)
    weights[:, 0, 0, 0] = 200 * centres  # -100 (x - c)^2, less what is the same for all classes
    nodes = [
        helper.make_node("Conv", ["image", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ReduceMean", ["image"], ["embedding"], axes=[2, 3], keepdims=0),
    ]
    side = [window_px, window_px]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", bands, *side])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes, *side]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", bands]),
        ],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array((-100 * centres**2).astype(np.float32), "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def tiny_model(task="panel_defects", taken=INPUT):
    """A model whose classes are levels of the first band."""
    domain = DOMAINS[task]
    files = {GRAPH: pointwise_graph(domain.bands, len(domain.classes), taken.window_px), WEIGHTS: b"weights"}
    recipe = Recipe(
        method="network",
        input=taken,
        mean=(0.0,) * domain.bands,
        std=(1.0,) * domain.bands,
        found=tuple(range(len(domain.classes))),
    )
    return SegmentationModel(kind_of(domain).make_card("unet", recipe, files, {}, {"seed": 1}), files, threads=1)


def level(index, classes=CLASSES):
    """The value of the first band, 0 .. 255, that `tiny_model` answers with a class."""
    return round(255 * index / (classes - 1))


def photograph(mask):
    """(h, w, 3) of which `tiny_model` answers the mask."""
    pixels = np.full((*mask.shape, 3), 90, dtype=np.uint8)
    pixels[..., 0] = np.array([level(index) for index in range(CLASSES)])[mask]
    return pixels


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def blobs(height, width, classes=CLASSES, seed=0, size_px=6.0):
    """(h, w) uint8 mask of patches of all classes, with holes and specks."""
    import cv2

    noise = np.random.default_rng(seed).standard_normal((classes, height, width)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), size_px) for plane in noise])
    return smooth.argmax(axis=0).astype(np.uint8)
