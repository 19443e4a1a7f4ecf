"""The tables as the newest migration leaves them; a test holds both in step.

`position` is the order in which this database took the rows in, and is shown to nobody: what people and programs keep
is the `id`. Rows of files from before there were such ids have their old number as text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from sqlalchemy.sql.compiler import SQLCompiler

REVISION = "0001"
"""The newest migration."""

metadata = MetaData()


def _position() -> Column[int]:
    return Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


predictions = Table(
    "predictions",
    metadata,
    _position(),
    Column("id", String(36), nullable=False),
    Column("time_s", Double, nullable=False),
    Column("task", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("once", Boolean, nullable=False),
    Column("stream", Text),
    Column("frame", BigInteger),
    Column("frame_s", Double),
    Column("answers", Integer, nullable=False),
    Column("row", Text, nullable=False),
    Column("embedding", LargeBinary, nullable=False),
    UniqueConstraint("id", name="predictions_id"),
)
Index(
    "predictions_by_version",
    predictions.c.task,
    predictions.c.version,
    predictions.c.time_s,
    predictions.c.position,
)
Index(
    "predictions_once",
    predictions.c.task,
    predictions.c.version,
    predictions.c.sha256,
    predictions.c.source,
    unique=True,
    sqlite_where=predictions.c.once.is_(True),
    postgresql_where=predictions.c.once.is_(True),
)

events = Table(
    "events",
    metadata,
    _position(),
    Column("id", String(36), nullable=False),
    Column("time_s", Double, nullable=False),
    Column("task", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("document", Text, nullable=False),
    UniqueConstraint("id", name="events_id"),
)
Index("events_by_kind", events.c.task, events.c.kind, events.c.position)

jobs = Table(
    "jobs",
    metadata,
    _position(),
    Column("id", String(36), nullable=False),
    Column("task", Text, nullable=False),
    Column("time_s", Double, nullable=False),
    Column("order", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", Text, nullable=False),
    Column("hold_s", Double, nullable=False),
    Column("progress", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("changed_s", Double, nullable=False),
    UniqueConstraint("id", name="jobs_id"),
)
Index("jobs_by_state", jobs.c.task, jobs.c.state, jobs.c.position)


class DayNumber(FunctionElement[int]):
    """Whole days since 1970, UTC, of a time in seconds."""

    type = BigInteger()
    inherit_cache = True

    def __init__(self, time_s: ColumnElement[float]) -> None:
        super().__init__(time_s)


@compiles(DayNumber)
def _day_number(element: DayNumber, compiler: SQLCompiler, **options: object) -> str:
    return f"CAST(floor({compiler.process(element.clauses, **options)} / 86400) AS BIGINT)"


@compiles(DayNumber, "sqlite")
def _day_number_in_sqlite(element: DayNumber, compiler: SQLCompiler, **options: object) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} / 86400 AS INTEGER)"  # cuts; floor() may be lacking
