"""A full disk: seen before work begins, and named whatever it broke."""

from __future__ import annotations

import errno
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from sightline.errors import BackendError
from sightline.runtime.disk import explain, full_folder, require_room, tells_of_full_disk


class Used(NamedTuple):
    """What `shutil.disk_usage` gives."""

    free: int


def free(megabytes: float) -> object:
    return lambda _: Used(int(megabytes * 2**20))


def test_work_does_not_begin_without_room(tmp_path: Path) -> None:
    require_room([tmp_path / "made" / "later"], 64 * 2**20, free(64))
    with pytest.raises(
        BackendError, match=r"later: the disk is full: 3 MB are free, 64 MB are needed.*Free some space"
    ):
        require_room([tmp_path / "made" / "later"], 64 * 2**20, free(3))


def full_database() -> sqlite3.Error:
    """What sqlite raises where it has no page left."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA max_page_count = 2")
        connection.execute("CREATE TABLE t (x BLOB)")
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
        return caught.value


def wrapped(cause: BaseException) -> BaseException:
    """As vendors do: the cause is two errors away."""
    try:
        try:
            raise cause
        except BaseException as error:
            raise RuntimeError("the store failed") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/srv/x"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "/srv/x"),
        full_database(),
        BackendError("MLflow failed ((sqlite3.OperationalError) database or disk is full)", way_out="Start it."),
    ],
)
def test_the_disk_is_named_whatever_it_broke(error: BaseException) -> None:
    for one in (error, wrapped(error)):
        assert tells_of_full_disk(one)
        said = str(explain(one, [], free(500)))
        assert "the disk is full. Free some space" in said
        assert "MLflow" not in said
    if isinstance(error, OSError):
        assert str(explain(wrapped(error), [], free(500))).startswith("/srv/x: ")


def test_a_server_that_could_not_write_is_explained_by_the_disk(tmp_path: Path) -> None:
    error = BackendError("prefect ended with status 3: Application startup failed")
    assert explain(error, [tmp_path], free(500)) is None
    assert str(explain(error, [tmp_path], free(0))).startswith(f"{tmp_path}: the disk is full")
    assert full_folder([tmp_path], free(500)) is None


def test_a_program_tells_one_line_and_no_traceback() -> None:
    code = (
        "from sightline.cli import guarded\n"
        "def fail():\n"
        "    try: raise OSError(28, 'No space left on device', '/srv/x')\n"
        "    except OSError as error: raise ValueError('rendering failed') from error\n"
        "guarded(fail)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stderr == (
        "sightline: /srv/x: the disk is full. Free some space on the disk and run the command again: it"
        " continues where it stopped.\n"
    )


class State:
    """The state of a step that raised."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self, raise_on_failure: bool) -> Exception:
        return self._error


class Step:
    name = "train"


def test_a_step_that_found_the_disk_full_is_not_tried_again() -> None:
    from flows.retrying import is_worth_retrying  # imports Prefect for seconds

    full = BackendError("the models cannot be written (No space left on device)")
    assert not is_worth_retrying(Step(), None, State(full))
    assert is_worth_retrying(Step(), None, State(BackendError("MLflow failed (no answer)")))
