"""What a process computes with: threads, how they wait for each other, and in which precision."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


SHORT_SPIN = ("GOMP_SPINCOUNT", "3000")
"""Set before torch is imported: OpenMP's threads look some microseconds for new work before they sleep.

Waking one up costs more than most layers take: threads that sleep at once halve the speed of a training on free cores.
Threads that look on for long, as is the default, take the cores from every other program instead.
"""

THREAD_VARIABLES = ("SIGHTLINE_ONNX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
"""Environment variables by which the libraries are told how many threads to start."""


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(processes: int) -> dict[str, str]:
    """Environment of each of so many processes at a time: its share of the cores, at least one.

    Variables that are set already win. One thread a process does more work in all than many threads in one.
    """
    return {name: os.environ.get(name, str(max(cores() // processes, 1))) for name in THREAD_VARIABLES}


def wires_bfloat16(device: torch.device) -> bool:
    """Whether a torch device is wired for bfloat16: there it halves the time of a step, elsewhere it costs more."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
