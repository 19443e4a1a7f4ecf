"""The first thing a newcomer meets: `make` lists its targets, and says plainly what is wanted."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("requirements.lock", "pyproject.toml"):
        (folder / name).touch()
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def python(folder: Path, *, version: str, pip: bool) -> str:
    """A stand-in for python3: of this version, with or without pip."""
    fits = "0" if version.startswith("3.1") else "1"
    path = folder / "python"
    path.write_text(
        f'#!/bin/sh\ncase "$*" in\n--version) echo Python {version};;\n-c*) exit {fits};;\n'
        f'"-m pip --version") exit {0 if pip else 1};;\n*) exit 9;;\nesac\n',
        encoding="utf-8",
    )
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_make_alone_lists_the_targets(tmp_path: Path) -> None:
    listed = re.findall(r"^  make ([a-z-]+) +\S", make(tmp_path).stdout, re.MULTILINE)
    declared = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert declared is not None
    assert sorted(listed) == sorted(declared[1].split())


def test_an_old_python_is_named_with_the_way_out(tmp_path: Path) -> None:
    done = make(tmp_path, "demo", python(tmp_path, version="3.9.2", pip=True))
    assert done.returncode != 0
    assert "needs Python 3.11" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_a_python_without_pip_is_told(tmp_path: Path) -> None:
    done = make(tmp_path, "demo", python(tmp_path, version="3.11.7", pip=False))
    assert done.returncode != 0
    assert "has no pip" in done.stderr
    assert not (tmp_path / ".venv").exists()


def ready(folder: Path, uv: str = "") -> None:
    """An environment that is ready; what stands in for uv."""
    shutil.copy(ROOT / "Makefile", folder)
    program = folder / ".tools/uv/bin/uv"
    program.parent.mkdir(parents=True)
    program.write_text(uv, encoding="utf-8")
    program.chmod(0o755)
    make(folder)
    (folder / ".venv").mkdir()
    (folder / ".venv/.ready").touch()


def test_an_environment_that_is_ready_costs_nothing(tmp_path: Path) -> None:
    ready(tmp_path)
    assert (
        "Nothing to be done"
        in subprocess.run(["make", "setup"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    )


def test_the_weights_of_real_esrgan_come_alone_and_by_their_hash(tmp_path: Path) -> None:
    ready(tmp_path, '#!/bin/sh\necho "into $VIRTUAL_ENV: $@"\n')
    done = subprocess.run(["make", "-s", "realesrgan"], cwd=tmp_path, capture_output=True, text=True, check=True)
    (typed,) = done.stdout.splitlines()
    assert typed.startswith("into .venv: pip install ")
    assert {"--no-deps", "--require-hashes", "requirements-realesrgan.lock"} <= set(typed.split())
