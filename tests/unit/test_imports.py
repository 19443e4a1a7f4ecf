"""What code is made of, read from its text."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.imports import PACKAGE, PASSED_THROUGH, closure, file_of, modules_below
from sightline.tasks import TASKS, modules_of


@pytest.mark.parametrize("name", TASKS)
def test_all_that_a_task_imports_is_found(name: str) -> None:
    """The modules in memory after every module of the task was imported are a part of what is found."""
    code = f"""
import importlib, sys
for module in {modules_of(name)!r}:
    importlib.import_module(module)
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "sightline"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= closure(modules_of(name)) | set(PASSED_THROUGH)


def test_what_functions_import_late_is_found_and_what_type_checkers_read_is_not() -> None:
    assert "sightline.vision.graphs" in closure(["sightline.tasks.ships.task"])
    tasks = [name for name in closure(["sightline.pipeline.register"]) if name.startswith("sightline.tasks.")]
    assert tasks == [], "the list of tasks would bring in all of them"
    assert "sightline.settings" not in closure(["sightline.runtime.disk"])


def test_no_module_imports_by_a_relative_name() -> None:
    found = [file for file in PACKAGE.rglob("*.py") if "\nfrom ." in file.read_text(encoding="utf-8")]
    assert found == [], "sightline.imports does not follow these"


def test_modules_below_a_package_are_named_as_they_are_imported() -> None:
    found = modules_below("sightline.versions")
    assert {"sightline.versions", "sightline.versions.pins"} <= set(found)
    assert all(file_of(module).is_file() for module in found)


def test_an_unknown_module_is_told() -> None:
    with pytest.raises(LookupError, match=r"sightline\.nowhere"):
        file_of("sightline.nowhere")


def test_every_module_that_is_passed_through_is_there() -> None:
    for module, why in PASSED_THROUGH.items():
        assert file_of(module).is_file()
        assert why


@pytest.mark.parametrize(("module", "changes"), [("vision/graphs", True), ("errors", False)])
def test_a_change_of_what_a_task_uses_changes_its_fits(tmp_path: Path, module: str, changes: bool) -> None:
    package = tmp_path / "sightline"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    code = "from sightline.pipeline.fit import code_digest; print(code_digest('panel_defects'))"

    def digest() -> str:
        command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    before = digest()
    path = package / f"{module}.py"
    path.write_text(path.read_text() + "# another word\n")
    assert (digest() != before) == changes
