"""The registry of a project folder, read without MLflow: what MLflow's own sqlite tables say.

Why not through MLflow: importing it costs three CPU seconds and more, whichever part is wanted, for its package imports
its client, and that its flavours. A list of our own beside the registry would be faster still, and wrong as soon as
someone moves an alias in the UI. So the tables are read, read-only and in one transaction, if their schema is one
that the tests know (`SCHEMAS`). Everything else (a newer MLflow, a server that SIGHTLINE_MLFLOW_URI names, a database
in the middle of being mended) is asked through MLflow's client by `tracking`, which also does all writing.

MLflow stores where artifacts lie as absolute addresses. A project may be moved, renamed or copied, so an address is
read as a place below this project's own `mlruns/` (`artifact_folder`), and `relocate` rewrites the addresses before
anything is written: else a copy would write into the original.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sightline.errors import BackendError

DATABASE = "mlflow.db"

SCHEMAS = frozenset({"dc11669786a5"})
"""Revisions of MLflow's tables that are read here: that of MLflow 3.17."""

_WAIT_S = 20.0
_DELETED = "Deleted_Internal"  # MLflow keeps the row of a version that was deleted


@dataclass(frozen=True)
class Version:
    """One registered model version.

    Attributes:
        task: its name.
        number: counts within the task, and is given again after the newest version was deleted or in a new registry.
        aliases: sorted.
        tags: see `tracking.TAGS`.
        run_id: of the run that keeps its artifacts; never given again.
        created_s: when it was registered, seconds since 1970.
    """

    task: str
    number: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    run_id: str
    created_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.task}@{self.number}"

    @property
    def identity(self) -> str:
        """What tells this version from any other, also from one of the same number in another registry."""
        return f"{self.run_id} {self.tags.get('artifacts_sha256', '')}"


def read_versions(mlruns: Path, task: str) -> list[Version] | None:
    """All versions of a task, oldest first; None where MLflow is to be asked."""
    try:
        with _reading(mlruns) as tables:
            return _versions(tables, task) if tables else None
    except sqlite3.Error:
        return None


def artifact_folder(mlruns: Path, run_id: str) -> Path | None:
    """Where a run's artifacts lie on this disk; None where MLflow is to be asked."""
    try:
        with _reading(mlruns) as tables:
            found = (
                tables
                and tables.execute(
                    "SELECT r.artifact_uri, e.artifact_location, e.name, e.experiment_id FROM runs r"
                    " JOIN experiments e ON e.experiment_id = r.experiment_id WHERE r.run_uuid = ?",
                    (run_id,),
                ).fetchone()
            )
    except sqlite3.Error:
        return None
    if not found:
        return None
    address, location, name, number = found
    place = _own_place(mlruns, location, name, number)
    if place is None or not address.startswith(location):
        return None
    return place / unquote(address.removeprefix(location).lstrip("/"))


def _versions(tables: sqlite3.Connection, task: str) -> list[Version]:
    aliases: dict[int, list[str]] = {}
    for alias, number in tables.execute("SELECT alias, version FROM registered_model_aliases WHERE name = ?", (task,)):
        aliases.setdefault(int(number), []).append(alias)
    tags: dict[int, dict[str, str]] = {}
    for number, key, value in tables.execute(
        "SELECT version, key, value FROM model_version_tags WHERE name = ?", (task,)
    ):
        tags.setdefault(int(number), {})[key] = value
    found = tables.execute(
        # What a version is made of is what its source names, also where somebody gave it the number of another run.
        "SELECT v.version, v.creation_time, COALESCE(m.source_run_id, v.run_id, '') FROM model_versions v"
        " LEFT JOIN logged_models m ON v.source = 'models:/' || m.model_id"
        " WHERE v.name = ? AND v.current_stage != ? ORDER BY v.version",
        (task, _DELETED),
    )
    return [
        Version(task, n, tuple(sorted(aliases.get(n, ()))), tags.get(n, {}), run_id, created_ms / 1000)
        for n, created_ms, run_id in found
    ]


@contextmanager
def _reading(mlruns: Path) -> Iterator[sqlite3.Connection | None]:
    """The tables at one moment; None where their schema is not known, or several workspaces share them."""
    path = mlruns / DATABASE
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_WAIT_S)) as tables:
        tables.execute("BEGIN")
        yield tables if _is_known(tables) else None


def _is_known(tables: sqlite3.Connection) -> bool:
    revisions = {row[0] for row in tables.execute("SELECT version_num FROM alembic_version")}
    if len(revisions) != 1 or not revisions <= SCHEMAS:
        return False
    return not tables.execute("SELECT 1 FROM registered_models WHERE workspace != 'default' LIMIT 1").fetchone()


# -------------------------------------------------------------------------------------------------- where things lie


def artifact_location(mlruns: Path, experiment: str) -> Path:
    """Where an experiment of this project keeps its artifacts."""
    return mlruns / "artifacts" / experiment.replace("/", "-")


def _own_place(mlruns: Path, location: str, name: str, number: int) -> Path | None:
    """The place below `mlruns` of an experiment's location, wherever the project lay when that was written down.

    None for a location that this program did not choose: an object store, a folder of the user's own choice.
    """
    parts = urlsplit(location)
    if parts.scheme not in ("", "file"):
        return None
    path = PurePosixPath(unquote(parts.path) if parts.scheme else location)
    chosen = artifact_location(mlruns, name)
    if path.parts[-2:] == chosen.parts[-2:]:
        return chosen
    if number == 0 and path.name == "0":  # MLflow's own experiment `Default`, below the folder it was started in
        return mlruns / "0"
    return None


def relocate(mlruns: Path) -> int:
    """Rewrite addresses of artifacts that name a place where this project no longer lies; how many experiments moved.

    Call it before MLflow writes. The rows are those of experiments whose location this program chose. The columns are
    asked for by name, whatever the schema: where MLflow has no such columns any more, nothing must be written.

    Raises:
        BackendError: the database cannot be written.
    """
    path = mlruns / DATABASE
    if not path.is_file():
        return 0
    try:
        with closing(sqlite3.connect(path, timeout=_WAIT_S)) as tables, tables:
            return _relocate(tables, mlruns)
    except sqlite3.Error as error:
        raise BackendError(
            f"the registry cannot be adapted to the new place of the project ({error})",
            where=path,
            way_out=(
                "Stop `sightline up` and other programs that use it, check the disk's free space and your write"
                " permission, and try again."
            ),
        ) from error


def _relocate(tables: sqlite3.Connection, mlruns: Path) -> int:
    moved = 0
    found = tables.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
    for number, name, location in found:
        place = _own_place(mlruns, location or "", name, number)
        if place is None or location == place.as_uri():
            continue
        moved += 1
        for table, column, where in _ADDRESSES:
            tables.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {where}",  # noqa: S608 (constants)
                (place.as_uri(), len(location) + 1, number, location, f"{_escaped(location)}/%"),
            )
    return moved


_OF_EXPERIMENT = "experiment_id = ? AND ({0} = ? OR {0} LIKE ? ESCAPE '\\')"
_ADDRESSES = (
    ("experiments", "artifact_location", _OF_EXPERIMENT.format("artifact_location")),
    ("runs", "artifact_uri", _OF_EXPERIMENT.format("artifact_uri")),
    ("logged_models", "artifact_location", _OF_EXPERIMENT.format("artifact_location")),
    # A version does not say of which experiment it is: its address does.
    ("model_versions", "storage_location", "? >= 0 AND (storage_location = ? OR storage_location LIKE ? ESCAPE '\\')"),
)


def _escaped(text: str) -> str:
    return re.sub(r"([%_\\])", r"\\\1", text)
