"""Fixtures of all rings."""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from sightline.vision.hardware import THREAD_VARIABLES

# Several tests run at a time, and processes of theirs: a thread each does more work than all for everybody.
for _name in THREAD_VARIABLES:
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).resolve().parents[1]

LONGEST = (
    "e2e/test_loop.py",
    "contract/test_cli.py",
    "flows/test_killed.py",
    "flows/test_served.py",
    "docs/test_tutorial_followed.py",
    "dvc/test_stages.py",
    "services/test_areas.py",
    "contract/test_models.py",
    "drift/test_rates.py",
)
"""Files of tests that take minutes. They begin first: none is to run alone at the end, while other workers idle."""


DIVIDED = ("contract/test_cli.py", "contract/test_models.py")
"""Files whose tests are of one task each and share what is set up for it: each task may go to another worker."""


class ByFileOrTask(LoadScopeScheduling):
    """xdist's `--dist loadfile`, but for the files that are divided."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        subject = re.search(r"\[(\w+)", test)
        return f"{file}[{subject[1]}]" if subject and file.removeprefix("tests/") in DIVIDED else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """Which worker gets what, where tests are spread by file."""
    return ByFileOrTask(config, log) if config.getvalue("dist") == "loadfile" else None


_LONGEST_NAME = 20


def pytest_make_parametrize_id(val: object) -> str | None:
    """Files in memory give tests no names: some hold the time of day, on which workers would not agree."""
    return "bytes" if isinstance(val, bytes) and len(val) > _LONGEST_NAME else None


@cache
def _marks_slow_tests(file: Path) -> bool:
    """Whether a test of the file may be slow, by its text: it marks one, or takes over the marks of `TRAINED`."""
    return re.search(r"mark\.slow\b|\bTRAINED\b", file.read_text(encoding="utf-8")) is not None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whether to leave a file alone: where slow tests are asked for, those that have none are not even imported."""
    if config.option.markexpr == "slow" and collection_path.match("test_*.py"):
        return True if not _marks_slow_tests(collection_path) else None
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; the others keep their order."""
    for item in items:
        if item.get_closest_marker("slow") and not _marks_slow_tests(item.path):
            raise pytest.UsageError(f"{item.path}: `make test-all` would not find its slow tests")
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers share, for what is made once (tests/warm)."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real samples; tests that ask for it are skipped where it is absent."""
    folder = Path(os.environ.get("SIGHTLINE_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real samples are not at {folder}; set SIGHTLINE_REAL_DATA to their folder")
    return folder
