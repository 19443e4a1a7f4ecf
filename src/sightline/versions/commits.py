"""The little that is asked of git: the commit, what differs from it, and the history of one file."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DataMissing
from sightline.settings import Settings

_SOURCES = ("src", "flows", "services", ":(glob)*.yaml", ":(glob)*.toml", ":(glob)*.lock")
"""Where new files belong to the code; a person's own files beside it are not kept with a model."""

_LARGEST_SOURCE = 2**20  # bytes


@dataclass(frozen=True)
class Commit:
    """One commit that changed a file."""

    sha: str
    date: str  # ISO 8601, the committer's
    subject: str
    content: str  # of the file, as of this commit


def commit(settings: Settings) -> str:
    """The commit that is checked out; empty where there is none yet, or no git."""
    return _git(settings.root, "rev-parse", "--verify", "--quiet", "HEAD").strip()


def diff(settings: Settings) -> str:
    """What `git apply` needs to get from the commit to the files as they are, new ones included; empty if nothing."""
    root = settings.root
    if not commit(settings):
        return ""
    known = _git(root, "diff", "--binary", "HEAD")
    new = _git(root, "ls-files", "-z", "--others", "--exclude-standard", "--", *_SOURCES).split("\0")
    small = [name for name in new if _is_small_file(root / name)]
    return known + "".join(_git(root, "diff", "--binary", "--no-index", "--", "/dev/null", name) for name in small)


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
            "this folder is not a git repository with DVC, or git is absent",
            where=root,
            way_out="Data versions belong to git's: install git and clone the project. An archive that was downloaded "
            "becomes a repository by `git init && git add -A && git commit -m start`.",
        )


def commits_of(settings: Settings, name: str) -> Iterator[Commit]:
    """The commits that changed a file of the root, newest first; none where nothing is committed yet.

    Raises:
        DataMissing: git is absent, or the project folder is no repository.
    """
    root = settings.root
    if not _git(root, "rev-parse", "--git-dir"):
        way_out = "Data versions belong to git's: install git and clone the project."
        raise DataMissing("this folder is not a git repository, or git is absent", where=root, way_out=way_out)
    log = _git(root, "log", "--format=%H%x09%cI%x09%s", "--", name)
    for line in log.splitlines():
        sha, date, subject = line.split("\t", 2)
        content = _git(root, "show", f"{sha}:./{name}")
        if content:  # else this commit removed it
            yield Commit(sha, date, subject, content)


def _git(root: Path, *arguments: str) -> str:
    """What git printed; empty where it failed or is absent (`diff --no-index` fails where it finds a difference)."""
    command = ["git", "-C", str(root), "-c", "core.quotePath=false", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.decode("utf-8", "replace")
