from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.stores.predictions import Answer, Predictions


def test_events_are_kept_by_kind_and_order(database: Database) -> None:
    events = Events(database)
    ids = [
        events.record("run", "toy", {"a": 1}),
        events.record("promotion", "toy", {"b": 2}),
        events.record("run", "toy", {"a": 3}),
    ]
    events.record("run", "other", {"a": 4})
    assert [e.document for e in events.history("toy", "run")] == [{"a": 1}, {"a": 3}]
    assert [e.id for e in events.history("toy")] == ids
    assert [e.kind for e in events.history("toy", "promotion", "rollback")] == ["promotion"]
    last = events.last("toy", "run")
    assert last is not None
    assert last.document == {"a": 3}
    assert last.position > events.history("toy")[1].position
    assert events.last("toy", "drift") is None


@pytest.mark.parametrize(
    "statement",
    ["UPDATE events SET document = '{}'", "DELETE FROM events", "UPDATE predictions SET row = '{}'"],
)
def test_what_happened_cannot_be_rewritten(database: Database, statement: str) -> None:
    Events(database).record("run", "toy", {})
    Predictions(database).log([Answer("toy", 1, "sha", "a.png", {}, np.zeros(2, dtype=np.float32))])
    engine = create_engine(database._url)
    with engine.connect() as past, pytest.raises(DBAPIError, match="append-only"):
        past.execute(text(statement))
    engine.dispose()
