"""The registry on a real MLflow with sqlite."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.errors import BackendError, ModelMissing
from sightline.pipeline.fit import fit
from sightline.pipeline.judge import judge, read_metrics
from sightline.pipeline.project import Project
from sightline.progress import Bars
from sightline.settings import Settings
from sightline.tracking import Record, Tracking
from tests.toy import Silent, toy_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = toy_project(tmp_path_factory.mktemp("project"), "sample")
    with Bars("train") as bars:
        fit(project, "threshold", bars, lambda _step, _values: None)
    judge(project, "threshold", Silent())
    return project


@pytest.fixture(scope="module")
def tracking(project: Project) -> Tracking:
    return Tracking(project.settings)


def record(project: Project, stage_key: str) -> Record:
    note = project.settings.root / "note.txt"
    note.write_text("made from this")
    image = next((project.data / "sample").glob("*.png"))
    return Record(
        task="toy",
        candidate="threshold",
        model=project.models("threshold") / "final",
        evaluation=project.evaluation("threshold"),
        params={"seed": "1"},
        metrics={"sample/accuracy": 1.0},
        history={"final": {1: {"level": 0.5}, 2: {"level": 0.25}}},
        tags={"stage_key": stage_key, "candidate": "threshold", "fit_key": "f" * 16},
        files={"sources": (note,)},
        example=image.read_bytes(),
    )


def test_a_version_is_whole(project: Project, tracking: Tracking) -> None:
    with pytest.raises(ModelMissing, match="sightline run toy"):
        tracking.version("toy", "champion")
    assert tracking.versions("toy") == []
    version = tracking.register(record(project, "key1"))
    assert version.number == 1
    assert version.aliases == ("threshold",)
    assert version.tags["stage_key"] == "key1"
    restored = project.task.restore(tracking.directory(version))
    assert restored.card.candidate == "threshold"
    assert read_metrics(tracking.evaluation(version))["main"] == ["sample"]
    assert (tracking.sources(version) / "note.txt").read_text() == "made from this"
    assert tracking.find_run("toy", "stage_key", "key1") == version.run_id


def test_aliases_move_and_a_training_goes_on_in_its_run(project: Project, tracking: Tracking) -> None:
    with tracking.training_run("toy", "threshold", "a" * 16) as live:
        live(1, {"final/level": 0.5})
        first = live.run_id
    with tracking.training_run("toy", "threshold", "a" * 16) as live:
        assert live.run_id == first
    again = record(project, "key2")
    again = dataclasses.replace(again, tags={**again.tags, "fit_key": "a" * 16})
    version = tracking.register(again)
    assert version.run_id == first
    tracking.set_alias("toy", "champion", version.number)
    assert tracking.current("toy", "champion") == version.number
    tracking.tag(version, {"decision": "promoted"})
    assert tracking.version("toy", "champion").tags["decision"] == "promoted"
    tracking.delete_alias("toy", "champion")
    assert tracking.current("toy", "champion") is None
    assert tracking.current("nobody", "champion") is None


def test_a_report_is_stored_with_its_figures(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>no drift</p>")
    run_id = tracking.log_report("toy", "2026-11-21", tmp_path, {"rows": 20.0})
    assert run_id


def test_an_unreachable_server_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Tracking(Settings(root=tmp_path, mlflow_uri="http://127.0.0.1:9"))
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9"):
        away.versions("toy")


OPEN = """
import sys
from pathlib import Path
from sightline.settings import Settings
from sightline.tracking import Tracking
print(Tracking(Settings(root=Path(sys.argv[1]))).versions("toy"))
"""


def test_processes_that_open_a_new_registry_at_once_make_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=300)[0] for process in started] == ["[]\n"] * 3
