"""The prediction log as tables: closed days go from the ledger to Parquet, a file a day and model version.

    state/predictions/task=<task>/day=<YYYY-MM-DD>/version=<n>.parquet

The columns are time, version, sha256, source, those of the answers' flat rows, and the embedding. The ledger stays
the source: a file that is absent, or holds fewer answers than the ledger, is written again; one that holds as many is
left alone. So the export can be killed and called again at any time.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import BackendError
from sightline.stores.ledger import Answer, Ledger

if TYPE_CHECKING:
    import pyarrow as pa


def export_closed_days(ledger: Ledger, task: str, folder: Path, now_s: float) -> list[Path]:
    """Write what is missing of the days (UTC) before the one of `now_s`; the files that were written.

    Args:
        ledger: the prediction log.
        task: whose answers.
        folder: `state/predictions`.
        now_s: seconds since 1970, UTC.

    Raises:
        BackendError: the disk is full, or the ledger or a file cannot be read.
    """
    today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
    missing: dict[str, list[int]] = defaultdict(list)
    for (day, version), count in sorted(ledger.days(task).items()):
        if day < today and _count(file_of(folder, task, day, version)) < count:
            missing[day].append(version)
    written = []
    for day, versions in missing.items():
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        answers = ledger.answers(task, start.timestamp(), (start + timedelta(days=1)).timestamp())
        for version in versions:
            path = file_of(folder, task, day, version)
            _write([answer for answer in answers if answer.version == version], path)
            written.append(path)
    return written


def file_of(folder: Path, task: str, day: str, version: int) -> Path:
    """Where the answers of one day and model version go."""
    return folder / f"task={task}" / f"day={day}" / f"version={version}.parquet"


def _count(path: Path) -> int:
    """How many answers a file holds; -1 where it cannot be read: it is then written again."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid):
        return -1


def _write(answers: Sequence[Answer], path: Path) -> None:
    """Write one file under a temporary name and rename it when it is on disk.

    The name is the process's own, other than that of `files.replacing`: a flow and a person may watch at the same time.
    """
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(_table(answers), temporary, compression="zstd")
        temporary.replace(path)
        for left_behind in path.parent.glob(f".{path.name}.*.partial"):  # by a kill
            left_behind.unlink(missing_ok=True)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise BackendError(
            f"the prediction log cannot be exported ({error.strerror or error})",
            where=path,
            way_out="Check room and rights on the disk; the answers are safe in the ledger.",
        ) from error


def _table(answers: Sequence[Answer]) -> pa.Table:
    import pyarrow as pa

    columns: dict[str, Any] = {
        "time": pa.array([int(answer.time_s * 1e6) for answer in answers], pa.timestamp("us", tz="UTC")),
        "version": pa.array([answer.version for answer in answers], pa.int32()),
        "sha256": [answer.sha256 for answer in answers],
        "source": [answer.source for answer in answers],
    }
    for name in dict.fromkeys(name for answer in answers for name in answer.row):
        columns[name] = _column([answer.row.get(name) for answer in answers])
    columns["embedding"] = pa.array([answer.embedding for answer in answers], pa.list_(pa.float32()))
    return pa.table(columns)


def _column(values: Sequence[Any]) -> pa.Array:
    """Text where any value is text; else float64, so that a column has one type in all files."""
    import pyarrow as pa

    if any(isinstance(value, str) for value in values):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    return pa.array([None if value is None else float(value) for value in values], pa.float64())
