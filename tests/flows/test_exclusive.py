"""Two runs of one task exclude each other; a run that was killed does not stand in the way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.exclusive import exclusive, holder
from sightline.errors import BackendError, DataRejected
from sightline.settings import Settings

HOLD = """
import sys, time
from pathlib import Path
from flows.exclusive import exclusive, holder
from sightline.settings import Settings
with exclusive(Settings(root=Path(sys.argv[1])), "toy", "run-1"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=tmp_path)


def hold(settings: Settings) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(settings.root)]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    return other


def end(other: subprocess.Popen[str]) -> None:
    other.kill()
    other.communicate()


def test_a_second_run_is_told_who_is_first(settings: Settings) -> None:
    other = hold(settings)
    try:
        with (
            pytest.raises(BackendError, match=f"another run .*process {other.pid}, since"),
            exclusive(settings, "toy", ""),
        ):
            pass
        assert f"process {other.pid}" in holder(settings, "toy")
        assert holder(settings, "another") == ""
        with exclusive(settings, "another", ""):
            pass  # other tasks go their way
    finally:
        end(other)


def test_a_run_that_may_wait_says_for_whom_and_goes_on_after_it(settings: Settings) -> None:
    other, lines = hold(settings), list[str]()

    def tell(line: str) -> None:
        lines.append(line)
        end(other)

    with exclusive(settings, "toy", "", wait_s=30, tell=tell):
        assert lines == [line for line in lines if f"process {other.pid}" in line]
        assert len(lines) == 1


def test_the_run_that_was_killed_is_named_once(settings: Settings) -> None:
    end(hold(settings))
    with exclusive(settings, "toy", "run-2") as killed:
        assert killed == "run-1"
    with exclusive(settings, "toy", "run-3") as killed:
        assert killed == ""


def test_a_run_that_failed_was_not_killed(settings: Settings) -> None:
    with pytest.raises(DataRejected), exclusive(settings, "toy", "run-1"):
        raise DataRejected("wrong labels")
    with exclusive(settings, "toy", "run-2") as killed:
        assert killed == ""


def test_a_run_that_was_interrupted_tidies_up_too(settings: Settings) -> None:
    with pytest.raises(KeyboardInterrupt), exclusive(settings, "toy", "run-1"):
        raise KeyboardInterrupt
    with exclusive(settings, "toy", "run-2") as killed:
        assert killed == ""


def test_a_note_cut_short_by_a_full_disk_is_no_obstacle(settings: Settings) -> None:
    folder = settings.state / "locks"
    folder.mkdir(parents=True)
    (folder / "toy.json").write_text("{hal")
    with exclusive(settings, "toy", "run-2") as killed:
        assert killed == ""


def test_whether_somebody_holds_it_cannot_be_told_where_nothing_may_be_written(settings: Settings) -> None:
    (settings.state.parent).mkdir(parents=True, exist_ok=True)
    settings.state.write_text("a file in the place of the folder")
    with pytest.raises(BackendError, match="the lock cannot be written"):
        holder(settings, "toy")
