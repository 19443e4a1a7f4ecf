"""Importing Sightline costs little and does nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.tasks.land_cover.test_data import dataset

ROOT = Path(__file__).resolve().parents[2]

HEAVY = {
    *("torch", "torchvision", "ultralytics", "onnx", "onnxruntime"),
    *("mlflow", "great_expectations", "evidently", "prefect", "bentoml", "dvc", "kagglehub"),
    *("pandas", "pyarrow", "sklearn", "matplotlib"),
}
"""What takes from half a second to ten to import: functions that need it import it."""


SCRIPTS = {"sightline.tracking.registered_model", "sightline.stores.migrations.env", "sightline.__main__"}
"""Run by others, never imported by the package: MLflow's loader, Alembic's script, `python -m sightline`."""


def module_names() -> list[str]:
    source = ROOT / "src"
    paths = (path.relative_to(source).with_suffix("") for path in source.rglob("*.py"))
    return sorted({".".join(path.parts).removesuffix(".__init__") for path in paths} - SCRIPTS)


def loaded_after(code: str, folder: Path) -> set[str]:
    """Top-level packages in memory after `code` ran in a fresh interpreter in `folder`."""
    tail = "\nimport json, sys\nsys.stderr.write(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", code + tail], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_every_module_is_light_and_leaves_nothing_behind(tmp_path: Path) -> None:
    code = "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in module_names())
    assert loaded_after(code, tmp_path) & HEAVY == set()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["serve", "--help"]])
def test_help_is_light_and_leaves_nothing_behind(tmp_path: Path, arguments: list[str]) -> None:
    code = f"""
import sys
from sightline.cli import main
sys.argv = ["sightline", *{arguments!r}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    assert loaded_after(code, tmp_path) & HEAVY == set()
    assert list(tmp_path.iterdir()) == []


def test_listing_tables_of_labels_needs_no_library_of_tables(tmp_path: Path) -> None:
    root = dataset(tmp_path / "real", "6010_1_2")
    code = f"""
from pathlib import Path
from sightline.tasks.land_cover.data import load_manifest
assert [sample.problem for sample in load_manifest(Path({str(root)!r})).samples] == [""]
"""
    assert loaded_after(code, tmp_path) & HEAVY == set()
