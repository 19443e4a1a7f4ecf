from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sightline.errors import ParamsError
from sightline.serving import ALL_TASKS, serve_command
from sightline.serving.launch import ONE_THREAD_A_CALL
from sightline.settings import Settings
from sightline.tasks import TASKS


def test_the_command_binds_where_the_settings_say(tmp_path: Path) -> None:
    command, environment = serve_command(Settings(root=tmp_path, endpoint_port=3456), "pv_hotspots")
    assert command[1:5] == ["-m", "bentoml", "serve", "services.endpoint:pv_hotspots"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "3456"
    assert environment["SIGHTLINE_ROOT"] == str(tmp_path)
    assert environment["BENTOML_DO_NOT_TRACK"] == "true"


def test_all_tasks_are_served_where_none_is_named(tmp_path: Path) -> None:
    command, _ = serve_command(Settings(root=tmp_path))
    assert command[4] == "services.endpoint:sightline"
    assert ALL_TASKS not in TASKS


def test_a_projects_own_services_go_first(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    command, _ = serve_command(Settings(root=tmp_path), "ships")
    assert command[command.index("--working-dir") + 1] == str(tmp_path)


def test_an_unknown_task_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"'roof_moss' has no endpoint.*pv_hotspots"):
        serve_command(Settings(root=tmp_path), "roof_moss")


def test_a_name_instead_of_an_address_is_understood(tmp_path: Path) -> None:
    command, _ = serve_command(Settings(root=tmp_path, host="localhost"), "pv_hotspots")
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_threads_are_one_a_call_unless_the_user_says_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_ONNX_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    _, environment = serve_command(Settings(root=tmp_path), "pv_hotspots")
    assert (environment["SIGHTLINE_ONNX_THREADS"], environment["OMP_NUM_THREADS"]) == ("1", "7")


def test_a_bento_has_the_same_threads() -> None:
    bentofile = yaml.safe_load((Path(__file__).resolve().parents[3] / "bentofile.yaml").read_text(encoding="utf-8"))
    assert {entry["name"]: entry["value"] for entry in bentofile["envs"]} == ONE_THREAD_A_CALL
