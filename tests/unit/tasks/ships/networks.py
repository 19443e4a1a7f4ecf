"""Tiny ONNX graphs that answer like the network, models around them and scenes for them; no training, no torch."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from sightline.tasks.ships.labels import Box
from sightline.tasks.ships.model import GRAPH, KIND, WEIGHTS, Recipe, ShipModel
from sightline.tasks.ships.params import Params
from sightline.vision.calibration import Calibration
from tests.parameters import changed, params_of

TRAIN = params_of("ships", Params).train
INPUT = changed(TRAIN.input, gsd_m=3.0, pooled_px=32, context_px=32)
SCAN = changed(TRAIN.scan, tile_px=192, context_px=32, stride_px=8, floor=0.05, separation_m=75.0)


def brightness_graph(pooled_px=32, stride_px=8):
    """The logit of a window is 8 times the mean of its normalised red, plus 2: a bright patch in it is a ship."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Conv", ["image", "mean", "bias"], ["plane"], strides=[stride_px, stride_px]),
        helper.make_node("Squeeze", ["plane", "one"], ["logit"]),
        helper.make_node("ReduceMean", ["image"], ["embedding"], axes=[2, 3], keepdims=0),
    ]
    mean = np.zeros((1, 3, pooled_px, pooled_px), dtype=np.float32)
    along = 1 - np.abs(np.linspace(-1, 1, pooled_px))  # the middle counts most, so that peaks are in middles
    mean[0, 0] = 8 * np.outer(along, along) / np.outer(along, along).sum()
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, [1, "rows", "columns"]),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, 3]),
        ],
        [
            numpy_helper.from_array(mean, "mean"),
            numpy_helper.from_array(np.array([2], dtype=np.float32), "bias"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "one"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return model.SerializeToString()


def network_model(threshold=0.5, scan=SCAN, taken=INPUT):
    """A model that takes bright patches for ships."""
    files = {GRAPH: brightness_graph(taken.pooled_px, scan.stride_px), WEIGHTS: b"weights"}
    thresholds = {"ship": threshold, "chip": threshold}
    recipe = Recipe(method="network", input=taken, scan=scan, blobs=TRAIN.blobs)
    return ShipModel(KIND.make_card("atto", recipe, files, thresholds, {"seed": 1}), files, threads=1)


def blob_model(threshold=0.5):
    """The rule, uncalibrated."""
    recipe = Recipe(
        method="blobs",
        input=INPUT,
        scan=SCAN,
        blobs=TRAIN.blobs,
        deviations=6.0,
        calibration=Calibration(2.0, 0.0),
    )
    return ShipModel(KIND.make_card("blobs", recipe, {}, {"ship": threshold, "chip": threshold}, {"seed": 1}), {})


def sea(height=300, width=400, seed=0):
    """(h, w, 3) of dark water with a little texture."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal((30, 50, 55), 2.0, (height, width, 3)), 0, 255).astype(np.uint8)


def put_ship(pixels, x, y, length=60, beam=12, angle_deg=0.0, colour=(200, 190, 180)):
    """Draw a ship into a picture; its box."""
    import cv2

    from sightline.tasks.ships.detections import rectangle

    corners = rectangle(x, y, length, beam, np.deg2rad(angle_deg))
    cv2.fillPoly(pixels, [np.round(corners - 0.5).astype(np.int32)], colour)
    (x0, y0), (x1, y1) = corners.min(axis=0), corners.max(axis=0)
    return Box("ship", float(x0), float(y0), float(x1), float(y1))


SHIPS = ((80.0, 70.0, 0.0), (250.0, 90.0, 50.0), (180.0, 210.0, 90.0), (330.0, 240.0, 130.0))


def scene(height=300, width=400, ships=SHIPS):
    """A sea with ships at (x, y, angle in degrees), and their boxes."""
    pixels = sea(height, width)
    return pixels, tuple(put_ship(pixels, x, y, angle_deg=angle) for x, y, angle in ships)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
