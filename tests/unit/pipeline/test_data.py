"""What `sightline data` refuses before it changes anything; tests/dvc has what it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import DataMissing, DataRejected, ParamsError
from sightline.pipeline import data
from sightline.pipeline.project import Project
from tests.toy import Silent, toy_project, write_set


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    root.mkdir()
    return toy_project(root, "real")


def snapshot(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_where_all_files_are_bad_they_are_named_and_nothing_changes(project: Project, tmp_path: Path) -> None:
    before, mine = snapshot(project.data), tmp_path / "mine"
    write_set(mine, groups=2, frames=2, seed=9)
    for path in mine.glob("*.txt"):
        path.unlink()
    with pytest.raises(DataRejected) as caught:
        data.add(project, mine)
    assert "none of 4 samples can be taken" in str(caught.value)
    assert "g9x0-0.png: g9x0-0.txt is missing; g9x0-1.png: g9x0-1.txt is missing" in str(caught.value)
    assert snapshot(project.data) == before


def test_the_same_name_with_other_content_is_refused(project: Project, tmp_path: Path) -> None:
    before, mine = snapshot(project.data), tmp_path / "mine"
    write_set(mine, groups=6, frames=4, seed=1, brightness=50)
    with pytest.raises(DataRejected, match=r"none of 24 .*: g1x0-0\.png is in the set with other content.*--set"):
        data.add(project, mine)
    assert snapshot(project.data) == before


def test_a_folder_without_the_layout_is_missing(project: Project, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DataMissing, match=r"no \*\.png"):
        data.add(project, tmp_path / "holiday")
    with pytest.raises(DataMissing, match="no such folder"):
        data.add(project, tmp_path / "nowhere")


def test_what_lies_in_data_already_is_refused(project: Project) -> None:
    with pytest.raises(DataRejected, match="in data/ already"):
        data.add(project, project.data / "real")


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "two words", "-x", "splits.csv"])
def test_names_of_sets_are_plain_words(project: Project, tmp_path: Path, name: str) -> None:
    with pytest.raises(ParamsError, match="not a valid name for a set"):
        data.add(project, tmp_path, name)


def test_where_nothing_is_published_fetch_says_so(project: Project) -> None:
    with pytest.raises(DataMissing, match="there are no published data for toy"):
        data.fetch(project, Silent())


def test_an_empty_inbox_takes_nothing(project: Project) -> None:
    assert data.take_in(project) == 0


def test_the_status_tells_of_the_inbox_and_of_the_pin(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    from sightline.cli.data import print_status

    print_status("toy", data.status(project))
    said = capsys.readouterr().out
    assert "No data are pinned yet" in said
    assert "inbox/toy: empty." in said
    document = {**data.status(project), "state": "modified", "data_version": "abc.dir"}
    document["inbox"] = {"ready": 1, "waiting": [], "refused": {f"{n}.png": "no labels" for n in range(12)}}
    print_status("toy", document)
    said = capsys.readouterr().out
    assert "differ from data.dvc (data version abc.dir)" in said
    assert "1 ready for the next run" in said
    assert "refused: 0.png: no labels" in said
    assert "and 2 more" in said
