from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from sightline.errors import ParamsError
from sightline.params import Frozen, TaskParams, load_plain_section, load_section
from tests.parameters import platform_params


class Network(Frozen):
    depth: int = Field(description="layers between the first and the last")


class Recipe(Frozen):
    epochs: int = Field(gt=0, description="passes over the set")
    networks: dict[str, Network]


class Params(TaskParams):
    train: Recipe


TEXT = """
profile: cpu
toy:
  seed: 20
  candidates: [a, b]
  data: {pretrain: [sample], train: [real], alone_share: 1.0, protocol: folds, folds: 3, validation_share: 0.2,
    test_share: 0.2}
  evaluate: {resamples: 1000, confidence: 0.95, pictures: 12}
  promotion: {metric: accuracy, floor: 0.5, margin: 0.02, confidence: 0.95, latency_ratio: 1.5}
  watch:
    {period_days: 7, min_rows: 20, max_rows: 1000, alpha: 0.01, outside_share: 0.25, notice_share: 0.5, cooldown_h: 24}
  schedule: {retrain: "", monitor: "", timezone: UTC, wait_s: 60, settle_s: 60}
  train:
    reference: {epochs: 100, networks: {a: {depth: 9}}}
    cpu: {epochs: 3, networks: {a: {depth: 2}}}
"""


def load(folder: Path, text: str, name: str = "toy") -> Params:
    (folder / "params.yaml").write_text(text)
    return load_section(folder / "params.yaml", name, Params)


def test_the_profile_in_force_chooses_the_recipe(tmp_path: Path) -> None:
    assert load(tmp_path, TEXT).train.epochs == 3
    assert load(tmp_path, TEXT.replace("profile: cpu", "profile: reference")).train.epochs == 100


@pytest.mark.parametrize(
    ("old", "new", "place", "hint"),
    [
        ("epochs: 3", "epochz: 3", "toy.train.cpu.epochz", "Did you mean 'epochs'?"),
        ("seed: 20", "sead: 1", "toy.sead", "Did you mean 'seed'?"),
        ("depth: 2", "dept: 2", "toy.train.cpu.networks.a.dept", "Did you mean 'depth'?"),
        ("floor: 0.5", "flor: 0.5", "toy.promotion.f", "floor"),
        ("epochs: 100", "epochz: 100", "toy.train.reference.epochz", "Did you mean 'epochs'?"),
        ("epochs: 3", "epochs: many", "toy.train.cpu.epochs", "given: 'many'"),
        ("floor: 0.5", "floor: low", "toy.promotion.floor", "Give an allowed value: below it nothing is promoted."),
        ("seed: 20", "seed: -1", "toy.seed", "(given: -1)"),
        ("profile: cpu", "profile: cpuu", "", "Did you mean 'cpu'?"),
        ("candidates: [a, b]", "candidates: []", "toy.candidates", "models that compete, the preferred first"),
        (
            "pretrain: [sample], train: [real]",
            "pretrain: [], train: []",
            "toy.data",
            "neither pretrain nor train names",
        ),
    ],
)
def test_a_typo_is_refused_with_its_place_and_the_nearest_key(
    tmp_path: Path, old: str, new: str, place: str, hint: str
) -> None:
    with pytest.raises(ParamsError) as caught:
        load(tmp_path, TEXT.replace(old, new))
    assert place in str(caught.value)
    assert hint in str(caught.value)


def test_a_missing_value_is_named_with_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as caught:
        load(tmp_path, TEXT.replace("epochs: 3, ", ""))
    assert "params.yaml: toy.train.cpu.epochs: the value is missing (passes over the set)" in str(caught.value)
    assert "Add the missing keys" in caught.value.way_out


def test_all_missing_values_are_named_at_once(tmp_path: Path) -> None:
    lacking = TEXT.replace("epochs: 3, ", "").replace("{depth: 9}", "{}").replace(", margin: 0.02", "")
    with pytest.raises(ParamsError, match="3 values are missing") as caught:
        load(tmp_path, lacking)
    told = str(caught.value)
    assert "toy.promotion.margin (how far the one-sided bound may lie below zero)" in told
    assert "toy.train.cpu.epochs (passes over the set)" in told
    assert "toy.train.reference.networks.a.depth (layers between the first and the last)" in told


def test_a_value_that_says_nothing_itself_is_told_by_its_section(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"toy\.schedule: the value is missing \(When a task's flows start"):
        load(tmp_path, "\n".join(line for line in TEXT.splitlines() if "schedule:" not in line))


def test_a_section_that_is_missing_can_be_added(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"there is no section .upscaling.*Add it: the params\.yaml that comes"):
        load(tmp_path, TEXT, name="upscaling")


def test_a_section_without_recipes_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("other: {depth: 3}\n")
    assert load_plain_section(path, "other", Network).depth == 3
    path.write_text("other: {dept: 3}\n")
    with pytest.raises(ParamsError, match="Did you mean 'depth'"):
        load_plain_section(path, "other", Network)
    path.write_text("other: {}\n")
    with pytest.raises(ParamsError, match=r"other\.depth: the value is missing \(layers"):
        load_plain_section(path, "other", Network)


def test_an_unknown_task_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="Did you mean 'toy'"):
        load(tmp_path, TEXT, name="toi")


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [1, 2", "\x00"])
def test_a_file_that_is_no_mapping_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(ParamsError, match=r"params\.yaml"):
        load(tmp_path, text)


def test_a_missing_file_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="SIGHTLINE_ROOT"):
        load_section(tmp_path / "params.yaml", "toy", Params)


def test_params_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        platform_params().promotion.floor = 0.1  # type: ignore[misc]
