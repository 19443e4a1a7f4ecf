"""The files of a version: a list of their digests is registered with them, and what is read is held against it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from sightline.errors import BackendError, ModelRejected
from sightline.files import sha256_file, write_text

LIST = "digests.json"
"""Among the artifacts of a run: path -> SHA-256. Its own SHA-256 is the version's tag `artifacts_sha256`."""

Digests = Mapping[str, str]


def list_digests(folders: Mapping[str, Iterable[Path]]) -> dict[str, str]:
    """Path among the artifacts -> SHA-256; `folders` are folder among the artifacts -> the files and folders in it."""
    found: dict[str, str] = {}
    for folder, sources in folders.items():
        for source in sources:
            for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
                if file.is_file():
                    found[f"{folder}/{file.relative_to(source.parent).as_posix()}"] = sha256_file(file)
    return found


def digests_below(folder: Path) -> dict[str, str]:
    """Path below a folder's parent -> SHA-256 of all its files."""
    return {
        file.relative_to(folder.parent).as_posix(): sha256_file(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def render(digests: Digests) -> str:
    """The list as text: the same files give the same bytes."""
    return json.dumps(digests, indent=1, sort_keys=True) + "\n"


def sha256_text(text: str) -> str:
    """SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_list(path: Path, sha256: str) -> dict[str, str]:
    """The list at `path`, if its own digest is `sha256`.

    Raises:
        ModelRejected: it is not there, or another one.
    """
    try:
        text = path.read_bytes().decode("utf-8")
        if sha256_text(text) == sha256:
            return dict(json.loads(text))
    except (OSError, ValueError):
        pass
    raise ModelRejected(
        "the list of the version's files is not the one that was registered",
        where=path,
        way_out="Restore mlruns/ from a backup, or register the model again with `sightline run`.",
    )


def first_wrong(folder: Path, digests: Digests) -> str:
    """The first file below `folder` that is absent or another than the list says; empty where all are right."""
    for name, digest in sorted(digests.items()):
        file = folder / name
        if not file.is_file() or sha256_file(file) != digest:
            return name
    return ""


def require(folder: Path, name: str, listed: Digests | None) -> Path:
    """`folder/name`, if its files are those of the list; without a list (an older registration), if it is there.

    Raises:
        ModelRejected: a file is absent or another.
    """
    place = folder / name
    if not place.is_dir():
        wrong = name
    else:
        wrong = first_wrong(folder, {p: d for p, d in (listed or {}).items() if p.startswith(f"{name}/")})
    if wrong:
        raise ModelRejected(
            "a file of the version is missing or was changed (SHA-256)",
            where=folder / wrong,
            way_out="Restore mlruns/ from a backup, or register the model again with `sightline run`.",
        )
    return place


class Fetched:
    """Artifacts of one run that were brought from elsewhere, kept below `build/registry/<key>/`.

    The key is the run's id and the digest of the list, neither of which is ever given again: a number is, in a new
    registry or in another one.

    Args:
        folder: `build/registry`.
        key: see above.
        fetch: brings an artifact, a file or a folder, into a folder.
    """

    def __init__(self, folder: Path, key: str, fetch: Callable[[str, Path], None]) -> None:
        self._folder = folder / key
        self._fetch = fetch

    def file(self, name: str) -> Path:
        """A single file, brought anew each time: it is what the others are held against."""
        self._bring(name)
        return self._folder / name

    def require(self, name: str, listed: Digests | None) -> Path:
        """A folder whose files are those of the list; brought where it is not there, or not right any more.

        Raises:
            ModelRejected: what came is not what was registered.
        """
        kept = self._folder / f"{name}.{LIST}"
        if not self._is_as_it_came(name, kept):
            self._bring(name)
            write_text(kept, render(digests_below(self._folder / name)))
        return require(self._folder, name, listed)

    def _is_as_it_came(self, name: str, kept: Path) -> bool:
        try:
            listed = json.loads(kept.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return (self._folder / name).is_dir() and not first_wrong(self._folder, listed)

    def _bring(self, name: str) -> None:
        place = self._folder / name
        partial = self._folder / f".{name}.{os.getpid()}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            self._fetch(name, partial)
            if place.is_dir():
                old = self._folder / f".{name}.{os.getpid()}.old.partial"
                place.rename(old)
                shutil.rmtree(old, ignore_errors=True)
            (partial / name).replace(place)
        except FileNotFoundError as error:
            raise ModelRejected(
                f"the version has no {name}", where=place, way_out="Register the model again with `sightline run`."
            ) from error
        except OSError as error:
            if not place.exists():  # else another process was first
                raise BackendError(
                    f"files of the version cannot be written ({error.strerror or error})",
                    where=place,
                    way_out="Check the disk's free space and your write permission.",
                ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
