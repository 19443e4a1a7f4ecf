"""The network in 8-bit integers: static quantisation by ONNX Runtime, calibrated on frames of the training set.

What follows the last but one convolution of the head stays in float32: the distribution over box edges and the small
class logits do not bear rounding.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEAD = "/model.22/"
_INNER_CONVOLUTION = re.compile(r"/cv[23]\.\d/cv[23]\.\d\.[01]/")
"""Of the head; the first two of three in each branch."""


def _stays_float(node: str) -> bool:
    return _HEAD in node and not _INNER_CONVOLUTION.search(node)


class _Frames:
    """Calibration frames as onnxruntime asks for them: a dictionary a call, then None."""

    def __init__(self, pictures: Sequence[NDArray[np.uint8]]) -> None:
        self._left: Iterator[NDArray[np.uint8]] = iter(pictures)

    def get_next(self) -> dict[str, Any] | None:
        picture = next(self._left, None)
        return None if picture is None else {"image": picture.astype(np.float32)[None] / np.float32(255)}


def quantise_graph(graph: Path, pictures: Sequence[NDArray[np.uint8]], path: Path) -> None:
    """Write `graph` with 8-bit convolutions, its ranges taken from `pictures` (3, h, w)."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it logs to the root about what it was told to do
    try:
        with warnings.catch_warnings(), TemporaryDirectory(dir=path.parent) as folder:
            warnings.simplefilter("ignore")
            prepared = Path(folder) / "prepared.onnx"
            quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
            names = [node.name for node in onnx.load(str(prepared)).graph.node]
            quantization.quantize_static(
                str(prepared),
                str(path),
                _Frames(pictures),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                nodes_to_exclude=[name for name in names if _stays_float(name)],
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
    finally:
        root.setLevel(level)
