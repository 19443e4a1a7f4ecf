from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import ParamsError
from sightline.params import Frozen, PromotionParams, TaskParams, load_section


class Recipe(Frozen):
    epochs: int
    learning_rate: float = 0.01


class Params(TaskParams):
    train: Recipe


TEXT = """
profile: cpu
toy:
  candidates: [a, b]
  promotion: {metric: accuracy, floor: 0.5}
  train:
    reference: {epochs: 100}
    cpu: {epochs: 3}
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
        ("epochs: 3", "epochz: 3", "toy.train.epochz", "Did you mean 'epochs'?"),
        ("  promotion:", "  sead: 1\n  promotion:", "toy.sead", "Did you mean 'seed'?"),
        ("floor: 0.5", "flor: 0.5", "toy.promotion.f", "floor"),
        ("epochs: 100", "epochz: 100", "toy.train.epochz", "Did you mean 'epochs'?"),
        ("epochs: 3", "epochs: many", "toy.train.epochs", "given: 'many'"),
        ("floor: 0.5", "floor: low", "toy.promotion.floor", "Give one that fits: below it nothing is promoted."),
        ("  promotion:", "  seed: -1\n  promotion:", "toy.seed", "or leave the key out for the default."),
        ("profile: cpu", "profile: cpuu", "", "Did you mean 'cpu'?"),
    ],
)
def test_a_typo_is_refused_with_its_place_and_the_nearest_key(
    tmp_path: Path, old: str, new: str, place: str, hint: str
) -> None:
    with pytest.raises(ParamsError) as caught:
        load(tmp_path, TEXT.replace(old, new))
    assert place in str(caught.value)
    assert hint in str(caught.value)


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
        PromotionParams(metric="a", floor=0.5).floor = 0.1  # type: ignore[misc]
