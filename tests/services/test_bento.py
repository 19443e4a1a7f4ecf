"""A bento is whole: it runs where the dependencies are installed and the project is not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from sightline.serving import ALL_TASKS
from sightline.tasks import TASKS
from tests.services.endpoint_process import ROOT, serve
from tests.unit.tasks.pv_hotspots.networks import MODULES, picture, png, tiny_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a freshly built bento."""
    path = f"{ROOT / '.tools' / 'uv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("uv", path=path) is None:
        pytest.skip("bentoml builds with uv, which is neither in .tools/ nor on PATH")
    home = tmp_path_factory.mktemp("bentoml")
    environment = {**os.environ, "PATH": path, "BENTOML_HOME": str(home), "BENTOML_DO_NOT_TRACK": "true"}
    done = subprocess.run(
        ["make", "--old-file=.venv/.ready", f"BIN={Path(sys.executable).parent}", "bento"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = (folder for folder in (home / "bentos" / "pv_hotspots").iterdir() if folder.is_dir())
    return found


@pytest.fixture(scope="module")
def python_without_sightline(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that sees the installed dependencies, but not this project."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = str(folder / "bin" / "python")
    look = subprocess.run([python, "-c", "import sightline"], cwd=folder, capture_output=True, check=False)
    assert look.returncode != 0, "the project is visible; this test would prove nothing"
    return python


def test_a_bento_holds_the_lock_and_no_data(bento: Path) -> None:
    locked = (bento / "env" / "python" / "requirements.txt").read_text()
    assert "onnxruntime==" in locked
    assert "--hash=sha256:" in locked
    assert "sightline" not in "\n".join(line for line in locked.splitlines() if "==" in line)
    assert {path.name for path in (bento / "src").iterdir()} >= {"sightline", "services"}
    assert sum(path.stat().st_size for path in (bento / "src").rglob("*") if path.is_file()) < 5_000_000


@pytest.mark.parametrize("task", [*TASKS, ALL_TASKS])
def test_every_task_has_a_service_under_its_name(task: str, tmp_path: Path) -> None:
    code = f"from bentoml import load; print(load('services.endpoint:{task}').name)"
    environment = {**os.environ, "SIGHTLINE_ROOT": str(tmp_path), "BENTOML_DO_NOT_TRACK": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == task, done.stderr


def test_a_bento_is_found_by_its_name(bento: Path) -> None:
    # BentoML breaks a long path into lines where it takes the terminal for a narrow one.
    environment = {**os.environ, "BENTOML_HOME": str(bento.parents[2]), "COLUMNS": "1000"}

    def ask(*words: str) -> str:
        command = [sys.executable, "-m", "bentoml", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    assert "pv_hotspots" in ask("list")
    assert Path(ask("get", "pv_hotspots:latest", "-o", "path").strip()) == bento


def test_a_bento_runs_in_an_environment_of_its_own(bento: Path, python_without_sightline: str, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    tiny_model().save(saved)
    with serve(str(bento), tmp_path, python_without_sightline, model_dir=str(saved)) as running:
        running.wait_until_ready()
        status, answer = running.predict(png(picture()))
        assert status == 200
        assert len(answer["modules"]) == len(MODULES)
        assert running.ask("GET", "/")[0] == 200
