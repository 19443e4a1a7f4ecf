"""The database of the stores: opened by its URL, migrated at the first use, safe for many processes.

A sqlite file gets a connection for each transaction, which costs little and keeps threads and forks apart, and makes a
new file where somebody has removed it meanwhile. A server's connections are pooled; a fork drops them.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from sightline.errors import BackendError
from sightline.runtime.disk import full_folder, tells_of_full_disk
from sightline.stores.tables import REVISION, jobs

_PATIENCE_S = 30.0  # how long a writer waits for others
_CONNECT_S = 10  # how long a server may take to let a connection in
_CHECK_S = 1.0  # and one that only asks whether it could write
_MIGRATION_LOCK = 4_711_004  # any number, the same for all who migrate this database

_DAMAGED = "Stop what uses it, and restore it from a backup; moved away, a new one is made."
_RIGHTS = "Give this user the right to write the file and its folder."
_FULL = ("cannot be written: the disk is full", "Free some space on the disk, then try again.")
_HELD = (
    "is held by another program",
    "Find who has it open (a backup, a viewer of databases), end that, then try again.",
)
_CLOSED = ("cannot be opened", _RIGHTS)
_OTHER_TABLES = ("has other tables than this version wants", _DAMAGED)
_UNKNOWN = ("cannot be used", "Look at the database and its log.")
_REACH = ("cannot be reached", "Start the database server; check address, user and password in SIGHTLINE_LEDGER_URL.")
_LOGIN = ("does not let this user in", "Check user, password and database in SIGHTLINE_LEDGER_URL.")
_GRANT = ("cannot be written", "Give this user the right to write these tables.")

_SQLITE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_BUSY: _HELD,
    sqlite3.SQLITE_LOCKED: _HELD,
    sqlite3.SQLITE_CORRUPT: ("is damaged", _DAMAGED),
    sqlite3.SQLITE_NOTADB: ("is no database", _DAMAGED),
    sqlite3.SQLITE_READONLY: ("cannot be written", _RIGHTS),
    sqlite3.SQLITE_PERM: ("cannot be written", _RIGHTS),
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_IOERR: ("cannot be read or written: the disk failed", "Check the disk and how it is mounted."),
    sqlite3.SQLITE_ERROR: _OTHER_TABLES,
}
"""sqlite's code -> what is wrong, and the way out."""

_POSTGRESQL = {
    "53100": _FULL,
    "53300": ("has no connection left", "Raise max_connections of the server, or run fewer endpoints."),
    "55P03": _HELD,
    "57014": _HELD,
    "3D000": _LOGIN,
    "28": _LOGIN,
    "25006": _GRANT,
    "42501": _GRANT,
    "42": _OTHER_TABLES,
    "08": _REACH,
    "57": _REACH,
    "58": ("cannot be read or written: the server's disk failed", "Look at the server's log."),
    "XX": ("is damaged", "Look at the server's log, and restore the database from a backup."),
}
"""SQLSTATE, or its first two characters -> the same (appendix A of its manual)."""


class Database:
    """A database by its URL: `sqlite:////absolute/path`, or `postgresql+psycopg://user:password@host/name`.

    Raises:
        BackendError: from whatever uses it: it cannot be read or written now (a full disk, a lock held for 30 s, no
            database, no server), or was written by a newer version of Sightline.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._file = Path(self._url.database or "") if self._url.get_backend_name() == "sqlite" else None
        self._is_ready = False

    @property
    def where(self) -> str:
        """Where the database is, for people: the file, or the URL without its password."""
        return self._url.render_as_string(hide_password=True) if self._file is None else str(self._file)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads; see the class for what it raises."""
        with self._transaction(writes=False) as connection:
            yield connection

    @contextmanager
    def writing(self, patience_s: float = _PATIENCE_S) -> Iterator[Connection]:
        """A transaction that writes; when it is left, what it wrote is on disk. See the class for what it raises."""
        with self._transaction(writes=True, patience_s=patience_s) as connection:
            yield connection

    def check(self) -> None:
        """Whether an answer could be written now.

        Raises:
            BackendError: says what is wrong.
        """
        if self._file is not None and full_folder([self._file.parent]) is not None:
            raise BackendError(
                "the disk is full", where=self._file, way_out="Free some space on the disk and try again."
            )
        with self.writing(
            _CHECK_S
        ) as connection:  # in sqlite this is all; a server that only reads refuses to lock rows
            connection.execute(select(jobs.c.position).limit(1).with_for_update(skip_locked=True))

    def close(self) -> None:
        """Close the pooled connections; the next use opens new ones."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, writes: bool, patience_s: float = _PATIENCE_S) -> Iterator[Connection]:
        try:
            with self._connected() as connection:
                if self._file is not None and patience_s != _PATIENCE_S:
                    _driver(connection).execute(f"PRAGMA busy_timeout={int(patience_s * 1000)}")
                with connection.execution_options(writes=writes).begin():
                    yield connection
        except (SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
            raise self._failed(error) from error

    def _connected(self) -> Connection:
        """A connection to a database of the newest version."""
        if self._file is not None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
        connection = self._engine.connect()
        try:
            if self._is_ready and self._file is None:
                return connection
            if self._revision(connection) == REVISION:  # a file is asked each time: somebody may have removed it
                self._is_ready = True
                return connection
        except BaseException:
            connection.close()
            raise
        connection.close()
        self._migrate()
        return self._engine.connect()

    # ------------------------------------------------------------------------------------------------- connections

    @cached_property
    def _engine(self) -> Engine:
        if self._file is None:
            patience = {"connect_timeout": _CONNECT_S, "options": f"-c lock_timeout={_PATIENCE_S:g}s"}
            engine = create_engine(self._url, pool_pre_ping=True, connect_args=patience)
            _forget_in_forks(engine)
            return engine
        engine = create_engine(self._url, poolclass=NullPool, connect_args={"timeout": _PATIENCE_S})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_in_sqlite)
        return engine

    def _revision(self, connection: Connection) -> str | None:
        """The migration that a database is at; None where there was none yet."""
        asked = "SELECT version_num FROM alembic_version"
        if self._file is None:
            with connection.begin():
                known = inspect(connection).has_table("alembic_version")
                return connection.execute(text(asked)).scalar() if known else None
        try:
            found = _driver(connection).execute(asked).fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
                raise
            return None  # there is no such table
        return str(found[0]) if found else None

    # --------------------------------------------------------------------------------------------------- migrations

    def _migrate(self) -> None:
        """Bring the database to the newest version: one process and thread at a time, all of it or nothing."""
        from sightline.stores.migrations import upgrade

        if self._file is None:
            with self._engine.begin() as connection:
                connection.execute(text(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})"))
                upgrade(connection, self.where)
            return
        with FileLock(self._file.with_suffix(".lock"), timeout=_PATIENCE_S), self._engine.connect() as connection:
            # Changing the journal's mode does not wait for others, but fails: hence the lock beside the file.
            _driver(connection).execute("PRAGMA journal_mode=WAL")  # readers do not wait for writers
            with connection.execution_options(writes=True).begin():
                upgrade(connection, self.where)

    # ------------------------------------------------------------------------------------------------------- errors

    def _failed(self, error: Exception) -> BackendError:
        """What is wrong, by the code that the driver gives."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        what, way_out = self._told(error, cause)
        said = " ".join(str(cause).split())  # a server's words have several lines
        return BackendError(f"the ledger {what} ({said})", where=self.where, way_out=way_out)

    def _told(self, error: Exception, cause: BaseException) -> tuple[str, str]:
        if isinstance(cause, Timeout):
            return _HELD
        if tells_of_full_disk(cause):
            return _FULL
        if isinstance(cause, OSError):
            return _CLOSED
        if isinstance(cause, ImportError):
            return "lacks its driver", "Install psycopg[binary] into the environment of Sightline."
        if self._file is not None:  # the extended codes keep the kind in the lowest byte
            return _SQLITE.get(getattr(cause, "sqlite_errorcode", 0) & 0xFF, _UNKNOWN)
        state = str(getattr(cause, "sqlstate", None) or "")
        unreachable = _REACH if isinstance(error, OperationalError) and not state else _UNKNOWN
        return _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2], unreachable)


def _driver(connection: Connection) -> Any:
    """The driver's own connection, for what is said to sqlite outside of transactions."""
    return connection.connection.driver_connection


def _set_up_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy begins them
    connection.execute("PRAGMA synchronous=FULL")  # an answered prediction survives a power cut


def _begin_in_sqlite(connection: Connection) -> None:
    """Writers wait for each other at the beginning: one that reads first could not go on to write."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _forget_in_forks(engine: Engine) -> None:
    """A fork must not speak over the sockets of its parent, nor close them."""
    held = weakref.ref(engine)

    def forget() -> None:
        if (one := held()) is not None:
            one.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
