"""Every statement is one for sqlite and for PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import ClauseElement

from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.stores.predictions import Answer, Predictions
from sightline.stores.queue import Queue
from sightline.stores.tables import metadata

POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]


class Compiling:
    """A connection to sqlite that also compiles what it executes for PostgreSQL."""

    def __init__(self, connection: Connection, compiled: list[str]) -> None:
        self._connection = connection
        self._compiled = compiled
        self.dialect = connection.dialect

    def execute(self, statement: ClauseElement, *values: Any) -> Any:
        self._compiled.append(str(statement.compile(dialect=POSTGRESQL)))
        return self._connection.execute(statement, *values)  # type: ignore[call-overload]


class CompilingDatabase(Database):
    def __init__(self) -> None:
        super().__init__("sqlite://")
        self.compiled: list[str] = []
        self._memory = create_engine("sqlite://").connect()
        metadata.create_all(self._memory)

    @contextmanager
    def _transaction(self, writes: bool, patience_s: float = 0) -> Iterator[Any]:
        yield Compiling(self._memory, self.compiled)

    def close(self) -> None:
        self._memory.close()
        self._memory.engine.dispose()


def use_predictions(database: Database) -> None:
    predictions = Predictions(database)
    embedding = np.zeros(2, dtype=np.float32)
    predictions.log([Answer("toy", 1, "sha", "a.png", {}, embedding)])
    predictions.log([Answer("toy", 1, f"sha{n}", "a.png", {}, embedding, time_s=float(n)) for n in range(1001)])
    list(predictions.given("toy"))
    list(predictions.given("toy", 1, 0.0, 1e12))
    predictions.find("x")
    predictions.count("toy", 1)
    predictions.days("toy")


def use_events(database: Database) -> None:
    events = Events(database)
    events.record("run", "toy", {})
    events.history("toy")
    events.history("toy", "run", "drift")
    events.last("toy", "run")


def use_queue(database: Database) -> None:
    queue = Queue(database)
    key = queue.add("toy", {})
    job = queue.claim("toy", "one", 1.0)
    assert job is not None
    queue.renew(job, {}, 1.0)
    queue.let_go(job)
    job = queue.claim("toy", "one", 0.0)
    assert job is not None
    queue.put_back(job, {}, 0.0)
    queue.find(key)
    queue.recent("toy", 3)
    queue.waiting("toy")
    queue.cancel(key)


@pytest.mark.parametrize(
    ("use", "count", "words"),
    [
        (use_predictions, 9, "CAST(floor(predictions.time_s / 86400) AS BIGINT)"),
        (use_events, 4, "events.kind IN"),
        (use_queue, 12, "FOR UPDATE"),
    ],
)
def test_every_statement_compiles_for_postgresql(use: Callable[[Database], None], count: int, words: str) -> None:
    database = CompilingDatabase()
    use(database)
    database.close()
    assert len(database.compiled) >= count
    assert any(words in statement for statement in database.compiled)
