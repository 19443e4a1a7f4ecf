"""Backup while it runs, restore with digests, and numbers that are not given twice."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from sightline.errors import BackendError, DataMissing, DataRejected
from sightline.pipeline.backup import MANIFEST, back_up, check, read_backup, restore_backup
from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.stores.predictions import Answer, Predictions
from sightline.stores.queue import Queue
from tests.toy import Silent
from tests.unit.stores.before import write_before

MODELS = """
CREATE TABLE registered_models (name VARCHAR(256) NOT NULL, workspace VARCHAR(63) DEFAULT 'default' NOT NULL);
CREATE TABLE model_versions (name VARCHAR(256) NOT NULL, version INTEGER NOT NULL, creation_time BIGINT,
    current_stage VARCHAR(20), source VARCHAR(500), run_id VARCHAR(32), status VARCHAR(20),
    workspace VARCHAR(63) DEFAULT 'default' NOT NULL, PRIMARY KEY (workspace, name, version));
INSERT INTO model_versions (name, version, run_id) VALUES ('toy', 1, 'a'), ('toy', 2, 'b'), ('other', 1000, 'c');
"""


def answer(source: str = "x.png") -> Answer:
    return Answer("toy", 2, "0" * 64, source, {"spots": 1}, np.zeros(3, np.float32))


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    """A project folder with a ledger, a registry and an artifact."""
    settings = Settings(root=tmp_path / "project")
    artifact = settings.mlruns / "artifacts" / "toy" / "run" / "model.bin"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"weights")
    (settings.mlruns / "mlflow.db.lock").touch()
    with closing(sqlite3.connect(settings.mlruns / "mlflow.db")) as tables:
        tables.executescript(MODELS)
    database = Database(settings.database_url)
    Predictions(database).log([answer(), answer()])
    Events(database).record("promotion", "toy", {"champion": 2})
    Queue(database).add("toy", {"area": 1})
    (settings.root / "params.yaml").write_text("profile: cpu\n")
    return settings


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone" / "params.yaml").write_text("profile: gpu\n")
    return Settings(root=tmp_path / "clone")


def test_all_comes_back_and_no_number_is_given_again(project: Settings, fresh: Settings, tmp_path: Path) -> None:
    kept = back_up(project, tmp_path / "kept", Silent())
    restore_backup(fresh, tmp_path / "kept", Silent())

    database = Database(fresh.database_url)
    assert [a.source for a in Predictions(database).given("toy")] == ["x.png", "x.png"]
    assert Events(database).history("toy", "promotion")[0].document == {"champion": 2}
    assert Events(database).last("", "restore") is not None
    assert [job.order for job in Queue(database).recent("toy", 9)] == [{"area": 1}]
    with closing(sqlite3.connect(fresh.mlruns / "mlflow.db")) as tables:
        found = tables.execute("SELECT name, MAX(version) FROM model_versions GROUP BY 1 ORDER BY 1").fetchall()
        held = tables.execute("SELECT COUNT(*) FROM model_versions WHERE current_stage = 'Deleted_Internal'").fetchone()
    assert found == [("other", 2000), ("toy", 1000)]  # MLflow counts on from there
    assert held == (2,)
    assert (fresh.mlruns / "artifacts" / "toy" / "run" / "model.bin").read_bytes() == b"weights"
    assert (fresh.root / "params.yaml").read_text() == "profile: cpu\n"
    assert (fresh.root / "params.yaml.before-restore").read_text() == "profile: gpu\n"
    assert not [name for name in kept.files if name.endswith(".lock")]


def test_a_backup_is_whole_while_answers_are_logged(project: Settings, tmp_path: Path) -> None:
    done = threading.Event()

    def log() -> None:
        predictions = Predictions(Database(project.database_url))
        while not done.is_set():
            predictions.log([answer(), answer()])

    writer = threading.Thread(target=log)
    writer.start()
    try:
        kept = back_up(project, tmp_path / "kept", Silent())
    finally:
        done.set()
        writer.join()
    check(kept, Silent())
    copy = Predictions(Database(f"sqlite:///{kept.folder}/state/ledger.sqlite"))
    assert copy.count("toy") % 2 == 0  # no half batch


def test_a_file_that_was_changed_since_is_named_and_nothing_is_restored(
    project: Settings, fresh: Settings, tmp_path: Path
) -> None:
    kept = back_up(project, tmp_path / "kept", Silent())
    changed = kept.folder / "mlruns" / "artifacts" / "toy" / "run" / "model.bin"
    changed.write_bytes(b"wEights")
    with pytest.raises(DataRejected, match=r"model\.bin.*was changed"):
        restore_backup(fresh, kept.folder, Silent())
    changed.unlink()
    with pytest.raises(DataRejected, match=r"model\.bin.*is missing"):
        restore_backup(fresh, kept.folder, Silent())
    assert not fresh.state.exists()
    assert not fresh.mlruns.exists()


def test_what_is_there_is_not_overwritten(project: Settings, tmp_path: Path) -> None:
    kept = back_up(project, tmp_path / "kept", Silent())
    with pytest.raises(DataRejected, match=r"does not overwrite files.*fresh clone"):
        restore_backup(project, kept.folder, Silent())
    with pytest.raises(DataRejected, match="new folder"):
        back_up(project, kept.folder, Silent())


def test_nothing_is_restored_beside_running_servers(project: Settings, fresh: Settings, tmp_path: Path) -> None:
    kept = back_up(project, tmp_path / "kept", Silent())
    fresh.state.mkdir()
    note = {
        "supervisor": os.getpid(),
        "servers": {"mlflow": {"process": os.getpid(), "address": "http://127.0.0.1:5000"}},
    }
    (fresh.state / "servers.json").write_text(json.dumps(note))
    with pytest.raises(BackendError, match=r"servers of this project are running \(mlflow\)"):
        restore_backup(fresh, kept.folder, Silent())


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "mlruns/../../outside", "src/x.py"])
def test_a_forged_manifest_writes_nowhere_else(project: Settings, fresh: Settings, tmp_path: Path, name: str) -> None:
    kept = back_up(project, tmp_path / "kept", Silent())
    manifest = json.loads((kept.folder / MANIFEST).read_text())
    (kept.folder / MANIFEST).write_text(json.dumps({**manifest, "files": {**manifest["files"], name: "0" * 64}}))
    with pytest.raises(DataMissing, match="not a complete backup"):
        restore_backup(fresh, kept.folder, Silent())


def test_a_folder_that_was_not_finished_is_no_backup(project: Settings, tmp_path: Path) -> None:
    kept = back_up(project, tmp_path / "kept", Silent())
    (kept.folder / MANIFEST).unlink()
    with pytest.raises(DataMissing, match="not a complete backup"):
        read_backup(kept.folder)
    with pytest.raises(DataMissing, match="nothing to back up"):
        back_up(Settings(root=tmp_path / "empty"), tmp_path / "other", Silent())


def test_a_backup_of_before_is_restored_and_found_by_its_numbers(
    project: Settings, fresh: Settings, tmp_path: Path
) -> None:
    for file in project.state.glob("ledger.sqlite*"):
        file.unlink()
    write_before(project.ledger)
    back_up(project, tmp_path / "kept", Silent())
    restore_backup(fresh, tmp_path / "kept", Silent())
    database = Database(fresh.database_url)
    assert Predictions(database).find("3") is not None
    assert [event.kind for event in Events(database).history("toy")] == ["run", "promotion"]
    assert Events(database).last("", "restore") is not None


def test_a_ledger_in_postgresql_is_left_to_its_own_backup(project: Settings, tmp_path: Path) -> None:
    elsewhere = project.model_copy(update={"ledger_url": SecretStr("postgresql+psycopg://db.example/sightline")})
    kept = back_up(elsewhere, tmp_path / "kept", Silent())
    assert "mlruns/mlflow.db" in kept.files
    assert "state/ledger.sqlite" not in kept.files
