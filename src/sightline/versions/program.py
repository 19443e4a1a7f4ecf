"""DVC as a program: `python -m dvc` of this interpreter, so that nothing of it is imported; its messages translated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sightline import errors
from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError, SightlineError
from sightline.runtime.processes import is_alive
from sightline.runtime.tether import run_tethered

_ERROR_FILE = "SIGHTLINE_ERROR_FILE"
"""Names the file in which a failing stage leaves its error: DVC's own exit code is 255 whatever the stage's was."""

_DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
"""DVC's own lock is held for moments, while files are hashed, and by a living process: runs of other tasks take turns.
What a stage reads and writes is locked besides, and there DVC says at once that it is busy."""

_BUSY = ("is busy", "Unable to acquire lock")
_MEANINGS: tuple[tuple[tuple[str, ...], type[SightlineError], str, str], ...] = (
    (
        ("is not a git repository", "not inside of a DVC repository"),
        DataMissing,
        "this folder is not a git repository with DVC",
        "Clone the project, or run `git init` in this folder: data versions need git.",
    ),
    (
        ("No space left on device", "Disk quota exceeded", "database or disk is full"),
        BackendError,
        "the disk is full (DVC: {what})",
        "Free some space on the disk and run the command again: it continues where it stopped.",
    ),
    (
        ("File too large", "Permission denied", "Read-only file system"),
        BackendError,
        "DVC cannot write: {what}",
        "Check the disk's free space and your write permission.",
    ),
    (
        ("does not exist as an output or a stage name", "not found inside 'dvc.yaml'"),
        ParamsError,
        "{what}",
        "Run `sightline stages`: it writes dvc.yaml for the tasks and candidates of params.yaml.",
    ),
    (
        ("is invalid.", "YAML file structure is corrupted", "failed to parse"),
        ParamsError,
        "DVC cannot read its files: {all}",
        "Restore the file that it names with `git checkout`, or correct it.",
    ),
    (
        ("No remote provided", "no remote specified", "but requires", "requires dvc-", "config file error"),
        ParamsError,
        "the DVC remote cannot be used: {what}",
        "Set SIGHTLINE_DVC_REMOTE to a folder or s3://bucket/path; S3 needs the extra `s3` of pyproject.toml.",
    ),
    (
        ("unsaved files",),
        DataRejected,
        "files that are not pinned, and exist nowhere else, would be overwritten",
        "Pin them with `.venv/bin/dvc add data`, or discard them with `.venv/bin/dvc checkout --force data.dvc`.",
    ),
    (
        ("missing cache files", "Checkout failed", "failed to pull", "failed to load directory", "Missing cache"),
        DataMissing,
        "files of this version are not in DVC's cache",
        "Download them with `.venv/bin/dvc pull` from a remote that has them, or use another data version.",
    ),
)
"""What DVC writes -> what it means. The first that fits counts."""


_GIT_KEPT = re.compile(
    r"GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|SSH.*|ASKPASS|TERMINAL_PROMPT|SSL.*)"
)
"""What a user sets for git as a whole: its configuration, and how it logs in."""


def git_environment() -> dict[str, str]:
    """Our variables without those that lead git into another repository, or let it speak otherwise.

    Within a hook or `git rebase --exec` git sets GIT_DIR and others: a commit of the repository that it works on would
    be taken for the project's.
    """
    return {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or _GIT_KEPT.fullmatch(name)
    }


def environment() -> dict[str, str]:
    """Ours, with telemetry off and this interpreter's programs first: stages call `sightline`."""
    programs = str(Path(sys.executable).parent)
    path = os.pathsep.join([programs, os.environ.get("PATH", os.defpath)])
    return {**git_environment(), "PATH": path, "DVC_NO_ANALYTICS": "1"}


def call(root: Path, *arguments: str) -> str:
    """Run a command of DVC in `root`; what it printed.

    Raises:
        SightlineError: the one that fits what DVC said.
    """
    discard_broken_lock(root)
    command = [*_DVC, *arguments]
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise translate(done.stderr or done.stdout, root, arguments)
    return done.stdout


def translate(said: str, root: Path, arguments: Sequence[str]) -> SightlineError:
    """What DVC wrote before it failed -> our error."""
    if _mentions(said, _BUSY):
        return busy(root)
    lines = [line.strip() for line in said.splitlines() if line.strip()] or ["it gave no reason"]
    what = next((line for line in lines if line.startswith("ERROR: ")), lines[0]).removeprefix("ERROR: ").rstrip(".:")
    for words, kind, meaning, way_out in _MEANINGS:
        if _mentions(said, words):
            return kind(meaning.format(what=what, all=" ".join(lines)[:400]), where=root, way_out=way_out)
    return BackendError(f"`dvc {' '.join(arguments)}` failed: {what}", where=root)


def _mentions(said: str, words: Sequence[str]) -> bool:
    return any(word in said for word in words)


def busy(root: Path) -> BackendError:
    """Another process of DVC works here: which one."""
    running = "; ".join(f"process {number}: {command}" for number, command in sorted(users(root, root).items()))
    return BackendError(
        f"another run is in progress ({running or 'DVC is locked'})",
        where=root,
        way_out="Wait until it has ended or stop it, then try again.",
    )


def users(root: Path, path: Path) -> dict[int, str]:
    """Process number -> command of the live DVC processes that read or write at or below `path`."""
    try:
        locks = json.loads(_locks(root).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # nothing was ever run here, or DVC is just writing it
        return {}
    found: dict[int, str] = {}
    for mode in ("read", "write"):
        for name, holders in locks.get(mode, {}).items():
            if path in (Path(name), *Path(name).parents) or Path(name) in path.parents:
                for holder in holders if isinstance(holders, list) else [holders]:
                    found[int(holder["pid"])] = f"dvc {holder['cmd'].partition(' ')[2]}".strip()
    return {number: command for number, command in found.items() if is_alive(number)}


def _locks(root: Path) -> Path:
    """Where DVC notes which process reads and writes what."""
    return root / ".dvc" / "tmp" / "rwlock"


def discard_broken_lock(root: Path, patience_s: float = 2.0) -> None:
    """Remove DVC's note of readers and writers where it cannot be read and no process of DVC lives in this folder.

    A full disk or a power cut leaves it truncated, and DVC then refuses every command. It is only about processes that
    run, so without any nothing is lost.

    Raises:
        BackendError: it cannot be read, and a process of DVC may live; or it cannot be removed.
    """
    path = _locks(root)
    deadline_s = time.monotonic() + patience_s
    while not _is_whole(path):
        if time.monotonic() < deadline_s:  # DVC may just be writing it
            time.sleep(0.1)
            continue
        living = living_in(root)
        if living:
            raise BackendError(
                f"DVC's list of its processes is broken, and DVC is running (process {', '.join(map(str, living))})",
                where=path,
                way_out="Wait until it has ended or stop it, then try again.",
            )
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            way_out = "Remove this file and run the command again."
            raise BackendError(
                f"DVC's list of its processes is broken ({error})", where=path, way_out=way_out
            ) from error


def _is_whole(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text(encoding="utf-8")), dict)
    except FileNotFoundError:
        return True
    except (OSError, ValueError):
        return False


def living_in(root: Path) -> list[int]:
    """Numbers of the processes of DVC that work in this folder; none where the system does not tell (no /proc)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            here = (folder / "cwd").resolve().is_relative_to(root.resolve())
        except OSError:  # it has just ended, or is another user's
            continue
        if here and any(word == b"dvc" or word.endswith(b"/dvc") for word in words[:6]):
            found.append(int(folder.name))
    return sorted(found)


# ------------------------------------------------------------------------------------------- errors through DVC


def run_stages(root: Path, stages: Sequence[str], error_file: Path, options: Sequence[str] = ()) -> None:
    """Bring stages up to date; progress and errors go straight to the terminal.

    What DVC and the command print on standard output is dropped: DVC's advice on git, and tables that the end of a
    run shows again.

    Raises:
        SightlineError: the stage's own error, as it was raised there; else what DVC's failure means.
    """
    discard_broken_lock(root)
    # Each stage by itself: plain `dvc repro` would rewrite data.dvc where a task's data are absent.
    dvc = [*_DVC, "repro", *options, "--single-item", *stages]
    code = run_tethered(dvc, root, {**environment(), _ERROR_FILE: str(error_file)}, silent=True)
    if code == 0:
        return
    handed = handed_over(error_file)
    if handed is not None:
        raise handed
    tasks = {stage.partition("@")[2].partition("-")[0] for stage in stages}
    if any("@" not in command or any(task in command for task in tasks) for command in users(root, root).values()):
        raise busy(root)
    call(root, "status", *stages)  # dvc.yaml, the pin or the repository may be broken: this says how
    raise BackendError(
        f"the stage {' or '.join(stages)} failed",
        where=root,
        way_out="Read the reason in the lines above, correct it, and run the command again.",
    )


def hand_over(error: SightlineError) -> None:
    """Leave the error of a stage for the `repro` that waits for it; does nothing where none waits.

    The command line calls this before it exits.
    """
    name = os.environ.get(_ERROR_FILE)
    if not name:
        return
    document = {"kind": type(error).__name__, "what": error.what, "where": error.where, "way_out": error.way_out}
    try:
        Path(name).write_text(json.dumps(document), encoding="utf-8")
    except OSError:
        return  # the reason is on the terminal already


def handed_over(path: Path) -> SightlineError | None:
    """The error that a stage left with `hand_over`; None where it left none (it was killed, or has a defect)."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        kind = getattr(errors, document["kind"], SightlineError)
        error = kind(document["what"], where=document["where"], way_out=document["way_out"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return error if isinstance(error, SightlineError) else None
