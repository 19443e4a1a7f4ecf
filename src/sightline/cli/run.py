"""`sightline run`: the quick answer when nothing has changed, else the retraining flow."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.show import echo, print_json, table
from sightline.errors import BackendError
from sightline.runtime.disk import require_room
from sightline.runtime.tether import run_tethered
from sightline.tasks import longest_first

if TYPE_CHECKING:
    from sightline.pipeline.project import Project
    from sightline.pipeline.records import ChoiceRecord, RunOutcome
    from sightline.resampling import Figure
    from sightline.task import Json


_ROOM = 64 * 2**20
"""Bytes free on each disk before a run begins: models, MLflow's and Prefect's databases want that much at least."""


def run_tasks(projects: Sequence[Project], force: bool, jobs: int, as_json: bool) -> None:
    """Run the flow of each task in which something has changed, so many at a time, and show what they came to.

    Raises:
        SystemExit: a flow failed, with its exit code; what the flows before it came to is shown.
    """
    from sightline.pipeline.outcome import nothing_changed
    from sightline.versions import require_repository

    require_repository(projects[0].settings)
    _require_data(projects)
    known = {} if force else {p.name: found for p in projects if (found := nothing_changed(p)) is not None}
    changed = [project for project in projects if project.name not in known]
    if changed:
        require_room(changed[0].settings.written, _ROOM)
    code, made = _run_flows(changed, jobs) if changed else (0, {})
    show = _print_outcomes if as_json else _show_outcomes
    show(projects, {**known, **made}, known.keys())
    if code:
        raise SystemExit(code)  # the flow has told why


def _require_data(projects: Sequence[Project]) -> None:
    """Tell at once, before a flow starts, of a task that has neither a set nor an inbox."""
    for project in projects:
        if not (project.settings.inbox / project.name).is_dir():
            project.require_sets()


def _print_outcomes(projects: Sequence[Project], outcomes: Mapping[str, RunOutcome], known: Collection[str]) -> None:
    """One document for one task, a list for several; nothing where the only run failed."""
    documents = [
        {**outcomes[project.name].document(), "unchanged": project.name in known}
        for project in projects
        if project.name in outcomes
    ]
    if len(projects) > 1:
        print_json(documents)
    elif documents:
        print_json(documents[0])


def _show_outcomes(projects: Sequence[Project], outcomes: Mapping[str, RunOutcome], known: Collection[str]) -> None:
    for project in projects:
        if project.name in known:
            echo(f"{project.name}: data, code and parameters have not changed since the last run; nothing was done.")
        if project.name in outcomes:
            show_outcome(project, outcomes[project.name])


def _run_flows(projects: Sequence[Project], jobs: int) -> tuple[int, dict[str, RunOutcome]]:
    """Start `python -m flows retrain` and read the outcomes it writes, by task; its exit code comes first."""
    from sightline.pipeline.records import RunOutcome, parse
    from sightline.runtime.servers import CODE, common_environment

    if not (CODE / "flows" / "__main__.py").is_file():
        raise BackendError(
            "the folder flows/ is missing",
            where=CODE,
            way_out="Run `make setup` in the project's checkout, and use .venv/bin/sightline from there.",
        )
    with tempfile.TemporaryDirectory(prefix="sightline-run-") as folder:
        outcome = Path(folder) / "outcome.json"
        names = [project.name for project in projects]
        names = longest_first(names) if jobs > 1 else names
        command = [sys.executable, "-m", "flows", "retrain", *names, "--outcome", str(outcome), "--jobs", str(jobs)]
        environment = {**os.environ, **common_environment(projects[0].settings)}
        code = run_tethered(command, CODE, environment)
        documents = dict(json.loads(outcome.read_text(encoding="utf-8"))) if outcome.is_file() else {}
        return code, {name: parse(found, RunOutcome, f"the outcome of {name}") for name, found in documents.items()}


def show_outcome(project: Project, outcome: RunOutcome) -> None:
    """The candidates with their figures, which was chosen and why, and what was decided."""
    found = {name: one for name in project.params.candidates if (one := outcome.candidates.get(name))}
    first = next(iter(found.values()))
    names = _headlines(project.params.promotion.metric, first.metrics)
    rows: list[dict[str, Json]] = [{"metric": "version", **{c: one.version for c, one in found.items()}}]
    decision, chosen = outcome.decision, outcome.decision.choice
    if chosen:
        rows.append({"metric": f"chosen by {chosen.metric}", **{c: _chosen_by(chosen, c) for c in found}})
    rows += [{"metric": name, **{c: _figure(one.metrics[name]) for c, one in found.items()}} for name in names]
    n = first.metrics[names[0]].n
    table(f"{project.name}: evaluated on {first.set} (n={n}, {first.protocol}, by {first.unit})", rows)
    for candidate, one in found.items():
        if one.note:
            echo(f"  {candidate}: {one.note}")
    summary: dict[str, Json] = {
        "task": outcome.task,
        "data": outcome.data_version[:8],
        "version": outcome.version,
        "alias": ", ".join(outcome.aliases),
        "decision": decision.outcome,
        "took": f"{outcome.duration_s:.0f} s",
    }
    table("", [summary])
    for reason in decision.reasons:
        echo(f"  {reason}")
    if chosen:
        _warn_of_better(project.name, chosen)
    name = project.name
    echo(
        "Next:\n"
        f"  .venv/bin/sightline predict {name} PATH.. --out report    predict your own files\n"
        f"  .venv/bin/sightline lineage {name}@champion               show where the model comes from\n"
        f"  .venv/bin/sightline serve {name}                          serve it over HTTP\n"
        "  .venv/bin/sightline up                                    open the registry and the flows in a browser"
    )


def _chosen_by(chosen: ChoiceRecord, candidate: str) -> str:
    """A candidate's figure on the rows that the choice was made on."""
    value = chosen.figures.get(candidate, math.nan)
    figure = "-" if math.isnan(value) else f"{value:.3f}"
    return f"{figure} (chosen)" if candidate == chosen.chosen else figure


def _warn_of_better(task: str, chosen: ChoiceRecord) -> None:
    from sightline.pipeline.choice import warn

    if chosen.better is not None:
        number = chosen.versions[chosen.better.candidate]
        overrule = f"`sightline promote {task}@{number} --reason WHY` chooses it by hand."
        echo(f"warning: {warn(chosen)}. {overrule}", err=True)


def _headlines(metric: str, metrics: Iterable[str]) -> list[str]:
    """The promotion metric, then the others."""
    return [metric, *[name for name in metrics if name != metric]]


def _figure(figure: Figure) -> str:
    if math.isnan(figure.value):
        return "-"
    low, high = (("?" if math.isnan(value) else f"{value:.3f}") for value in (figure.low, figure.high))
    return f"{figure.value:.3f} [{low}, {high}]"
