"""The plain baseline: every pixel by itself, from its colour and the texture around it, by extremely randomised trees.

Trees (Geurts et al., 2006) are grown by scikit-learn and saved as a graph of ONNX-ML, which is answered without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sightline.stopping import check
from sightline.vision.graphs import open_session

if TYPE_CHECKING:
    from sightline.tasks.panel_defects.params import PixelParams

Floats = NDArray[np.float32]

_STRIP_PX = 1 << 16
"""About how many pixels are looked at together: their features are some hundred times as large as the picture."""


# ----------------------------------------------------------------------------------------------------- features


def pixel_features(bands: Floats, sigmas_px: Sequence[float]) -> Floats:
    """(pixels, d) of a picture (bands, h, w), row by row.

    Of the pixel: its bands, the differences of neighbouring bands, the slope, and its level by the picture's own mean
    and spread. Of its surroundings at each size: the mean of all these colours, the spread of level and differences,
    how far the level stands out, how strong the slopes are and how much of one direction. Of the nearest 5 and 11
    pixels the darkest and the brightest. Of the picture: mean and spread of each band, and the place in it.
    """
    return np.concatenate([strip for _, strip in feature_strips(bands, sigmas_px)])


def feature_strips(bands: Floats, sigmas_px: Sequence[float]) -> Iterator[tuple[slice, Floats]]:
    """`pixel_features` of some rows after the other, as (rows, features): memory does not grow with the picture."""
    whole = _Whole(bands.mean(axis=(1, 2)), bands.std(axis=(1, 2)), bands.shape[1], bands.shape[2])
    rows = max(_STRIP_PX // whole.width, 1)
    halo = int(np.ceil(4 * max(sigmas_px))) + 8  # how far a blur looks, and the slope and the patches under it
    for top in range(0, whole.height, rows):
        end = min(top + rows, whole.height)
        first = max(top - halo, 0)
        columns = _columns(np.ascontiguousarray(bands[:, first : end + halo]), sigmas_px)
        columns = [column[top - first : end - first] for column in columns]
        columns += whole.columns(bands[:, top:end], top)
        yield slice(top, end), np.stack(columns, axis=-1, dtype=np.float32).reshape(-1, len(columns))


@dataclass(frozen=True)
class _Whole:
    """What all pixels of a picture share."""

    mean: Floats
    spread: Floats
    height: int
    width: int

    def columns(self, bands: Floats, top: int) -> list[NDArray[np.generic]]:
        shape = bands.shape[1:]
        levels = (bands - self.mean[:, None, None]) / (self.spread[:, None, None] + 0.3)
        down = np.broadcast_to((np.arange(top, top + shape[0]) / self.height)[:, None], shape)
        aside = np.broadcast_to(np.abs(np.arange(shape[1]) / self.width - 0.5), shape)
        return [*levels, *(np.broadcast_to(value, shape) for value in (*self.mean, *self.spread)), down, aside]


def _columns(bands: Floats, sigmas_px: Sequence[float]) -> list[NDArray[np.generic]]:
    import cv2

    grey = bands.mean(axis=0)
    differences = np.diff(bands, axis=0)
    across, along = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    columns: list[NDArray[np.generic]] = [*bands, *differences, np.hypot(across, along)]
    for sigma in sigmas_px:
        mean = _blur(grey, sigma)
        columns += [_blur(plane, sigma) for plane in (*bands, *differences)]
        columns += [_spread(plane, sigma) for plane in (grey, *differences)]
        columns += [grey - mean, *_slopes(across, along, sigma)]
    for size in (5, 11):
        patch = np.ones((size, size), dtype=np.uint8)
        columns += [cv2.erode(grey, patch), cv2.dilate(grey, patch)]
    return columns


def _blur(plane: Floats, sigma: float) -> Floats:
    import cv2

    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


def _spread(plane: Floats, sigma: float) -> Floats:
    return np.asarray(np.sqrt(np.maximum(_blur(plane * plane, sigma) - _blur(plane, sigma) ** 2, 0)))


def _slopes(across: Floats, along: Floats, sigma: float) -> tuple[Floats, Floats]:
    """Root of the trace and coherence of the structure tensor (Bigun and Granlund, 1987)."""
    xx, yy, xy = (_blur(product, sigma) for product in (across * across, along * along, across * along))
    trace = xx + yy
    return np.sqrt(np.maximum(trace, 0)), np.hypot(xx - yy, 2 * xy) / (trace + np.float32(1e-3))


# -------------------------------------------------------------------------------------------------------- trees


def train_pixels(features: Floats, truth: NDArray[np.uint8], params: PixelParams, seed: int) -> bytes:
    """Grow trees on pixels (n, d) and their classes (n,); as an ONNX graph, `pixels` -> `probabilities`.

    The columns of the answer are the classes that `truth` holds, in their order: see `PixelClassifier`.
    """
    trees = grow_trees(features, truth, params, seed)
    return _forest_graph([one.tree_ for one in trees.estimators_], features.shape[1], len(trees.classes_))


def grow_trees(features: Floats, truth: NDArray[np.uint8], params: PixelParams, seed: int) -> Any:
    """The trees as scikit-learn has them: an ExtraTreesClassifier."""
    from sklearn.ensemble import ExtraTreesClassifier

    _, column, counts = np.unique(truth, return_inverse=True, return_counts=True)
    trees = ExtraTreesClassifier(
        n_estimators=params.trees,
        min_samples_leaf=params.pixels_per_leaf,
        max_features=params.features_share,
        bootstrap=True,
        max_samples=min(1.0, params.pixels_per_tree / len(truth)),
        random_state=seed,
        n_jobs=-1,
    )
    return trees.fit(features, column, sample_weight=((counts.sum() / counts) ** params.balance)[column])


def _forest_graph(trees: Sequence[Any], features: int, classes: int) -> bytes:
    """The mean of trees as one TreeEnsembleClassifier of ONNX-ML."""
    from onnx import TensorProto, helper

    nodes: dict[str, list[float | int | str | bytes]] = {}
    for number, tree in enumerate(trees):
        leaf = tree.children_left < 0
        ids = np.arange(tree.node_count)
        share = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True) / len(trees)
        # ONNX Runtime takes a score of the first of two classes for the second's where this has none: it is given 0.
        at, of = np.nonzero(leaf[:, None] & ((share > 0) | (classes == 2)))
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
        probabilities = np.zeros((self._classes, *bands.shape[1:]), dtype=np.float32)
        for rows, features in feature_strips(bands, self._sigmas_px):
            check()
            _, answer = self._session.run(None, {"pixels": features})
            probabilities[self._found, rows] = answer.T.reshape(len(self._found), -1, bands.shape[2])
        return probabilities
