from __future__ import annotations

import json
from pathlib import Path

import pytest

from sightline.drift.background import UNKNOWN, Background, read_background, reference_rows, trained_on
from sightline.errors import ModelRejected
from sightline.task import Row, save_rows


def make_row(name: str, number: int, value: float) -> Row:
    return Row(f"{name}/{number}", "sha", f"g{number}", "a", {}, {"input_x": value}, (value,))


def write_evaluation(folder: Path, *sets: str, protocol: str = "holdout", reference: bool = True) -> Path:
    """Two samples trained on and one evaluated of each set."""
    folder.mkdir()
    lines = ["key,sha256,labels_sha256,group", *(f"{name}/{n},sha,sha,g" for name in sets for n in range(2))]
    (folder / "training.csv").write_text("\n".join(lines) + "\n")
    metrics = {"protocol": protocol, "main": [sets[0]], "sets": {name: {"n": 1, "metrics": {}} for name in sets}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    save_rows([make_row(name, 9, 1.0) for name in sets], folder / "rows.jsonl")
    if reference:
        rows = [make_row(name, n, 2.0) for name in sets for n in range(6)]
        save_rows(rows, folder / "reference.jsonl")
    return folder


def test_a_model_of_synthetic_pictures_alone_says_so(tmp_path: Path) -> None:
    background = read_background(write_evaluation(tmp_path / "evaluation", "sample"), "1a2b3c4d5e6f")
    assert background.only_synthetic
    assert str(background) == (
        "trained on 2 synthetic (sample); evaluated on 1 synthetic (sample); data 1a2b3c4d; "
        "the model has never seen a real input"
    )  # fmt: skip


def test_sets_are_told_apart(tmp_path: Path) -> None:
    document = read_background(write_evaluation(tmp_path / "evaluation", "real", "sample")).document()
    assert document["trained_on"] == [
        {"set": "real", "kind": "real", "n": 2},
        {"set": "sample", "kind": "synthetic", "n": 2},
    ]
    assert [part["n"] for part in document["evaluated_on"]] == [1, 1]
    assert document["only_synthetic"] is False


def test_what_is_not_known_is_told_as_that() -> None:
    assert str(UNKNOWN) == "what it was trained on is not known"
    assert UNKNOWN.document()["only_synthetic"] is None
    assert not UNKNOWN.only_synthetic


def test_a_version_without_a_reference_has_its_evaluated_rows(tmp_path: Path) -> None:
    (row,) = reference_rows(write_evaluation(tmp_path / "old", "real", reference=False))
    assert (row.row, row.embedding) == ({"input_x": 1.0}, (1.0,))
    (folded,) = reference_rows(write_evaluation(tmp_path / "folds", "real", protocol="folds", reference=False))
    assert (folded.row, folded.embedding) == ({"input_x": 1.0}, ())  # embedded by another network


def test_the_reference_is_what_inputs_are_compared_with(tmp_path: Path) -> None:
    background = read_background(write_evaluation(tmp_path / "evaluation", "real"))
    assert background.reference.groups == 6
    assert isinstance(background, Background)


@pytest.mark.parametrize("name", ["training.csv", "metrics.json", "reference.jsonl"])
@pytest.mark.parametrize("content", ["{", "[1]\n", "a\nb\n"])
def test_a_broken_evaluation_is_told_with_its_folder(tmp_path: Path, name: str, content: str) -> None:
    folder = write_evaluation(tmp_path / "evaluation", "real")
    (folder / name).write_text(content)
    with pytest.raises(ModelRejected, match="evaluation"):
        read_background(folder)


def test_training_alone_can_be_asked_for(tmp_path: Path) -> None:
    assert [str(part) for part in trained_on(write_evaluation(tmp_path / "e", "real"))] == ["2 real (real)"]
