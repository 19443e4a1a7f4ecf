"""What a flow tells: a line on the terminal and in Prefect's log, and pages that stay in Prefect's UI."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import MissingContextError
from prefect.logging import get_run_logger

from sightline.pipeline.choice import warn
from sightline.pipeline.labels import LabelRequest
from sightline.pipeline.records import RunOutcome
from sightline.runtime.servers import mlflow_address
from sightline.settings import Settings
from sightline.tracking import Version


def tell(line: str) -> None:
    """One line for whoever watches, here and in the UI."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
    try:
        get_run_logger().info(line)
    except MissingContextError:
        return  # outside a run there is no log to write to


def run_link(settings: Settings, run_id: str) -> str:
    """A run's page, as markdown."""
    return f"[run {run_id[:8]}]({mlflow_address(settings)}/#/runs/{run_id})"


def version_link(settings: Settings, version: Version) -> str:
    """A model version's page, as markdown."""
    return f"[{version}]({mlflow_address(settings)}/#/models/{version.task}/versions/{version.number})"


def decision_page(outcome: RunOutcome, settings: Settings, versions: Sequence[Version]) -> str:
    """The candidates with their figures, the decision and its reasons, the data version; in markdown."""
    decision = outcome.decision
    linked = {version.number: version for version in versions}
    warning = "" if decision.choice is None else warn(decision.choice)
    lines = [
        f"# {outcome.task}: {decision.outcome}",
        "",
        *(f"- {reason}" for reason in decision.reasons),
        *([f"- **{warning}**"] if warning else []),
        "",
        f"Champion: {outcome.champion or 'none'}. Data version `{outcome.data_version}`. "
        f"Took {outcome.duration_s:.0f} s.",
        "",
    ]
    for candidate, found in outcome.candidates.items():
        version = linked[found.version]
        lines += [
            f"## {candidate}: {version_link(settings, version)}, {run_link(settings, version.run_id)}",
            "",
            f"On `{found.set}` ({found.protocol}, by {found.unit}):",
            "",
            "| metric | value | low | high | n |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | {_figure(f.value)} | {_figure(f.low)} | {_figure(f.high)} | {f.n} |"
                for name, f in found.metrics.items()
            ),
            "",
        ]
    return "\n".join(lines)


def labels_page(task: str, asked: LabelRequest) -> str:
    """Which images to label, and where the labels go; in markdown."""
    return "\n".join(
        [
            f"# {task}: labels are needed",
            "",
            "The inputs have drifted from what the champion was trained on, and there are no new labels to learn from.",
            "",
            *(f"- {reason}" for reason in asked.reasons),
            "",
            f"Label these images, the most drifted first, and put them into `{asked.inbox}` in the upstream layout:",
            "",
            *(f"{number}. `{image.name or image.sha256}`" for number, image in enumerate(asked.images, start=1)),
        ]
    )


def keep_page(task: str, kind: str, markdown: str, description: str) -> None:
    """Keep a page in Prefect's UI under `<task>-<kind>`; a new one is a new version of it."""
    create_markdown_artifact(key=f"{task}-{kind}".replace("_", "-"), markdown=markdown, description=description)


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
