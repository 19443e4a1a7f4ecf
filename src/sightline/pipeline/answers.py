"""The prediction log as tables: closed days go from the ledger to Parquet, a file a day and model version.

    state/predictions/task=<task>/day=<YYYY-MM-DD>/version=<n>.parquet

The columns are id, time, version, sha256, source, stream, frame, answers (how many frames of a stream the row stands
for), those of the answers' flat rows, and the embedding. The ledger stays the source: a file that is absent, or holds
fewer rows than the ledger, is written again; one that holds as many is left alone. So the export can be killed and
called again at any time. A day is read page by page, however many answers it has.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import BackendError

if TYPE_CHECKING:
    import pyarrow as pa

    from sightline.stores.predictions import Answer, Predictions

_PAGE = 1000  # rows that are held at a time: a few megabytes with their embeddings


def export_closed_days(predictions: Predictions, task: str, folder: Path, now_s: float) -> list[Path]:
    """Write what is missing of the days (UTC) before the one of `now_s`; the files that were written.

    Args:
        predictions: the prediction log.
        task: whose answers.
        folder: `state/predictions`.
        now_s: seconds since 1970, UTC.

    Raises:
        BackendError: the disk is full, or the ledger or a file cannot be read.
    """
    today = datetime.fromtimestamp(now_s, UTC).date().isoformat()
    written = []
    for (day, version), count in sorted(predictions.days(task).items()):
        path = file_of(folder, task, day, version)
        if day < today and _count(path) < count:
            _write(_Day(predictions, task, day, version), path)
            written.append(path)
    return written


@dataclass(frozen=True)
class _Day:
    """The answers of a day and model version, which can be gone through several times."""

    predictions: Predictions
    task: str
    day: str
    version: int

    def __iter__(self) -> Iterator[Answer]:
        start = datetime.fromisoformat(self.day).replace(tzinfo=UTC)
        end_s = (start + timedelta(days=1)).timestamp()
        return self.predictions.given(self.task, self.version, start.timestamp(), end_s)


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


def _write(answers: _Day, path: Path) -> None:
    """Write one file under a temporary name and rename it when it is on disk.

    The name is the process's own, other than that of `files.replacing`: a flow and a person may watch at the same time.
    """
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        schema = _schema(answers)
        with pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
            for page in _pages(answers):
                writer.write_table(_table(page, schema))
        temporary.replace(path)
        for left_behind in path.parent.glob(f".{path.name}.*.partial"):  # by a kill
            left_behind.unlink(missing_ok=True)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise BackendError(
            f"the prediction log cannot be exported ({error.strerror or error})",
            where=path,
            way_out="Check the disk's free space and your write permission; the answers are safe in the ledger.",
        ) from error


def _pages(answers: _Day) -> Iterator[list[Answer]]:
    ahead = iter(answers)
    while page := list(islice(ahead, _PAGE)):
        yield page


def _schema(answers: _Day) -> pa.Schema:
    """A column of the flat rows is text where any value is; else float64, so that it has one type in all files."""
    import pyarrow as pa

    is_text: dict[str, bool] = {}
    for answer in answers:
        for name, value in answer.row.items():
            is_text[name] = is_text.get(name, False) or isinstance(value, str)
    fields = [(name, pa.string() if text else pa.float64()) for name, text in is_text.items()]
    return pa.schema([*_fields().items(), *fields, ("embedding", pa.list_(pa.float32()))])


def _fields() -> Mapping[str, pa.DataType]:
    import pyarrow as pa

    return {
        "id": pa.string(),
        "time": pa.timestamp("us", tz="UTC"),
        "version": pa.int32(),
        "sha256": pa.string(),
        "source": pa.string(),
        "stream": pa.string(),
        "frame": pa.int64(),
        "answers": pa.int32(),
    }


def _table(answers: Sequence[Answer], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    lines = [_line(answer) for answer in answers]
    return pa.table({field.name: pa.array([_value(line, field) for line in lines], field.type) for field in schema})


def _line(answer: Answer) -> dict[str, object]:
    """An answer's values by column, its flat row among them; those of the log itself have the last word."""
    frame = answer.frame
    return {
        **answer.row,
        "id": answer.id,
        "time": int(answer.time_s * 1e6),
        "version": answer.version,
        "sha256": answer.sha256,
        "source": answer.source,
        "stream": None if frame is None else frame.stream,
        "frame": None if frame is None else frame.number,
        "answers": 1 if frame is None else frame.answers,
        "embedding": answer.embedding,
    }


def _value(line: Mapping[str, object], field: pa.Field) -> object:
    """A number among words is a word, see `_schema`."""
    import pyarrow as pa

    value = line.get(field.name)
    return str(value) if value is not None and field.type == pa.string() else value
