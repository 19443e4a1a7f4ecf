"""What answers are made of: this program's own part."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import sightline
from sightline.pipeline.origins import Surroundings, digest_makers


@pytest.mark.parametrize("module", ["shots/metadata.py", "background.py", "familiarity.py", "pipeline/batch.py"])
def test_answers_are_made_anew_where_what_makes_them_is_another(tmp_path: Path, module: str) -> None:
    package = tmp_path / "sightline"
    shutil.copytree(Path(sightline.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    before = digest_makers(package)
    (package / "cli" / "show.py").write_text("# changed")
    assert digest_makers(package) == before
    with (package / module).open("a") as file:
        file.write("# changed")
    assert digest_makers(package) != before


def test_a_world_file_that_cannot_be_read_is_there_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.tfw").mkdir()
    assert Surroundings().digests(tmp_path / "a.tif") == [("a.tfw", "")]
