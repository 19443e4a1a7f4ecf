"""The pace of a host: shared, even, and stopped at once."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from sightline.maps.pace import Pace, pace_of
from sightline.maps.providers import EOX, ESRI


def test_all_who_ask_a_host_share_its_pace() -> None:
    assert pace_of(ESRI) is pace_of(replace(ESRI, name="another"))
    assert pace_of(ESRI) is not pace_of(EOX)


def test_threads_get_their_turns_one_after_the_other() -> None:
    pace, stop, turns = Pace(50.0), threading.Event(), list[float]()

    def ask() -> None:
        for _ in range(5):
            assert pace.wait(stop)
            turns.append(time.monotonic())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(turns) == 20
    assert max(turns) - min(turns) > 17 / 50


def test_who_waits_is_woken_when_the_run_ends() -> None:
    pace, stop = Pace(1.0), threading.Event()
    pace.hold(600)
    threading.Timer(0.05, stop.set).start()
    started = time.monotonic()
    assert not pace.wait(stop)
    assert time.monotonic() - started < 60
