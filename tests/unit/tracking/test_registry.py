"""The registry's tables without MLflow; tests/mlflow holds them against MLflow's own."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from sightline.errors import BackendError
from sightline.tracking import registry
from sightline.tracking.registry import artifact_folder, read_versions, relocate

TABLES = """
CREATE TABLE alembic_version (version_num TEXT);
CREATE TABLE experiments (experiment_id INTEGER, name TEXT, artifact_location TEXT);
CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT, experiment_id INTEGER);
CREATE TABLE logged_models (model_id TEXT, experiment_id INTEGER, artifact_location TEXT, source_run_id TEXT);
CREATE TABLE registered_models (name TEXT, workspace TEXT);
CREATE TABLE registered_model_aliases (alias TEXT, version INTEGER, name TEXT);
CREATE TABLE model_versions (name TEXT, version INTEGER, creation_time INTEGER, current_stage TEXT, source TEXT,
    run_id TEXT, storage_location TEXT);
CREATE TABLE model_version_tags (name TEXT, version INTEGER, key TEXT, value TEXT);
"""


def make(
    mlruns: Path, *, task: str = "toy", schema: str = next(iter(registry.SCHEMAS)), default: str = "/somewhere/mlruns/0"
) -> Path:
    """A registry with two versions of a task, the second one deleted; a folder for the artifacts of the first one."""
    mlruns.mkdir(parents=True)
    place = (mlruns / "artifacts" / task).as_uri()
    watched = (mlruns / "artifacts" / f"{task}-watch").as_uri()
    with closing(sqlite3.connect(mlruns / "mlflow.db")) as tables, tables:
        tables.executescript(TABLES)
        for table, rows in {
            "alembic_version": [(schema,)],
            "experiments": [
                (0, "Default", default),
                (1, task, place),
                (2, f"{task}/watch", watched),
                (3, "theirs", "s3://bucket/x"),
            ],
            "runs": [
                ("r1", f"{place}/r1/artifacts", 1),
                ("r2", f"{place}/r2/artifacts", 1),
                ("w1", f"{watched}/w1/artifacts", 2),
                ("s1", "s3://bucket/x/s1/artifacts", 3),
            ],
            "logged_models": [("m-1", 1, f"{place}/models/m-1/artifacts", "r1")],
            "registered_models": [(task, "default")],
            "registered_model_aliases": [("champion", 1, task), ("threshold", 1, task)],
            "model_versions": [
                (task, 1, 5000, "None", "models:/m-1", "r1", f"{place}/models/m-1/artifacts"),
                (task, 2, 6000, "Deleted_Internal", "REDACTED", "r2", None),
            ],
            "model_version_tags": [(task, 1, "candidate", "threshold"), (task, 2, "candidate", "gone")],
        }.items():
            tables.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    (mlruns / "artifacts" / task / "r1" / "artifacts").mkdir(parents=True)
    return mlruns


def rows(mlruns: Path, query: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(mlruns / "mlflow.db")) as tables:
        return tables.execute(query, values).fetchall()


def change(mlruns: Path, query: str) -> None:
    with closing(sqlite3.connect(mlruns / "mlflow.db")) as tables, tables:
        tables.execute(query)


def test_versions_have_their_aliases_and_tags_and_deleted_ones_are_left_out(tmp_path: Path) -> None:
    found = read_versions(make(tmp_path / "mlruns"), "toy")
    assert found == [registry.Version("toy", 1, ("champion", "threshold"), {"candidate": "threshold"}, "r1", 5.0)]
    assert read_versions(tmp_path / "mlruns", "nobody") == []


def test_an_unknown_schema_is_left_to_mlflow(tmp_path: Path) -> None:
    mlruns = make(tmp_path / "mlruns", schema="of another MLflow")
    assert read_versions(mlruns, "toy") is None
    assert artifact_folder(mlruns, "r1") is None


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be looked at" * 40])
def test_what_is_no_database_is_left_to_mlflow(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    assert read_versions(tmp_path, "toy") is None


def test_several_workspaces_are_left_to_mlflow(tmp_path: Path) -> None:
    mlruns = make(tmp_path / "mlruns")
    change(mlruns, "INSERT INTO registered_models VALUES ('toy', 'another')")
    assert read_versions(mlruns, "toy") is None


def test_a_version_is_made_of_what_its_source_names(tmp_path: Path) -> None:
    """Somebody may register a model by hand and give the number of another run besides."""
    mlruns = make(tmp_path / "mlruns")
    change(mlruns, "UPDATE model_versions SET run_id = 'r2' WHERE version = 1")
    found = read_versions(mlruns, "toy")
    assert found is not None
    assert found[0].run_id == "r1"


@pytest.mark.parametrize("name", ["project", "a space", "Zürich-日本", "50%", "it's", "a#b", "100_%", "a%20b"])
def test_artifacts_are_read_below_the_project_wherever_it_was_before(tmp_path: Path, name: str) -> None:
    old, new = tmp_path / "old" / name, tmp_path / "new" / name
    make(old / "mlruns")
    shutil.copytree(old, new)
    for root in (old, new):
        assert artifact_folder(root / "mlruns", "r1") == root / "mlruns" / "artifacts" / "toy" / "r1" / "artifacts"
        assert artifact_folder(root / "mlruns", "w1") == root / "mlruns" / "artifacts" / "toy-watch" / "w1/artifacts"
    assert artifact_folder(new / "mlruns", "s1") is None
    assert artifact_folder(new / "mlruns", "unknown") is None


@pytest.mark.parametrize("name", ["project", "a space", "100_%", "a%20b"])
def test_a_copy_names_the_original_nowhere_once_it_is_brought_to_its_place(tmp_path: Path, name: str) -> None:
    old, new = tmp_path / "old" / name, tmp_path / "new" / "renamed" / name
    make(old / "mlruns", default=f"{old}/mlruns/0")
    shutil.copytree(old, new)
    before = (old / "mlruns" / "mlflow.db").read_bytes()
    mlruns = new / "mlruns"
    assert relocate(mlruns) == 3
    place = (mlruns / "artifacts" / "toy").as_uri()
    assert rows(mlruns, "SELECT artifact_location FROM experiments") == [
        ((mlruns / "0").as_uri(),),
        (place,),
        (f"{place}-watch",),
        ("s3://bucket/x",),
    ]
    assert rows(mlruns, "SELECT artifact_uri FROM runs") == [
        (f"{place}/r1/artifacts",),
        (f"{place}/r2/artifacts",),
        (f"{place}-watch/w1/artifacts",),
        ("s3://bucket/x/s1/artifacts",),
    ]
    assert rows(mlruns, "SELECT artifact_location FROM logged_models") == [(f"{place}/models/m-1/artifacts",)]
    assert rows(mlruns, "SELECT storage_location FROM model_versions") == [
        (f"{place}/models/m-1/artifacts",),
        (None,),
    ]
    assert relocate(mlruns) == 0
    assert (old / "mlruns" / "mlflow.db").read_bytes() == before


def test_nothing_is_to_be_written_where_the_addresses_cannot_be_put_right(tmp_path: Path) -> None:
    mlruns = make(tmp_path / "mlruns")
    change(mlruns, "ALTER TABLE experiments RENAME COLUMN artifact_location TO place")
    with pytest.raises(BackendError, match=r"mlflow\.db"):
        relocate(mlruns)


def test_there_is_nothing_to_relocate_before_there_is_a_registry(tmp_path: Path) -> None:
    assert relocate(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []
