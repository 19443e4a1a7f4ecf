"""Training: which fits a run needs, and each of them once.

A fit is known by what goes into it (samples, parameters, code, the fit it starts from). Its folder
`build/checkpoints/<task>/<key>` lies outside DVC's outputs, which DVC deletes before a stage starts, so a killed
fit goes on and a finished one is not done again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import DataRejected, ParamsError
from sightline.files import replacing_folder, write_json
from sightline.imports import digest
from sightline.pipeline.project import Project
from sightline.progress import Bars, Recording, read_history
from sightline.task import Manifest, Model, Progress, Sample, TrainingData
from sightline.tasks import modules_of

Live = Callable[[int, dict[str, float]], None]
"""Called with each step's figures while training goes on (MLflow listens)."""


@dataclass(frozen=True)
class Fit:
    """One training: `name` is final, pretrain or fold-<k>; `start` names the fit it goes on from.

    `share` is how much of the steps it takes.
    """

    name: str
    train: Manifest
    validation: Manifest
    start: str = ""
    share: float = 1.0


@dataclass(frozen=True)
class FitPlan:
    """The fits of a run, in order, and who evaluates whom.

    `test` maps a fit's name to the samples it is evaluated on: none of them was seen by that fit or the one it starts
    from. `validation` is what the winner among candidates is chosen on. `main` are the sets that promotion looks at.
    """

    fits: tuple[Fit, ...]
    test: dict[str, Manifest]
    validation: Manifest
    main: tuple[str, ...]
    protocol: str


def plan_fits(project: Project) -> FitPlan:
    """Decide the fits from the sets that are there.

    Raises:
        DataMissing: no set is there.
        DataRejected: a part that is needed has no samples.
    """
    data = project.params.data
    manifest = project.load().where(lambda s: not s.problem)
    early = manifest.where(lambda s: s.set in data.pretrain and s.set not in data.train)
    late = manifest.where(lambda s: s.set in data.train)
    if not len(late):
        return _checked(_holdout(early, None, data.alone_share))
    if data.protocol == "holdout":
        return _checked(_holdout(late, early if len(early) else None))
    return _checked(_folds(late, early, data.folds))


def _split(manifest: Manifest, name: str) -> Manifest:
    return manifest.where(lambda s: s.split == name)


def _sets(manifest: Manifest) -> tuple[str, ...]:
    return tuple(dict.fromkeys(s.set for s in manifest.samples))


def _holdout(main: Manifest, early: Manifest | None, share: float = 1.0) -> FitPlan:
    fits = [Fit("final", _split(main, "train"), _split(main, "validation"), "pretrain" if early else "", share)]
    test = _split(main, "test")
    if early:
        fits.insert(0, Fit("pretrain", _split(early, "train"), _split(early, "validation")))
        test += _split(early, "test")
    return FitPlan(tuple(fits), {"final": test}, _split(main, "validation"), _sets(main), "holdout")


def _folds(main: Manifest, early: Manifest, folds: int) -> FitPlan:
    """Each fold is evaluated by a model that saw the others; the model for use sees all of them.

    Nothing of the main sets is left for validation, so candidates are compared on the pre-training sets'.
    """
    validation = _split(early, "validation")
    start = "pretrain" if len(early) else ""
    fits = [Fit("pretrain", _split(early, "train"), validation)] if start else []
    test: dict[str, Manifest] = {}
    for fold in range(folds):
        inside = main.where(lambda s, k=fold: s.fold == k)  # type: ignore[misc]
        if not len(inside):
            continue  # fewer groups than folds
        name = f"fold-{fold}"
        fits.append(Fit(name, main.where(lambda s, k=fold: s.fold != k), validation, start))  # type: ignore[misc]
        test[name] = inside
    fits.append(Fit("final", main, validation, start))
    if start:
        test["final"] = _split(early, "test")
    return FitPlan(tuple(fits), test, validation, _sets(main), "folds")


def _checked(plan: FitPlan) -> FitPlan:
    for fit in plan.fits:
        if not len(fit.train):
            raise DataRejected(
                f"the fit {fit.name} has no samples to train on",
                where=fit.train.root,
                way_out="Add samples of other groups (flights, scenes): all samples of a group go into the same part.",
            )
    tested = {sample.set for data in plan.test.values() for sample in data.samples}
    if plan.main[0] not in tested:
        raise DataRejected(
            f"no sample of the set {plan.main[0]} is left to evaluate a model on",
            where=plan.fits[-1].train.root,
            way_out="Add samples of other groups (flights, scenes): all samples of a group go into the same part.",
        )
    return plan


def fit_keys(project: Project, plan: FitPlan) -> dict[str, str]:
    """Fit name -> key: 16 hexadecimal digits of SHA-256 over all that goes into the fit."""
    train = project.params.model_dump(mode="json", include={"seed", "train"})
    code = code_digest(project.name)
    keys: dict[str, str] = {}
    for fit in plan.fits:
        parts = (
            project.name,
            fit.train.digest(),
            fit.validation.digest(),
            json.dumps(train, sort_keys=True),
            code,
            keys.get(fit.start, ""),
            *([] if fit.share == 1 else [f"{fit.share:.6g} of the steps"]),
        )
        keys[fit.name] = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return keys


def code_digest(task: str) -> str:
    """SHA-256 over all code that the task's models are made by."""
    return digest(modules_of(task))


def fit(project: Project, candidate: str, bars: Bars, live: Live) -> None:
    """Train one candidate: all fits of the plan, into `build/models/<task>/<candidate>/`.

    Raises:
        ParamsError: the task has no such candidate.
        DataMissing, DataRejected: see `plan_fits`.
        BackendError: the disk is full.
    """
    check_candidate(project, candidate)
    plan = plan_fits(project)
    keys = fit_keys(project, plan)
    out = project.models(candidate)
    done: dict[str, Model] = {}
    way_out = "Free some space on the disk and run the command again: it continues from the last checkpoint."
    with replacing_folder(out, "the models", way_out) as partial:
        for number, one in enumerate(plan.fits, start=1):
            work = project.settings.build / "checkpoints" / project.name / keys[one.name]
            title = f"{one.name} ({number}/{len(plan.fits)})"
            progress = Recording(bars, work / f"{candidate}.history.jsonl", title, live)
            data = TrainingData(one.train, one.validation, done.get(one.start), one.share)
            done[one.name] = _train_once(project, candidate, data, work, progress)
            shutil.copytree(_finished(work, candidate), partial / one.name)
            _write_history(partial / one.name, read_history(work / f"{candidate}.history.jsonl"))
        _write_training_manifest(partial / "training.csv", plan)
        write_json(partial / "fits.json", {"protocol": plan.protocol, "keys": keys})


def check_candidate(project: Project, candidate: str) -> None:
    """Raise ParamsError for a candidate that the task does not have."""
    if candidate not in project.params.candidates:
        raise ParamsError(
            f"{project.name} has no candidate {candidate!r}",
            where="--candidate",
            way_out=f"Known: {', '.join(project.params.candidates)}.",
        )


def is_finished(project: Project, candidate: str, keys: dict[str, str]) -> bool:
    """Whether every fit of a run was done before, so that nothing is left to train."""
    folder = project.settings.build / "checkpoints" / project.name
    return all(_finished(folder / key, candidate).is_dir() for key in keys.values())


def _finished(work: Path, candidate: str) -> Path:
    return work / f"{candidate}.model"


def _train_once(project: Project, candidate: str, data: TrainingData, work: Path, progress: Progress) -> Model:
    finished = _finished(work, candidate)
    if finished.is_dir():
        progress.advance(1, 1, "was trained already")
        return _restored(project, finished)
    work.mkdir(parents=True, exist_ok=True)
    model = project.task.train(candidate, data, work, progress)
    partial = work / f".{candidate}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    model.save(partial)
    partial.replace(finished)
    # What was saved is what will be served: go on with it, not with the object in memory.
    return _restored(project, finished)


def _restored(project: Project, folder: Path) -> Model:
    model: Model = project.task.restore(folder)
    return model


def _write_history(folder: Path, history: dict[int, dict[str, float]]) -> None:
    names = sorted({name for values in history.values() for name in values})
    with (folder.parent / f"{folder.name}.history.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["step", *names])
        for step in sorted(history):
            writer.writerow([step, *(history[step].get(name, "") for name in names)])


def _write_training_manifest(path: Path, plan: FitPlan) -> None:
    """One line for each sample the final model has seen in any way: these are no test for it."""
    names = {"final", next(f.start for f in plan.fits if f.name == "final")}
    seen: dict[str, Sample] = {}
    for one in plan.fits:
        if one.name in names:
            seen.update({s.key: s for s in (*one.train.samples, *one.validation.samples)})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["key", "sha256", "labels_sha256", "group"])
        writer.writerows([s.key, s.sha256, s.labels_sha256, s.group] for s in seen.values())
