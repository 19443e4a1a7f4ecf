"""Stages of dvc.yaml: run one, ask which have changed, and what dvc.lock says of one."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sightline.errors import DataMissing, DataRejected
from sightline.params import parse_yaml
from sightline.settings import Settings
from sightline.versions.program import call, run_stages


def repro(settings: Settings, *stages: str, force: bool = False) -> None:
    """Bring stages up to date, in this order (`dvc repro -s`); nothing is done where nothing has changed.

    One call for several stages: DVC takes seconds to start. What a stage made is kept where a later one fails.

    `force` runs them even so.

    Raises:
        SightlineError: what the stage's command raised (a failed gate: DataRejected).
        BackendError: another run is going on, or DVC failed.
    """
    with tempfile.TemporaryDirectory(prefix="sightline-stage-") as folder:
        run_stages(settings.root, stages, Path(folder) / "error.json", ["--force"] if force else [])


def status(settings: Settings, stages: Sequence[str]) -> list[str]:
    """Those of the stages that `repro` would run now, in their order. Takes a second or two.

    Each stage is compared with what is on disk; that an earlier stage will change its input is not foreseen.

    Raises:
        ParamsError: dvc.yaml has no such stage.
        BackendError: another run is going on.
    """
    changed = json.loads(call(settings.root, "status", "--json", *stages) or "{}")
    return [stage for stage in stages if stage in changed]


def stage_key(settings: Settings, stage: str) -> str:
    """SHA-256 of the stage's entry in dvc.lock: its command and the hashes of all it read and wrote.

    Raises:
        DataMissing: the stage has not run yet.
    """
    entry = _entry(settings, stage)
    return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()


def stage_data(settings: Settings, stage: str, task: str) -> str:
    """The version of the task's data that the stage read when it last ran.

    Raises:
        DataMissing: the stage has not run yet, or does not read `data/<task>`.
    """
    for dependency in _entry(settings, stage).get("deps", []):
        if dependency["path"] == f"data/{task}":
            return str(dependency["md5"])
    raise DataMissing(
        f"the stage {stage} does not read data/{task}",
        where=settings.root / "dvc.lock",
        way_out=f"Run `sightline stages`, then `sightline run {task}`.",
    )


def _entry(settings: Settings, stage: str) -> dict[str, Any]:
    path = settings.root / "dvc.lock"
    try:
        lock = parse_yaml(path.read_text(encoding="utf-8"))
        return dict(lock["stages"][stage])
    except (FileNotFoundError, KeyError) as error:
        task = stage.partition("@")[0].partition("-")[2]
        way_out = f"Run `sightline run {task}`."
        raise DataMissing(f"the stage {stage} has not run yet", where=path, way_out=way_out) from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise DataRejected(
            "the file is not a lock file of DVC", where=path, way_out="Restore it with `git checkout dvc.lock`."
        ) from error
