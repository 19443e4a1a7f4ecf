"""What promotion, watching and serving ask of a registry of models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sightline.tracking.registry import Version


class Registry(Protocol):
    """Versions of models, by task; aliases and tags on them; their files. `Tracking` is one.

    Every method raises BackendError where the registry cannot be reached.
    """

    def versions(self, task: str) -> list[Version]:
        """All versions of a task, oldest first; empty where nothing was registered."""
        ...

    def version(self, task: str, ref: str) -> Version:
        """The version that an alias or a number names. Raises ModelMissing where there is none."""
        ...

    def current(self, task: str, alias: str) -> int | None:
        """The number of the version that carries an alias; None where none does."""
        ...

    def set_alias(self, task: str, alias: str, number: int) -> None:
        """Let an alias point to a version."""
        ...

    def delete_alias(self, task: str, alias: str) -> None:
        """Take an alias away; nothing happens where it is not there."""
        ...

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Write tags on a version."""
        ...

    def directory(self, version: Version) -> Path:
        """Local folder of the saved model."""
        ...

    def evaluation(self, version: Version) -> Path:
        """Local folder of its evaluation, see `sightline.evaluation`."""
        ...

    def log_report(self, task: str, name: str, folder: Path, metrics: Mapping[str, float]) -> str:
        """Store a report (files and figures); the id of its run."""
        ...
