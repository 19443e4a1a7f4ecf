"""What `sightline up` starts: addresses, environments, and nothing beyond this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import BackendError
from sightline.runtime.processes import Server, check_ports
from sightline.runtime.secret import read_secret
from sightline.runtime.servers import (
    endpoint,
    list_servers,
    prefect_api,
    prefect_environment,
    report_pages,
    run_endpoint,
)
from sightline.settings import Settings

TASKS = ("one", "two")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in list(os.environ):
        if name.startswith(("SIGHTLINE_", "PREFECT_", "MLFLOW_")):
            monkeypatch.delenv(name)
    return Settings(root=tmp_path, mlflow_port=5901, prefect_port=5902, endpoint_port=5903)


def by_name(servers: tuple[Server, ...]) -> dict[str, Server]:
    return {server.name: server for server in servers}


def test_every_server_listens_on_its_port_of_this_machine_only(settings: Settings) -> None:
    servers = by_name(list_servers(settings))
    assert {name: server.address for name, server in servers.items()} == {
        "mlflow": "http://127.0.0.1:5901",
        "prefect": "http://127.0.0.1:5902",
        "flows": "",
        "endpoint": "http://127.0.0.1:5903",
    }
    assert servers["endpoint"].environment["SIGHTLINE_ENDPOINT_PORT"] == "5903"
    for name in ("mlflow", "prefect"):
        assert "127.0.0.1" in servers[name].command


def test_the_user_interfaces_stay_local_whatever_the_endpoint_does(settings: Settings) -> None:
    servers = by_name(list_servers(settings.model_copy(update={"host": "0.0.0.0"})))
    assert "0.0.0.0" not in " ".join((*servers["mlflow"].command, *servers["prefect"].command))
    assert servers["endpoint"].address == "http://127.0.0.1:5903"  # what a person on this machine opens


@pytest.mark.parametrize(
    ("host", "address"),
    [("::1", "http://[::1]:5903"), ("::", "http://[::1]:5903"), ("localhost", "http://localhost:5903")],
)
def test_addresses_of_ipv6_are_addresses(settings: Settings, host: str, address: str) -> None:
    server = endpoint(settings.model_copy(update={"host": host}))
    assert server.address == address
    check_ports(settings.state, [server])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_an_endpoint_ends_with_the_command_that_serves_it(settings: Settings, number: int, tmp_path: Path) -> None:
    """Whatever ends `sightline serve TASK`, nothing of it holds the port afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = (
        "import http.server, sys; from pathlib import Path\n"
        f"server = http.server.HTTPServer(('127.0.0.1', {port}), http.server.SimpleHTTPRequestHandler)\n"
        "Path('ready').touch(); server.serve_forever()"
    )
    script = (
        "import os, sys; from pathlib import Path\n"
        "from sightline.runtime.servers import run_endpoint; from sightline.settings import Settings\n"
        f"settings = Settings(root=Path({str(tmp_path)!r}), endpoint_port={port})\n"
        f"sys.exit(run_endpoint(settings, [sys.executable, '-c', {server!r}], os.environ))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path)
    wait_for((tmp_path / "ready").exists)
    process.send_signal(number)
    assert process.wait(20) == (-9 if number == signal.SIGKILL else 0)
    one = endpoint(settings.model_copy(update={"endpoint_port": port}))
    wait_for(lambda: is_free(settings, one), 0.0 if number != signal.SIGKILL else 20.0)


def is_free(settings: Settings, server: Server) -> bool:
    try:
        check_ports(settings.state, [server])
    except BackendError:
        return False
    return True


def wait_for(so: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not so():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_a_taken_port_of_the_endpoint_is_told_before_anything_starts(settings: Settings) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = settings.model_copy(update={"endpoint_port": other.getsockname()[1]})
        with pytest.raises(BackendError, match=r"port of the endpoint server is taken.*SIGHTLINE_ENDPOINT_PORT"):
            run_endpoint(taken, ["/no/such/program"], {})


def test_up_names_the_pages_that_are_there(settings: Settings) -> None:
    assert report_pages(settings, TASKS) == []
    gate = settings.build / "validation" / "one" / "docs" / "index.html"
    drift = settings.build / "watch" / "two" / "report" / "index.html"
    for page in (gate, drift):
        page.parent.mkdir(parents=True)
        page.touch()
    assert report_pages(settings, TASKS) == [gate, drift]


def test_flows_wait_for_prefect_and_use_it(settings: Settings) -> None:
    flows = by_name(list_servers(settings))["flows"]
    assert flows.after == "prefect"
    assert flows.environment["PREFECT_API_URL"] == "http://127.0.0.1:5902/api"


def test_servers_that_run_elsewhere_are_not_started(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    servers = by_name(list_servers(settings.model_copy(update={"mlflow_uri": "http://mlflow.example"})))
    assert set(servers) == {"flows", "endpoint"}
    assert "PREFECT_API_URL" not in servers["flows"].environment  # its own is kept
    assert prefect_api(settings) == "http://prefect.example/api"


def test_every_server_works_on_this_project_and_tells_nobody(settings: Settings) -> None:
    for server in list_servers(settings):
        assert server.environment["SIGHTLINE_ROOT"] == str(settings.root)
        assert server.environment["DO_NOT_TRACK"] == "1"
    assert by_name(list_servers(settings))["prefect"].environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_prefect_and_its_clients_share_the_secret_of_the_installation(settings: Settings) -> None:
    secret = read_secret(settings.state)
    servers = by_name(list_servers(settings))
    prefect = servers["prefect"].environment
    assert prefect["PREFECT_SERVER_API_AUTH_STRING"] == secret
    assert prefect["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:5902,http://localhost:5902"
    assert prefect["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"
    assert servers["flows"].environment["PREFECT_API_AUTH_STRING"] == secret
    assert prefect_environment(settings)["PREFECT_API_AUTH_STRING"] == secret  # of `run`
    for server in servers.values():
        assert secret not in " ".join(server.command)  # every user of a machine may list commands


def test_a_prefect_elsewhere_is_not_told_the_secret(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    assert "PREFECT_API_AUTH_STRING" not in prefect_environment(settings)
    assert "PREFECT_API_AUTH_STRING" not in by_name(list_servers(settings))["flows"].environment
    note_running(settings, "http://127.0.0.1:5902")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:5902/api")
    assert prefect_environment(settings)["PREFECT_API_AUTH_STRING"] == read_secret(settings.state)


def note_running(settings: Settings, prefect: str) -> None:
    """As `up` notes its servers."""
    note = {"supervisor": os.getpid(), "servers": {"prefect": {"process": os.getpid(), "address": prefect}}}
    settings.state.mkdir(exist_ok=True)
    (settings.state / "servers.json").write_text(json.dumps(note))


def test_prefects_database_lies_in_the_project_unless_told_otherwise(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prefect_environment(settings)["PREFECT_HOME"] == str(settings.root / "state" / "prefect")
    monkeypatch.setenv("PREFECT_HOME", "/elsewhere")
    assert prefect_environment(settings)["PREFECT_HOME"] == "/elsewhere"


def test_a_noted_server_that_does_not_answer_is_not_used(settings: Settings) -> None:
    assert prefect_api(settings) == ""
    note_running(settings, "http://127.0.0.1:9")
    assert prefect_api(settings) == ""


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, sightline.runtime.servers; print(sorted(m for m in sys.modules if '.' not in m))"
    imported = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert not [name for name in ("prefect", "mlflow", "torch", "bentoml") if f"'{name}'" in imported]
