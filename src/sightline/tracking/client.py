"""The client: what the platform asks of MLflow, and tells it.

Reading the registry of a project folder imports nothing of MLflow (`sightline.tracking.registry`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from sightline.errors import BackendError, ModelMissing, ModelRejected
from sightline.settings import Settings
from sightline.tracking import registry
from sightline.tracking.artifacts import LIST, Digests, Fetched, read_list, render, require, sha256_text
from sightline.tracking.record import Record, log_record, replay
from sightline.tracking.registry import Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

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
        if settings.mlflow_uri:
            return mlflow.MlflowClient(settings.tracking_uri, settings.tracking_uri)
        # The first one makes the database, in steps that a second one beside it would trip over.
        with FileLock(settings.mlruns / ".made.lock", timeout=_MAKING_S):
            client = mlflow.MlflowClient(settings.tracking_uri, settings.tracking_uri)
            client.search_registered_models(max_results=1)
            registry.relocate(settings.mlruns)
            return client

    @contextmanager
    def _translated(self) -> Iterator[MlflowClient]:
        for name, value in _BEFORE_MLFLOW.items():
            os.environ.setdefault(name, value)
        import mlflow
        import mlflow.exceptions
        import requests
        import sqlalchemy.exc

        try:
            client = self._client
            # One for the whole process, and another `Tracking` in it may have set its own.
            mlflow.set_tracking_uri(client.tracking_uri)
            mlflow.set_registry_uri(client.tracking_uri)
            yield client
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
            way_out=(
                "Start its server or unset SIGHTLINE_MLFLOW_URI; this step has registered nothing."
                if self._settings.mlflow_uri
                else "Check the disk's free space and your write permission; this step has registered nothing."
            ),
        )

    # ------------------------------------------------------------------------------------------ experiments, runs

    def _experiment(self, client: MlflowClient, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        place = None
        if not self._settings.mlflow_uri:
            place = registry.artifact_location(self._settings.mlruns, name).as_uri()
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
        """Store an evaluated candidate as a new model version, with the alias of its candidate.

        Everything is logged before the version is made: a version is whole, or it is not there. It has a run to
        itself: the run of its training if no other version is there already, so that none overwrites another's files.
        """
        going_on = self._run_for(record)
        digests = render(record.digests())
        with self._translated() as client:
            import mlflow

            experiment = self._experiment(client, record.task)
            with mlflow.start_run(
                run_id=going_on,
                experiment_id=None if going_on else experiment,
                run_name=None if going_on else record.candidate,
            ) as run:
                run_id = run.info.run_id
                if going_on is None:  # trained elsewhere: the figures of its epochs are replayed
                    replay(client, run_id, record.history)
                source = log_record(client, run_id, record)
                client.log_text(run_id, digests, LIST)
            number = self._create_version(client, record, (source, run_id), sha256_text(digests))
        return self.version(record.task, str(number))

    def _run_for(self, record: Record) -> str | None:
        """The run that a killed registration of the same stage began, or that of the training; None for a new one."""
        key = record.tags["stage_key"]
        begun = self.find_run(record.task, "stage_key", key)
        if begun is not None:
            return begun
        training = self.find_run(record.task, "training", f"{record.candidate}-{record.tags['fit_key']}")
        if training is None:
            return None
        with self._translated() as client:
            return training if client.get_run(training).data.tags.get("stage_key", key) == key else None

    def _create_version(
        self, client: MlflowClient, record: Record, made_of: tuple[str, str], artifacts_sha256: str
    ) -> int:
        import mlflow.exceptions

        try:
            client.get_registered_model(record.task)
        except mlflow.exceptions.MlflowException:
            client.create_registered_model(record.task)
        client.update_registered_model(record.task, description=_ABOUT.format(task=record.task))
        source, run_id = made_of
        experiment = client.get_run(run_id).info.experiment_id
        made = client.create_model_version(
            record.task,
            source,
            run_id,
            tags={**record.tags, "artifacts_sha256": artifacts_sha256},
            description=f"{record.description}\n\n{_PAGES.format(experiment=experiment, run=run_id)}",
        )
        client.set_registered_model_alias(record.task, record.candidate, str(made.version))
        return int(made.version)

    def versions(self, task: str) -> list[Version]:
        """All versions of a task, oldest first; empty where nothing was registered."""
        if self._is_own:
            if not (self._settings.mlruns / registry.DATABASE).exists():
                return []
            found = registry.read_versions(self._settings.mlruns, task)
            if found is not None:
                return found
        return self._asked_versions(task)

    @property
    def _is_own(self) -> bool:
        """Whether the registry is the project folder's, and not a server's."""
        return not self._settings.mlflow_uri

    def _asked_versions(self, task: str) -> list[Version]:
        """`versions`, from MLflow's client."""
        with self._translated() as client:
            import mlflow.exceptions

            try:
                aliases = {alias: int(n) for alias, n in client.get_registered_model(task).aliases.items()}
            except mlflow.exceptions.MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return []
                raise
            found = client.search_model_versions(f"name = '{task}'")
            versions = [_version(client, v, aliases) for v in found]
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
            way_out=f"Choose one of: {', '.join(known)}." if known else f"Run `sightline run {task}` first.",
        )

    def current(self, task: str, alias: str) -> int | None:
        """The number of the version that carries an alias; None where none does. Costs milliseconds."""
        found = self.holder(task, alias)
        return found.number if found else None

    def holder(self, task: str, alias: str) -> Version | None:
        """The version that carries an alias; None where none does. Costs milliseconds."""
        if self._is_own:
            return next((v for v in self.versions(task) if alias in v.aliases), None)
        with self._translated() as client:
            import mlflow.exceptions

            try:
                found = client.get_model_version_by_alias(task, alias)
            except mlflow.exceptions.MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise
            return _version(client, found, {alias: int(found.version)})

    def set_alias(self, task: str, alias: str, number: int) -> None:
        """Let an alias point to a version."""
        with self._translated() as client:
            client.set_registered_model_alias(task, alias, str(number))

    def delete_alias(self, task: str, alias: str) -> None:
        """Take an alias away; nothing happens where it is not there."""
        with self._translated() as client:
            client.delete_registered_model_alias(task, alias)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Write tags on a version (a decision and its reasons); a decision also goes into its description."""
        with self._translated() as client:
            for key, value in tags.items():
                client.set_model_version_tag(version.task, str(version.number), key, value[:5000])
            if "decision" in tags:
                old = client.get_model_version(version.task, str(version.number)).description or ""
                said = f"{_DECISION}{tags['decision']}" + (f" ({tags['reasons']})" if tags.get("reasons") else "")
                whole = old.partition(_DECISION)[0].rstrip() + "\n\n" + said
                client.update_model_version(version.task, str(version.number), whole.strip()[:5000])

    def directory(self, version: Version) -> Path:
        """Local folder of the saved model."""
        return self._artifacts(version, "saved_model")

    def evaluation(self, version: Version) -> Path:
        """Local folder of its evaluating: rows.jsonl, metrics.json, training.csv."""
        return self._artifacts(version, "evaluation")

    def sources(self, version: Version) -> Path:
        """Local folder of what it was made from: data.dvc, dvc.lock, params.yaml, diff.patch."""
        return self._artifacts(version, "sources")

    def _artifacts(self, version: Version, name: str) -> Path:
        """A folder among the version's artifacts, held against the digests that were registered.

        Those of the project folder are read where they lie. Others are fetched once, see `Fetched`.

        Raises:
            ModelRejected: files are absent or not those that were registered.
        """
        if not version.run_id:
            raise ModelRejected(
                "the version names no run, so its files cannot be found",
                where=f"{version.task}@{version.number}",
                way_out="Choose a version that `sightline run` registered.",
            )
        sha256 = version.tags.get("artifacts_sha256", "")
        place = registry.artifact_folder(self._settings.mlruns, version.run_id) if self._is_own else None
        if place is not None:
            return require(place, name, read_list(place / LIST, sha256) if sha256 else None)
        fetched = Fetched(
            self._settings.build / "registry",
            f"{version.run_id}-{sha256[:16]}" if sha256 else version.run_id,
            lambda wanted, folder: self._fetch(version.run_id, wanted, folder),
        )
        listed: Digests | None = read_list(fetched.file(LIST), sha256) if sha256 else None
        return fetched.require(name, listed)

    def _fetch(self, run_id: str, name: str, folder: Path) -> None:
        with self._translated() as client:
            import mlflow.artifacts

            mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=name, dst_path=str(folder), tracking_uri=client.tracking_uri
            )

    def log_report(self, task: str, name: str, folder: Path, metrics: Mapping[str, float]) -> str:
        """Store a report (files and figures) as a run of the experiment `<task>/watch`; the run's id."""
        with self._translated() as client:
            import mlflow

            with mlflow.start_run(experiment_id=self._experiment(client, f"{task}/watch"), run_name=name) as run:
                mlflow.log_metrics(dict(metrics))
                mlflow.log_artifacts(str(folder))
                return str(run.info.run_id)


_PAGES = (
    "[The gate's pages, the evaluation and the sources](#/experiments/{experiment}/runs/{run}/artifacts) ·"
    " [reports of drift](#/experiments/{experiment})"
)
"""Links within MLflow's own pages, which know their places behind the `#`."""

_ABOUT = (
    "Models of the task `{task}`. The alias `champion` answers requests; `challenger` waits, `previous` is the way"
    " back; each candidate's newest version has an alias of its own. `sightline lineage {task}@champion` follows a"
    " version back to its data, code and parameters."
)
_DECISION = "**Decision**: "


def _version(client: MlflowClient, found: ModelVersion, aliases: Mapping[str, int]) -> Version:
    """MLflow's version as ours. Its run is that of the model that its source names, whatever run it gives besides."""
    number = int(found.version)
    run_id = str(found.run_id or "")
    source = str(found.source or "")
    if source.startswith("models:/m-"):
        run_id = str(client.get_logged_model(source.removeprefix("models:/")).source_run_id or run_id)
    carried = tuple(sorted(alias for alias, holder in aliases.items() if holder == number))
    return Version(found.name, number, carried, dict(found.tags), run_id, found.creation_timestamp / 1000)


class Live:
    """Receives figures while training goes on."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Log the figures of one step."""
        import mlflow

        mlflow.log_metrics(dict(values), step=step, run_id=self.run_id)
