from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sightline.errors import DataMissing, DataRejected
from sightline.pipeline.validate import validate_data
from tests.toy import split_again, toy_project


def test_sound_data_pass_and_the_verdict_lies_where_the_stage_expects_it(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample", "real")
    verdict = validate_data(project)
    assert verdict.passed
    assert verdict.samples == 48
    assert (tmp_path / "build/validation/toy/verdict.json").is_file()
    assert verdict.docs == tmp_path / "build/validation/toy/docs/index.html"


def test_the_synthetic_set_alone_is_held_out_by_split(tmp_path: Path) -> None:
    assert "train and test have samples" in validate_data(toy_project(tmp_path, "sample")).asked


def test_the_real_set_is_evaluated_in_folds(tmp_path: Path) -> None:
    assert "two folds or more have samples" in validate_data(toy_project(tmp_path, "sample", "real")).asked


def test_a_missing_label_file_stops_with_the_file_named(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample")
    next((project.data / "sample").glob("*-1.txt")).unlink()
    with pytest.raises(DataRejected, match=r"-1\.txt is missing"):
        validate_data(project).raise_if_failed()


def test_a_copy_of_an_image_in_another_split_stops(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "real", "sample")
    assert validate_data(project).passed
    for suffix in (".png", ".txt"):  # a frame of the real set slips into the synthetic one, as a flight of its own
        source = next((project.data / "real").glob(f"*-1{suffix}"))
        shutil.copy(source, project.data / "sample" / f"gnew-1{suffix}")
    split_again(project)
    with pytest.raises(DataRejected, match="no image is in two parts"):
        validate_data(project).raise_if_failed()


def test_what_the_task_expects_is_asked(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample")
    for label in (project.data / "sample").glob("*.txt"):
        label.write_text("0")
    with pytest.raises(DataRejected, match="both kinds are there"):
        validate_data(project).raise_if_failed()


def test_no_data_at_all_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="there is no data set"):
        validate_data(toy_project(tmp_path))
