"""`sightline watch`."""

from __future__ import annotations

from sightline.cli.show import echo, print_json
from sightline.pipeline.project import Project
from sightline.pipeline.watch import watch
from sightline.tracking import Tracking


def watch_task(project: Project, as_json: bool) -> None:
    """Say whether the prediction log has drifted, and why."""
    drift = watch(project, Tracking(project.settings))
    if as_json:
        print_json(
            {
                "task": project.name,
                "drift": drift.verdict,
                "rows": drift.rows,
                "reasons": list(drift.reasons),
                "most_drifted": list(drift.most_drifted),
                "report": str(drift.report),
            }
        )
        return
    echo(f"{project.name}: {'drift' if drift.verdict else 'no drift'} in {drift.rows} answers")
    for reason in drift.reasons:
        echo(f"  {reason}")
    echo(f"Report: {drift.report}")
