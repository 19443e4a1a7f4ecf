"""Real photographs before a model that knows synthetic ones alone: usual figures, and yet of another kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy.stats import ks_2samp

from sightline.drift.comparison import Observation
from sightline.drift.report import compare
from sightline.limits import Limits
from sightline.pipeline.project import Project
from sightline.pipeline.reference import refer
from sightline.settings import Settings
from sightline.task import TrainingData
from tests.contract.subjects import Silent, tiny_params, tiny_task
from tests.parameters import platform_params

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def column_tests(reference, current, threshold, folder):
    return {name: float(ks_2samp(reference[name].dropna(), current[name].dropna()).pvalue) for name in reference}


def test_real_photographs_are_drift_to_a_model_of_synthetic_ones(real_data: Path, tmp_path: Path) -> None:
    task = tiny_task("panel_defects")
    project = Project(Settings(root=tmp_path), tiny_params("panel_defects", 7), task)
    task.sample(project.data / "sample", Silent())
    manifest = task.load(project.data / "sample")
    work = tmp_path / "work"
    work.mkdir()
    model = task.train("pixels", TrainingData(manifest, manifest.where(lambda _: False)), work, Silent())
    rows = refer(project, model, manifest, ("sample",), Silent())
    reference = [Observation(row.key, row.sha256, row.group, row.row, row.embedding) for row in rows]
    current = []
    for file in sorted((real_data / "panel_defects" / "images").iterdir())[:41]:
        source = model.read(file, Limits())
        (prediction,) = model.predict([source])
        current.append(Observation(file.name, source.sha256, source.sha256, prediction.row, prediction.embedding))
    found = compare(reference, current, platform_params().watch, 1, tmp_path / "report", column_tests)
    assert found.state == "drift", found.reasons
