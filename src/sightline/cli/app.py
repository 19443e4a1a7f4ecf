"""`sightline ...`: one function a command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sightline import __version__
from sightline.cli import aoi, data
from sightline.cli.open import open_task_project, open_version
from sightline.cli.show import echo, print_json, table, tree
from sightline.errors import DataRejected, ParamsError
from sightline.tasks import TASKS

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Trains, evaluates, serves and watches vision models. Begin with `sightline run TASK --help`.",
    epilog=f"Tasks: {', '.join(TASKS)}.",
)
app.add_typer(data.app, name="data")
app.add_typer(aoi.app, name="aoi")


def _tell_version(wanted: bool) -> None:
    if wanted:
        echo(f"sightline {__version__}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Trains, evaluates, serves and watches vision models. Begin with `sightline run TASK --help`."""


TaskName = Annotated[str, typer.Argument(metavar="TASK", help="A task, such as pv_hotspots.")]
TaskRef = Annotated[
    str,
    typer.Argument(
        metavar="TASK[@REF]", help="A task, with an alias or a version if it is not the champion: pv_hotspots@3."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for use by programs.")]
CandidateName = Annotated[str, typer.Option("--candidate", "-c", help="One of the task's candidates.")]


@app.command(epilog="Example: `sightline run pv_hotspots`")
def run(
    tasks: Annotated[
        list[str], typer.Argument(metavar="TASK..", help="One or more tasks, worked on one after the other.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Run all steps even if nothing has changed.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", min=1, help="Number of tasks at a time; each gets its share of the cores.")
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Take in new labels, validate, train, evaluate, register and promote; steps without changes are skipped."""
    from sightline.cli.run import run_tasks

    run_tasks([open_task_project(task) for task in dict.fromkeys(tasks)], force, jobs, as_json)


@app.command(epilog="Example: `sightline validate pv_hotspots`")
def validate(task: TaskName, as_json: AsJson = False) -> None:
    """Check whether the data may be trained on, and write Data Docs with the reasons."""
    from sightline.pipeline.validate import validate_data

    verdict = validate_data(open_task_project(task))
    if as_json:
        print_json({"task": task, "passed": verdict.passed, "docs": str(verdict.docs)})
    elif verdict.passed:
        echo(f"The data of {task} passed the gate. Data Docs: {verdict.docs}")
    verdict.raise_if_failed()


@app.command(epilog="Example: `sightline train pv_hotspots --candidate fused`")
def train(task: TaskName, candidate: CandidateName) -> None:
    """Train one candidate. A training that was killed continues from its last checkpoint."""
    from sightline.pipeline.fit import check_candidate, fit, fit_keys, is_finished, plan_fits
    from sightline.progress import Bars

    project = open_task_project(task)
    check_candidate(project, candidate)
    with Bars(f"train {candidate}") as bars:
        plan = plan_fits(project)
        keys = fit_keys(project, plan)
        if is_finished(project, candidate, keys):
            fit(project, candidate, bars, lambda _step, _values: None)
            return
        from sightline.tracking import Tracking

        with Tracking(project.settings).training_run(task, candidate, keys["final"]) as live:
            fit(project, candidate, bars, live)


@app.command(
    epilog="Examples: `sightline evaluate pv_hotspots@champion`, `sightline evaluate pv_hotspots --data ~/labelled`"
)
def evaluate(
    task: TaskRef,
    data: Annotated[
        Path | None, typer.Option("--data", help="A folder with labels, in the layout of the published data.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="Folder of a saved model, used instead of a version.")
    ] = None,
    candidate: Annotated[
        str, typer.Option("--candidate", "-c", help="The candidate to evaluate; only with --stage.")
    ] = "",
    stage: Annotated[
        bool, typer.Option("--stage", help="Evaluate the model that `train` wrote to build/ (used by DVC).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the metrics of a version with intervals, or evaluate a model on your own labels."""
    from sightline.cli.evaluate import evaluate_here, evaluate_stage

    if stage:
        evaluate_stage(open_task_project(task), candidate, as_json)
    else:
        evaluate_here(task, data, model, as_json)


@app.command(
    epilog="Examples: `sightline predict pv_hotspots flight/ --out report`, "
    "`sightline predict ships scene.tif --condition gsd_m=1.5 --threshold 0.4`"
)
def predict(
    task: TaskRef,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH..", help="Files, folders (with their subfolders) and globs.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder for predictions, tables, GeoPackage and report; a stopped call continues there."
        ),
    ] = None,
    model: Annotated[
        Path | None, typer.Option("--model", help="Folder of a saved model, used instead of a version.")
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Write the predictions to the prediction log.")] = False,
    condition: Annotated[
        list[str] | None,
        typer.Option("--condition", metavar="NAME=VALUE", help="A known condition of the files, such as gsd_m=1.5."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Lowest score of a finding, for models that have such a threshold."),
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Draw each prediction; without pictures the report shows no findings.")
    ] = True,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=0, help="Number of files at a time; 0: one per core.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Predict files: a picture, a scene, a whole flight. Files that cannot be read are reported and skipped."""
    from sightline.cli.predict import Options, predict_files

    predict_files(task, paths, Options(out, model, log, condition or [], threshold, pictures, jobs, as_json))


@app.command(
    epilog="Examples: `sightline stream battery_faults rtsp://192.168.1.20/ir --out watched --log`, "
    "`sightline stream battery_faults clip.mp4 frames/ --every 1`"
)
def stream(
    task: TaskRef,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE..",
            help="Video files, folders of frames, devices (/dev/video0), addresses (rtsp://, http://, https://).",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for answers and marked videos, with a folder per camera.")
    ] = None,
    webhook: Annotated[
        str, typer.Option("--webhook", metavar="URL", help="Address (https) to which each change of verdict is sent.")
    ] = "",
    log: Annotated[
        bool, typer.Option("--log", help="Write changes of verdict and a sample to the prediction log.")
    ] = False,
    every: Annotated[
        float,
        typer.Option("--every", min=0, metavar="SECONDS", help="Besides changes, keep one answer per SECONDS; 0: all."),
    ] = 10.0,
    limit: Annotated[
        int, typer.Option("--limit", min=0, metavar="FRAMES", help="End after FRAMES answers per camera; 0: no limit.")
    ] = 0,
    stall: Annotated[
        float, typer.Option("--stall", min=0.1, metavar="SECONDS", help="A camera without a frame for SECONDS is lost.")
    ] = 10.0,
    model: Annotated[
        Path | None, typer.Option("--model", help="Folder of a saved model, used instead of a version.")
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option("--condition", metavar="NAME=VALUE", help="A known condition of all cameras."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="Lowest score of a finding, for models that have such a threshold."),
    ] = None,
    video: Annotated[bool, typer.Option(help="Write the marked video to the folder of --out.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines, for use by programs.")] = False,
) -> None:
    """Watch videos and cameras frame by frame until they end or Ctrl-C. Lost cameras are opened again."""
    from sightline.cli.stream import Options, stream_cameras

    options = Options(
        *(out, model, log, webhook, every, limit, stall, condition or (), threshold, video),
        as_json=as_json,
    )
    stream_cameras(task, sources, options)


@app.command(epilog="Example: `sightline stages`")
def stages() -> None:
    """Write dvc.yaml from the tasks, their candidates and the imports of their code."""
    from sightline.pipeline.stages import write_stages
    from sightline.settings import load_settings

    changed = write_stages(load_settings().root)
    echo("dvc.yaml was updated: commit it." if changed else "dvc.yaml is up to date.")


@app.command(epilog="Example: `sightline models pv_hotspots`")
def models(task: TaskName, as_json: AsJson = False) -> None:
    """List the registered versions with their aliases, metrics and decisions."""
    from sightline.cli.models import list_models
    from sightline.tracking import Tracking

    project = open_task_project(task)
    list_models(project, Tracking(project.settings), as_json)


@app.command(epilog="Example: `sightline lineage pv_hotspots@champion`")
def lineage(task: TaskRef, as_json: AsJson = False) -> None:
    """Show a version's data, code and parameters, and its decisions and predictions."""
    from sightline.pipeline.lineage import trace_lineage

    document = trace_lineage(*open_version(task))
    if as_json:
        print_json(document)
    else:
        tree(str(document["version"]), document)


@app.command(epilog="Example: `sightline reproduce pv_hotspots@3`")
def reproduce(task: TaskRef, as_json: AsJson = False) -> None:
    """Train a version again from its own data, code and parameters in a temporary folder, and compare."""
    from sightline.pipeline.reproduce import TOLERANCE, reproduce_version

    result = reproduce_version(*open_version(task))
    for warning in result.warnings:
        echo(f"warning: {warning}", err=True)
    if as_json:
        print_json({"version": result.version, "agrees": result.agrees, "largest": result.largest, **result.figures})
    else:
        rows = [{"metric": name, "stored": a, "again": b} for name, (a, b) in result.figures.items()]
        table(f"{result.version}: largest difference {result.largest:.2g} (tolerance {TOLERANCE})", rows)
    if not result.agrees:
        raise DataRejected(
            "the metrics of the second training differ by more than the tolerance",
            where=result.version,
            way_out="Read the warnings above; `make setup` installs the packages of requirements.lock.",
        )


@app.command(epilog="Example: `sightline promote pv_hotspots@4 --reason 'checked by eye'`")
def promote(
    task: TaskRef, reason: Annotated[str, typer.Option("--reason", help="The reason; it is kept in the ledger.")] = ""
) -> None:
    """Make a version champion by hand, overruling the promotion rules of params.yaml."""
    from sightline.pipeline.promote import promote_by_hand

    name, _, ref = task.partition("@")
    if not ref or not reason:
        raise ParamsError(
            "to promote by hand, a version and a reason must be given",
            where=task,
            way_out=f"For example: sightline promote {name}@challenger --reason 'checked by eye'.",
        )
    project, tracking, version = open_version(task)
    decision = promote_by_hand(project, tracking, str(version.number), reason)
    echo(f"{name}@{decision.challenger} is champion ({decision.outcome}; before: {decision.champion or 'none'}).")


@app.command(epilog="Example: `sightline rollback pv_hotspots`")
def rollback(task: TaskName) -> None:
    """Make the previous champion the champion again. A running endpoint follows within seconds."""
    from sightline.pipeline.promote import restore_previous
    from sightline.tracking import Tracking

    project = open_task_project(task)
    version = restore_previous(project, Tracking(project.settings))
    echo(f"{version} is champion again.")


@app.command(epilog="Example: `sightline watch pv_hotspots`")
def watch(
    task: TaskName,
    as_json: AsJson = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 8 on drift, 9 if it cannot be determined, 0 without drift.")
    ] = False,
) -> None:
    """Compare the prediction log with the labelled samples, and write the drift report."""
    from sightline.cli.watch import watch_task

    watch_task(open_task_project(task), as_json, exit_code)


@app.command(epilog="Example: `sightline serve pv_hotspots`")
def serve(task: Annotated[str, typer.Argument(metavar="[TASK]", help="A task; without it, all tasks.")] = "") -> None:
    """Serve champions over HTTP (BentoML) until Ctrl-C, all tasks behind one address. See docs/how-to/serve.md."""
    from sightline.runtime.servers import endpoint, run_endpoint
    from sightline.serving import ALL_TASKS, serve_command
    from sightline.settings import load_settings

    settings = load_settings()
    if task:
        open_task_project(task)  # a wrong name is told before a server starts
    command, environment = serve_command(settings, task or ALL_TASKS)
    address = endpoint(settings).address
    echo(f"{task or 'All tasks'} at {address}, described at {address}/v1/docs. Ctrl-C ends it.", err=True)
    if code := run_endpoint(settings, command, environment):
        sys.exit(code)


@app.command(epilog="Example: `sightline up`, then open the addresses it prints")
def up() -> None:
    """Start the MLflow UI, the Prefect server with its schedules, and the endpoint of all tasks, until Ctrl-C."""
    from sightline.runtime.servers import run_all
    from sightline.settings import load_settings

    run_all(load_settings(), echo)


@app.command(epilog="Example: `sightline backup ~/backups/2026-11-27`")
def backup(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder that does not exist yet, preferably on another disk.")
    ],
    as_json: AsJson = False,
) -> None:
    """Copy what cannot be made again (ledger, registry, Prefect's database, pins). Servers may run meanwhile."""
    from sightline.pipeline.backup import back_up, check
    from sightline.progress import Bars
    from sightline.settings import load_settings

    settings = load_settings()
    with Bars("backup") as bars:
        kept = back_up(settings, folder, bars)
        check(kept, bars)
    _tell_of_backup("Backed up", kept.folder, len(kept.files), kept.bytes, as_json)
    if settings.ledger_url.get_secret_value():
        echo("warning: the ledger is not in it: it lies in PostgreSQL, which pg_dump copies.", err=True)


@app.command(epilog="Example: `sightline restore ~/backups/2026-11-27`, in a fresh clone")
def restore(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `sightline backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """Check a backup and restore it into this project; new version numbers leave a gap, so that none is used twice."""
    from sightline.pipeline.backup import restore_backup
    from sightline.progress import Bars
    from sightline.settings import load_settings

    with Bars("restore") as bars:
        kept = restore_backup(load_settings(), folder, bars)
    _tell_of_backup("Restored", kept.folder, len(kept.files), kept.bytes, as_json)
    if not as_json:
        echo("Now download the data from the DVC remote: `.venv/bin/sightline data pull TASK`.")


def _tell_of_backup(what: str, folder: Path, files: int, size: int, as_json: bool) -> None:
    if as_json:
        print_json({"folder": str(folder), "files": files, "bytes": size})
    else:
        echo(f"{what}: {files} files, {size / 2**20:.1f} MB, checked by SHA-256: {folder}")
