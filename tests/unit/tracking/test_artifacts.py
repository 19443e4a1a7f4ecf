"""Files of a version: what is read is what was registered."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sightline.errors import ModelRejected
from sightline.tracking.artifacts import LIST, Fetched, list_digests, read_list, render, require, sha256_text


def write(folder: Path, text: str) -> Path:
    """The artifacts of a run: an evaluation with one figure, and the list of digests."""
    (folder / "evaluation" / "plots").mkdir(parents=True)
    (folder / "evaluation" / "metrics.json").write_text(text)
    (folder / "evaluation" / "plots" / "curve.csv").write_text("x,y\n")
    (folder / LIST).write_text(render(digests_of(folder)))
    return folder


def digests_of(folder: Path) -> dict[str, str]:
    return list_digests({"evaluation": tuple((folder / "evaluation").iterdir())})


class Store:
    """Artifacts of runs, by id; counts what is fetched."""

    def __init__(self, **runs: Path) -> None:
        self.runs = runs
        self.fetched: list[str] = []

    def open(self, cache: Path, run_id: str) -> Fetched:
        def fetch(name: str, folder: Path) -> None:
            self.fetched.append(name)
            source = self.runs[run_id] / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copy(source, folder / name)

        return Fetched(cache, run_id, fetch)


def test_all_files_of_all_folders_are_listed(tmp_path: Path) -> None:
    assert set(digests_of(write(tmp_path, "1"))) == {"evaluation/metrics.json", "evaluation/plots/curve.csv"}


@pytest.mark.parametrize("harm", ["other content", "absent", "folder absent"])
def test_files_that_are_not_those_that_were_registered_are_refused(tmp_path: Path, harm: str) -> None:
    folder = write(tmp_path, "0.875")
    listed = digests_of(folder)
    assert require(folder, "evaluation", listed) == folder / "evaluation"
    file = folder / "evaluation" / "metrics.json"
    match harm:
        case "other content":
            file.write_text("0.999")
        case "absent":
            file.unlink()
        case _:
            shutil.rmtree(folder / "evaluation")
    with pytest.raises(ModelRejected, match="evaluation"):
        require(folder, "evaluation", listed)


def test_a_list_that_is_not_the_registered_one_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "1") / LIST
    assert read_list(path, sha256_text(path.read_text())) == digests_of(tmp_path)
    with pytest.raises(ModelRejected, match="not the one that was registered"):
        read_list(path, "0" * 64)
    path.unlink()
    with pytest.raises(ModelRejected):
        read_list(path, "0" * 64)


def test_what_was_fetched_is_kept_and_each_run_has_its_own(tmp_path: Path) -> None:
    ours, theirs = write(tmp_path / "ours", "0.875"), write(tmp_path / "theirs", "0.704")
    store = Store(ours=ours, theirs=theirs)
    for _ in range(2):
        for run_id, figure in (("theirs", "0.704"), ("ours", "0.875")):
            found = store.open(tmp_path / "cache", run_id).require("evaluation", digests_of(tmp_path / run_id))
            assert (found / "metrics.json").read_text() == figure
    assert store.fetched == ["evaluation"] * 2


@pytest.mark.parametrize("listed", [True, False])
def test_what_was_changed_since_it_came_is_fetched_again(tmp_path: Path, listed: bool) -> None:
    run = write(tmp_path / "run", "0.875")
    store, expected = Store(run=run), digests_of(run) if listed else None
    found = store.open(tmp_path / "cache", "run").require("evaluation", expected)
    (found / "metrics.json").write_text("0.999")
    again = store.open(tmp_path / "cache", "run").require("evaluation", expected)
    assert (again / "metrics.json").read_text() == "0.875"
    (again.parent / f"evaluation.{LIST}").write_text("{")  # a kill cannot leave this, a full disk may
    store.open(tmp_path / "cache", "run").require("evaluation", expected)
    assert store.fetched == ["evaluation"] * 3


def test_what_comes_from_elsewhere_must_be_what_was_registered(tmp_path: Path) -> None:
    run = write(tmp_path / "run", "0.875")
    listed = digests_of(run)
    (run / "evaluation" / "metrics.json").write_text("0.999")
    with pytest.raises(ModelRejected, match=r"metrics\.json"):
        Store(run=run).open(tmp_path / "cache", "run").require("evaluation", listed)


def test_an_absent_artifact_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match="has no sources"):
        Store(run=write(tmp_path / "run", "1")).open(tmp_path / "cache", "run").require("sources", None)
    assert not list((tmp_path / "cache").rglob("*.partial"))
