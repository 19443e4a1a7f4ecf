"""Sets change whole or not at all, and no sample changes its split."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from sightline.errors import BackendError, DataMissing, DataRejected
from sightline.limits import USUAL, Limits
from sightline.pipeline.deliveries import merge, plan_merge
from sightline.pipeline.project import Project
from sightline.pipeline.sets import changing, load_given, replace_set
from sightline.splits import SplitFold, read_splits, write_splits
from sightline.task import Manifest
from tests.toy import toy_project, write_set


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return toy_project(tmp_path / "project", "real")


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def given(project: Project, folder: Path, seed: int = 9) -> Manifest:
    write_set(folder, groups=2, frames=2, seed=seed)
    return load_given(project.task, folder)


def merge_all(project: Project, manifest: Manifest, name: str = "real") -> None:
    with changing(project):
        merge(project, manifest, plan_merge(project, manifest, name), name)


# ---------------------------------------------------------------------------------------------- whole or not at all


def test_samples_join_a_set_and_get_a_split(project: Project, tmp_path: Path) -> None:
    before, places = contents(project.data / "real"), read_splits(project.data / "splits.csv")
    mine = contents(tmp_path / "mine") if given(project, tmp_path / "mine") else {}
    merge_all(project, load_given(project.task, tmp_path / "mine"))
    assert contents(project.data / "real") == {**before, **mine}
    after = read_splits(project.data / "splits.csv")
    assert {key: after[key] for key in places} == places
    assert ("real", "g9x0") in after
    assert sorted(path.name for path in project.data.iterdir()) == ["real", "splits.csv"]


def test_a_copy_is_no_link_to_the_persons_file(project: Project, tmp_path: Path) -> None:
    merge_all(project, given(project, tmp_path / "mine"))
    (tmp_path / "mine" / "g9x0-0.txt").write_text("1, changed afterwards")
    assert (project.data / "real" / "g9x0-0.txt").read_text() == "0"


def test_a_broken_set_is_not_put_in_place(project: Project) -> None:
    before, places = contents(project.data), read_splits(project.data / "splits.csv")

    def fill(folder: Path) -> None:
        write_set(folder, groups=1, frames=2, seed=5)
        (folder / "g5x0-0.txt").unlink()

    with changing(project), pytest.raises(DataRejected, match=r"1 of 2 .* g5x0-0\.png: g5x0-0\.txt is missing"):
        replace_set(project, "real", fill)
    assert contents(project.data) == before
    assert read_splits(project.data / "splits.csv") == places


def test_files_that_change_while_they_are_copied_are_noticed(project: Project, tmp_path: Path) -> None:
    before = contents(project.data)
    manifest = given(project, tmp_path / "mine")
    (tmp_path / "mine" / "g9x1-1.txt").write_text("0")
    with pytest.raises(DataRejected, match=r"for example g9x1-1\.png"):
        merge_all(project, manifest)
    assert contents(project.data) == before


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing beyond `size` fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_everything_as_it_was(project: Project, tmp_path: Path) -> None:
    before, manifest = contents(project.data), given(project, tmp_path / "mine")
    with pytest.raises(BackendError, match=r"nothing has changed.*Free some space"), largest_file(100):
        merge_all(project, manifest)
    assert contents(project.data) == before


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = toy_project(tmp_path / "project")
    (tmp_path / "project" / "data").write_text("a file where a folder belongs")
    manifest = given(project, tmp_path / "mine")
    with pytest.raises(BackendError, match="cannot be written"):
        merge_all(project, manifest)


@pytest.mark.parametrize("moment", ["prepared", "first rename", "second rename"])
def test_what_a_kill_leaves_is_put_right_by_the_next_change(project: Project, moment: str) -> None:
    place, incoming = project.data / "real", project.data / ".incoming.partial"
    before = contents(place)
    (incoming / "real").mkdir(parents=True)
    (incoming / "real" / "half.png").write_bytes(b"half")
    if moment != "prepared":
        place.rename(project.data / ".real.old.partial")
    if moment == "second rename":
        shutil.copytree(project.data / ".real.old.partial", place)
        (place / "new.txt").write_text("of the change that was killed")
    with changing(project):
        pass
    after = contents(place)
    assert {**before, **({"new.txt": b"of the change that was killed"} if moment == "second rename" else {})} == after
    assert sorted(path.name for path in project.data.iterdir()) == ["real", "splits.csv"]


def test_two_changes_at_once_exclude_each_other(project: Project) -> None:
    project.settings.state.mkdir(exist_ok=True)
    other = FileLock(project.settings.state / "data.lock")
    with other, pytest.raises(BackendError, match="another command"), changing(project, patience_s=0.1):
        raise AssertionError("it must not come here")


def test_nothing_changes_while_a_stage_reads(project: Project) -> None:
    (project.settings.root / ".dvc" / "tmp").mkdir(parents=True)
    reader = {"pid": os.getpid(), "cmd": "dvc repro -s train-toy@threshold"}
    locks = {"read": {str(project.data): [reader]}, "write": {}}
    (project.settings.root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(locks))
    with pytest.raises(BackendError, match=r"dvc repro -s train-toy@threshold"), changing(project):
        raise AssertionError("it must not come here")


@pytest.mark.parametrize("place", ["data", "data/toy", "data/toy/real"])
def test_data_behind_a_link_are_refused_before_anything_is_copied(project: Project, tmp_path: Path, place: str) -> None:
    path = project.settings.root / place
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    with pytest.raises(DataRejected, match=r"symbolic link.*mount"):
        merge_all(project, given(project, tmp_path / "mine"))
    assert contents(tmp_path / "elsewhere") == before


def test_a_name_that_is_not_utf_8_is_listed(project: Project, tmp_path: Path) -> None:
    write_set(tmp_path / "mine", groups=1, frames=2, seed=3)
    for suffix in (".png", ".txt"):
        (tmp_path / "mine" / f"g3x0-0{suffix}").rename(tmp_path / "mine" / os.fsdecode(b"\xff" + suffix.encode()))
    bad, good = sorted(load_given(project.task, tmp_path / "mine").samples, key=lambda sample: not sample.problem)
    assert (good.id, good.problem) == ("g3x0-1", "")
    assert bad.problem == "\\udcff.png: the name is not UTF-8. Rename the file."
    assert bad.id.isascii()


# ------------------------------------------------------------------------------------------------------- merging


def test_what_the_set_has_is_known_and_what_differs_clashes(project: Project, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(project.data / "real", mine)
    keys = sorted(path.stem for path in mine.glob("*.png"))
    (mine / f"{keys[0]}.txt").write_text(str(1 - int((mine / f"{keys[0]}.txt").read_text())))  # corrected by hand
    shutil.copy(mine / f"{keys[1]}.png", mine / f"{keys[2]}.png")  # another picture under this name
    for suffix in (".png", ".txt"):  # the same picture under another name
        (mine / f"{keys[3]}{suffix}").rename(mine / f"renamed{suffix}")
    write_set(mine, groups=1, frames=1, seed=77)

    manifest = load_given(project.task, mine)
    plan = plan_merge(project, manifest, "real")

    assert [sample.id for sample in plan.fresh] == ["g77x0-0"]
    assert set(plan.clashes) == {f"mine/{keys[0]}", f"mine/{keys[2]}"}
    assert "with other labels" in plan.clashes[f"mine/{keys[0]}"]
    assert "occurs twice" in plan.clashes[f"mine/{keys[2]}"]
    assert "renamed" in {sample.id for sample in plan.known}


def test_a_set_that_is_not_there_yet_takes_all(project: Project, tmp_path: Path) -> None:
    plan = plan_merge(project, given(project, tmp_path / "mine"), "new")
    assert (len(plan.fresh), len(plan.known), plan.clashes) == (4, 0, {})


@pytest.mark.parametrize("depth", ["", "mirror", "mirror/of/a/mirror"])
def test_the_layout_is_found_however_deep_a_mirror_nested_it(project: Project, tmp_path: Path, depth: str) -> None:
    write_set(tmp_path / "mine" / depth, groups=1, frames=2, seed=3)

    class Nested:
        """Lists files below folders too, as tasks do whose mirrors are nested."""

        def load(self, root: Path, limits: Limits = USUAL) -> Manifest:
            folders = sorted({path.parent for path in root.rglob("*.png")})
            if not folders:
                raise DataMissing("no *.png is here", where=root)
            samples = project.task.load(folders[0], limits).samples
            inner = folders[0].relative_to(root)
            files = [{role: (inner / name).as_posix() for role, name in s.files.items()} for s in samples]
            return Manifest(
                root.parent,
                tuple(replace(s, set=root.name, files=f) for s, f in zip(samples, files, strict=True)),
            )

    manifest = load_given(Nested(), tmp_path / "mine")  # type: ignore[arg-type]
    assert [sample.files["image"] for sample in manifest.samples] == ["g3x0-0.png", "g3x0-1.png"]
    assert all(manifest.path(sample).is_file() for sample in manifest.samples)


@pytest.mark.parametrize("depth", ["inner", "a/b/c"])
def test_the_layout_is_looked_for_while_there_is_one_way_down(project: Project, tmp_path: Path, depth: str) -> None:
    mine = tmp_path / "mine"
    write_set(mine / depth, groups=1, frames=2, seed=3)
    (mine / ".complete").mkdir()
    assert len(load_given(project.task, mine)) == 2
    (mine / "second").mkdir()
    with pytest.raises(DataMissing) as caught:
        load_given(project.task, mine)
    assert caught.value.where == str(mine)


def test_a_folder_that_is_not_there_is_missing(project: Project, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no such folder"):
        load_given(project.task, tmp_path / "nowhere")


# -------------------------------------------------------------------------------------------------------- splits


def test_a_group_that_gets_another_name_keeps_its_place(project: Project) -> None:
    """More frames of a flight may change the name that its group has."""
    real, places = project.data / "real", read_splits(project.data / "splits.csv")

    def rename(folder: Path) -> None:
        for file in real.iterdir():
            shutil.copy(file, folder / file.name.replace("g1x", "flight"))

    with changing(project):
        replace_set(project, "real", rename)
    after = read_splits(project.data / "splits.csv")
    assert {g: after["real", f"flight{g}"] for g in range(6)} == {g: places["real", f"g1x{g}"] for g in range(6)}


def test_where_groups_join_training_wins(project: Project) -> None:
    """Frames between two flights may show that both are one: no test sample may have been trained on."""
    path, real = project.data / "splits.csv", project.data / "real"
    groups = sorted({s.group for s in project.task.load(real).samples})
    write_splits(path, {("real", g): SplitFold("test" if n else "train", n % 3) for n, g in enumerate(groups)})

    def join(folder: Path) -> None:
        for number, file in enumerate(sorted(real.glob("*.png"))):
            shutil.copy(file, folder / f"joined-{number}.png")
            shutil.copy(file.with_suffix(".txt"), folder / f"joined-{number}.txt")

    with changing(project):
        replace_set(project, "real", join)
    assert read_splits(path)["real", "joined"] == SplitFold("train", 0)
