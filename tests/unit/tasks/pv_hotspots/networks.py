"""Tiny ONNX graphs that answer like the detector, and a model around them; no training, no torch."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sightline.tasks.pv_hotspots.model import GRAPHS, KIND, WEIGHTS, HotspotModel, Recipe
from sightline.tasks.pv_hotspots.params import Params
from sightline.tasks.pv_hotspots.scoring import Scorer
from tests.parameters import changed, params_of

WIDTH, HEIGHT = 128, 96
TRAIN = params_of("pv_hotspots", Params).train
INPUT = changed(TRAIN.input, width_px=WIDTH, height_px=HEIGHT)


def constant_graph(boxes, classes):
    """A graph that finds `boxes` (n, 4) with `classes` (n, 2) in every picture; its embedding is the mean colour."""
    from onnx import TensorProto, helper, numpy_helper

    boxes = np.asarray(boxes, dtype=np.float32).reshape(-1, 4)
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    values = np.concatenate([centre, size, np.asarray(classes, dtype=np.float32).reshape(-1, 2)], axis=1).T[None]
    nodes = [
        helper.make_node("Identity", ["found"], ["boxes"]),
        helper.make_node("ReduceMean", ["image"], ["embedding"], axes=[2, 3], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, list(values.shape)),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 3]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(values), "found")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


MODULES = np.array([[8.0 + 28 * i, 10 + 40 * j, 34 + 28 * i, 46 + 40 * j] for j in range(2) for i in range(4)])
"""Eight modules in two rows of four."""


def tiny_model(classes=None, boxes=MODULES):
    """A model that finds MODULES everywhere and calls those defected that are hot by about 30 levels."""
    given = [[0.8, 0.05]] * len(boxes) if classes is None else classes
    graph = constant_graph(boxes, given)
    files = {WEIGHTS: b"weights", GRAPHS["float32"]: graph, GRAPHS["int8"]: graph}
    scorer = Scorer(intercept=-3.0, coefficients={"box": 1.0, "neighbours": 1.0})
    recipe = Recipe(
        input=INPUT,
        detection=TRAIN.detection,
        region=changed(TRAIN.region, min_px=9),
        shrink=0.08,
        scorer=scorer,
        precision="float32",
    )
    return HotspotModel(KIND.make_card("fused", recipe, files, {"defected": 0.5}, {"seed": 1}), files, threads=1)


def picture(hot=(), rise=60, background=20, value=120):
    """(h, w, 3) grey picture of MODULES; those in `hot` have a hot cell."""
    grey = np.full((HEIGHT, WIDTH), background, dtype=np.uint8)
    for index, (x0, y0, x1, y1) in enumerate(MODULES.astype(int)):
        grey[y0:y1, x0:x1] = value + index % 2
        if index in hot:
            y, x = (y0 + y1) // 2, (x0 + x1) // 2
            grey[y - 2 : y + 2, x - 2 : x + 2] = value + rise
    return np.repeat(grey[..., None], 3, axis=2)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
