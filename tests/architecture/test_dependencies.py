"""Direct dependencies: bounded below, explained, locked, and all that the code imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def project() -> dict[str, Any]:
    section: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return section


def canonical(requirement: str) -> str:
    found = NAME.match(requirement)
    assert found is not None, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


DIRECT: list[str] = project()["dependencies"]
OPTIONAL = [entry for group in project()["optional-dependencies"].values() for entry in group]


@pytest.mark.parametrize("requirement", DIRECT + OPTIONAL)
def test_has_a_lower_bound(requirement: str) -> None:
    assert ">=" in requirement


@pytest.mark.parametrize("requirement", DIRECT)
def test_is_explained_in_a_comment(requirement: str) -> None:
    line = next(
        line for line in (ROOT / "pyproject.toml").read_text("utf-8").splitlines() if f'"{requirement}"' in line
    )
    assert re.search(r",\s*# \w{2}", line), f"say in a comment what {requirement} is for"


@pytest.mark.parametrize("requirement", [entry for entry in DIRECT if "<" in entry])
def test_an_upper_bound_is_explained(requirement: str) -> None:
    pins = (ROOT / "docs/decisions/0002-pins.md").read_text(encoding="utf-8")
    assert f"`{requirement}`" in pins


def test_every_direct_dependency_is_locked() -> None:
    assert {canonical(entry) for entry in DIRECT + OPTIONAL} - locked("requirements*.lock") == set()


def test_what_only_some_want_is_not_installed_for_all() -> None:
    """The weights of Real-ESRGAN are 46 MB, for `make realesrgan`; nothing else is in its lock file."""
    wanted = {canonical(entry) for entry in project()["optional-dependencies"]["realesrgan"]}
    assert locked("requirements-realesrgan.lock") == wanted
    assert not locked("requirements.lock") & wanted


def locked(pattern: str) -> set[str]:
    lines = [line for path in ROOT.glob(pattern) for line in path.read_text("utf-8").splitlines()]
    return {canonical(line) for line in lines if "==" in line and not line.startswith(("#", " "))}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_what_the_code_imports_is_declared() -> None:
    own = {"sightline", "flows", "services", "bench"}
    files = [path for folder in ("src", "flows", "services") for path in (ROOT / folder).rglob("*.py")]
    names = set().union(*map(imported, files)) - own - set(sys.stdlib_module_names)
    owners = packages_distributions()
    declared = {canonical(entry) for entry in DIRECT}
    undeclared = {name for name in names if not {canonical(owner) for owner in owners.get(name, [name])} & declared}
    assert undeclared == set()
