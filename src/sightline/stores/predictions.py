"""The prediction log: a row for each answer, on disk before the answer leaves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from sightline.stores.database import Database
from sightline.stores.ids import new_id
from sightline.stores.tables import DayNumber, predictions

_PAGE = 1000  # rows that are read at a time: a few megabytes with their embeddings
_DAY_S = 86400

_INSERT = insert(predictions)
_INSERT_NEW = {
    "sqlite": sqlite.insert(predictions).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(predictions).on_conflict_do_nothing(),
}
"""What a unique index forbids is left out: the only statement that each database has in words of its own."""


@dataclass(frozen=True)
class Frame:
    """Where in a stream an answer belongs.

    Attributes:
        stream: the stream's name, the same for all of its frames.
        number: of the frame, from 0.
        at_s: its time by the stream's own clock.
        answers: how many frames the row stands for, itself among them: those before it were answered and not kept.
        must_keep: whatever rule the stream has (`streams`); no part of the row.
    """

    stream: str
    number: int
    at_s: float
    answers: int = 1
    must_keep: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Answer:
    """One prediction as the log keeps it.

    Attributes:
        sha256: of the input's bytes.
        source: the file name that came with it, for people.
        row: the prediction's flat row.
        embedding: (d,) float32.
        once: where it is there already (task, version, digest and source), it is not written again.
        frame: of a stream; None: an input that stands for itself.
        id: what clients know it by.
    """

    task: str
    version: int
    sha256: str
    source: str
    row: Mapping[str, float | int | str]
    embedding: NDArray[np.float32]
    time_s: float = field(default_factory=time.time)
    once: bool = False
    frame: Frame | None = None
    id: str = field(default_factory=new_id)


class Predictions:
    """The answers in a database.

    Raises:
        BackendError: from any method: the database cannot be used, see `Database`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def log(self, answers: Sequence[Answer]) -> list[str]:
        """Append answers in one transaction; when this returns they are on disk. Their ids."""
        if not answers:
            return []
        with self._database.writing() as connection:
            plain = [_values(answer) for answer in answers if not answer.once]
            if plain:
                connection.execute(_INSERT, plain)
            return [_log_once(connection, answer) if answer.once else answer.id for answer in answers]

    def find(self, key: str) -> Answer | None:
        """The answer with this id; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(predictions).where(predictions.c.id == key)).mappings().first()
        return None if row is None else _answer(row)

    def given(
        self, task: str, version: int | None = None, since_s: float = 0.0, until_s: float = math.inf
    ) -> Iterator[Answer]:
        """Answers given in [since, until), oldest first, a page in memory at a time.

        No transaction is held from page to page: reading millions of rows neither keeps others waiting nor lets the
        write-ahead log grow.
        """
        wanted = _wanted(task, version, since_s, until_s)
        place = tuple_(predictions.c.time_s, predictions.c.position)
        page = select(predictions).where(*wanted).order_by(predictions.c.time_s, predictions.c.position).limit(_PAGE)
        last: tuple[float, int] | None = None
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(page if last is None else page.where(place > last)).mappings().all()
            yield from map(_answer, rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1]["time_s"], rows[-1]["position"]

    def count(self, task: str, version: int | None = None, since_s: float = 0.0, until_s: float = math.inf) -> int:
        """How many answers were given in [since, until), also those of streams that were not kept."""
        wanted = _wanted(task, version, since_s, until_s)
        with self._database.reading() as connection:
            return int(connection.execute(select(func.sum(predictions.c.answers)).where(*wanted)).scalar() or 0)

    def days(self, task: str) -> dict[tuple[str, int], int]:
        """Number of rows by day (UTC, YYYY-MM-DD) and model version."""
        day = DayNumber(predictions.c.time_s).label("day")
        counted = (
            select(day, predictions.c.version, func.count())
            .where(predictions.c.task == task)
            .group_by(day, predictions.c.version)
        )
        with self._database.reading() as connection:
            found = connection.execute(counted).all()
        return {(_date(number), version): count for number, version, count in found}


def _wanted(task: str, version: int | None, since_s: float, until_s: float) -> list[ColumnElement[bool]]:
    wanted = [predictions.c.task == task, predictions.c.time_s >= since_s, predictions.c.time_s < until_s]
    return wanted if version is None else [*wanted, predictions.c.version == version]


def _log_once(connection: Connection, answer: Answer) -> str:
    """The id of the row, whoever wrote it: two who write it at once get the same."""
    connection.execute(_INSERT_NEW[connection.dialect.name], _values(answer))
    same = (
        predictions.c.task == answer.task,
        predictions.c.version == answer.version,
        predictions.c.sha256 == answer.sha256,
        predictions.c.source == answer.source,
        predictions.c.once.is_(True),
    )
    return str(connection.execute(select(predictions.c.id).where(*same)).scalar_one())


def _values(answer: Answer) -> dict[str, object]:
    frame = answer.frame
    return {
        "id": answer.id,
        "time_s": answer.time_s,
        "task": answer.task,
        "version": answer.version,
        "sha256": answer.sha256,
        "source": answer.source.replace("\0", "\N{REPLACEMENT CHARACTER}"),  # which PostgreSQL's text cannot hold
        "once": answer.once,
        "stream": frame and frame.stream,
        "frame": frame and frame.number,
        "frame_s": frame and frame.at_s,
        "answers": frame.answers if frame else 1,
        "row": json.dumps(dict(answer.row)),
        "embedding": np.asarray(answer.embedding, dtype="<f4").tobytes(),
    }


def _answer(row: RowMapping) -> Answer:
    frame = None if row["stream"] is None else Frame(row["stream"], row["frame"], row["frame_s"], row["answers"])
    return Answer(
        row["task"],
        row["version"],
        row["sha256"],
        row["source"],
        json.loads(row["row"]),
        np.frombuffer(row["embedding"], dtype="<f4"),
        row["time_s"],
        row["once"],
        frame,
        row["id"],
    )


def _date(day: int) -> str:
    return datetime.fromtimestamp(day * _DAY_S, UTC).date().isoformat()
