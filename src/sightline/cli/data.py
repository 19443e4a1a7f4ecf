"""`sightline data ...`: what is there, where it comes from, and which version it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.open import open_task_project, open_to_pin
from sightline.cli.show import echo, print_json, table

app = typer.Typer(no_args_is_help=True, help="Write, add, fetch and list data; DVC pins each version.")

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task, such as pv_hotspots.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for use by programs.")]


@app.command(epilog="Example: `sightline data sample pv_hotspots`")
def sample(
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK..", help="One or more tasks, worked on one after the other.")
    ],
) -> None:
    """Write the tasks' synthetic sets into data/ and pin them; the same seed gives the same bits."""
    from sightline.pipeline import data
    from sightline.progress import Bars

    projects = [open_to_pin(task) for task in dict.fromkeys(tasks)]
    with Bars("sample") as bars:
        lines = data.sample(projects, bars)
    for line in lines:
        echo(line)


@app.command(epilog="Example: `sightline data add pv_hotspots ~/thermograms`")
def add(
    task: TaskName,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Folder of your data, in the layout of the published data.")
    ],
    set_name: Annotated[str, typer.Option("--set", help="Name of the set to create or extend.")] = "real",
    correct: Annotated[
        bool, typer.Option("--correct", help="Replace the labels of samples that the set has already.")
    ] = False,
) -> None:
    """Check your own labelled data, copy the usable samples into data/, split them by group, and pin them."""
    from sightline.pipeline import data

    echo(data.add(open_to_pin(task), path, set_name, correct))


@app.command(epilog="Example: `sightline data fetch pv_hotspots`")
def fetch(task: TaskName) -> None:
    """Download the published data and add them."""
    from sightline.pipeline import data
    from sightline.progress import Bars

    with Bars(f"fetch {task}") as bars:
        said = data.fetch(open_to_pin(task), bars)
    echo(said)


@app.command(epilog="Example: `sightline data push pv_hotspots`")
def push(task: TaskName) -> None:
    """Upload the pinned data of all tasks and the stages' outputs to the DVC remote (SIGHTLINE_DVC_REMOTE)."""
    from sightline.pipeline import data

    echo(data.push(open_task_project(task)))


@app.command(epilog="Example: `sightline data pull pv_hotspots`")
def pull(task: TaskName) -> None:
    """Download the task's pinned data from the DVC remote (SIGHTLINE_DVC_REMOTE)."""
    from sightline.pipeline import data

    echo(data.pull(open_task_project(task)))


@app.command(epilog="Example: `sightline data status pv_hotspots`")
def status(task: TaskName, as_json: AsJson = False) -> None:
    """Show the sets, their sizes, whether they match data.dvc, and the content of the inbox."""
    from sightline.pipeline import data

    document = data.status(open_task_project(task))
    if as_json:
        print_json(document)
    else:
        print_status(task, document)


_STATES = {
    "pinned": "The data on disk match data.dvc (data version {version}).",
    "modified": "The data on disk differ from data.dvc (data version {version}): `.venv/bin/dvc add data`"
    " keeps them as a new version, `.venv/bin/dvc checkout --force data.dvc` discards them.",
    "not pinned": "No data are pinned yet: use `sightline data sample {task}` or `sightline data add {task} FOLDER`.",
}
_NAMED = 10


def print_status(task: str, document: dict[str, Any]) -> None:
    """What `pipeline.data.status` found, as a person reads it."""
    table(f"{task}: sets", document["sets"])
    echo(_STATES[document["state"]].format(task=task, version=document["data_version"]))
    inbox = document["inbox"]
    ready, waiting, refused = inbox["ready"], inbox["waiting"], inbox["refused"]
    if not (ready or waiting or refused):
        echo(f"inbox/{task}: empty.")
        return
    echo(
        f"inbox/{task}: {ready} ready for the next run, {len(waiting)} still being written or held back,"
        f" {len(refused)} refused."
    )
    for file, why in list(refused.items())[:_NAMED]:
        echo(f"  refused: {file}: {why}")
    if len(refused) > _NAMED:
        echo(f"  and {len(refused) - _NAMED} more (`--json` has all).")


@app.command(epilog="Example: `sightline data versions pv_hotspots`")
def versions(task: TaskName, as_json: AsJson = False) -> None:
    """List the data versions in git's history, newest first."""
    from sightline.pipeline import data

    rows = data.list_versions(open_task_project(task))
    if as_json:
        print_json(rows)
    elif rows:
        table(f"{task}: data versions", rows)
    else:
        echo("No version is committed yet: commit data.dvc.")
