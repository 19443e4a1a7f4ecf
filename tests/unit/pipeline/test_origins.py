"""What answers are made of: this program's own part."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.imports import closure
from sightline.pipeline.origins import Surroundings


@pytest.mark.parametrize(
    "module", ["shots.metadata", "drift.background", "drift.familiarity", "conditions", "pipeline.batch"]
)
def test_answers_are_made_anew_where_what_makes_them_is_another(module: str) -> None:
    assert f"sightline.{module}" in closure(["sightline.pipeline.batch"])


def test_how_a_page_looks_makes_no_answer() -> None:
    assert not {"sightline.cli.show", "sightline.pages"} & closure(["sightline.pipeline.batch"])


def test_a_world_file_that_cannot_be_read_is_there_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.tfw").mkdir()
    assert Surroundings().digests(tmp_path / "a.tif") == [("a.tfw", "")]
