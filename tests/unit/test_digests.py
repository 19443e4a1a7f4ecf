"""A file's MD5 is remembered until the file changes in any way."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from sightline.versions.digests import md5_files


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "set").mkdir()
    found = {name: tmp_path / "set" / name for name in ("a", "b")}
    for name, path in found.items():
        path.write_text(name)
    return found


def digests(files: dict[str, Path]) -> dict[str, str]:
    return {name: hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for name, path in files.items()}


def test_what_has_not_changed_is_not_read_again(files: dict[str, Path], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    md5_files(files, kept, settled_ns=0)
    kept.write_text(kept.read_text().replace(digests(files)["a"], "remembered"))
    assert md5_files(files, kept, settled_ns=0) == {**digests(files), "a": "remembered"}


def test_other_bytes_under_the_same_size_and_time_are_read(files: dict[str, Path], tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    md5_files(files, kept, settled_ns=0)
    before = files["a"].stat()
    files["a"].write_text("x")
    os.utime(files["a"], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert md5_files(files, kept, settled_ns=0) == digests(files)


def test_what_was_written_just_now_is_not_remembered(files: dict[str, Path], tmp_path: Path) -> None:
    assert md5_files(files, tmp_path / "kept", settled_ns=10**12) == digests(files)
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', '{"a": [[], 3]}'])
def test_a_damaged_memory_is_made_again(files: dict[str, Path], tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").write_text(text)
    assert md5_files(files, tmp_path / "kept", settled_ns=0) == digests(files)
