"""`sightline run`: the quick answer when nothing has changed, else the retraining flow."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.show import echo, print_json, table
from sightline.errors import BackendError
from sightline.tether import run_tethered

if TYPE_CHECKING:
    from sightline.pipeline.project import Project
    from sightline.task import Json


def run_task(project: Project, force: bool, as_json: bool) -> None:
    """Run the flow of one task and show what it came to."""
    from sightline.pipeline.outcome import nothing_changed

    if not (project.settings.inbox / project.name).is_dir():
        project.require_sets()  # told at once, before a flow starts
    known = None if force else nothing_changed(project)
    document = known or _run_flow(project)
    if as_json:
        print_json({**document, "unchanged": known is not None})
        return
    if known is not None:
        echo(f"{project.name}: data, code and parameters are those of the last run; nothing was done.")
    _show(project, document)


def _run_flow(project: Project) -> dict[str, Json]:
    """Start `python -m flows retrain` and read the outcome it writes; its exit code is ours."""
    from sightline.servers import CODE, common_environment

    if not (CODE / "flows" / "__main__.py").is_file():
        raise BackendError("there are no flows", where=CODE, way_out="Run from the project's checkout: `make setup`.")
    with tempfile.TemporaryDirectory(prefix="sightline-run-") as folder:
        outcome = Path(folder) / "outcome.json"
        command = [sys.executable, "-m", "flows", "retrain", project.name, "--outcome", str(outcome)]
        environment = {**os.environ, **common_environment(project.settings)}
        code = run_tethered(command, CODE, environment)
        if code:
            raise SystemExit(code)  # the flow has told why
        return dict(json.loads(outcome.read_text(encoding="utf-8")))


def _show(project: Project, document: dict[str, Json]) -> None:
    found = document["candidates"]
    first = next(iter(found.values()))
    names = _headlines(project.params.promotion.metric, first["metrics"])
    rows: list[dict[str, Json]] = [{"metric": "version", **{c: one["version"] for c, one in found.items()}}]
    rows += [{"metric": name, **{c: _figure(one["metrics"][name]) for c, one in found.items()}} for name in names]
    n = first["metrics"][names[0]]["n"]
    table(f"{project.name}: judged on {first['set']} (n={n}, {first['protocol']}, by {first['unit']})", rows)
    decision = document["decision"]
    summary = {
        "task": document["task"],
        "data": document["data_version"][:8],
        "version": document["version"],
        "alias": ", ".join(document["aliases"]),
        "decision": decision["outcome"],
        "took": f"{document['duration_s']:.0f} s",
    }
    table("", [summary])
    for reason in decision["reasons"]:
        echo(f"  {reason}")
    name = project.name
    echo(
        "Next:\n"
        f"  .venv/bin/sightline predict {name} FILE.. --out answers   answer your own files\n"
        f"  .venv/bin/sightline lineage {name}@champion               where the model comes from\n"
        f"  .venv/bin/sightline serve {name}                          answer over HTTP\n"
        "  .venv/bin/sightline up                                    the registry and the flows in a browser"
    )


def _headlines(metric: str, metrics: dict[str, Json]) -> list[str]:
    """The promotion metric, then the others."""
    return [metric, *[name for name in metrics if name != metric]]


def _figure(figure: dict[str, Json]) -> str:
    if figure["value"] is None:
        return "-"
    low, high = (("?" if figure[key] is None else f"{figure[key]:.3f}") for key in ("low", "high"))
    return f"{figure['value']:.3f} [{low}, {high}]"
