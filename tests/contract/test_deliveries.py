"""What every task promises of labels that arrive in several deliveries, whatever its layout."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sightline.capabilities import Excerpting
from sightline.pipeline.deliveries import merge, plan_merge
from sightline.pipeline.inbox import read_inbox
from sightline.pipeline.project import Project
from sightline.pipeline.sets import changing, load_given
from sightline.settings import Settings
from sightline.splits import read_splits
from sightline.task import Manifest
from tests.contract.subjects import ALL, Silent, tiny_params, tiny_task


@pytest.fixture(scope="module", params=ALL)
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    name = str(request.param)
    folder = tmp_path_factory.mktemp(name) / "mine"
    tiny_task(name).sample(folder, Silent())
    return name, folder


@pytest.fixture
def project(given: tuple[str, Path], tmp_path: Path) -> Project:
    name, _ = given
    return Project(Settings(root=tmp_path / "project"), tiny_params(name, 7), tiny_task(name))


def contents(manifest: Manifest) -> list[tuple[str, str, str]]:
    return sorted((s.sha256, s.labels_sha256, s.problem) for s in manifest.samples)


def together(manifest: Manifest) -> list[list[str]]:
    """Contents of the samples that no split may separate, a list for each group."""
    groups: dict[str, list[str]] = {}
    for sample in manifest.samples:
        groups.setdefault(sample.group, []).append(sample.sha256)
    return sorted(sorted(group) for group in groups.values())


JUNK = ("._{}", "{}.aux.xml", "{}.ovr", ".DS_Store", "Thumbs.db", "desktop.ini", "...png", "...tif")


def test_what_other_programs_leave_is_no_sample(given: tuple[str, Path], project: Project, tmp_path: Path) -> None:
    folder = shutil.copytree(given[1], tmp_path / "real")
    before = project.task.load(folder)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        for name in JUNK:
            path.with_name(name.format(path.name)).write_bytes(b"\0\5\x16\7")
    assert project.task.load(folder) == before


def test_suffixes_in_capitals_are_taken_in(given: tuple[str, Path], project: Project, tmp_path: Path) -> None:
    name, folder = given
    if name in ("bright_spots", "panel_defects", "ships", "battery_faults"):
        pytest.skip("its documents name the pictures, with their suffixes; tests/unit has what such a task promises")
    mine = shutil.copytree(folder, tmp_path / "mine")
    for path in [path for path in mine.rglob("*") if path.is_file()]:
        path.rename(path.with_suffix(path.suffix.upper()))
    for part in (0, 1):  # the second delivery finds common documents of the first, or shares names with it
        loaded = load_given(project.task, mine)
        later = set() if part else {sample.key for sample in loaded.samples[::2]}
        plan = plan_merge(project, loaded, "real", waiting=later)
        with changing(project):
            merge(project, loaded, plan, "real")
    assert contents(project.task.load(project.data / "real")) == contents(project.task.load(folder))
    assert all(path.suffix.isupper() for path in (project.data / "real").rglob("*") if path.is_file())


@pytest.mark.parametrize("role", ["image", "labels"])
def test_a_pipe_is_listed_at_once(given: tuple[str, Path], project: Project, tmp_path: Path, role: str) -> None:
    if given[0] == "bright_spots":
        pytest.skip("the tutorial's task is for its own synthetic set")
    folder = shutil.copytree(given[1], tmp_path / "real")
    samples = project.task.load(folder).samples
    path = folder / next(
        sample.input_file if role == "image" else sample.files[role]
        for sample in samples
        if role == "image" or role in sample.files
    )
    path.unlink()
    os.mkfifo(path)
    problems = [sample.problem for sample in project.task.load(folder).samples if sample.problem]
    assert any("named pipe" in problem and str(folder) not in problem for problem in problems)


def test_two_deliveries_under_the_same_names_are_one_set(given: tuple[str, Path], project: Project) -> None:
    mine = load_given(project.task, given[1])
    later = {sample.key for sample in mine.samples[::2]}
    plan = plan_merge(project, mine, "real", waiting=later)
    if plan.held:
        assert not isinstance(project.task, Excerpting), "a document that can be divided keeps nobody back"
        return
    with changing(project):
        merge(project, mine, plan, "real")
    first, places = project.task.load(project.data / "real"), read_splits(project.data / "splits.csv")
    assert contents(first) == sorted((s.sha256, s.labels_sha256, "") for s in mine.samples if s.key not in later)

    plan = plan_merge(project, mine, "real")
    assert ({sample.key for sample in plan.fresh}, plan.clashes, plan.held) == (later, {}, ())
    with changing(project):
        merge(project, mine, plan, "real")
    both = project.task.load(project.data / "real")
    assert contents(both) == contents(mine)
    assert together(both) == together(mine), "what belongs together still does"
    after = read_splits(project.data / "splits.csv")
    old = {sample.sha256: places["real", sample.group] for sample in first.samples}
    now = {sample.sha256: after["real", sample.group] for sample in both.samples}
    assert {content: now[content] for content in old} == old, "splits never move"

    again = plan_merge(project, mine, "real")
    assert (again.fresh, again.clashes, len(again.known)) == ((), {}, len(mine))


def test_what_stays_in_the_inbox_is_still_whole(given: tuple[str, Path], project: Project) -> None:
    inbox = project.settings.inbox / project.name
    shutil.copytree(given[1], inbox, ignore=shutil.ignore_patterns("shipsnet.json"))  # the same chips once more
    before = load_given(project.task, inbox)
    staying = before.samples[0]
    touched = before.path(staying)
    if sum(staying.input_file in sample.files.values() for sample in before.samples) > 1:
        pytest.skip("one file holds several inputs: all of them wait while it is being written")
    content = touched.read_bytes()
    touched.write_bytes(b"")
    box = read_inbox(project, "real", 0)
    if not box.ready:
        assert not isinstance(project.task, Excerpting), "a document that can be divided keeps nobody back"
        return
    with changing(project):
        merge(project, box.given, box.plan, "real")
    box.clear()
    touched.write_bytes(content)
    left = project.task.load(inbox)
    assert contents(left) == [(staying.sha256, staying.labels_sha256, "")]
    rest = [(s.sha256, s.labels_sha256, "") for s in before.samples if s.sha256 != staying.sha256]
    assert contents(project.task.load(project.data / "real")) == sorted(rest)

    with changing(project):
        box = read_inbox(project, "real", 0)
        merge(project, box.given, box.plan, "real")
    assert together(project.task.load(project.data / "real")) == together(before), "also what comes later"
