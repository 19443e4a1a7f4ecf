"""`sightline watch`."""

from __future__ import annotations

import sys

from sightline.cli.show import echo, print_json
from sightline.pipeline.project import Project
from sightline.pipeline.watch import Drift, check_drift
from sightline.tracking import Tracking

DRIFT, UNKNOWN = 8, 9
"""Exit codes of `--exit-code`, besides 0 for no drift; the errors of the tree have those up to 7."""

_SAID = {
    "drift": "drift",
    "changed": "no drift",
    "same": "no drift",
    "cannot tell": "cannot tell",
    "too few": "too few",
}


def watch_task(project: Project, as_json: bool, exit_code: bool) -> None:
    """Say whether the prediction log has drifted, and why."""
    drift = check_drift(project, Tracking(project.settings))
    if as_json:
        print_json(
            {
                "task": project.name,
                "state": drift.state,
                "drift": drift.verdict if drift.known else None,
                "rows": drift.rows,
                "reasons": list(drift.reasons),
                "most_drifted": list(drift.most_drifted),
                "report": str(drift.report),
            }
        )
    else:
        echo(f"{project.name}: {_SAID[drift.state]} in {drift.rows} answers")
        for reason in drift.reasons:
            echo(f"  {reason}")
        echo(f"Report: {drift.report}")
    if exit_code:
        sys.exit(code_of(drift))


def code_of(drift: Drift) -> int:
    """0: no drift; 8: drift; 9: nobody can tell."""
    if not drift.known:
        return UNKNOWN
    return DRIFT if drift.verdict else 0
