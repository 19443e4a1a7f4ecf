from __future__ import annotations

import threading

import pytest

from sightline.stopping import Stopped, check, stoppable


def test_work_ends_at_the_next_check_and_only_within() -> None:
    asked = False
    check()
    with stoppable(lambda: asked):
        check()
        asked = True
        with pytest.raises(Stopped):
            check()
    check()


def test_other_threads_go_on() -> None:
    ended: list[str] = []

    def work() -> None:
        check()
        ended.append("to its end")

    with stoppable(lambda: True):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert ended == ["to its end"]
