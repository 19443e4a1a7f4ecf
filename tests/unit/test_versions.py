"""What can be said of versions without running DVC; tests/dvc runs it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightline import versions
from sightline.errors import (
    BackendError,
    DataMissing,
    DataRejected,
    ModelMissing,
    ParamsError,
    RequestError,
    SightlineError,
)
from sightline.settings import Settings
from sightline.versions.program import discard_broken_lock, environment, handed_over, living_in, translate, users


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


def pin(root: Path, files: dict[str, str], cache: Path | None = None) -> str:
    """Write data.dvc and the list of files in the cache, as DVC does."""
    entries = [{"md5": hashlib.md5(text.encode()).hexdigest(), "relpath": name} for name, text in sorted(files.items())]
    text = json.dumps(entries, sort_keys=True)
    md5 = hashlib.md5(text.encode()).hexdigest() + ".dir"
    path = (cache or root / ".dvc" / "cache") / "files" / "md5" / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (root / "data.dvc").write_text(f"outs:\n- md5: {md5}\n  nfiles: {len(files)}\n  hash: md5\n  path: data\n")
    return md5


# ------------------------------------------------------------------------------------------------- data versions


def test_the_version_of_a_task_is_the_hash_that_dvc_lock_records(settings: Settings) -> None:
    pin(settings.root, {"pv/sample/a": "a\n", "pd/sample/c": "c\n"})
    # What `dvc repro` wrote into dvc.lock for a stage that reads data/pv with this one file.
    assert versions.data_version(settings, "pv") == "5b76eec1aaae442eae7bc06a3c758a40.dir"


def test_whether_the_disk_holds_what_is_pinned(settings: Settings) -> None:
    files = {"pv/real/a": "1", "pv/splits.csv": "s", "ships/x": "3"}
    assert versions.pin_state(settings, "pv") == "not pinned"
    pin(settings.root, files)
    for name, text in files.items():
        (settings.data / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.data / name).write_text(text)
    (settings.root / ".dvcignore").write_text("# a remark\n*.partial\n.DS_Store\n/src/**/*.md\n")
    for name in ("pv/real/.DS_Store", "pv/.incoming.partial/half"):
        (settings.data / name).parent.mkdir(exist_ok=True)
        (settings.data / name).write_text("not ours")
    assert versions.pin_state(settings, "pv") == "pinned"
    assert versions.pin_state(settings, "pd") == "not pinned"
    (settings.data / "ships/x").write_text("another task's")
    assert versions.pin_state(settings, "pv") == "pinned"
    (settings.data / "pv/real/a").write_text("2")
    assert versions.pin_state(settings, "pv") == "modified"
    (settings.data / "pv/real/a").write_text("1")
    (settings.data / "pv/real/b").write_text("put there by hand")
    assert versions.pin_state(settings, "pv") == "modified"


def test_another_tasks_data_do_not_change_the_version(settings: Settings) -> None:
    pin(settings.root, {"pv/real/a": "1", "pv_more/real/a": "1"})
    before = versions.data_version(settings, "pv")
    pin(settings.root, {"pv/real/a": "1", "pv_more/real/a": "2", "ships/x": "3"})
    assert versions.data_version(settings, "pv") == before
    pin(settings.root, {"pv/real/a": "2", "pv_more/real/a": "2"})
    assert versions.data_version(settings, "pv") != before


def test_data_that_were_never_pinned_say_how_to_get_them(settings: Settings) -> None:
    with pytest.raises(DataMissing, match="sightline data sample pv"):
        versions.data_version(settings, "pv")
    assert versions.pin(settings) == ""
    assert versions.absent_sets(settings, "pv") == ()


def test_a_pin_whose_files_are_unknown_here_is_told_from_no_pin(settings: Settings) -> None:
    (settings.root / "data.dvc").write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: data\n")
    with pytest.raises(DataMissing, match=r"cache does not hold.*dvc pull"):
        versions.data_version(settings, "pv")


def test_a_task_that_is_not_pinned_is_missing(settings: Settings) -> None:
    pin(settings.root, {"ships/sample/a": "1"})
    with pytest.raises(DataMissing, match="no data of pv are pinned"):
        versions.data_version(settings, "pv")


@pytest.mark.parametrize(
    "text", ["", "outs: []", "outs:\n- md5: x\n  path: elsewhere\n", ": : :", "outs:\n- path: data"]
)
def test_a_broken_pin_is_refused(settings: Settings, text: str) -> None:
    (settings.root / "data.dvc").write_text(text)
    with pytest.raises(DataRejected, match=r"git checkout data\.dvc"):
        versions.pin(settings)


def test_a_damaged_cache_is_refused(settings: Settings) -> None:
    md5 = pin(settings.root, {"pv/a": "1"})
    (settings.root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]).write_text("[{")
    with pytest.raises(DataRejected, match="damaged"):
        versions.data_version(settings, "pv")


@pytest.mark.parametrize("absolute", [True, False])
def test_the_cache_may_be_elsewhere(settings: Settings, absolute: bool) -> None:
    elsewhere = settings.root / "elsewhere"
    pin(settings.root, {"pv/a": "1"}, cache=elsewhere)
    (settings.root / ".dvc").mkdir(exist_ok=True)
    (settings.root / ".dvc" / "config").write_text("[cache]\n    dir = nowhere\n")
    where = elsewhere if absolute else "../elsewhere"
    (settings.root / ".dvc" / "config.local").write_text(
        f"[cache]\n    dir = {where}\n['remote \"x\"']\n    url = /x%20y\n"
    )
    assert versions.data_version(settings, "pv").endswith(".dir")


def test_sets_that_are_pinned_but_gone_are_named(settings: Settings) -> None:
    pin(settings.root, {"pv/real/a": "1", "pv/sample/b/c": "1", "pv/splits.csv": "x"})
    (settings.data / "pv" / "sample").mkdir(parents=True)
    assert versions.absent_sets(settings, "pv") == ("real",)


# -------------------------------------------------------------------------------------------------------- stages

LOCK = """
schema: '2.0'
stages:
  train-pv@net:
    cmd: sightline train pv
    deps:
    - {path: data/pv, hash: md5, md5: aa.dir, size: 2, nfiles: 1}
    params: {params.yaml: {pv.seed: 1}}
    outs:
    - {path: build/models/pv/net, hash: md5, md5: bb.dir, size: 52, nfiles: 1}
"""


def test_the_stage_key_follows_what_a_stage_read_and_wrote(settings: Settings) -> None:
    lock = settings.root / "dvc.lock"
    lock.write_text(LOCK)
    key = versions.stage_key(settings, "train-pv@net")
    assert len(key) == 64
    lock.write_text(LOCK + "  other@x: {cmd: y}\n")
    assert versions.stage_key(settings, "train-pv@net") == key
    for old, new in (("aa.dir", "ab.dir"), ("pv.seed: 1", "pv.seed: 2"), ("bb.dir", "bc.dir"), ("train pv", "train")):
        lock.write_text(LOCK.replace(old, new))
        assert versions.stage_key(settings, "train-pv@net") != key, old


def test_the_data_that_a_stage_read(settings: Settings) -> None:
    (settings.root / "dvc.lock").write_text(LOCK)
    assert versions.stage_data(settings, "train-pv@net", "pv") == "aa.dir"
    with pytest.raises(DataMissing, match="does not read data/ships"):
        versions.stage_data(settings, "train-pv@net", "ships")


def test_a_stage_that_has_not_run_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(DataMissing, match=r"evaluate-pv@net has not run yet.*sightline run pv"):
        versions.stage_key(settings, "evaluate-pv@net")
    (settings.root / "dvc.lock").write_text(LOCK)
    with pytest.raises(DataMissing):
        versions.stage_key(settings, "evaluate-pv@net")


def test_a_broken_lock_file_is_refused(settings: Settings) -> None:
    (settings.root / "dvc.lock").write_text("<<<<<<< HEAD\n")
    with pytest.raises(DataRejected, match=r"git checkout dvc\.lock"):
        versions.stage_key(settings, "train-pv@net")


# -------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("said", "kind", "word"),
    [
        ("ERROR: /x is not a git repository\n", DataMissing, "git init"),
        ("ERROR: you are not inside of a DVC repository (checked up to mount point '/')", DataMissing, "git init"),
        (
            "ERROR: failed to reproduce 'a': '/x/b' is busy, it is being blocked by:\n  (PID 1): dvc",
            BackendError,
            "another",
        ),
        ("ERROR: Unable to acquire lock. Most likely another DVC process is running", BackendError, "another run"),
        ("ERROR: unexpected error - [Errno 28] No space left on device: '/x'", BackendError, "space"),
        ("ERROR: 'x' does not exist as an output or a stage name in 'dvc.yaml'", ParamsError, "params.yaml"),
        ("'./dvc.yaml' is invalid.\n\nWhile parsing a flow sequence", ParamsError, "flow sequence"),
        ("ERROR: failed to push data to the cloud - config file error: no remote specified", ParamsError, "DVC_REMOTE"),
        ("ERROR: unexpected error - s3 is supported, but requires 'dvc-s3' to be installed", ParamsError, "extra `s3`"),
        ("ERROR: Checkout failed for following targets:\ndata\nIs your cache up to date?", DataMissing, "dvc pull"),
        (
            "ERROR: unexpected error - Can't remove the following unsaved files without",
            DataRejected,
            "checkout --force",
        ),
        ("ERROR: something new\n", BackendError, "something new"),
        ("", BackendError, "no reason"),
    ],
)
def test_what_dvc_says_becomes_our_error(tmp_path: Path, said: str, kind: type[SightlineError], word: str) -> None:
    error = translate(said, tmp_path, ["status"])
    assert type(error) is kind
    assert word in str(error)


def hold(root: Path, path: Path, process: int, mode: str = "read") -> None:
    """Write DVC's file of locks as a stage that runs does."""
    holder = {"pid": process, "cmd": "/x/dvc/__main__.py repro -s train-pv@net"}
    (root / ".dvc" / "tmp").mkdir(parents=True, exist_ok=True)
    document = {"read": {str(path): [holder]}} if mode == "read" else {"write": {str(path): holder}}
    (root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(document))


@pytest.mark.parametrize("mode", ["read", "write"])
def test_data_in_use_are_not_changed(settings: Settings, mode: str) -> None:
    versions.require_idle(settings)
    hold(settings.root, settings.data / "pv", os.getpid(), mode)
    with pytest.raises(BackendError, match=rf"process {os.getpid()}: dvc repro -s train-pv@net"):
        versions.require_idle(settings)


def test_locks_of_dead_processes_and_of_other_folders_do_not_count(settings: Settings) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    hold(settings.root, settings.data / "pv", dead.pid)
    versions.require_idle(settings)
    hold(settings.root, settings.root / "database", os.getpid())
    versions.require_idle(settings)
    assert users(settings.root, settings.root) == {os.getpid(): "dvc repro -s train-pv@net"}


def broken_lock(root: Path, text: str) -> Path:
    path = root / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", ["", '{"read": {"/srv', "[]", "\0\0\0\0"])
def test_locks_that_a_full_disk_left_truncated_are_discarded(settings: Settings, text: str) -> None:
    path = broken_lock(settings.root, text)
    discard_broken_lock(settings.root, patience_s=0.05)
    assert not path.exists()


def test_whole_locks_stay(settings: Settings) -> None:
    hold(settings.root, settings.data / "pv", os.getpid())
    before = (settings.root / ".dvc" / "tmp" / "rwlock").read_text()
    discard_broken_lock(settings.root, patience_s=0.0)
    assert (settings.root / ".dvc" / "tmp" / "rwlock").read_text() == before


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the system does not list processes in /proc")
def test_broken_locks_stay_while_dvc_is_at_work_here(settings: Settings) -> None:
    path = broken_lock(settings.root, "{")
    sleeping = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "-m", "dvc"]
    with subprocess.Popen(sleeping, cwd=settings.root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as living:
        assert living.stdout is not None
        living.stdout.readline()
        assert living_in(settings.root) == [living.pid]
        with pytest.raises(BackendError, match=rf"running \(process {living.pid}\).*Wait until it has ended"):
            discard_broken_lock(settings.root, patience_s=0.05)
        assert path.exists()
        living.communicate()
    discard_broken_lock(settings.root, patience_s=0.05)
    assert not path.exists()


@pytest.mark.parametrize(
    "error",
    [
        DataRejected("the gate is closed", where="data/pv", way_out="See the Data Docs."),
        ModelMissing("no model"),
        RequestError("too large", status=413),
        BackendError("disk full", where="/x"),
    ],
)
def test_an_error_goes_through_dvc_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: SightlineError
) -> None:
    file = tmp_path / "error.json"
    monkeypatch.setenv("SIGHTLINE_ERROR_FILE", str(file))
    assert handed_over(file) is None
    versions.hand_over(error)
    again = handed_over(file)
    assert type(again) is type(error)
    assert str(again) == str(error)


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_half_an_error_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "error.json").write_text(text)
    assert handed_over(tmp_path / "error.json") is None


def test_nothing_is_handed_over_where_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_ERROR_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    versions.hand_over(DataRejected("x"))
    assert list(tmp_path.iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- git


def git(root: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", "-C", str(root), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout


def commit_all(root: Path, subject: str) -> str:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", subject)
    return git(root, "rev-parse", "HEAD").strip()


def test_versions_are_listed_newest_first_and_only_where_this_task_changed(settings: Settings) -> None:
    root = settings.root
    git(root, "init", "--quiet")
    (root / ".gitignore").write_text(".dvc/cache\n")
    pin(root, {"pv/a": "1"})
    first = commit_all(root, "First data")
    pin(root, {"pv/a": "1", "ships/a": "1"})
    commit_all(root, "Ships' data")
    pin(root, {"pv/a": "1", "pv/b": "2", "ships/a": "1"})
    third = commit_all(root, "More data: é")
    pin(root, {"pv/a": "3"})

    found = versions.history(settings, "pv")

    assert [(one.commit, one.subject, one.files) for one in found] == [
        ("", "", 1),
        (third, "More data: é", 2),
        (first, "First data", 1),
    ]
    assert found[0].version == versions.data_version(settings, "pv")
    assert len({one.version for one in found}) == 3
    assert found[1].date.startswith("20")


def test_a_pin_from_elsewhere_is_listed_without_its_hash(settings: Settings) -> None:
    git(settings.root, "init", "--quiet")
    (settings.root / "data.dvc").write_text("outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: data\n")
    commit_all(settings.root, "From a colleague")
    assert [(one.version, one.files) for one in versions.history(settings, "pv")][-1] == ("", 0)


def test_before_the_first_commit_there_is_only_what_is_pinned(settings: Settings) -> None:
    git(settings.root, "init", "--quiet")
    assert versions.history(settings, "pv") == []
    assert versions.commit(settings) == ""
    assert versions.diff(settings) == ""
    pin(settings.root, {"pv/a": "1"})
    assert [one.commit for one in versions.history(settings, "pv")] == [""]


def test_without_git_the_history_says_what_lacks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataMissing, match="not a git repository"):
        versions.history(settings, "pv")
    monkeypatch.setenv("PATH", str(settings.root))
    with pytest.raises(DataMissing, match="git is not installed"):
        versions.history(settings, "pv")
    assert versions.commit(settings) == ""


def test_the_diff_rebuilds_the_files_from_the_commit(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = settings.root
    git(root, "init", "--quiet")
    (root / "src").mkdir()
    (root / "src" / "old.py").write_text("a = 1\n")
    (root / "params.yaml").write_text("seed: 1\n")
    commit = commit_all(root, "Code")
    (root / "src" / "old.py").write_text("a = 2\n")
    (root / "src" / "naïve new.py").write_text("b = 1\n")
    (root / "params.yaml").write_text("seed: 2\n")
    (root / "holiday.jpg").write_bytes(b"\xff\xd8 private")
    patch = tmp_path_factory.mktemp("patch") / "diff.patch"
    patch.write_text(versions.diff(settings), encoding="utf-8")

    copy = tmp_path_factory.mktemp("copy") / "tree"
    git(root, "worktree", "add", "--detach", "--quiet", str(copy), commit)
    git(copy, "apply", str(patch))

    assert (copy / "src" / "old.py").read_text() == "a = 2\n"
    assert (copy / "src" / "naïve new.py").read_text() == "b = 1\n"
    assert (copy / "params.yaml").read_text() == "seed: 2\n"
    assert not (copy / "holiday.jpg").exists()
    git(root, "worktree", "remove", "--force", str(copy))


def test_nothing_differs_right_after_a_commit(settings: Settings) -> None:
    git(settings.root, "init", "--quiet")
    (settings.root / "params.yaml").write_text("seed: 1\n")
    commit_all(settings.root, "Code")
    assert versions.diff(settings) == ""


def committed(root: Path) -> str:
    """A project in a repository of its own."""
    root.mkdir(exist_ok=True)
    git(root, "init", "--quiet")
    (root / "src").mkdir()
    (root / "src" / "code.py").write_text("a = 1\n")
    (root / "params.yaml").write_text("seed: 1\n")
    (root / "data.dvc").write_text("outs: []\n")
    (root / "dvc.lock").write_text("stages: {}\n")
    return commit_all(root, f"Code of {root.name}")


def test_the_commit_is_that_of_the_project_also_within_a_hook_of_another_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git sets these variables in hooks and in `rebase --exec`."""
    mine, other = committed(tmp_path / "mine"), committed(tmp_path / "other")
    assert mine != other
    (tmp_path / "mine" / "params.yaml").write_text("seed: 2\n")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "other"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "other" / ".git" / "index"))
    settings = Settings(root=tmp_path / "mine")
    assert versions.commit(settings) == mine
    assert versions.code_state(settings) == versions.CodeState(mine, True)
    assert "+seed: 2" in versions.diff(settings)
    assert {name for name in environment() if name.startswith("GIT_")}.isdisjoint(
        {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"}
    )


def test_a_users_configuration_of_git_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*", "GIT_SSH": "x"}
    for name, value in {**kept, "GIT_EXTERNAL_DIFF": "meld", "GIT_CONFIG_PARAMETERS": "x"}.items():
        monkeypatch.setenv(name, value)
    assert kept.items() <= environment().items()
    assert not {"GIT_EXTERNAL_DIFF", "GIT_CONFIG_PARAMETERS"} & environment().keys()


@pytest.mark.parametrize("option", ["diff.noprefix", "diff.mnemonicPrefix", "diff.external", "color.ui"])
def test_the_diff_can_be_applied_however_git_is_configured(tmp_path: Path, option: str) -> None:
    root = tmp_path / "project"
    committed(root)
    git(root, "config", option, {"diff.external": "false", "color.ui": "always"}.get(option, "true"))
    (root / "params.yaml").write_text("seed: 2\n")
    patch = tmp_path / "diff.patch"
    patch.write_text(versions.diff(Settings(root=root)), encoding="utf-8")
    git(root, "checkout", "--quiet", "params.yaml")
    git(root, "apply", str(patch))
    assert (root / "params.yaml").read_text() == "seed: 2\n"


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("params.yaml", True),
        ("src/code.py", True),
        ("src/new.py", True),
        ("requirements.lock", True),
        ("data.dvc", False),  # another data version, which is recorded by itself
        ("dvc.lock", False),  # every run writes it
        ("notes.txt", False),
    ],
)
def test_changes_are_those_of_code_and_parameters(tmp_path: Path, name: str, changed: bool) -> None:
    """A demo writes more files than data.dvc of a fresh clone pins: its models are of the commit all the same."""
    commit = committed(tmp_path / "project")
    settings = Settings(root=tmp_path / "project")
    assert versions.code_state(settings) == versions.CodeState(commit, False)
    (settings.root / name).write_text("# changed\n")
    assert versions.code_state(settings) == versions.CodeState(commit, changed)


def test_what_git_does_not_tell_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(root=tmp_path / "project")
    settings.root.mkdir()
    state = versions.code_state(settings)
    assert (state.commit, state.changed) == ("", None)
    assert "not in a git repository" in state.problem
    git(settings.root, "init", "--quiet")
    assert "nothing is committed" in versions.code_state(settings).problem
    monkeypatch.setenv("PATH", str(tmp_path))
    assert versions.code_state(settings) == versions.CodeState("", None, "git is not installed")


def test_a_repository_of_another_user_is_not_taken_for_clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    committed(tmp_path / "project")
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    real = shutil.which("git")
    # git has this switch for its own tests of `safe.directory`; ours drops it with the other variables.
    program.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec {real} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    state = versions.code_state(Settings(root=tmp_path / "project"))
    assert (state.commit, state.changed) == ("", None)
    assert "safe.directory" in state.problem
