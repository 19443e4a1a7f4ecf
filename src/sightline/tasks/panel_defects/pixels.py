"""The plain baseline: every pixel by itself, from its colour and the texture around it, by a random forest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.graphs import open_session

if TYPE_CHECKING:
    from sightline.tasks.panel_defects.params import PixelParams

Floats = NDArray[np.float32]


def pixel_features(bands: Floats, sigmas_px: Sequence[float]) -> Floats:
    """(pixels, d) of a picture (bands, h, w): each band, its surroundings' mean and spread at each size, its slope,
    its mean over the picture, and the place.
    """
    import cv2

    height, width = bands.shape[1:]
    columns: list[NDArray[Any]] = [*bands]
    grey = bands.mean(axis=0)
    for sigma in sigmas_px:
        blurred = [_blur(band, sigma) for band in bands]
        mean = _blur(grey, sigma)
        columns += [*blurred, np.sqrt(np.maximum(_blur(grey * grey, sigma) - mean * mean, 0))]
    columns.append(np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)))
    columns += [np.full((height, width), value) for value in (*bands.mean(axis=(1, 2)), *bands.std(axis=(1, 2)))]
    down, across = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    columns += [down, np.abs(across)]
    return np.stack(columns, axis=-1).reshape(height * width, -1).astype(np.float32)


def _blur(band: Floats, sigma: float) -> Floats:
    import cv2

    return np.asarray(cv2.GaussianBlur(band, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


def train_pixels(features: Floats, truth: NDArray[np.uint8], params: PixelParams, balance: float, seed: int) -> bytes:
    """Fit a random forest on pixels (n, d) and their classes (n,); as an ONNX graph, `pixels` -> `probabilities`.

    The columns of the answer are the classes that `truth` holds, in their order: see `PixelClassifier`.
    """
    from sklearn.ensemble import RandomForestClassifier

    _, column, counts = np.unique(truth, return_inverse=True, return_counts=True)
    forest = RandomForestClassifier(
        n_estimators=params.trees,
        min_samples_leaf=params.pixels_per_leaf,
        max_samples=min(1.0, params.pixels_per_tree / len(truth)),
        random_state=seed,
        n_jobs=-1,
    )
    forest.fit(features, column, sample_weight=((counts.sum() / counts) ** balance)[column])
    return _forest_graph([one.tree_ for one in forest.estimators_], features.shape[1], len(counts))


def _forest_graph(trees: Sequence[Any], features: int, classes: int) -> bytes:
    """The mean of trees as one TreeEnsembleClassifier of ONNX-ML."""
    from onnx import TensorProto, helper

    nodes: dict[str, list[Any]] = {}
    for number, tree in enumerate(trees):
        leaf = tree.children_left < 0
        ids = np.arange(tree.node_count)
        share = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True) / len(trees)
        at, of = np.nonzero(leaf[:, None] & (share > 0))
        for name, values in {
            "nodes_treeids": np.full(tree.node_count, number),
            "nodes_nodeids": ids,
            "nodes_featureids": np.where(leaf, 0, tree.feature),
            "nodes_values": np.where(leaf, 0.0, _not_above(tree.threshold)),
            "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ"),
            "nodes_truenodeids": np.where(leaf, 0, tree.children_left),
            "nodes_falsenodeids": np.where(leaf, 0, tree.children_right),
            "class_treeids": np.full(len(at), number),
            "class_nodeids": at,
            "class_ids": of,
            "class_weights": share[at, of],
        }.items():
            nodes.setdefault(name, []).extend(values.tolist())
    node = helper.make_node(
        "TreeEnsembleClassifier",
        ["pixels"],
        ["class", "probabilities"],
        domain="ai.onnx.ml",
        classlabels_int64s=list(range(classes)),
        post_transform="NONE",
        **nodes,
    )
    graph = helper.make_graph(
        [node],
        "forest",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [None, features])],
        [
            helper.make_tensor_value_info("class", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, classes]),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def _not_above(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """The nearest float32 that is not above: single precision then takes the same branches as double."""
    rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    return np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded)


class PixelClassifier:
    """The classifier in a session: (bands, h, w) -> probabilities (classes, h, w).

    Args:
        graph: of `train_pixels`.
        found: the classes that it was trained on, in the order of its columns.
        classes: how many there are.
        sigmas_px: see `pixel_features`.
        threads: of the session.
    """

    def __init__(
        self, graph: bytes, found: Sequence[int], classes: int, sigmas_px: Sequence[float], threads: int | None = None
    ) -> None:
        self._session = open_session(graph, threads)
        self._found = list(found)
        self._classes = classes
        self._sigmas_px = tuple(sigmas_px)

    def __call__(self, bands: Floats) -> Floats:
        """Classify every pixel."""
        _, height, width = bands.shape
        _, answer = self._session.run(None, {"pixels": pixel_features(bands, self._sigmas_px)})
        probabilities = np.zeros((self._classes, height, width), dtype=np.float32)
        probabilities[self._found] = answer.T.reshape(-1, height, width)
        return probabilities
