"""The secret of an installation: one, whoever comes first, and for its owner's eyes."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sightline.errors import BackendError
from sightline.runtime.secret import read_secret, secret_file


def test_it_is_made_once_and_read_by_its_owner_only(tmp_path: Path) -> None:
    state = tmp_path / "state"
    first = read_secret(state)
    assert read_secret(state) == first
    assert len(first) >= 32
    assert stat.S_IMODE(secret_file(state).stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["secret"]
    assert read_secret(tmp_path / "other") != first


def test_all_who_come_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(read_secret, [tmp_path / "state"] * 32))) == 1


def test_one_that_others_could_read_is_shut(tmp_path: Path) -> None:
    read_secret(tmp_path)
    secret_file(tmp_path).chmod(0o644)
    read_secret(tmp_path)
    assert stat.S_IMODE(secret_file(tmp_path).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff" * 40])
def test_a_file_without_a_secret_is_told(tmp_path: Path, content: bytes) -> None:
    secret_file(tmp_path).write_bytes(content)
    with pytest.raises(BackendError, match=r"secret.*a new secret is then made"):
        read_secret(tmp_path)
