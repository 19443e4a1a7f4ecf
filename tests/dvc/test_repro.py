"""One stage behind the real DVC: its errors come through, and it never outlives the run that started it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline import versions
from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError
from sightline.settings import Settings
from tests.dvc.site import ROOT

pytestmark = pytest.mark.slow

STAGE = """
import os, sys, time
from pathlib import Path
from sightline.errors import DataRejected
from sightline.versions import hand_over

kind = Path("kind.txt").read_text().strip()
Path("pid.txt").write_text(str(os.getpid()))
print("table of the stage")
print("progress of the stage", file=sys.stderr)
if kind == "closed":
    hand_over(DataRejected("the gate is closed", where="a.json", way_out="See the Data Docs."))
    sys.exit(4)
if kind == "defect":
    sys.exit(1)
if kind == "long":
    time.sleep(120)
Path("out.txt").write_text(kind)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    root = tmp_path / "project"
    root.mkdir()
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        (root / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    (root / "stage.py").write_text(STAGE)
    (root / "dvc.yaml").write_text(
        f"stages:\n  one:\n    cmd: {sys.executable} stage.py\n    deps: [kind.txt]\n    outs: [out.txt]\n"
    )
    (root / "kind.txt").write_text("good")
    return Settings(root=root)


def set_kind(settings: Settings, kind: str) -> None:
    (settings.root / "kind.txt").write_text(kind)


def test_a_stage_runs_once_and_its_key_follows(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    assert versions.status(settings, ["one"]) == ["one"]
    versions.repro(settings, "one")
    captured = capfd.readouterr()
    assert "progress of the stage" in captured.err
    assert captured.out == "", "DVC's advice is not for people"
    assert versions.status(settings, ["one"]) == []
    key = versions.stage_key(settings, "one")
    versions.repro(settings, "one")
    assert "progress" not in capfd.readouterr().err
    versions.repro(settings, "one", force=True)
    assert "progress" in capfd.readouterr().err
    assert versions.stage_key(settings, "one") == key
    (settings.root / "kind.txt").touch()
    assert versions.status(settings, ["one"]) == [], "the time of a file is no content"
    set_kind(settings, "better")
    versions.repro(settings, "one")
    assert versions.stage_key(settings, "one") != key


def test_several_stages_run_in_the_order_given_and_what_was_made_is_kept(settings: Settings) -> None:
    stage = "  {}:\n    cmd: echo {} >> order.txt && {} && echo {} > {}.txt\n    outs: [{}.txt]\n"
    text = "".join(stage.format(n, n, "true" if n != "bad" else "false", n, n, n) for n in ("b", "a", "bad", "after"))
    (settings.root / "dvc.yaml").write_text(f"stages:\n{text}")
    with pytest.raises(BackendError, match="the stage b or a or bad or after failed"):
        versions.repro(settings, "b", "a", "bad", "after")
    assert (settings.root / "order.txt").read_text().split() == ["b", "a", "bad"]
    assert versions.status(settings, ["a", "b", "bad"]) == ["bad"]


def test_the_stages_own_error_comes_through(settings: Settings) -> None:
    set_kind(settings, "closed")
    with pytest.raises(DataRejected) as caught:
        versions.repro(settings, "one")
    assert str(caught.value) == "a.json: the gate is closed. See the Data Docs."


def test_what_is_no_error_of_ours_is_a_failed_stage(settings: Settings) -> None:
    set_kind(settings, "defect")
    with pytest.raises(BackendError, match="the stage one failed"):
        versions.repro(settings, "one")


def test_broken_files_are_named(settings: Settings) -> None:
    with pytest.raises(ParamsError, match="two"):
        versions.status(settings, ["two"])
    with pytest.raises(ParamsError, match="two"):
        versions.repro(settings, "two")
    (settings.root / "dvc.yaml").write_text("stages: {one: [")
    with pytest.raises(ParamsError, match=r"dvc\.yaml"):
        versions.repro(settings, "one")


def test_without_git_it_says_so(settings: Settings) -> None:
    shutil.rmtree(settings.root / ".git")
    with pytest.raises(DataMissing, match="not a git repository"):
        versions.repro(settings, "one")


def lives(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stage_ends_with_the_run_that_started_it(settings: Settings, how: signal.Signals) -> None:
    set_kind(settings, "long")
    code = (
        "import sys; from pathlib import Path; from sightline import versions; from sightline.settings import Settings;"
        "versions.repro(Settings(root=Path(sys.argv[1])), 'one')"
    )
    run = subprocess.Popen([sys.executable, "-c", code, str(settings.root)], stderr=subprocess.DEVNULL)
    note = settings.root / "pid.txt"
    while not note.exists() or not note.read_text():
        assert run.poll() is None
        time.sleep(0.05)
    stage = int(note.read_text())
    assert lives(stage)
    os.kill(run.pid, how)
    run.wait(60)
    deadline_s = time.monotonic() + 30
    while lives(stage) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not lives(stage)
    set_kind(settings, "good")
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:  # DVC itself may still be ending
        try:
            versions.repro(settings, "one")
            break
        except BackendError:
            time.sleep(0.5)
    assert (settings.root / "out.txt").read_text() == "good"
