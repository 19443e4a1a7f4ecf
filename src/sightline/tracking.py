"""MLflow: runs, artifacts and the model registry. The only module that imports it.

A model version carries its whole lineage as tags (`TAGS`), and the files that a promotion or a reproduction needs
as artifacts of its run. Aliases: champion, challenger, previous, and one a candidate.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from sightline.errors import BackendError, ModelMissing, ParamsError
from sightline.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BEFORE_MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # the default waits for minutes before it tells
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""Environment variables that must be set before it is imported."""

_MAKING_S = 180.0  # how long another process may take to make the database

TAGS = (
    "stage_key",  # hash of the evaluate stage in dvc.lock: the same key is never registered twice
    "candidate",
    "data_version",  # DVC's hash of data/<task>
    "git_commit",
    "git_dirty",  # whether a diff against that commit is among the artifacts
    "params_hash",
    "lock_hash",  # of requirements.lock
    "fit_key",  # of build/checkpoints
    "protocol",
)


@dataclass(frozen=True)
class Version:
    """One registered model version."""

    task: str
    number: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    run_id: str
    created_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.task}@{self.number}"


@dataclass(frozen=True)
class Record:
    """What registering a candidate stores.

    `model` and `evaluation` are folders; `files` are further artifacts, folder in the run -> files or folders.
    """

    task: str
    candidate: str
    model: Path
    evaluation: Path
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    history: Mapping[str, Mapping[int, Mapping[str, float]]]
    tags: Mapping[str, str]
    files: Mapping[str, tuple[Path, ...]]
    example: bytes


class Tracking:
    """MLflow of a project folder, or the server that `SIGHTLINE_MLFLOW_URI` names.

    Every method raises BackendError where MLflow cannot be reached.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @cached_property
    def _client(self) -> MlflowClient:
        settings = self._settings
        if not settings.mlflow_uri:
            settings.mlruns.mkdir(parents=True, exist_ok=True)
        import logging

        import mlflow

        logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database tells of every migration
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)  # no pip here: uv installs
        mlflow.set_tracking_uri(settings.tracking_uri)
        mlflow.set_registry_uri(settings.tracking_uri)
        if settings.mlflow_uri:
            return mlflow.MlflowClient(settings.tracking_uri, settings.tracking_uri)
        # The first one makes the database, in steps that a second one beside it would trip over.
        with FileLock(settings.mlruns / ".made.lock", timeout=_MAKING_S):
            client = mlflow.MlflowClient(settings.tracking_uri, settings.tracking_uri)
            client.search_registered_models(max_results=1)
            return client

    @contextmanager
    def _translated(self) -> Iterator[MlflowClient]:
        for name, value in _BEFORE_MLFLOW.items():
            os.environ.setdefault(name, value)
        import mlflow.exceptions
        import requests
        import sqlalchemy.exc

        try:
            yield self._client
        except mlflow.exceptions.RestException as error:
            raise self._unreachable(error.message) from error
        except mlflow.exceptions.MlflowException as error:
            raise self._unreachable(error.message) from error
        except (requests.RequestException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            raise self._unreachable(str(error)) from error

    def prepare(self) -> None:
        """Make the database where there is none, one process at a time."""
        with self._translated():
            return

    def _unreachable(self, message: str) -> BackendError:
        first = message.strip().splitlines()[0][:300] if message.strip() else "no answer"
        return BackendError(
            f"MLflow failed ({first})",
            where=self._settings.tracking_uri,
            way_out="Start its server or unset SIGHTLINE_MLFLOW_URI; nothing was registered by this step.",
        )

    # ------------------------------------------------------------------------------------------ experiments, runs

    def _experiment(self, client: MlflowClient, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None
        if not self._settings.mlflow_uri:
            place = (self._settings.mlruns / "artifacts" / name.replace("/", "-")).as_uri()
        return str(client.create_experiment(name, artifact_location=place))

    def find_run(self, task: str, tag: str, value: str) -> str | None:
        """The newest run of the task that carries a tag; None where there is none."""
        with self._translated() as client:
            experiment = self._experiment(client, task)
            runs = client.search_runs([experiment], f"tags.{tag} = '{value}'", max_results=1)
            return str(runs[0].info.run_id) if runs else None

    @contextmanager
    def training_run(self, task: str, candidate: str, fit_key: str) -> Iterator[Live]:
        """Follow a training: figures as they come, and the machine's load. A killed training goes on in its run."""
        found = self.find_run(task, "training", f"{candidate}-{fit_key}")
        with self._translated() as client:
            import mlflow

            experiment = self._experiment(client, task)
            tags = {"training": f"{candidate}-{fit_key}", "candidate": candidate, "fit_key": fit_key}
            mlflow.set_system_metrics_sampling_interval(5)  # type: ignore[no-untyped-call]
            with mlflow.start_run(
                run_id=found,
                experiment_id=None if found else experiment,
                run_name=None if found else f"{candidate} {fit_key[:6]}",
                tags=None if found else tags,
                log_system_metrics=True,
            ) as run:
                yield Live(client, run.info.run_id)

    # ------------------------------------------------------------------------------------------ the registry

    def register(self, record: Record) -> Version:
        """Store a judged candidate as a new model version, with the alias of its candidate.

        Everything is logged before the version is made: a version is whole, or it is not there.
        """
        training = self.find_run(record.task, "training", f"{record.candidate}-{record.tags['fit_key']}")
        with self._translated() as client:
            import mlflow

            experiment = self._experiment(client, record.task)
            with mlflow.start_run(
                run_id=training,
                experiment_id=None if training else experiment,
                run_name=None if training else record.candidate,
            ) as run:
                run_id = run.info.run_id
                if training is None:  # trained elsewhere: the figures of its epochs are replayed
                    _replay(client, run_id, record.history)
                mlflow.set_tags(dict(record.tags))
                _log_params_once(client, run_id, record.params)
                mlflow.log_metrics(dict(record.metrics))
                mlflow.log_artifacts(str(record.evaluation), "evaluation")
                for folder, files in record.files.items():
                    for file in files:
                        _log_artifact(file, folder)
                source = _log_model(record)
            number = self._create_version(client, record, source, run_id)
        return self.version(record.task, str(number))

    def _create_version(self, client: MlflowClient, record: Record, source: str, run_id: str) -> int:
        import mlflow.exceptions

        try:
            client.get_registered_model(record.task)
        except mlflow.exceptions.MlflowException:
            client.create_registered_model(record.task)
        made = client.create_model_version(record.task, source, run_id, tags=dict(record.tags))
        client.set_registered_model_alias(record.task, record.candidate, str(made.version))
        return int(made.version)

    def versions(self, task: str) -> list[Version]:
        """All versions of a task, oldest first; empty where nothing was registered."""
        with self._translated() as client:
            import mlflow.exceptions

            try:
                aliases: dict[str, Any] = dict(client.get_registered_model(task).aliases)
            except mlflow.exceptions.MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return []
                raise
            found = client.search_model_versions(f"name = '{task}'")
            versions = [
                Version(
                    task,
                    int(v.version),
                    tuple(sorted(a for a, number in aliases.items() if int(number) == int(v.version))),
                    dict(v.tags),
                    str(v.run_id),
                    v.creation_timestamp / 1000,
                )
                for v in found
            ]
        return sorted(versions, key=lambda version: version.number)

    def version(self, task: str, ref: str) -> Version:
        """The version that an alias or a number names.

        Raises:
            ModelMissing: there is none.
        """
        versions = self.versions(task)
        for version in versions:
            if ref in version.aliases or ref == str(version.number):
                return version
        known = sorted({alias for v in versions for alias in v.aliases}) + [str(v.number) for v in versions]
        raise ModelMissing(
            f"no version {ref!r} of {task} is registered",
            where=self._settings.tracking_uri,
            way_out=f"Known: {', '.join(known)}." if known else f"Run `sightline run {task}` first.",
        )

    def current(self, task: str, alias: str) -> int | None:
        """The number of the version that carries an alias; None where none does. Costs milliseconds."""
        with self._translated() as client:
            import mlflow.exceptions

            try:
                return int(client.get_model_version_by_alias(task, alias).version)
            except mlflow.exceptions.MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def set_alias(self, task: str, alias: str, number: int) -> None:
        """Let an alias point to a version."""
        with self._translated() as client:
            client.set_registered_model_alias(task, alias, str(number))

    def delete_alias(self, task: str, alias: str) -> None:
        """Take an alias away; nothing happens where it is not there."""
        with self._translated() as client:
            client.delete_registered_model_alias(task, alias)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Write tags on a version (a decision and its reasons)."""
        with self._translated() as client:
            for key, value in tags.items():
                client.set_model_version_tag(version.task, str(version.number), key, value[:5000])

    def directory(self, version: Version) -> Path:
        """Local folder of the saved model."""
        return self._artifacts(version, "saved_model")

    def evaluation(self, version: Version) -> Path:
        """Local folder of its judging: rows.jsonl, metrics.json, training.csv."""
        return self._artifacts(version, "evaluation")

    def sources(self, version: Version) -> Path:
        """Local folder of what it was made from: data.dvc, dvc.lock, params.yaml, diff.patch."""
        return self._artifacts(version, "sources")

    def _artifacts(self, version: Version, name: str) -> Path:
        """A folder of the run's artifacts, fetched once into build/registry/<task>/<number>/."""
        place = self._settings.build / "registry" / version.task / str(version.number) / name
        if place.is_dir():
            return place
        with self._translated() as client:
            import mlflow.artifacts

            partial = place.with_name(f".{name}.{os.getpid()}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            mlflow.artifacts.download_artifacts(
                run_id=version.run_id, artifact_path=name, dst_path=str(partial), tracking_uri=client.tracking_uri
            )
            try:
                (partial / name).rename(place)
            except OSError:  # another process was first; versions never change
                if not place.is_dir():
                    raise
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return place

    def log_report(self, task: str, name: str, folder: Path, metrics: Mapping[str, float]) -> str:
        """Store a report (files and figures) as a run of the experiment `<task>/watch`; the run's id."""
        with self._translated() as client:
            import mlflow

            with mlflow.start_run(experiment_id=self._experiment(client, f"{task}/watch"), run_name=name) as run:
                mlflow.log_metrics(dict(metrics))
                mlflow.log_artifacts(str(folder))
                return str(run.info.run_id)


class Live:
    """Receives figures while training goes on."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Log the figures of one step."""
        import mlflow

        mlflow.log_metrics(dict(values), step=step, run_id=self.run_id)


def _replay(client: MlflowClient, run_id: str, history: Mapping[str, Mapping[int, Mapping[str, float]]]) -> None:
    from mlflow.entities import Metric

    metrics = [
        Metric(f"{fit}/{name}", value, 0, step)
        for fit, steps in history.items()
        for step, values in steps.items()
        for name, value in values.items()
    ]
    for start in range(0, len(metrics), 1000):  # MLflow's limit a call
        client.log_batch(run_id, metrics=metrics[start : start + 1000])


def _log_params_once(client: MlflowClient, run_id: str, params: Mapping[str, str]) -> None:
    """Parameters of a run cannot be changed; a run that goes on has them already."""
    import mlflow

    known = client.get_run(run_id).data.params
    mlflow.log_params({key: value for key, value in params.items() if key not in known})


def _log_artifact(path: Path, folder: str) -> None:
    import mlflow

    if path.is_dir():
        mlflow.log_artifacts(str(path), f"{folder}/{path.name}")
    elif path.is_file():
        mlflow.log_artifact(str(path), folder)


def _log_model(record: Record) -> str:
    """The saved directory as it is, and beside it MLflow's own wrapping of it; the wrapping's address."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of its own type hints when it is imported
        import mlflow.pyfunc

    mlflow.log_artifacts(str(record.model), "saved_model")
    signature = ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]), outputs=Schema([ColSpec("string", "document")])
    )
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("registered_model.py")),
        artifacts={"directory": str(record.model)},
        model_config={"task": record.task},
        signature=signature,
        input_example=_example(record.example),
        pip_requirements=["sightline"],
    )
    return str(info.model_uri)


def _example(image: bytes) -> Any:
    import pandas as pd

    if not image:
        raise ParamsError("a model version needs an input example", where="register")
    return pd.DataFrame({"image": [image]})
