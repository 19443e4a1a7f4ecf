"""`sightline aoi plan` in a project where nothing was trained yet."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from sightline.cli import aoi
from sightline.errors import DataMissing, ModelMissing
from sightline.maps.upscaling.upscale import open_upscaler
from sightline.vision.images import encode_png

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


def test_the_enlargement_is_trained_on_pictures_of_ones_own(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes = project / "scenes"
    scenes.mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 255, (160, 160, 3), dtype=np.uint8)
        (scenes / f"{seed}.png").write_bytes(encode_png(pixels))
    aoi.train_upscaler(scenes, project / "state" / "upscaler", steps=2)
    assert "Trained on 2 scenes" in capsys.readouterr().out
    assert [path.name for path in (project / "state").iterdir()] == ["upscaler"]
    upscaler = open_upscaler("fast", project / "state" / "upscaler")
    assert upscaler(np.zeros((32, 32, 3), dtype=np.uint8)).shape == (128, 128, 3)
    with pytest.raises(DataMissing, match="no pictures"):
        aoi.train_upscaler(project / "state", project / "other", steps=2)
