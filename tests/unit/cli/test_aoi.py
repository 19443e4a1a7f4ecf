"""`sightline aoi plan` in a project where nothing was trained yet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sightline.cli import aoi
from sightline.errors import ModelMissing

ROOT = Path(__file__).resolve().parents[3]
BBOX = "-5.46,36.11,-5.40,36.15"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.setenv("SIGHTLINE_ROOT", str(tmp_path))
    return tmp_path


def planned(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    document: dict[str, float] = json.loads(capsys.readouterr().out)
    return document


@pytest.mark.usefixtures("project")
@pytest.mark.filterwarnings("default")  # MLflow's own
def test_without_a_champion_it_plans_for_what_a_training_would_take(capsys: pytest.CaptureFixture[str]) -> None:
    aoi.plan(bbox=BBOX, as_json=True)
    plan = planned(capsys)
    assert (plan["wanted_gsd_m"], plan["zoom"]) == (3.0, 15)
    with pytest.raises(ModelMissing):
        aoi.plan(bbox=BBOX, task="ships@challenger", as_json=True)


def test_the_pixels_can_be_told_and_then_no_project_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_ROOT", str(tmp_path))
    aoi.plan(bbox=BBOX, gsd=12.0, as_json=True)
    assert planned(capsys)["wanted_gsd_m"] == 12.0
    assert list(tmp_path.iterdir()) == []
