"""Put on PYTHONPATH, this gives every program of Sightline the toy task, and lets a test stop it at a point.

TOY_COUNTS names a file that gets a line for each training that was begun and ended. TOY_STOP names a point: whoever
reaches it writes its process id into TOY_STOPPED and waits to be killed. At the point TOY_FAIL a server fails, once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))


def reach(point: str) -> None:
    """Wait for death, if this is the point to stop at."""
    if os.environ.get("TOY_STOP") == point:
        Path(os.environ["TOY_STOPPED"]).write_text(str(os.getpid()))
        time.sleep(600)


def fail_once(point: str) -> None:
    """Raise what a failing server would, the first time this point is reached."""
    from sightline.errors import BackendError

    mark = Path(os.environ["TOY_COUNTS"]).with_name("failed.txt")
    if os.environ.get("TOY_FAIL") == point and not mark.exists():
        mark.write_text(point)
        raise BackendError("the server went away", where=point)


def count(line: str) -> None:
    with Path(os.environ["TOY_COUNTS"]).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def around(function: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
    """The function with a point before and one after each call."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        reach(f"before {name(*arguments, **named)}")
        fail_once(f"before {name(*arguments, **named)}")
        result = function(*arguments, **named)
        reach(f"after {name(*arguments, **named)}")
        return result

    return wrapped


def toy_classes(name: str) -> tuple[Any, Any]:
    from sightline.errors import ParamsError
    from tests import toy

    class CountedTask(toy.ToyTask):
        def expectations(self) -> Any:
            reach("gate")
            return super().expectations()

        def train(self, candidate: str, *rest: Any) -> Any:
            count(f"begun {candidate}")
            reach(f"train {candidate}")
            model = super().train(candidate, *rest)
            count(f"ended {candidate}")
            return model

        def evaluate(self, model: Any, *rest: Any) -> Any:
            reach(f"evaluate {model.card.candidate}")
            return super().evaluate(model, *rest)

    if name not in ("toy", "twin"):
        raise ParamsError(f"unknown task {name!r}", where="TASK", way_out="Choose one of: toy, twin.")
    CountedTask.name = name
    return toy.ToyParams, CountedTask


def toy_registry() -> None:
    from sightline.tracking import Tracking

    make, point = Tracking._create_version, Tracking.set_alias
    Tracking._create_version = around(make, lambda _self, _client, record, *_: f"version of {record.candidate}")  # type: ignore[method-assign]
    Tracking.set_alias = around(point, lambda _self, _task, alias, _number: f"alias {alias}")  # type: ignore[method-assign]


if "TOY_COUNTS" in os.environ:
    import sightline.tasks

    sightline.tasks._classes = toy_classes
    sightline.tasks.TASKS.clear()
    # Its classes are those above; what its fits are keyed by is the code of some task there is.
    sightline.tasks.TASKS["toy"] = sightline.tasks.Declaration("pv_hotspots", "Params", "PvHotspots")
    if (os.environ.get("TOY_STOP") or os.environ.get("TOY_FAIL", "")).startswith(("before", "after")):
        toy_registry()
