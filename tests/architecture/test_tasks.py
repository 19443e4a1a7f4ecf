"""Each task is everywhere it must be: parameters, stages, deployments, endpoint, contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import sightline
from sightline.params import load_section
from sightline.tasks import SOURCES, TASKS, open_task, params_model
from tests.contract.subjects import TINY

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(sightline.__file__).parent


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TASKS)
def test_its_stages_name_its_candidates_and_all_that_its_models_are_made_by(name: str) -> None:
    stages = read("dvc.yaml")["stages"]
    section = load_section(ROOT / "params.yaml", name, params_model(name))
    items = {key: item for key, item in stages["train"]["foreach"].items() if item["task"] == name}
    assert set(items) == {f"{name}-{candidate}" for candidate in section.candidates}
    assert stages["evaluate"]["foreach"] == stages["train"]["foreach"]
    for item in (*items.values(), stages["validate"]["foreach"][name]):
        others = {item["shared"], item["also"]}
        assert {f"tasks/{item['package']}"} | {one for one in others if "." not in one} == set(SOURCES[name])
        assert all((PACKAGE / one).exists() for one in others)
    assert open_task(name, section).candidates == section.candidates


@pytest.mark.parametrize("name", TASKS)
def test_it_is_scheduled_watched_served_and_under_contract(name: str) -> None:
    flows = {d["entrypoint"] for d in read("prefect.yaml")["deployments"] if d["name"] == name}
    assert flows == {"flows/retrain.py:retrain", "flows/monitor.py:monitor"}
    assert (ROOT / "services" / f"{name}.py").is_file()
    assert name in TINY


@pytest.mark.parametrize("name", TASKS)
def test_both_profiles_are_whole(name: str) -> None:
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    assert set(read("params.yaml")[name]["train"]) == {"cpu", "reference"}
    for profile in ("cpu", "reference"):
        assert f"profile: {profile}" in text or profile == "reference"
        section = read("params.yaml")[name]
        params_model(name).model_validate({**section, "train": section["train"][profile]})
