"""dvc.yaml: what is built from what. Written from the tasks, their candidates and the imports of their code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sightline.files import write_text
from sightline.imports import PACKAGE, closure, file_of
from sightline.params import load_section
from sightline.tasks import TASKS, modules_of, open_task, params_model

if TYPE_CHECKING:
    from sightline.task import Json, Task

HEAD = """\
# What is built from what: validate -> train -> evaluate, for each task and candidate. Written by `sightline stages`
# from the tasks (`sightline.tasks.TASKS`), their candidates (params.yaml) and what their code imports; not by hand.
#
#   .venv/bin/dvc repro                                  what has changed is run, nothing else
#   .venv/bin/dvc metrics diff                           figures against the last commit
#   .venv/bin/dvc exp run -S 'pv_hotspots.seed=21'       one experiment
#
# Code that a stage merely passes through (the command line, settings, progress bars) is no dependency: see
# `sightline.imports.PASSED_THROUGH`. Checkpoints (build/checkpoints) are no outputs: DVC deletes outputs before a stage
# starts. Data Docs are none either: they hold the time.
vars:
  # The code and the parameters of this very folder, also in the copy that `dvc exp run --temp` makes; the program
  # from the environment that is active, else from the project's own.
  - sightline: SIGHTLINE_ROOT="$PWD" PYTHONPATH="$PWD/src:$PYTHONPATH" PATH="$PATH:$DVC_ROOT/.venv/bin" sightline

"""


_TRAIN, _EVALUATE = "train", "evaluate"  # with a task's name; DVC puts the candidate behind an @


def validate_stage(task: str) -> str:
    """The name of the gate's stage."""
    return f"validate-{task}"


def train_stage(task: str, candidate: str) -> str:
    """The name of a candidate's training."""
    return f"{_TRAIN}-{task}@{candidate}"


def evaluate_stage(task: str, candidate: str) -> str:
    """The name of a candidate's last stage."""
    return f"{_EVALUATE}-{task}@{candidate}"


def stages_of(task: str, candidates: Sequence[str]) -> list[str]:
    """All stages of a task, in the order they run."""
    trained = [train_stage(task, candidate) for candidate in candidates]
    return [validate_stage(task), *trained, *(evaluate_stage(task, candidate) for candidate in candidates)]


def write_stages(root: Path) -> bool:
    """Write dvc.yaml anew; whether that changed it.

    Raises:
        ParamsError: a task's section of params.yaml is absent or wrong.
        BackendError: the file cannot be written.
    """
    path, text = root / "dvc.yaml", stages_text(root)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    write_text(path, text)
    return True


def stages_text(root: Path) -> str:
    """What dvc.yaml is to hold, for the tasks of the package and the params.yaml of the folder.

    Raises:
        ParamsError: a task's section of params.yaml is absent or wrong.
    """
    stages: dict[str, Json] = {}
    plots: list[Json] = []
    for name in TASKS:
        params = load_section(root / "params.yaml", name, params_model(name))
        stages |= _stages(name, params.candidates)
        plots += _curves(open_task(name, params), params.candidates)
    document = {"stages": stages, "plots": plots}
    return HEAD + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


class _Plain(yaml.SafeDumper):
    """Writes lists out where they occur again, too."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def _stages(name: str, candidates: Sequence[str]) -> dict[str, Json]:
    data, each = f"data/{name}", "${item}"
    models, evaluation = f"build/models/{name}/{each}", f"build/evaluations/{name}/{each}"
    verdict = f"build/validation/{name}/verdict.json"
    train = {
        "cmd": f"${{sightline}} train {name} --candidate {each}",
        "deps": [verdict, data, *_code(name, "fit")],
        "params": [f"{name}.seed", f"{name}.data", f"{name}.train.${{profile}}"],
        "outs": [models],
    }
    evaluate = {
        "cmd": f"${{sightline}} evaluate {name} --candidate {each} --stage",
        "deps": [models, data, *_code(name, "evaluate")],
        "params": [f"{name}.seed", f"{name}.data", f"{name}.evaluate"],
        "outs": [f"{evaluation}/{one}" for one in ("rows.jsonl", "validation.jsonl", "reference.jsonl", "training.csv")]
        + [f"{evaluation}/plots"],
        "metrics": [f"{evaluation}/metrics.json"],
        "plots": [f"{evaluation}/charts", f"{evaluation}/pictures"],
    }
    return {
        validate_stage(name): {
            "cmd": f"${{sightline}} validate {name}",
            "deps": [data, *_code(name, "validate")],
            "params": [f"{name}.data", f"{name}.gate"],
            "outs": [verdict],
        },
        f"{_TRAIN}-{name}": {"foreach": list(candidates), "do": train},
        f"{_EVALUATE}-{name}": {"foreach": list(candidates), "do": evaluate},
    }


def _code(task: str, step: str) -> list[str]:
    """The code of one step of a task: folders where all in them counts, else files."""
    needed = {file_of(module) for module in closure([*modules_of(task), f"sightline.pipeline.{step}"])}
    whole = {folder for folder in (file.parent for file in needed) if set(folder.rglob("*.py")) <= needed}
    paths = {next((folder for folder in reversed(file.parents) if folder in whole), file) for file in needed}
    return sorted(f"src/{path.relative_to(PACKAGE.parent).as_posix()}" for path in paths)


def _curves(task: Task, candidates: Sequence[str]) -> list[Json]:
    """The curves of all candidates in one plot each."""
    return [
        {
            (title := f"{task.name}: {y} over {x}"): {
                "title": title,
                "x": {f"build/evaluations/{task.name}/{one}/plots/{name}.csv": x for one in candidates},
                "y": {f"build/evaluations/{task.name}/{one}/plots/{name}.csv": y for one in candidates},
            }
        }
        for name, (x, y) in task.curves.items()
    ]
