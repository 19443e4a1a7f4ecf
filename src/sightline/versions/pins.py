"""data.dvc: the pin of `data/`, and what it says of one task."""

from __future__ import annotations

import configparser
import hashlib
import json
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import yaml

from sightline.errors import BackendError, DataMissing, DataRejected
from sightline.files import write_text
from sightline.settings import Settings
from sightline.versions.commits import commits_of
from sightline.versions.digests import md5_files
from sightline.versions.program import call, users

PIN = "data.dvc"

PinState = Literal["pinned", "modified", "not pinned"]
"""Whether `data/<task>` is what data.dvc pins."""

Listing = Mapping[str, str]
"""Path below data/ -> MD5, of all files of a pin."""


@dataclass(frozen=True)
class DataVersion:
    """One version of a task's data, as git remembers it.

    Attributes:
        version: the hash of `data/<task>`; empty where DVC's cache does not hold that pin's list of files.
        commit: the first commit that pins it; empty for a pin that is not committed.
        date: of that commit, ISO 8601.
        subject: of that commit.
        files: how many files the version has; 0 where unknown.
    """

    version: str
    commit: str
    date: str
    subject: str
    files: int


def pin(settings: Settings) -> str:
    """What data.dvc pins: the hash of `data/` as a whole; empty where there is no data.dvc.

    Raises:
        DataRejected: data.dvc is not what DVC writes.
    """
    path = settings.root / PIN
    try:
        return _parse_pin(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ""
    except (ValueError, KeyError, TypeError, IndexError, yaml.YAMLError) as error:
        way_out = "Restore it with `git checkout data.dvc`."
        raise DataRejected("the file does not pin data/", where=path, way_out=way_out) from error


def _parse_pin(text: str) -> str:
    out = yaml.safe_load(text)["outs"][0]
    if out["path"] != "data":
        raise ValueError(out["path"])
    return str(out["md5"])


def data_version(settings: Settings, task: str) -> str:
    """The pinned version of a task's data.

    Raises:
        DataMissing: nothing of the task is pinned, or DVC's cache does not hold the pin's list of files.
    """
    listing = _pinned_listing(settings)
    if listing is None:
        what = "DVC's cache does not hold the data that this file pins" if pin(settings) else "no data are pinned yet"
        way_out = f"Write the synthetic data with `sightline data sample {task}`, or run `dvc pull`."
        raise DataMissing(what, where=settings.root / PIN, way_out=way_out)
    version = _version_of(listing, task)
    if not version:
        way_out = f"Write the synthetic data with `sightline data sample {task}`."
        raise DataMissing(f"no data of {task} are pinned", where=settings.root / PIN, way_out=way_out)
    return version


def _version_of(listing: Listing, task: str) -> str:
    """The hash that DVC gives to a folder: MD5 of the JSON of its sorted list of files; empty for no files."""
    files = _files_of(listing, task)
    if not files:
        return ""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(files.items())]
    text = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"


def _files_of(listing: Listing, task: str) -> dict[str, str]:
    prefix = f"{task}/"
    return {name.removeprefix(prefix): md5 for name, md5 in listing.items() if name.startswith(prefix)}


def _pinned_listing(settings: Settings) -> Listing | None:
    pinned = pin(settings)
    return _listing(settings, pinned) if pinned else None


def _listing(settings: Settings, pinned: str) -> Listing | None:
    """The files of a pin from DVC's cache; None where the cache does not hold it."""
    name = posixpath.join("files", "md5", pinned[:2], pinned[2:])
    path = cache(settings) / name
    try:
        return {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_text(encoding="utf-8"))}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        way_out = "Remove the file and fetch it again with `dvc pull`."
        raise DataRejected("this list of files is damaged", where=path, way_out=way_out) from error


def cache(settings: Settings) -> Path:
    """DVC's cache: `.dvc/cache`, or what `cache.dir` of its configuration says."""
    folder = settings.root / ".dvc"
    found = folder / "cache"
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(folder / name, encoding="utf-8")
        if parser.has_option("cache", "dir"):
            found = folder / parser.get("cache", "dir").strip("\"'")
    return found


# ------------------------------------------------------------------------------------------------------ changing


def require_idle(settings: Settings) -> None:
    """Refuse to change data while DVC reads or writes them.

    Raises:
        BackendError: a stage is running on them; names the process.
    """
    running = users(settings.root, settings.data)
    if running:
        who = "; ".join(f"process {number}: {command}" for number, command in running.items())
        raise BackendError(
            f"the data are being read ({who})",
            where=settings.data,
            way_out="Wait until the other run has ended, then try again.",
        )


def add(settings: Settings, task: str) -> str:
    """Pin `data/<task>` as it is now, into data.dvc and DVC's cache; its version.

    The other tasks' pins stay, even where their files are not here. Only in a fresh clone, whose cache does not know
    what data.dvc pins, `data/` is pinned as it is.

    Raises:
        BackendError: another run is going on, or the disk is full.
    """
    path, before = settings.root / PIN, pin(settings)
    text = path.read_text(encoding="utf-8") if before else ""
    known = _pinned_listing(settings) is not None
    call(settings.root, "add", f"data/{task}" if known else "data")
    if known and pin(settings) == before:
        write_text(path, text)  # pinning a part drops the size: keep git from seeing a change where there is none
    return data_version(settings, task)


def absent_sets(settings: Settings, task: str) -> tuple[str, ...]:
    """Sets of the task that are pinned but not on disk: pinning now would drop them."""
    files = _files_of(_pinned_listing(settings) or {}, task)
    names = sorted({name.partition("/")[0] for name in files if "/" in name})
    return tuple(name for name in names if not (settings.data / task / name).is_dir())


def pin_state(settings: Settings, task: str) -> PinState:
    """Whether `data/<task>` is what data.dvc pins, by names and contents of its files (DVC would take long)."""
    listing = _pinned_listing(settings)
    pinned = _files_of(listing, task) if listing is not None else {}
    if not pinned:
        return "not pinned"
    found = _files_on_disk(settings, task)
    if found.keys() != pinned.keys():
        return "modified"
    digests = md5_files(found, settings.build / "digests" / f"{task}.json")
    return "pinned" if digests == pinned else "modified"


def _files_on_disk(settings: Settings, task: str) -> dict[str, Path]:
    """Path below `data/<task>` -> file, without what .dvcignore names."""
    folder, ignored = settings.data / task, _ignored(settings)
    found = {}
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(fnmatch(part, pattern) for part in parts for pattern in ignored):
            found["/".join(parts)] = path
    return found


def _ignored(settings: Settings) -> list[str]:
    """Patterns of .dvcignore that a name anywhere may have; those of a place (`/src/...`) are not below data/."""
    path = settings.root / ".dvcignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [line.rstrip("/") for line in lines if "/" not in line.rstrip("/") and not line.startswith("#")]


def checkout(settings: Settings, folder: Path, task: str) -> None:
    """Bring `data/<task>` of a checkout of this project to what its own data.dvc pins, from this project's cache.

    `folder` is the project folder itself, or a worktree of it.

    Raises:
        DataMissing: the cache does not hold that version.
        DataRejected: files that are nowhere else would be overwritten.
    """
    if folder.resolve() != settings.root:
        write_text(folder / ".dvc" / "config.local", f"[cache]\n    dir = {cache(settings).resolve()}\n")
    call(folder, "checkout", f"data/{task}")


# ------------------------------------------------------------------------------------------------------- history


def history(settings: Settings, task: str) -> list[DataVersion]:
    """Versions of a task's data, newest first: the pin that is not committed, then git's.

    Raises:
        DataMissing: git is absent, or the project folder is no repository.
    """
    found: list[DataVersion] = []
    newest = ""
    for change in commits_of(settings, PIN):
        try:
            pinned = _parse_pin(change.content)
        except (ValueError, KeyError, TypeError, IndexError, yaml.YAMLError):
            continue  # a commit that broke the file
        newest = newest or pinned
        found.append(_describe(settings, task, pinned, change.sha, change.date, change.subject))
    current = pin(settings)
    if current and current != newest:
        found.insert(0, _describe(settings, task, current, "", "", ""))
    oldest_first: list[DataVersion] = []
    for one in reversed(found):  # a commit that pinned other tasks' data is no version of this one
        if not one.version or one.version not in [seen.version for seen in oldest_first[-1:]]:
            oldest_first.append(one)
    return oldest_first[::-1]


def _describe(settings: Settings, task: str, pinned: str, sha: str, date: str, subject: str) -> DataVersion:
    listing = _listing(settings, pinned)
    files = _files_of(listing, task) if listing is not None else {}
    return DataVersion(_version_of(listing or {}, task), sha, date, subject, len(files))
