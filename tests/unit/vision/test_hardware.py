"""What a process computes with."""

from __future__ import annotations

import os

import pytest

from sightline.vision.hardware import THREAD_VARIABLES, threads_each


def test_cores_are_shared_out_and_each_process_gets_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    cores = len(os.sched_getaffinity(0))
    assert threads_each(1) == dict.fromkeys(THREAD_VARIABLES, str(cores))
    assert threads_each(10 * cores) == dict.fromkeys(THREAD_VARIABLES, "1")


def test_what_a_user_has_set_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads_each(2)["OMP_NUM_THREADS"] == "7"
