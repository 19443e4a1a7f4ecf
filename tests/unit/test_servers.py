"""What `sightline up` starts: addresses, environments, and nothing beyond this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.processes import Server
from sightline.secret import read_secret
from sightline.servers import plan, prefect_api, prefect_environment
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
    servers = by_name(plan(settings, TASKS))
    assert {name: server.address for name, server in servers.items()} == {
        "mlflow": "http://127.0.0.1:5901",
        "prefect": "http://127.0.0.1:5902",
        "flows": "",
        "one": "http://127.0.0.1:5903",
        "two": "http://127.0.0.1:5904",
    }
    assert servers["two"].environment["SIGHTLINE_ENDPOINT_PORT"] == "5904"
    for name in ("mlflow", "prefect"):
        assert "127.0.0.1" in servers[name].command


def test_the_user_interfaces_stay_local_whatever_the_endpoint_does(settings: Settings) -> None:
    servers = by_name(plan(settings.model_copy(update={"host": "0.0.0.0"}), TASKS))
    assert "0.0.0.0" not in " ".join((*servers["mlflow"].command, *servers["prefect"].command))
    assert servers["one"].address == "http://127.0.0.1:5903"  # what a person on this machine opens


def test_flows_wait_for_prefect_and_use_it(settings: Settings) -> None:
    flows = by_name(plan(settings, TASKS))["flows"]
    assert flows.after == "prefect"
    assert flows.environment["PREFECT_API_URL"] == "http://127.0.0.1:5902/api"


def test_servers_that_run_elsewhere_are_not_started(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    servers = by_name(plan(settings.model_copy(update={"mlflow_uri": "http://mlflow.example"}), TASKS))
    assert set(servers) == {"flows", "one", "two"}
    assert "PREFECT_API_URL" not in servers["flows"].environment  # its own is kept
    assert prefect_api(settings) == "http://prefect.example/api"


def test_every_server_works_on_this_project_and_tells_nobody(settings: Settings) -> None:
    for server in plan(settings, TASKS):
        assert server.environment["SIGHTLINE_ROOT"] == str(settings.root)
        assert server.environment["DO_NOT_TRACK"] == "1"
    assert by_name(plan(settings, TASKS))["prefect"].environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_prefect_and_its_clients_share_the_secret_of_the_installation(settings: Settings) -> None:
    secret = read_secret(settings.state)
    servers = by_name(plan(settings, TASKS))
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
    assert "PREFECT_API_AUTH_STRING" not in by_name(plan(settings, TASKS))["flows"].environment
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
    code = "import sys, sightline.servers; print(sorted(m for m in sys.modules if '.' not in m))"
    imported = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert not [name for name in ("prefect", "mlflow", "torch", "bentoml") if f"'{name}'" in imported]
