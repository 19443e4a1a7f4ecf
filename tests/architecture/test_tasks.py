"""What follows from the one list of tasks, params.yaml and the imports of the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sightline.imports import closure, file_of
from sightline.pipeline.stages import stages_text
from sightline.tasks import TASKS, longest_first, modules_of, params_model

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_dvc_yaml_is_what_the_tasks_and_their_code_say() -> None:
    assert (ROOT / "dvc.yaml").read_text(encoding="utf-8") == stages_text(ROOT), "write it anew: sightline stages"


@pytest.mark.parametrize("name", TASKS)
def test_its_stages_depend_on_all_that_its_models_are_made_by(name: str) -> None:
    stages = read("dvc.yaml")["stages"]
    for step in ("train", "evaluate"):
        places = [ROOT / one for one in stages[f"{step}-{name}"]["do"]["deps"] if one.startswith("src/")]
        for file in map(file_of, closure(modules_of(name))):
            assert any(place in (file, *file.parents) for place in places), f"{step}: {file}"


def test_ports_follow_the_list_and_the_longest_training_begins_first() -> None:
    assert list(TASKS) == ["pv_hotspots", "panel_defects", "ships", "solar_farms", "land_cover", *list(TASKS)[5:]]
    assert longest_first(["land_cover", "ships", "pv_hotspots"]) == ["pv_hotspots", "ships", "land_cover"]
    assert longest_first(["unknown", "ships"]) == ["ships", "unknown"]


@pytest.mark.parametrize("name", TASKS)
def test_both_profiles_are_whole(name: str) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert set(read("params.yaml")[name]["train"]) == {"cpu", "reference"}
    for profile in ("cpu", "reference"):
        assert f"profile: {profile}" in text or profile == "reference"
        section = read("params.yaml")[name]
        params_model(name).model_validate({**section, "train": section["train"][profile]})
