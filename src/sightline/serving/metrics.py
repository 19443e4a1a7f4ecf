"""What Prometheus reads at /v1/metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Requests:
    """The requests to one application, in a registry of their own.

    Args:
        task: that answers them; empty for those that are for no task.
    """

    def __init__(self, task: str) -> None:
        self.registry = registry = CollectorRegistry()
        self._task = task
        self._requests = Counter(
            "sightline_requests",
            "Requests answered, by route and status",
            ["task", "route", "status"],
            registry=registry,
        )
        self._request_s = Histogram(
            "sightline_request_seconds",
            "Time from the whole body to the answer",
            ["task", "route"],
            buckets=_SECONDS,
            registry=registry,
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(self._task, route, str(status)).inc()
        self._request_s.labels(self._task, route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return exposition([self])


class Metrics(Requests):
    """The figures of one endpoint."""

    def __init__(self, task: str) -> None:
        super().__init__(task)
        registry = self.registry
        self._stage_s = Histogram(
            "sightline_stage_seconds",
            "Time of a stage: read, predict, log, draw",
            ["task", "stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._batch = Histogram(
            "sightline_batch_images",
            "Images in a call of the model",
            ["task"],
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        self._waiting = Gauge("sightline_waiting", "Requests that wait for their answer", ["task"], registry=registry)
        self._number = Gauge(
            "sightline_champion_version", "Version that answers; -1: none", ["task"], registry=registry
        )
        self._since_s = Gauge(
            "sightline_champion_since_seconds", "When it began to (Unix time)", ["task"], registry=registry
        )
        self._swaps = Counter("sightline_champion_changes", "Versions that took over", ["task"], registry=registry)
        self.load_failures = Counter(
            "sightline_champion_load_failures",
            "Versions that could not be loaded or warmed",
            ["task"],
            registry=registry,
        ).labels(task)
        self.registry_failures = Counter(
            "sightline_registry_failures", "Questions for the champion without an answer", ["task"], registry=registry
        ).labels(task)
        self.waiting = self._waiting.labels(task)
        self.batch_images = self._batch.labels(task)
        self._frames = Counter(
            "sightline_frames",
            "Frames of cameras: answered, refused, or skipped for a newer one",
            ["task", "outcome"],
            registry=registry,
        )
        self.cameras = Gauge("sightline_cameras", "Cameras that are remembered", ["task"], registry=registry).labels(
            task
        )
        self._number.labels(task).set(-1)

    def stage(self, name: str, start_s: float) -> None:
        """Count the time since `start_s` (`time.perf_counter`) as spent in a stage."""
        self._stage_s.labels(self._task, name).observe(time.perf_counter() - start_s)

    def frames(self, outcome: str, count: int = 1) -> None:
        """Count frames of cameras."""
        self._frames.labels(self._task, outcome).inc(count)

    def champion(self, number: int) -> None:
        """A version took over."""
        self._number.labels(self._task).set(number)
        self._since_s.labels(self._task).set(time.time())
        self._swaps.labels(self._task).inc()


def exposition(several: Iterable[Requests]) -> bytes:
    """The figures of several applications in the exposition format of Prometheus, each family once."""
    return generate_latest(_Together([one.registry for one in several]))


class _Together(Collector):
    def __init__(self, registries: Sequence[CollectorRegistry]) -> None:
        self._registries = registries

    def collect(self) -> Iterable[Metric]:
        """The families of all, each with the samples of all."""
        families: dict[str, Metric] = {}
        for registry in self._registries:
            for family in registry.collect():
                families.setdefault(family.name, family)
                if families[family.name] is not family:
                    families[family.name].samples.extend(family.samples)
        return families.values()
