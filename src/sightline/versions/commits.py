"""The little that is asked of git: the commit, what differs from it, and the history of one file.

The repository is the one that the project folder lies in, whatever GIT_DIR says (`program.git_environment`).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DataMissing
from sightline.settings import Settings
from sightline.versions.program import git_environment

_SOURCES = ("src", "flows", "services", ":(glob)*.yaml", ":(glob)*.toml", ":(glob)*.lock")
"""Where new files belong to the code; a person's own files beside it are not kept with a model."""

_OUTCOME = ":(exclude,glob)dvc.lock"
"""Written by each run: no change of the code. (Nor is data.dvc: the data have a version of their own.)"""

_PLAIN = ("-c", "core.quotePath=false", "-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false")
_PLAIN_DIFF = ("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color")
"""A user's configuration of git must not make a diff that `git apply` cannot read."""

_LARGEST_SOURCE = 2**20  # bytes


@dataclass(frozen=True)
class Commit:
    """One commit that changed a file."""

    sha: str
    date: str  # ISO 8601, the committer's
    subject: str
    content: str  # of the file, as of this commit


@dataclass(frozen=True)
class CodeState:
    """What git says of the code in a project folder.

    Attributes:
        commit: the one that is checked out; empty where that is not known.
        changed: whether code or parameters (`_SOURCES`) differ from it; None where that cannot be told.
        problem: why it cannot be told; empty where it can.
    """

    commit: str
    changed: bool | None
    problem: str = ""


def code_state(settings: Settings) -> CodeState:
    """The commit, and whether code or parameters differ from it. Never raises: what is not known is told."""
    asked = _run(settings.root, "rev-parse", "--verify", "HEAD")
    if asked is None:
        return CodeState("", None, "git is not installed")
    if asked.returncode:
        return CodeState("", None, _why(asked.stderr.decode("utf-8", "replace"), settings.root))
    known = _run(settings.root, *_PLAIN_DIFF, "--quiet", "HEAD", "--", *_SOURCES, _OUTCOME)
    new = _run(settings.root, "ls-files", "--others", "--exclude-standard", "--", *_SOURCES, _OUTCOME)
    if known is None or new is None or known.returncode > 1 or new.returncode:
        return CodeState(asked.stdout.decode().strip(), None, "git could not compare the files with the commit")
    return CodeState(asked.stdout.decode().strip(), bool(known.returncode or new.stdout))


def _why(said: str, root: Path) -> str:
    """Why git knows no commit, in a sentence."""
    if "dubious ownership" in said:
        return (
            "the folder belongs to another user; allow git to read it with: git config --global --add"
            f" safe.directory {root}"
        )
    if "not a git repository" in said:
        return "the project folder is not in a git repository"
    if "single revision" in said:
        return "nothing is committed yet"
    return f"git failed ({(said.strip().splitlines() or ['it gave no reason'])[-1][:200]})"


def commit(settings: Settings) -> str:
    """The commit that is checked out; empty where there is none yet, or no git."""
    return _git(settings.root, "rev-parse", "--verify", "--quiet", "HEAD").strip()


def diff(settings: Settings) -> str:
    """What `git apply` needs to get from the commit to the files as they are, new ones included; empty if nothing."""
    root = settings.root
    if not commit(settings):
        return ""
    known = _git(root, *_PLAIN_DIFF, "HEAD")
    new = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *_SOURCES).split("\0")
    small = [name for name in new if _is_small_file(root / name)]
    return known + "".join(_git(root, *_PLAIN_DIFF, "--no-index", "--", "/dev/null", name) for name in small)


def _is_small_file(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= _LARGEST_SOURCE


def require_repository(settings: Settings) -> None:
    """See that data can be pinned here, before anything is made or fetched that would be.

    Raises:
        DataMissing: the folder is no git repository with DVC (a download as an archive is none), or git is absent.
    """
    root = settings.root
    if not (root / ".dvc").is_dir() or not _git(root, "rev-parse", "--git-dir"):
        raise DataMissing(
            "this folder is not a git repository with DVC, or git is not installed",
            where=root,
            way_out="Install git and clone the project: data versions need git. An archive that was downloaded "
            "becomes a repository by `git init && git add -A && git commit -m start`.",
        )


def commits_of(settings: Settings, name: str) -> Iterator[Commit]:
    """The commits that changed a file of the root, newest first; none where nothing is committed yet.

    Raises:
        DataMissing: git is absent, or the project folder is no repository.
    """
    root = settings.root
    if not _git(root, "rev-parse", "--git-dir"):
        way_out = "Install git and clone the project: data versions need git."
        raise DataMissing("this folder is not a git repository, or git is not installed", where=root, way_out=way_out)
    log = _git(root, "log", "--format=%H%x09%cI%x09%s", "--", name)
    for line in log.splitlines():
        sha, date, subject = line.split("\t", 2)
        content = _git(root, "show", f"{sha}:./{name}")
        if content:  # else this commit removed it
            yield Commit(sha, date, subject, content)


def _git(root: Path, *arguments: str) -> str:
    """What git printed; empty where it failed or is absent (`diff --no-index` fails where it finds a difference)."""
    done = _run(root, *arguments)
    return done.stdout.decode("utf-8", "replace") if done else ""


def _run(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    """None where git is absent."""
    command = ["git", "-C", str(root), *_PLAIN, *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=False, env={**git_environment(), "LC_ALL": "C"})
    except FileNotFoundError:
        return None
