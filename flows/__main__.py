"""Run a flow now, on this machine: `python -m flows retrain TASK..`, `python -m flows monitor TASK..`.

Uses the Prefect server that runs for this folder, else a temporary one on the same database, so that the UI shows
the runs later. Progress goes to stderr; the outcomes are written as JSON, by task, to `--outcome`. Several tasks are
run one after the other, or `--jobs` at a time; after one has failed, no other is started.
"""

from __future__ import annotations

import argparse
import atexit
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.lanes import run_in_lanes
from flows.lifeline import lifeline
from sightline.cli import guarded
from sightline.errors import BackendError, ParamsError
from sightline.files import write_json
from sightline.runtime.servers import prefect_environment, prefect_for_a_run
from sightline.settings import load_settings
from sightline.task import Json

_PATIENCE_S = 120.0
"""How long to wait for a Prefect server that was there before us: `sightline up` starts it again."""


def main(words: list[str] | None = None) -> None:
    """Read the words of the command line and run. Errors become one line and the exit code of their class."""
    parser = argparse.ArgumentParser(prog="python -m flows", description=__doc__)
    flows = parser.add_subparsers(dest="flow", required=True)
    for name in ("retrain", "monitor"):
        one = flows.add_parser(name)
        one.add_argument("tasks", metavar="TASK", nargs="+")
        one.add_argument("--outcome", type=Path, help="write the outcomes here, as JSON")
        one.add_argument(
            "--jobs", type=int, default=1, help=("number of tasks at a time; each gets its share of the cores")
        )
        if name == "retrain":
            one.add_argument("--reason", choices=("request", "schedule", "drift", "labels"), default="request")
            one.add_argument("--wait-s", type=float, default=0.0, help="seconds to wait for another run of the task")
    arguments = vars(parser.parse_args(words))
    order = {name: arguments.pop(name) for name in ("flow", "tasks", "outcome", "jobs")}
    guarded(lambda: _run(Order(**order, parameters=arguments)))


@dataclass(frozen=True)
class Order:
    """What the command line asks for; `parameters` are the flow's."""

    flow: str
    tasks: list[str]
    outcome: Path | None
    jobs: int
    parameters: dict[str, Any]


def _run(order: Order) -> None:
    settings = load_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a run as Ctrl-C does
    os.environ.update(prefect_environment(settings))
    # What a run tells it tells by itself; Prefect's own lines are in its log, for the UI.
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    server = ExitStack()
    # Registered before prefect is imported and so run after its own: it sends its last lines and events at exit.
    atexit.register(server.close)
    prefect = server.enter_context(prefect_for_a_run(settings))
    os.environ["PREFECT_API_URL"] = prefect.api
    watched = lifeline(prefect.api, _PATIENCE_S if prefect.comes_back else 0.0, settings.written)
    documents: dict[str, Json] = {}

    def keep(task: str, document: Json) -> None:
        documents[task] = document
        if order.outcome is not None:
            write_json(order.outcome, documents)

    if order.jobs > 1 and len(order.tasks) > 1:
        prefect.wait()
        server.enter_context(watched)
        words = [f"--{name.replace('_', '-')}={value}" for name, value in order.parameters.items()]
        if code := run_in_lanes(order.flow, order.tasks, words, order.jobs, keep):
            raise SystemExit(code)
        return
    flow = _find(order.flow)  # imports for seconds, while the server starts
    prefect.wait()
    server.enter_context(watched)
    for task in order.tasks:
        keep(task, _call(flow, {"task": task, **order.parameters}))


def _find(name: str) -> Callable[..., Any]:
    """A flow. It returns a state; Prefect hands on what is in it, of which its types know nothing."""
    if name == "monitor":
        from flows.monitor import monitor

        return monitor
    from flows.retrain import retrain

    return retrain


def _call(flow: Callable[..., Any], parameters: dict[str, Any]) -> Json:
    """Run the flow; what Prefect raises by itself becomes a BackendError.

    Raises:
        BackendError: Prefect's server cannot be reached or started.
        SightlineError: what a step raised.
    """
    import httpx
    from prefect.exceptions import ParameterTypeError, PrefectException
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    try:
        # Joining the heartbeat's thread would cost a second; that a run is dead the next one knows by its lock.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            document: Json = flow(**parameters)
            return document
    except ParameterTypeError as error:
        raise ParamsError(
            str(error), where="flow parameters", way_out="Give the parameters that `python -m flows --help` lists."
        ) from error
    except (PrefectException, httpx.HTTPError) as error:
        raise _prefect_failed(error) from error
    except RuntimeError as error:
        if "API" not in str(error):
            raise
        raise _prefect_failed(error) from error


def _prefect_failed(error: Exception) -> BackendError:
    first = str(error).strip().splitlines()[:1] or [type(error).__name__]
    return BackendError(
        f"Prefect failed ({first[0]})",
        where=os.environ.get("PREFECT_API_URL", "its temporary server"),
        way_out=(
            "Start `sightline up`, or unset PREFECT_API_URL. Then run the command again: it continues where it stopped."
        ),
    )


if __name__ == "__main__":
    main()
