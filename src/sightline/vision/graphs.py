"""Networks as ONNX graphs: the served path, without torch."""

from __future__ import annotations

import os
from typing import Any

from sightline.errors import ModelRejected, ParamsError

THREADS_VARIABLE = "SIGHTLINE_ONNX_THREADS"


def open_session(graph: bytes, threads: int | None = None) -> Any:
    """An ONNX Runtime session on the CPU.

    Args:
        graph: the ONNX file's bytes.
        threads: of the session; None: as `SIGHTLINE_ONNX_THREADS` says, else all cores.

    Raises:
        ModelRejected: the bytes are no graph that can be run.
        ParamsError: the environment's number of threads is none.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads() if threads is None else threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin between two images take the cores from everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelRejected(
            f"ONNX Runtime refuses the graph: {str(error).splitlines()[0]}",
            way_out="Train the model again, or download it again from the registry.",
        ) from error


def _threads() -> int:
    """0 lets ONNX Runtime choose."""
    given = os.environ.get(THREADS_VARIABLE, "").strip()
    if not given:
        return 0
    if not given.isdecimal():
        raise ParamsError(
            "the number of threads must be a whole number",
            where=THREADS_VARIABLE,
            way_out="Set it to the number of cores to use, or unset it.",
        )
    return int(given)
