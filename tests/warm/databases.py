"""Prefect's database as a new server makes it: made once for all tests, copied for each project.

Making it costs a server more than all else that it does in a test. The whole loop (tests/e2e) has it made anew.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from sightline.runtime.servers import prefect_for_a_run
from sightline.settings import Settings


def give_prefect_database(shared: Path, settings: Settings) -> None:
    """Put it where a server of these settings looks for it, from a folder that all workers share."""
    made, name = Settings(root=shared / "prefect"), "prefect/prefect.db"
    with FileLock(shared / "prefect.lock"):
        if not made.root.is_dir():
            made.root.mkdir()
            with prefect_for_a_run(made) as server:
                server.wait()
            with closing(sqlite3.connect(made.state / name)) as tables:
                tables.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that one file is all
    (settings.state / name).parent.mkdir(parents=True)
    shutil.copy2(made.state / name, settings.state / name)
