"""What a command imports is what it costs: the modules in memory after it, not seconds."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.settings import Settings
from sightline.stores.database import Database
from tests.architecture.test_imports import HEAVY, ROOT, loaded_after
from tests.unit.tasks.land_cover import networks as land_cover
from tests.unit.tasks.panel_defects import networks as panel_defects
from tests.unit.tasks.pv_hotspots import networks as pv_hotspots
from tests.unit.tasks.ships import networks as ships
from tests.unit.tracking.test_registry import make

TASK = "pv_hotspots"
READING = {
    "sqlalchemy",
    "alembic",
    "requests",
    "rasterio",
    "shapely",
    "scipy",
    "tifffile",
    "fastapi",
    "httpx",
    "jinja2",
}
"""What reading the registry and counting samples needs as little as `HEAVY`."""

COMMAND = """
import sys
from sightline.cli import main
sys.argv = ["sightline", *{arguments!r}]
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""

PREDICT = """
from pathlib import Path
from sightline.limits import Limits
from sightline.tasks import restore_model
model = restore_model({task!r}, Path("model"))
source = model.read(model.example(), Limits())
answer = model.predict([source])[0]
model.draw(source, answer)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one registered version that was evaluated."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    evaluation = make(tmp_path / "mlruns", task=TASK) / "artifacts" / TASK / "r1" / "artifacts" / "evaluation"
    evaluation.mkdir(parents=True)
    figure = {"value": 0.9, "low": 0.8, "high": 1.0, "n": 40}
    measured = {"n": 40, "unit": "group", "metrics": {"ap50_defected": figure}}
    metrics = {"protocol": "folds", "main": ["real"], "sets": {"real": measured}, "validation": measured}
    (evaluation / "metrics.json").write_text(json.dumps(metrics))
    (evaluation / "rows.jsonl").write_text("")
    with (evaluation / "training.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["key", "sha256", "labels_sha256", "group"], ["real/a", "0" * 64, "0" * 64, "g"]])
    Database(Settings(root=tmp_path).database_url).check()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["models", TASK], {"sqlalchemy"}),  # the ledger says who is champion; it needs no migration
        (["lineage", f"{TASK}@1"], {"sqlalchemy"}),
        (["data", "status", TASK], set()),
    ],
)
def test_reading_the_registry_and_the_data_loads_no_vendor(
    project: Path, arguments: list[str], needed: set[str]
) -> None:
    assert loaded_after(COMMAND.format(arguments=arguments), project) & (HEAVY | READING) == needed


MODELS: dict[str, Callable[[], Any]] = {
    "pv_hotspots": pv_hotspots.tiny_model,
    "panel_defects": panel_defects.tiny_model,
    "land_cover": land_cover.network_model,
    "ships": ships.network_model,
}


@pytest.mark.parametrize("task", MODELS)
def test_an_answer_of_a_network_loads_its_graph_and_no_training_library(tmp_path: Path, task: str) -> None:
    (tmp_path / "model").mkdir()
    MODELS[task]().save(tmp_path / "model")
    loaded = loaded_after(PREDICT.format(task=task), tmp_path)
    assert loaded & HEAVY == {"onnxruntime"}
    assert loaded & {"scipy", "skimage", "requests", "timm", "segmentation_models_pytorch"} == set()
