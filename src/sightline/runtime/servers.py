"""The servers of an installation: the MLflow UI, Prefect and its flows, the endpoint. What to start, and how.

No vendor is imported here: a server is a command, an environment and an address that answers once it is ready.
`processes.py` runs them.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.runtime import processes
from sightline.runtime.disk import require_room
from sightline.runtime.processes import Say, Server, answers, running
from sightline.runtime.proxies import without_proxy
from sightline.runtime.secret import read_secret, secret_file
from sightline.runtime.tether import run_tethered
from sightline.settings import Settings
from sightline.tasks import TASKS

CODE = Path(__file__).resolve().parents[3]
"""The repository: `flows` and `services` are imported from here, whatever folder the project itself lies in."""


_ROOM = 32 * 2**20
"""Bytes free on each disk before servers are started: they make databases and logs."""


def run_all(settings: Settings, say: Say) -> None:
    """Start all servers, tell their addresses, and stay until interrupted.

    Raises:
        BackendError: see `processes.run_servers`.
    """
    require_room(settings.written, _ROOM)
    processes.run_servers(settings.state, list_servers(settings), say, _notice(settings))


def _notice(settings: Settings) -> str:
    """What to know once all are ready: which password the pages ask for, and where the other pages lie."""
    password = secret_file(settings.state)
    lines = [f"MLflow and Prefect ask for a password; it is in {password} (MLflow: any user name)."]
    pages = report_pages(settings)
    if pages:
        lines += ["The results of the gates, and the latest drift reports:", *(f"  {page.as_uri()}" for page in pages)]
    return "\n".join(lines)


def run_endpoint(settings: Settings, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command of an endpoint in the foreground until it ends or we are told to; its exit status.

    SIGINT, SIGTERM and SIGHUP stop it and wait for it; killed, we take it along.

    Raises:
        BackendError: its port is taken.
    """
    processes.check_ports(settings.state, [endpoint(settings)])
    with processes.interrupted_once():
        try:
            return run_tethered(command, settings.root, environment)
        except KeyboardInterrupt:
            return 0


def list_servers(settings: Settings) -> tuple[Server, ...]:
    """All servers of a project folder.

    A server that the environment names elsewhere (`SIGHTLINE_MLFLOW_URI`, `PREFECT_API_URL`) is not started here.
    """
    servers = []
    if not settings.mlflow_uri:
        servers.append(_mlflow(settings))
    if not os.environ.get("PREFECT_API_URL"):
        servers.append(_prefect(settings))
    servers.append(_flows(settings))
    return (*servers, endpoint(settings))


def common_environment(settings: Settings) -> dict[str, str]:
    """What every process of a project folder gets."""
    return {
        "SIGHTLINE_ROOT": str(settings.root),
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",
        **without_proxy(os.environ),
    }


def prefect_environment(settings: Settings) -> dict[str, str]:
    """What every process that imports prefect needs besides; variables that are set already win.

    Prefect's database lies in state/prefect, so that a UI started later shows the runs made without a server. Servers
    of this folder are told this installation's secret; one elsewhere never is.
    """
    ours = {
        "PREFECT_HOME": str(settings.state / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_PROMPT": "false",
    }
    chosen = {key: os.environ.get(key, value) for key, value in ours.items()}
    return {**common_environment(settings), **chosen, **_pass(settings)}


def _pass(settings: Settings) -> dict[str, str]:
    """The secret for clients of Prefect; nothing where PREFECT_API_URL names another server than this folder's."""
    url = os.environ.get("PREFECT_API_URL", "")
    if url and url != f"{running(settings.state).get('prefect', '')}/api":
        return {}
    return {"PREFECT_API_AUTH_STRING": read_secret(settings.state)}


def mlflow_address(settings: Settings) -> str:
    """Where a person finds the MLflow UI, now or once it is started."""
    return settings.mlflow_uri or running(settings.state).get("mlflow", f"http://127.0.0.1:{settings.mlflow_port}")


def report_pages(settings: Settings, tasks: Collection[str] = tuple(TASKS)) -> list[Path]:
    """The gates' and the drift reports' first pages that are there, task by task."""
    names = ("validation/{}/docs/index.html", "watch/{}/report/index.html")
    pages = [settings.build / name.format(task) for task in tasks for name in names]
    return [page for page in pages if page.is_file()]


def prefect_api(settings: Settings) -> str:
    """Address of the Prefect API to use: what PREFECT_API_URL says, else the one of this folder; empty where none is.

    Costs milliseconds. The server is asked, so that a stale note is not believed.
    """
    address = os.environ.get("PREFECT_API_URL", "")
    if address:
        return address
    address = running(settings.state).get("prefect", "")
    return f"{address}/api" if address and answers(f"{address}/api/health") else ""


@dataclass(frozen=True)
class PrefectForRun:
    """The Prefect server of a run.

    Attributes:
        api: its address.
        wait: waits until it answers; raises BackendError where it does not.
        comes_back: whether somebody else starts it again if it ends.
    """

    api: str
    wait: Callable[[], None]
    comes_back: bool


@contextmanager
def prefect_for_a_run(settings: Settings) -> Iterator[PrefectForRun]:
    """A Prefect server to run with: the one that is there, else a new one.

    The new one has no UI and no schedules, writes into this folder's database, and ends with the block. (Prefect's
    own temporary server outlives a run that is killed, and cannot start while other things are imported.)

    Raises:
        BackendError: it did not become ready (from the call that waits).
    """
    address = prefect_api(settings)
    if address:
        yield PrefectForRun(address, lambda: None, comes_back=True)
        return
    server = _bare_prefect(settings)
    group = processes.Group(settings.state, lambda _: None)
    try:
        group.launch(server)
        yield PrefectForRun(f"{server.address}/api", lambda: group.wait_ready(server), comes_back=False)
    finally:
        group.stop()


def _bare_prefect(settings: Settings) -> Server:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    off = ("SCHEDULER", "LATE_RUNS", "TRIGGERS", "FOREMAN", "CANCELLATION_CLEANUP", "PAUSE_EXPIRATIONS", "REPOSSESSOR")
    bare = {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in off}
    server = _prefect(settings.model_copy(update={"prefect_port": port}))
    environment = {**server.environment, **bare, "PREFECT_SERVER_UI_ENABLED": "false"}
    return replace(server, name="prefect-run", environment=environment)


def _mlflow(settings: Settings) -> Server:
    address = f"http://127.0.0.1:{settings.mlflow_port}"
    return Server(
        "mlflow",
        (
            *(sys.executable, "-m", "uvicorn", "--factory", "sightline.runtime.registry_server:create"),
            *("--host", "127.0.0.1", "--port", str(settings.mlflow_port), "--no-access-log"),
        ),
        CODE,
        address=address,
        health=f"{address}/health",
        setting="SIGHTLINE_MLFLOW_PORT",
        environment={**common_environment(settings), "SIGHTLINE_MLFLOW_PORT": str(settings.mlflow_port)},
    )


def _prefect(settings: Settings) -> Server:
    address = f"http://127.0.0.1:{settings.prefect_port}"
    secret = read_secret(settings.state)
    return Server(
        "prefect",
        (
            *(sys.executable, "-m", "prefect", "server", "start"),
            *("--host", "127.0.0.1", "--port", str(settings.prefect_port)),
        ),
        CODE,
        address=address,
        health=f"{address}/api/health",
        setting="SIGHTLINE_PREFECT_PORT",
        environment={
            **prefect_environment(settings),
            "PREFECT_API_URL": f"{address}/api",
            # By default every web page may read and write everything: a run of a changed deployment is a command.
            "PREFECT_SERVER_API_AUTH_STRING": secret,
            "PREFECT_API_AUTH_STRING": secret,
            "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{address},http://localhost:{settings.prefect_port}",
            "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        },
    )


def _flows(settings: Settings) -> Server:
    own = "" if os.environ.get("PREFECT_API_URL") else f"http://127.0.0.1:{settings.prefect_port}/api"
    return Server(
        "flows",
        (sys.executable, "-m", "flows.deployments"),
        CODE,
        environment={
            **prefect_environment(settings),
            **({"PREFECT_API_URL": own, "PREFECT_API_AUTH_STRING": read_secret(settings.state)} if own else {}),
        },
        after="prefect" if own else "",
    )


def endpoint(settings: Settings) -> Server:
    """The endpoint of all tasks."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (compared, not bound)
    host = everywhere.get(settings.host, settings.host)
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.endpoint_port}"
    return Server(
        "endpoint",
        (sys.executable, "-m", "sightline", "serve"),
        CODE,
        address=address,
        health=f"{address}/v1/live",  # alive without a champion: the first one may come while it runs
        setting="SIGHTLINE_ENDPOINT_PORT",
        environment={**common_environment(settings), "SIGHTLINE_ENDPOINT_PORT": str(settings.endpoint_port)},
    )
