"""How many threads a process computes with, and how they wait for each other."""

from __future__ import annotations

import os

SHORT_SPIN = ("GOMP_SPINCOUNT", "3000")
"""Set before torch is imported: OpenMP's threads look some microseconds for new work before they sleep.

Waking one up costs more than most layers take: threads that sleep at once halve the speed of a training on free cores.
Threads that look on for long, as is the default, take the cores from every other program instead.
"""

THREAD_VARIABLES = ("SIGHTLINE_ONNX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")
"""Environment variables by which the libraries are told how many threads to start."""


def threads_each(processes: int) -> dict[str, str]:
    """Environment of each of so many processes at a time: its share of the cores, at least one.

    Variables that are set already win. One thread a process does more work in all than many threads in one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {name: os.environ.get(name, str(max(cores // processes, 1))) for name in THREAD_VARIABLES}
