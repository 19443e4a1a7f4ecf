"""The command line where its surroundings are not what one expects: no git, a terminal that is not UTF-8."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.errors import DataMissing
from sightline.settings import Settings
from sightline.versions import require_repository

ROOT = Path(__file__).resolve().parents[3]


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SIGHTLINE_", "GIT_"))}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env={**environment, **variables}, capture_output=True, check=False)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """The project as an archive holds it: with DVC's folder, without git's."""
    shutil.copy2(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp"))
    return tmp_path


@pytest.mark.parametrize(
    "words", [("data", "sample", "ships"), ("data", "add", "ships", "."), ("data", "fetch", "ships"), ("run", "ships")]
)
def test_without_git_it_is_told_before_anything_is_made(archive: Path, words: tuple[str, ...]) -> None:
    done = run(archive, "-m", "sightline", *words)
    assert done.returncode == 4
    said = done.stderr.decode()
    assert "not a git repository with DVC" in said
    assert "git init" in said
    assert len(said.splitlines()) == 1
    assert not (archive / "data").exists()


def test_a_repository_is_enough(archive: Path) -> None:
    subprocess.run(["git", "init", "-q", str(archive)], check=True)
    require_repository(Settings(root=archive))
    shutil.rmtree(archive / ".dvc")
    with pytest.raises(DataMissing):
        require_repository(Settings(root=archive))


SHOW = """
from sightline.cli import guarded
from sightline.cli.show import echo, table, tree
from sightline.errors import BackendError
def show():
    echo("3 \\u00b0C \\u2713")
    table("Gr\\u00f6\\u00dfe", [{"\\u00b1": "odd\\udcff.png"}])
    tree("odd\\udcff", {"a": {"b": "\\u2264"}})
    raise BackendError("\\u2265")
guarded(show)
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_terminal_cannot_print_becomes_a_question_mark(tmp_path: Path, encoding: str) -> None:
    done = run(tmp_path, "-c", SHOW, PYTHONIOENCODING=f"{encoding}:strict", SIGHTLINE_ROOT=str(tmp_path))
    assert done.returncode == 7, done.stderr
    said = done.stdout.decode(encoding)
    assert f"3 {'?' if encoding == 'ascii' else '°'}C" in said
    assert "odd?.png" in said
    assert b"Traceback" not in done.stderr
