"""Data versions with the real git and DVC, on the toy task."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import md5, sha256
from pathlib import Path

import pytest

from sightline import versions
from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError
from sightline.pipeline import data
from sightline.pipeline.inbox import read_inbox
from sightline.pipeline.project import Project
from sightline.settings import Settings
from sightline.upstream import RemoteFile, Upstream
from tests.dvc.site import ROOT
from tests.toy import Silent, ToyTask, toy_project, write_set
from tests.unit.test_downloads import Answer, Server
from tests.unit.test_kaggle import Kaggle, kaggle, zipped

pytestmark = pytest.mark.slow

__all__ = ["kaggle"]  # a fixture of another file

GIT = ("git", "-c", "user.name=T", "-c", "user.email=t@example.org")


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def dvc(root: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


def commit(project: Project, subject: str) -> str:
    git(project.settings.root, "add", "--all")
    git(project.settings.root, "commit", "--quiet", "--message", subject)
    return git(project.settings.root, "rev-parse", "HEAD")


@pytest.fixture
def make_project(tmp_path: Path) -> Callable[..., Project]:
    """Makes a project folder with git and DVC as the real one has them; nothing is committed."""

    def make(name: str = "project", *sets: str) -> Project:
        root = tmp_path / name
        root.mkdir()
        for file in (".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore"):
            (root / file).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / file, root / file)
        git(root, "init", "--quiet")
        return toy_project(root, *sets)

    return make


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project()


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    write_set(tmp_path / "mine", groups=3, frames=2, seed=9)
    return tmp_path / "mine"


def write_sample(*projects: Project) -> str:
    return "\n".join(data.sample(projects, Silent()))


def pin_text(project: Project) -> str:
    return (project.settings.root / "data.dvc").read_text()


# -------------------------------------------------------------------------------------------------------- sample


def test_the_sample_is_the_same_in_a_fresh_clone(project: Project, tmp_path: Path) -> None:
    assert "Wrote 24 samples" in write_sample(project)
    commit(project, "Sample")
    version = versions.data_version(project.settings, "toy")
    assert write_sample(project) == f"The sample of toy exists already and is unchanged (data version {version})."

    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project.settings.root), str(clone))
    other = Project(Settings(root=clone), project.params, ToyTask(project.params))  # type: ignore[arg-type]
    said = write_sample(other)

    assert "Notice" not in said
    assert versions.data_version(other.settings, "toy") == version
    assert git(clone, "status", "--short") == "", "data.dvc is the committed one, to the letter"


def test_another_seed_is_another_version_with_a_notice(project: Project) -> None:
    write_sample(project)
    first = versions.data_version(project.settings, "toy")
    params = project.params.model_copy(update={"seed": 2})
    other = Project(project.settings, params, ToyTask(params))  # type: ignore[arg-type]
    said = write_sample(other)
    assert "Notice: data.dvc pinned other data before" in said
    assert versions.data_version(project.settings, "toy") != first
    assert versions.pin_state(project.settings, "toy") == "pinned"


def test_a_sample_that_was_touched_is_written_again(project: Project) -> None:
    write_sample(project)
    version = versions.data_version(project.settings, "toy")
    (project.data / "sample" / "g1x0-0.txt").write_text("1")
    assert versions.pin_state(project.settings, "toy") == "modified"
    assert "Wrote" in write_sample(project)
    assert versions.data_version(project.settings, "toy") == version


# ----------------------------------------------------------------------------------------------------------- add


def test_adding_twice_changes_nothing_and_more_files_join(project: Project, mine: Path) -> None:
    write_sample(project)
    said = data.add(project, mine)
    assert "Added 6 samples to the set real of toy (data version" in said
    before, places = pin_text(project), (project.data / "splits.csv").read_bytes()
    assert "Added 0 samples" in data.add(project, mine)
    assert (pin_text(project), (project.data / "splits.csv").read_bytes()) == (before, places)
    write_set(mine, groups=1, frames=2, seed=10)
    assert "Added 2 samples to the set real of toy; 6 were there already" in data.add(project, mine)
    assert set((project.data / "splits.csv").read_bytes().splitlines()) > set(places.splitlines())

    found = data.status(project)
    assert [(row["set"], row["samples"]) for row in found["sets"]] == [("real", 8), ("sample", 24)]
    assert all(row["train"] + row["validation"] + row["test"] == row["samples"] for row in found["sets"])
    assert (found["state"], found["data_version"]) == ("pinned", versions.data_version(project.settings, "toy"))


def test_data_that_could_not_be_pinned_are_pinned_by_the_next_call(project: Project, mine: Path) -> None:
    """As where another process of DVC held its lock just then."""
    shutil.copytree(mine, project.data / "real")
    assert "6 were there already" in data.add(project, mine)
    assert versions.pin_state(project.settings, "toy") == "pinned"


def test_a_set_of_another_name_is_told_to_be_unused(project: Project, mine: Path) -> None:
    assert "params.yaml does not use this set" in data.add(project, mine, "other_camera")


def test_sets_that_are_pinned_but_gone_are_not_forgotten(project: Project, mine: Path) -> None:
    write_sample(project)
    data.add(project, mine)
    before = pin_text(project)
    shutil.rmtree(project.data / "real")
    for change in (lambda: write_sample(project_again(project)), lambda: data.add(project, mine)):
        with pytest.raises(DataMissing, match=r"pins the set 'real'.*dvc checkout data\.dvc"):
            change()
    assert pin_text(project) == before
    dvc(project.settings.root, "checkout", "data.dvc")
    assert "Added 0 samples" in data.add(project, mine)


def project_again(project: Project) -> Project:
    """The same folder, as if the note of the sample had been lost."""
    shutil.rmtree(project.settings.build, ignore_errors=True)
    return project


def test_without_git_it_says_what_lacks(project: Project, mine: Path) -> None:
    shutil.rmtree(project.settings.root / ".git")
    with pytest.raises(DataMissing, match="git init"):
        data.add(project, mine)


def test_other_tasks_pins_stay_where_their_data_are_not_here(project: Project, mine: Path) -> None:
    (project.settings.data / "ships" / "sample").mkdir(parents=True)
    (project.settings.data / "ships" / "sample" / "a").write_text("a")
    write_sample(project)
    ships = versions.data_version(project.settings, "ships")
    shutil.rmtree(project.settings.data / "ships")
    data.add(project, mine)
    assert versions.data_version(project.settings, "ships") == ships


# ------------------------------------------------------------------------------------------------------- history


def test_versions_are_listed_and_gone_back_to(project: Project, mine: Path) -> None:
    write_sample(project)
    first = commit(project, "Sample")
    before = versions.data_version(project.settings, "toy")
    data.add(project, mine)
    second = commit(project, "Real data")

    found = data.list_versions(project)
    assert [(one["commit"], one["subject"]) for one in found] == [(second, "Real data"), (first, "Sample")]
    assert found[1]["version"] == before

    git(project.settings.root, "checkout", "--quiet", first)
    versions.checkout(project.settings, project.settings.root, "toy")
    assert not (project.data / "real").exists()
    assert data.status(project)["data_version"] == before


def test_a_worktree_gets_the_data_of_its_own_pin(project: Project, mine: Path, tmp_path: Path) -> None:
    write_sample(project)
    first = commit(project, "Sample")
    data.add(project, mine)
    tree = tmp_path / "tree"
    git(project.settings.root, "worktree", "add", "--quiet", "--detach", str(tree), first)
    versions.checkout(project.settings, tree, "toy")
    assert sorted(path.name for path in (tree / "data" / "toy").iterdir()) == ["sample", "splits.csv"]
    assert (project.data / "real").is_dir()
    (tree / "data.dvc").write_text(pin_text(project).replace("md5: ", "md5: 0"))
    with pytest.raises((DataMissing, DataRejected)):
        versions.checkout(project.settings, tree, "toy")


def test_changes_that_are_nowhere_else_are_not_overwritten(project: Project) -> None:
    write_sample(project)
    label = project.data / "sample" / "g1x0-0.txt"
    label.unlink()
    label.write_text("1, looked at by a person")
    with pytest.raises(DataRejected, match="not pinned"):
        versions.checkout(project.settings, project.settings.root, "toy")
    assert label.read_text() == "1, looked at by a person"


# ------------------------------------------------------------------------------------------------------- remotes


def test_a_folder_as_remote_gives_the_data_to_a_clone(project: Project, mine: Path, tmp_path: Path) -> None:
    settings = project.settings.model_copy(update={"dvc_remote": str(tmp_path / "remote")})
    shared = replace(project, settings=settings)
    write_sample(project)
    data.add(project, mine)
    commit(project, "Data")
    for _ in range(2):
        assert str(tmp_path / "remote") in data.push(shared)

    root = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project.settings.root), str(root))
    clone = replace(shared, settings=settings.model_copy(update={"root": root}))
    assert versions.data_version(settings, "toy") in data.pull(clone)
    assert len(list((clone.data / "real").iterdir())) == 12
    assert git(root, "status", "--short") == "", "the remote is this machine's own affair"

    shutil.rmtree(root / "data")
    shutil.rmtree(root / ".dvc" / "cache")
    other = clone.settings.model_copy(update={"dvc_remote": str(tmp_path / "nothing there")})
    with pytest.raises(DataMissing, match="remote does not hold the data of toy") as refused:
        data.pull(replace(clone, settings=other))
    assert "SIGHTLINE_DVC_REMOTE" in str(refused.value)
    assert [(one["commit"] != "", one["version"]) for one in data.list_versions(clone)] == [(True, "")], "told once"


def test_s3_keeps_what_a_person_set_beside_the_address(project: Project) -> None:
    bucket = {"dvc_remote": "s3://bucket/path", "dvc_endpoint_url": "http://127.0.0.1:9000"}
    settings = project.settings.model_copy(update=bucket)
    versions.configure_remote(settings)
    dvc(settings.root, "remote", "modify", "--local", "sightline", "profile", "mine")
    versions.configure_remote(settings)
    text = (settings.root / ".dvc" / "config.local").read_text()
    for line in ("url = s3://bucket/path", "endpointurl = http://127.0.0.1:9000", "profile = mine"):
        assert line in text


def test_without_a_remote_it_says_which_setting(project: Project) -> None:
    none = project.settings.model_copy(update={"dvc_remote": ""})
    with pytest.raises(ParamsError, match="SIGHTLINE_DVC_REMOTE"):
        data.push(replace(project, settings=none))


def test_a_folder_is_the_remote_where_none_is_set(project: Project) -> None:
    write_sample(project)
    assert str(project.settings.root / "state" / "remote") in data.push(project)
    assert any((project.settings.root / "state" / "remote").rglob("*"))


# --------------------------------------------------------------------------------------------------------- inbox


def test_labels_are_taken_in_once(project: Project) -> None:
    write_sample(project)
    inbox = project.settings.inbox / "toy"
    write_set(inbox, groups=3, frames=2, seed=9)
    (inbox / "g9x0-0.txt").unlink()
    assert data.take_in(project, settled_s=3600) == 0

    assert data.take_in(project, settled_s=0) == 5
    assert sorted(path.name for path in inbox.iterdir()) == ["g9x0-0.png", "refused.txt"]
    assert read_inbox(project, data.REAL, settled_s=0).refused == {"g9x0-0.png": "g9x0-0.txt is missing"}
    entry = project.events.last("toy", "intake")
    assert entry is not None
    assert len(entry.document["samples"]) == 5
    assert entry.document["data_version"] == versions.data_version(project.settings, "toy")
    assert data.take_in(project, settled_s=0) == 0

    (inbox / "g9x0-0.txt").write_text("0")
    assert data.take_in(project, settled_s=0) == 1
    assert list(inbox.iterdir()) == []
    assert len(project.events.history("toy", "intake")) == 2
    assert len(list((project.data / "real").glob("*.png"))) == 6


def test_labels_wait_while_a_stage_runs(project: Project) -> None:
    write_sample(project)
    write_set(project.settings.inbox / "toy", groups=1, frames=2, seed=9)
    command = f'{sys.executable} -c "import time; time.sleep(60)"'
    (project.settings.root / "dvc.yaml").write_text(
        f"stages:\n  slow:\n    cmd: {command}\n    deps: [data/toy]\n    outs: [build/slow]\n"
    )
    stage = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=project.settings.root,
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    try:
        lock = project.settings.root / ".dvc" / "tmp" / "rwlock"
        while not lock.is_file() or 'data/toy": [{' not in lock.read_text():
            time.sleep(0.05)
        with pytest.raises(BackendError, match="are being read"):
            data.take_in(project, settled_s=0)
        with pytest.raises(BackendError, match="another run is in progress"):
            versions.status(project.settings, ["slow"])
        with pytest.raises(BackendError, match="another run is in progress"):
            versions.repro(project.settings, "slow")
    finally:
        os.killpg(stage.pid, signal.SIGKILL)
        stage.communicate()
    assert data.take_in(project, settled_s=0) == 2
    assert versions.status(project.settings, ["slow"]) == ["slow"]


TAKE_IN = """
import sys
from pathlib import Path
from sightline.pipeline import data
from sightline.pipeline.project import Project
from sightline.settings import Settings
from tests.toy import PARAMS, ToyTask
project = Project(Settings(root=Path(sys.argv[1])), PARAMS, ToyTask(PARAMS))
sys.stdout.write("ready")
sys.stdout.flush()
data.take_in(project, settled_s=0)
"""


def test_killed_at_any_moment_nothing_is_lost_or_taken_twice(project: Project) -> None:
    write_sample(project)
    inbox = project.settings.inbox / "toy"
    chance = random.Random(5)
    written = 0
    for attempt in range(8):
        write_set(inbox, groups=2, frames=2, seed=100 + attempt)
        written += 4
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE_IN, str(project.settings.root)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stdout.read(5) == b"ready"
        time.sleep(chance.uniform(0, 0.02) if attempt % 2 else chance.uniform(0, 2.0))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        there = project.task.load(project.data / "real").samples if (project.data / "real").is_dir() else ()
        left = {path.stem for path in inbox.rglob("*.png")}
        assert {sample.id for sample in there} | left == {
            f"g{100 + n}x{group}-{frame}" for n in range(attempt + 1) for group in range(2) for frame in range(2)
        }
    data.take_in(project, settled_s=0)
    assert list(inbox.iterdir()) == []
    assert len(project.task.load(project.data / "real")) == written
    assert versions.pin_state(project.settings, "toy") == "pinned"
    assert project.load().samples, "every group has its split"
    entered = [key for entry in project.events.history("toy", "intake") for key in entry.document["samples"]]
    assert len(set(entered)) == written


# --------------------------------------------------------------------------------------------------------- fetch


def test_published_archives_are_downloaded_unpacked_and_added(project: Project, mine: Path) -> None:
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w") as archive:
        for path in mine.iterdir():
            archive.write(path, f"published/{path.name}")
    content = text.getvalue()
    server = Server()
    try:
        server.answers = [Answer(body=content)]
        url = server.url.replace("a.bin", "set.zip")
        task = ToyTask(project.params)  # type: ignore[arg-type]
        file = RemoteFile(url, f"sha256:{sha256(content).hexdigest()}")
        task.upstream = Upstream("https", "https://example.org/records/1", "CC BY 4.0", (file,))  # type: ignore[assignment]
        published = replace(project, task=task)
        said = data.fetch(published, Silent())
        assert "Added 6 samples to the set real" in said
        assert said.endswith("Source: https://example.org/records/1. Licence: CC BY 4.0.")
        assert "Added 0 samples" in data.fetch(published, Silent())
        assert len(server.asked) == 1
    finally:
        server.close()


def test_a_zenodo_record_is_asked_for_its_files_which_are_added(project: Project, mine: Path) -> None:
    content = zipped({path.name: path.read_bytes() for path in mine.iterdir()})
    server = Server()
    try:
        page = server.url.partition("/files/")[0] + "/records/1"
        entry = {"key": "set.zip", "checksum": f"md5:{md5(content).hexdigest()}", "links": {"self": f"{page}/content"}}
        listing = Answer(body=json.dumps({"files": [entry]}).encode())
        server.answers = [listing, Answer(body=content), listing]
        task = ToyTask(project.params)  # type: ignore[arg-type]
        task.upstream = Upstream("zenodo", page, "CC BY 4.0")  # type: ignore[assignment]
        published = replace(project, task=task)
        assert "Added 6 samples to the set real" in data.fetch(published, Silent())
        assert "Added 0 samples" in data.fetch(published, Silent())
        assert len(server.asked) == 3  # the file itself was not asked for again
    finally:
        server.close()


def test_a_competition_is_downloaded_unpacked_and_added(
    project: Project, mine: Path, kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archives in archives, as Kaggle keeps them; the second time its cache answers."""
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-token")
    inner = zipped({f"{path.name}": path.read_bytes() for path in mine.iterdir()})
    kaggle.bundle = zipped({"published.zip": inner, "__MACOSX/._published.zip": b"junk"})
    kaggle.md5 = md5(kaggle.bundle).digest()
    kaggle.stored_as = "set.zip"
    task = ToyTask(project.params)  # type: ignore[arg-type]
    task.upstream = Upstream("competition", "a-competition", "by its rules", names=("set.zip",))  # type: ignore[assignment]
    published = replace(project, task=task)
    said = data.fetch(published, Silent())
    assert "Added 6 samples to the set real" in said
    assert said.endswith("Source: a-competition. Licence: by its rules.")
    assert "Added 0 samples" in data.fetch(published, Silent())
    kaggle.status = 403
    with pytest.raises(DataMissing, match="rules of the competition"):
        data.fetch(published, Silent())
