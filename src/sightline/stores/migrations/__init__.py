"""Migrations of the stores' tables, by Alembic. Each lies in `versions/` and is never changed once it was used."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from sightline.errors import BackendError


def scripts() -> ScriptDirectory:
    """The migrations that this version of the code knows."""
    return ScriptDirectory.from_config(_config())


def upgrade(connection: Connection, where: str) -> None:
    """Bring a database to the newest version within the connection's transaction; nothing where another just has.

    Raises:
        BackendError: the database was written by a newer version of Sightline.
    """
    _refuse_newer(connection, where)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "sightline.stores:migrations")
    return config


def _refuse_newer(connection: Connection, where: str) -> None:
    if not inspect(connection).has_table("alembic_version"):
        return
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    try:
        scripts().get_revision(str(found))
    except CommandError as error:
        raise BackendError(
            f"the ledger was written by a newer version of Sightline (its tables are at {found})",
            where=where,
            way_out="Update Sightline, or restore the backup from before the update.",
        ) from error
