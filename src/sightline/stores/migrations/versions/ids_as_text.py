"""Ids are text that is minted before the write; what lies in files of before Alembic comes over with its numbers."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OLD = ("predictions", "entries", "jobs")

_KEEP_IN_SQLITE = """
CREATE TRIGGER {table}_{verb} BEFORE {event} ON {table}
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END
"""
_REFUSE_IN_POSTGRESQL = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$
"""
_KEEP_IN_POSTGRESQL = (
    "CREATE TRIGGER {table}_{verb} BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()"
)
_KEPT = (("predictions", "UPDATE", "stay"), ("events", "UPDATE", "stay"), ("events", "DELETE", "remain"))

_COPY_PREDICTIONS = """
INSERT INTO predictions
    (position, id, time_s, task, version, sha256, source, once, answers, row, embedding)
SELECT id, CAST(id AS TEXT), time_s, task, version, sha256, source,
    id IN (SELECT MIN(id) FROM predictions_before WHERE source LIKE 'area %' GROUP BY task, version, sha256, source),
    1, row, embedding
FROM predictions_before ORDER BY id
"""
"""Only answers about areas were written once."""

_COPY_ENTRIES = """
INSERT INTO events (position, id, time_s, task, kind, document)
SELECT id, CAST(id AS TEXT), time_s, task, kind, document FROM entries_before ORDER BY id
"""
_COPY_JOBS = """
INSERT INTO jobs
    (position, id, task, time_s, "order", state, attempts, worker, hold_s, progress, outcome, changed_s)
SELECT id, CAST(id AS TEXT), task, time_s, "order", state, attempts, worker, {hold_s}, progress, outcome, changed_s
FROM jobs_before ORDER BY id
"""


def upgrade() -> None:
    """Make the tables, and fill them from those of before."""
    connection = op.get_bind()
    there = [name for name in _OLD if sa.inspect(connection).has_table(name)]
    for name in there:
        op.rename_table(name, f"{name}_before")
    op.execute("DROP INDEX IF EXISTS jobs_by_state")  # its name is taken again
    _make_tables()
    _make_indexes()
    if "predictions" in there:
        op.execute(_COPY_PREDICTIONS)
    if "entries" in there:
        op.execute(_COPY_ENTRIES)
    if "jobs" in there:
        _copy_jobs(connection)
    for name in there:
        op.drop_table(f"{name}_before")
    _make_triggers(connection.dialect.name)


def _make_tables() -> None:
    op.create_table(
        "predictions",
        _position(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("time_s", sa.Double, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("once", sa.Boolean, nullable=False),
        sa.Column("stream", sa.Text),
        sa.Column("frame", sa.BigInteger),
        sa.Column("frame_s", sa.Double),
        sa.Column("answers", sa.Integer, nullable=False),
        sa.Column("row", sa.Text, nullable=False),
        sa.Column("embedding", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("id", name="predictions_id"),
    )
    op.create_table(
        "events",
        _position(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("time_s", sa.Double, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.UniqueConstraint("id", name="events_id"),
    )
    op.create_table(
        "jobs",
        _position(),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("time_s", sa.Double, nullable=False),
        sa.Column("order", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("hold_s", sa.Double, nullable=False),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
        sa.UniqueConstraint("id", name="jobs_id"),
    )


def _position() -> sa.Column[int]:
    kind = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    return sa.Column("position", kind, primary_key=True, autoincrement=True)


def _make_indexes() -> None:
    op.create_index("predictions_by_version", "predictions", ["task", "version", "time_s", "position"])
    op.create_index(
        "predictions_once",
        "predictions",
        ["task", "version", "sha256", "source"],
        unique=True,
        sqlite_where=sa.column("once", sa.Boolean).is_(True),
        postgresql_where=sa.column("once", sa.Boolean).is_(True),
    )
    op.create_index("events_by_kind", "events", ["task", "kind", "position"])
    op.create_index("jobs_by_state", "jobs", ["task", "state", "position"])


def _make_triggers(dialect: str) -> None:
    """Answers and events are never changed, events never removed."""
    if dialect == "postgresql":
        op.execute(_REFUSE_IN_POSTGRESQL)
    statement = _KEEP_IN_POSTGRESQL if dialect == "postgresql" else _KEEP_IN_SQLITE
    for table, event, verb in _KEPT:
        op.execute(statement.format(table=table, event=event, verb=verb))


def _copy_jobs(connection: sa.Connection) -> None:
    """Files of before `hold_s` had a Unix time in its place; outcomes name predictions by their numbers."""
    columns = {column["name"] for column in sa.inspect(connection).get_columns("jobs_before")}
    op.execute(_COPY_JOBS.format(hold_s="hold_s" if "hold_s" in columns else "0"))
    jobs = sa.table("jobs", sa.column("position", sa.Integer), sa.column("outcome", sa.Text))
    for position, outcome in connection.execute(sa.select(jobs.c.position, jobs.c.outcome)).all():
        told = json.loads(outcome)
        if "prediction_ids" in told:
            told["prediction_ids"] = [str(number) for number in told["prediction_ids"]]
            changed = sa.update(jobs).where(jobs.c.position == position).values(outcome=json.dumps(told))
            connection.execute(changed)
