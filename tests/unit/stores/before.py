"""Ledgers as the code wrote them that numbered its rows: the SQL of before Alembic."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

TABLES = """
CREATE TABLE IF NOT EXISTS predictions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time_s REAL NOT NULL, task TEXT NOT NULL, version INTEGER NOT NULL,
    sha256 TEXT NOT NULL, source TEXT NOT NULL, row TEXT NOT NULL, embedding BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS predictions_by_time ON predictions (task, time_s);
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY, time_s REAL NOT NULL, task TEXT NOT NULL, kind TEXT NOT NULL, document TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS entries_by_kind ON entries (task, kind, id);
CREATE TRIGGER IF NOT EXISTS predictions_stay BEFORE UPDATE ON predictions
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_stay BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_remain BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
JOBS = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, time_s REAL NOT NULL, "order" TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', attempts INTEGER NOT NULL DEFAULT 0, worker TEXT NOT NULL DEFAULT '',
    hold_s REAL NOT NULL DEFAULT 0, progress TEXT NOT NULL DEFAULT '{}', outcome TEXT NOT NULL DEFAULT '{}',
    changed_s REAL NOT NULL);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (task, state, id);
"""
JOBS_BEFORE_HOLD = JOBS.replace("hold_s REAL", "lease_until_s REAL")
"""Of the oldest files."""


def write_before(path: Path, rows: int = 5, jobs: str = JOBS) -> None:
    """A ledger with answers, entries and, unless the text is empty, jobs; the last answer is again about area 2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as tables, tables:
        tables.execute("PRAGMA journal_mode=WAL")
        tables.executescript(TABLES + jobs)
        embedding = np.array([1.0, 0.5], dtype="<f4").tobytes()
        answers = [(float(n), "toy", 1, f"sha{n}", f"{n}.png", f'{{"n": {n}}}', embedding) for n in range(1, rows + 1)]
        answers += [(100.0 + n, "toy", 1, "same", "area 2", '{"n": 0}', embedding) for n in range(2)]
        insert = "INSERT INTO predictions (time_s, task, version, sha256, source, row, embedding)"
        tables.executemany(f"{insert} VALUES (?, ?, ?, ?, ?, ?, ?)", answers)
        tables.execute("DELETE FROM predictions WHERE id = 2")  # numbers have gaps
        entries = [(50.0, "toy", "run", '{"a": 1}'), (40.0, "toy", "promotion", '{"b": 2}')]  # the clock was set back
        tables.executemany("INSERT INTO entries (time_s, task, kind, document) VALUES (?, ?, ?, ?)", entries)
        if jobs:
            done = "INSERT INTO jobs (task, time_s, \"order\", state, outcome, changed_s) VALUES ('toy', 1, ?, ?, ?, 1)"
            tables.execute(done, ('{"n": 1}', "done", '{"prediction_ids": [6, 7], "version": 1}'))
            tables.execute(done, ('{"n": 2}', "queued", "{}"))
