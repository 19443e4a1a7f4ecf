"""The endpoint, the ledger and the registry: it follows promotions, and survives what happens to MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.settings import Settings
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.tracking import Tracking
from tests.services.endpoint_process import serve
from tests.unit.serving.harness import CountingModel, png

pytestmark = pytest.mark.slow


def register(settings: Settings, folder: Path) -> int:
    """A model version with nothing but its saved directory."""
    import mlflow

    tracking = Tracking(settings)
    tracking.prepare()  # connects, with the project's own settings
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(folder), "saved_model")
    if not tracking.versions("toy"):
        client.create_registered_model("toy")
    version = client.create_model_version("toy", run.info.artifact_uri + "/saved_model", run.info.run_id)
    return int(version.version)


@pytest.mark.filterwarnings("default")
def test_it_follows_the_champion_and_survives_a_registry_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(root=tmp_path)
    saved = tmp_path / "saved"
    saved.mkdir()
    CountingModel().save(saved)
    first, second = register(settings, saved), register(settings, saved)
    tracking = Tracking(settings)
    with serve("tests.services.toy_registry_service:Toy", tmp_path, poll_s="0.2") as running:
        running.wait_until(lambda status, document: status == 503 and document["error"] == "toy has no champion")
        events, champion = Events(Database(settings.database_url)), None
        for number in (first, second, first):
            row = {"outcome": "promoted", "challenger": number, "champion": champion, "reasons": []}
            events.record("promotion", "toy", row)
            tracking.set_alias("toy", "champion", number)
            champion = number
            running.wait_until_ready(number)
            assert running.predict(png(150))[1]["version"] == number

        database = tmp_path / "mlruns" / "mlflow.db"
        database.write_bytes(b"this is no database" * 1000)
        for path in database.parent.glob("mlflow.db-*"):
            path.unlink()
        running.wait_until(lambda status, document: status == 200 and "MLflow failed" in document.get("warning", ""))
        assert running.predict(png(150))[1]["version"] == first
