"""Models as they are saved: restored as they were, with another threshold, and refused where they are not whole."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import pytest

from sightline.errors import ModelMissing, ModelRejected, ParamsError
from sightline.vision.saved import ModelKind, SavedModel, SavedRecipe


class Recipe(SavedRecipe):
    scale: float

    @property
    def files(self) -> AbstractSet[str]:
        return {"a.onnx"}


KIND = ModelKind("toy", Recipe, ("none", "spot"), ("image/png",), {}, thresholds=("spot",))


@dataclass
class Model(SavedModel[Recipe]):
    @staticmethod
    def kind_of(_: str, /) -> ModelKind[Recipe]:
        return KIND


def trained() -> Model:
    files = {"a.onnx": b"weights"}
    return Model(KIND.make_card("best", Recipe(scale=0.5), files, {"spot": 0.5}, {"seed": 1}), files)


def test_what_is_restored_is_what_was_saved(tmp_path: Path) -> None:
    trained().save(tmp_path)
    found = Model.restore(tmp_path)
    assert (found.card, found.files, found.recipe) == (trained().card, {"a.onnx": b"weights"}, Recipe(scale=0.5))


def test_another_threshold_makes_another_model() -> None:
    model = trained()
    assert model.with_threshold("spot", 0.9).card.thresholds == {"spot": 0.9}
    assert model.card.thresholds == {"spot": 0.5}
    with pytest.raises(ParamsError, match=r"1\.5 is not a probability"):
        model.with_threshold("spot", 1.5)


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match=r"card\.json is missing"):
        Model.restore(tmp_path)
    trained().save(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"other")
    with pytest.raises(ModelRejected, match=r"a\.onnx: the file was changed"):
        Model.restore(tmp_path)
