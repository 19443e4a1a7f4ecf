"""What registering stores: a candidate's record, and how it is told to MLflow."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import ParamsError
from sightline.tracking.artifacts import list_digests

if TYPE_CHECKING:
    from mlflow import MlflowClient

TAGS = (
    "stage_key",  # hash of the evaluate stage in dvc.lock: the same key is never registered twice
    "candidate",
    "data_version",  # DVC's hash of data/<task>
    "git_commit",
    "git_dirty",  # whether code or parameters differ from that commit: true, false, unknown
    "params_hash",
    "lock_hash",  # of requirements.lock
    "fit_key",  # of build/checkpoints
    "protocol",
    "note",  # what people must know of it, as its card says; as a rule there is none
    "artifacts_sha256",  # of the list of the artifacts' digests
)


@dataclass(frozen=True)
class Record:
    """What registering a candidate stores.

    `model` and `evaluation` are folders; `files` are further artifacts, folder in the run -> files or folders.
    `samples` counts the labelled samples of each set; `description` is Markdown for people.
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
    samples: Mapping[str, int] = field(default_factory=dict)
    description: str = ""

    def digests(self) -> dict[str, str]:
        """Path among the artifacts -> SHA-256, of all that is stored."""
        parts = {"saved_model": self.model, "evaluation": self.evaluation}
        found = {folder: tuple(sorted(source.iterdir())) for folder, source in parts.items()}
        return list_digests({**found, **self.files})


def log_record(client: MlflowClient, run_id: str, record: Record) -> str:
    """Log all of a record into the run that is open; the address of MLflow's wrapping of the model."""
    import mlflow

    mlflow.set_tags(dict(record.tags))
    _log_params_once(client, run_id, record.params)
    mlflow.log_metrics(dict(record.metrics))
    _log_dataset(client, run_id, record)
    mlflow.log_artifacts(str(record.evaluation), "evaluation")
    for folder, files in record.files.items():
        for file in files:
            _log_artifact(file, folder)
    return _log_model(record)


def replay(client: MlflowClient, run_id: str, history: Mapping[str, Mapping[int, Mapping[str, float]]]) -> None:
    """The figures of epochs that were trained elsewhere."""
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


def _log_dataset(client: MlflowClient, run_id: str, record: Record) -> None:
    """The data version as the run's dataset. MLflow's own kinds of source cannot name one of DVC, so it gets its own:
    a digest of 36 characters is what DVC gives and MLflow holds.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    version = record.tags.get("data_version", "")
    if not version:
        return
    source = {
        "path": f"data/{record.task}",
        "data_version": version,
        "git_commit": record.tags.get("git_commit", ""),
        "get": f"git checkout <git_commit> data.dvc && dvc checkout data/{record.task}",
    }
    dataset = Dataset(
        name=record.task,
        digest=version,
        source_type="dvc",
        source=json.dumps(source),
        profile=json.dumps({"samples": dict(record.samples), "num_rows": sum(record.samples.values())}),
    )
    tag = InputTag(key="mlflow.data.context", value="training, evaluation")
    client.log_inputs(run_id, [DatasetInput(dataset, [tag])])


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
        raise ParamsError(
            "a model version needs an input example",
            where="register",
            way_out="Let the model's `example` return the bytes of a small input.",
        )
    return pd.DataFrame({"image": [image]})
