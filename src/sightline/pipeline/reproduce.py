"""Reproducing: train a version again from its own data, code and parameters, and compare.

The code comes from git (the commit and the diff that were stored with the version) into a worktree of its own, the
data from DVC's cache; nothing is registered. On the same type of CPU with the same packages the figures agree to the
last bit; elsewhere within `TOLERANCE`.
"""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sightline import versions
from sightline.errors import BackendError, DataMissing
from sightline.evaluation import Metrics, read_metrics
from sightline.files import sha256_file
from sightline.pipeline.project import Project
from sightline.resampling import Figure
from sightline.tracking import Tracking, Version

TOLERANCE = 0.02
"""Largest difference of a metric between two machines that still counts as the same result."""


@dataclass(frozen=True)
class Reproduction:
    """The figures as stored and as found again.

    Attributes:
        figures: `<set>/<metric>` -> (stored, found again); None where undefined.
        largest: the largest absolute difference.
        warnings: what differs between then and now that may explain a difference.
    """

    version: str
    figures: Mapping[str, tuple[float | None, float | None]]
    largest: float
    warnings: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether every figure lies within the tolerance."""
        return self.largest <= TOLERANCE


def reproduce_version(project: Project, tracking: Tracking, version: Version) -> Reproduction:
    """Train and evaluate a version again in a temporary folder.

    Raises:
        DataMissing: its commit or its data are not to be had here.
        BackendError: training failed.
    """
    sources = tracking.sources(version)
    warnings = _compare_locks(project.settings.root / "requirements.lock", sources / "requirements.lock")
    candidate = version.tags["candidate"]
    with _worktree(project, version.tags["git_commit"], sources) as folder:
        versions.checkout(project.settings, folder, project.name)
        for command in (["train"], ["evaluate", "--stage"]):
            _run([*command, project.name, "--candidate", candidate], folder)
        again = read_metrics(folder / "build" / "evaluations" / project.name / candidate)
    stored = read_metrics(tracking.evaluation(version))
    figures = pair_figures(stored, again)
    gaps = [abs(a - b) for a, b in figures.values() if a is not None and b is not None]
    gaps += [float("inf") for a, b in figures.values() if (a is None) != (b is None)]
    return Reproduction(str(version), figures, max(gaps, default=float("inf")), warnings)


def _compare_locks(now: Path, then: Path) -> tuple[str, ...]:
    if not then.is_file() or not now.is_file() or sha256_file(now) != sha256_file(then):
        return ("requirements.lock has changed since the version was trained: the metrics may differ",)
    return ()


@contextmanager
def _worktree(project: Project, commit: str, sources: Path) -> Iterator[Path]:
    """A folder with the version's code, parameters and data pin; gone afterwards."""
    root = project.settings.root
    parent = Path(tempfile.mkdtemp(prefix="sightline-reproduce-"))
    folder = parent / "project"
    try:
        made = _git(root, "worktree", "add", "--detach", str(folder), commit)
        if made.returncode:
            raise DataMissing(
                f"the commit {commit[:12] or '(none)'} is not in this repository",
                where=root,
                way_out="Fetch the branch that the version was trained on: `git fetch --all`.",
            )
        patch = sources / "diff.patch"
        if patch.stat().st_size and _git(folder, "apply", "--whitespace=nowarn", str(patch.resolve())).returncode:
            raise DataMissing(
                "the stored changes do not apply to the commit",
                where=patch,
                way_out="Train the version again from a clean commit: `sightline run` after `git commit`.",
            )
        for name in ("data.dvc", "dvc.lock", "params.yaml"):
            if (sources / name).is_file():
                shutil.copy(sources / name, folder / name)
        yield folder
    finally:
        _git(root, "worktree", "remove", "--force", str(folder))
        shutil.rmtree(parent, ignore_errors=True)


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=versions.git_environment())


def _run(arguments: list[str], folder: Path) -> None:
    """The version's own code, in a process of its own; its MLflow runs stay in the temporary folder.

    What it prints goes to standard error: standard output is the comparison's.
    """
    environment = {k: v for k, v in versions.git_environment().items() if k != "SIGHTLINE_MLFLOW_URI"}
    environment |= {"SIGHTLINE_ROOT": str(folder), "PYTHONPATH": str(folder / "src")}
    code = subprocess.run(
        [sys.executable, "-m", "sightline", *arguments], cwd=folder, env=environment, check=False, stdout=2
    ).returncode
    if code:
        raise BackendError(
            f"`sightline {' '.join(arguments)}` failed with exit code {code}",
            where=folder,
            way_out="Read its message in the lines above, and correct the cause.",
        )


def pair_figures(stored: Metrics, again: Metrics) -> dict[str, tuple[float | None, float | None]]:
    """`<set>/<metric>` -> (stored, found again); None where undefined, or not there the second time."""
    pairs = {}
    for part, measured in stored.sets.items():
        found = again.sets[part].metrics if part in again.sets else {}
        for name, figure in measured.metrics.items():
            pairs[f"{part}/{name}"] = _defined(figure), _defined(found.get(name))
    return pairs


def _defined(figure: Figure | None) -> float | None:
    return None if figure is None or math.isnan(figure.value) else figure.value
