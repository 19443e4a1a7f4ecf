"""Fixtures of all rings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sightline.vision.hardware import THREAD_VARIABLES

# Several tests run at a time, and processes of theirs: a thread each does more work than all for everybody.
for _name in THREAD_VARIABLES:
    os.environ.setdefault(_name, "1")

ROOT = Path(__file__).resolve().parents[1]

LONGEST = (
    "contract/test_cli.py",
    "e2e/test_loop.py",
    "contract/test_models.py",
    "flows/test_killed.py",
    "flows/test_served.py",
    "docs/test_tutorial_followed.py",
)
"""Files of tests that take minutes. They begin first: none is to run alone at the end, while other workers idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the longest files first; the others keep their order."""
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path, len(LONGEST)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real samples; tests that ask for it are skipped where it is absent."""
    folder = Path(os.environ.get("SIGHTLINE_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real samples are not at {folder}; set SIGHTLINE_REAL_DATA to their folder")
    return folder
