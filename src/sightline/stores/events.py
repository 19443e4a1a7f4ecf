"""What happened: a document for each promotion, run, drift verdict and the like; append-only."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, insert, select

from sightline.stores import Kind
from sightline.stores.database import Database
from sightline.stores.ids import new_id
from sightline.stores.tables import events
from sightline.task import Json


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    Attributes:
        id: what it is known by.
        position: the order in which the database took it in: a later event has a larger one, whatever clocks say.
        time_s: when (Unix time).
        task: to which task; empty where to none.
        kind: what it tells of.
        document: what there is to tell.
    """

    id: str
    position: int
    time_s: float
    task: str
    kind: Kind
    document: dict[str, Json]


class Events:
    """The events in a database.

    Raises:
        BackendError: from any method: the database cannot be used, see `Database`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, kind: Kind, task: str, document: Mapping[str, Json]) -> str:
        """Append one event, and return its id."""
        text = json.dumps(dict(document), sort_keys=True)
        values = {"id": new_id(), "time_s": time.time(), "task": task, "kind": kind, "document": text}
        with self._database.writing() as connection:
            connection.execute(insert(events), values)
        return str(values["id"])

    def history(self, task: str, *kinds: Kind) -> list[Event]:
        """Events of a task, of these kinds or of all, oldest first."""
        with self._database.reading() as connection:
            found = connection.execute(_of(task, kinds).order_by(events.c.position)).all()
        return [_event(row) for row in found]

    def last(self, task: str, kind: Kind) -> Event | None:
        """The newest event of a kind."""
        newest = _of(task, (kind,)).order_by(events.c.position.desc()).limit(1)
        with self._database.reading() as connection:
            row = connection.execute(newest).first()
        return None if row is None else _event(row)


def _of(task: str, kinds: tuple[Kind, ...]) -> Select[Any]:
    columns = (events.c.id, events.c.position, events.c.time_s, events.c.task, events.c.kind, events.c.document)
    wanted = select(*columns).where(events.c.task == task)
    return wanted.where(events.c.kind.in_(kinds)) if kinds else wanted


def _event(row: Row[Any]) -> Event:
    key, position, time_s, task, kind, document = row
    return Event(key, position, time_s, task, kind, json.loads(document))
