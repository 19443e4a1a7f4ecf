"""Tiny ONNX graphs that answer like the network, and models around them; no training, no torch."""

from __future__ import annotations

import numpy as np

from sightline.tasks.land_cover.model import KIND, LandCoverModel, Recipe
from sightline.tasks.land_cover.params import Params
from sightline.tasks.land_cover.rules import Condition, Rule
from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import Cutoffs
from sightline.vision.session import GRAPH, WEIGHTS
from tests.parameters import changed, params_of

INPUT = changed(params_of("land_cover", Params).train.input, window_px=32, overlap_px=12)
WATER = Rule((Condition("ndwi", 0.1, 1.0),))
BRIGHT = Rule((Condition("brightness", 0.5, 1.0),))


def graph(seed=3, channels=12, side_px=32):
    """Sigmoid of a 5 x 5 convolution with random weights; the embedding is the mean of each channel."""
    from onnx import TensorProto, helper, numpy_helper

    classes = len(CLASSES)
    weights = np.random.default_rng(seed).normal(0, 0.6, (classes, channels, 5, 5)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "weights"], ["logits"], pads=[2, 2, 2, 2]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
        helper.make_node("ReduceMean", ["image"], ["embedding"], axes=[2, 3], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", channels, side_px, side_px])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes, side_px, side_px]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", channels]),
        ],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def network_model(cutoffs=None, rules=None, taken=INPUT):
    """A model with random weights."""
    files = {GRAPH: graph(side_px=taken.window_px), WEIGHTS: b"weights"}
    mean, std = (0.4,) * 8 + (0.0,) * 4, (0.2,) * 8 + (0.4,) * 4
    thresholds = (cutoffs or Cutoffs()).document()
    recipe = Recipe(method="network", input=taken, mean=mean, std=std, rules=rules or {})
    return LandCoverModel(KIND.make_card("unet", recipe, files, thresholds, {"seed": 1}), files, threads=1)


def rules_model(rules, cutoffs=None):
    """A model that answers some classes by rules, the others not at all."""
    recipe = Recipe(method="rules", input=INPUT, mean=(), std=(), rules=rules)
    return LandCoverModel(KIND.make_card("rules", recipe, {}, (cutoffs or Cutoffs()).document(), {"seed": 1}), {})


def scene(height=150, width=170, seed=0):
    """(8, h, w) counts of 11 bits: smooth blobs of several sizes, so that there are patches, holes and specks."""
    import cv2

    rng = np.random.default_rng(seed)
    planes = []
    for _ in range(8):
        coarse = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 6)
        fine = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 1.2)
        mixed = (coarse - coarse.mean()) / coarse.std() + (fine - fine.mean()) / fine.std()
        planes.append(np.clip(900 + 350 * mixed, 1, 2047))
    return np.stack(planes).astype(np.uint16)
