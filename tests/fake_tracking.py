"""The registry in memory: the part of `sightline.tracking.Tracking` that promotion and watching use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sightline.errors import ModelMissing
from sightline.tracking import Record, Version


class FakeTracking:
    def __init__(self) -> None:
        self.records: dict[int, Record] = {}
        self.made: dict[int, Version] = {}
        self.aliases: dict[str, int] = {}
        self.tags: dict[int, dict[str, str]] = {}
        self.reports: list[tuple[str, Path, dict[str, float]]] = []

    def add(self, task: str, candidate: str, model: Path, evaluation: Path) -> Version:
        """Register folders without the rest of a record."""
        number = len(self.made) + 1
        self.made[number] = Version(task, number, (), {"candidate": candidate}, f"run{number}")
        self.records[number] = Record(task, candidate, model, evaluation, {}, {}, {}, {}, {}, b"")
        self.aliases[candidate] = number
        return self.version(task, str(number))

    def versions(self, task: str) -> list[Version]:
        return [self.version(task, str(number)) for number, v in self.made.items() if v.task == task]

    def version(self, task: str, ref: str) -> Version:
        number = self.aliases.get(ref, int(ref) if ref.isdecimal() else 0)
        if number not in self.made:
            raise ModelMissing(f"no version {ref!r} of {task} is registered")
        names = tuple(sorted(alias for alias, n in self.aliases.items() if n == number))
        tags = {**self.made[number].tags, **self.tags.get(number, {})}
        return replace(self.made[number], aliases=names, tags=tags)

    def current(self, task: str, alias: str) -> int | None:
        return self.aliases.get(alias)

    def set_alias(self, task: str, alias: str, number: int) -> None:
        self.aliases[alias] = number

    def delete_alias(self, task: str, alias: str) -> None:
        self.aliases.pop(alias, None)

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        self.tags.setdefault(version.number, {}).update(tags)

    def directory(self, version: Version) -> Path:
        return self.records[version.number].model

    def evaluation(self, version: Version) -> Path:
        return self.records[version.number].evaluation

    def log_report(self, task: str, name: str, folder: Path, metrics: Mapping[str, float]) -> str:
        self.reports.append((name, folder, dict(metrics)))
        return f"report{len(self.reports)}"
