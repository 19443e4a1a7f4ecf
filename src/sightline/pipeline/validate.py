"""The gate: a task's data are asked before anything is trained on them."""

from __future__ import annotations

from sightline.gate.expectations import Parts, check
from sightline.gate.verdict import Verdict
from sightline.pages import link
from sightline.pipeline.project import Project
from sightline.runtime.servers import mlflow_address
from sightline.task import Manifest


def validate_data(project: Project) -> Verdict:
    """Ask the gate's expectations; write `build/validation/<task>/verdict.json` and the Data Docs beside it.

    A failed gate is an answer: `Verdict.raise_if_failed` makes an error of it.

    Raises:
        DataMissing: none of the sets is there.
        DataRejected: a group has no split.
    """
    manifest = project.load()
    registry = f"{mlflow_address(project.settings)}/#/models/{project.name}"
    links = (link("The versions of this task in MLflow (while `sightline up` runs)", registry),)
    return check(manifest, project.task.expectations(), parts_of(project, manifest), project.validation(), links)


def parts_of(project: Project, manifest: Manifest) -> Parts:
    """What is evaluated and how it is held out: the training sets by protocol, else the pre-training sets by split."""
    data = project.params.data
    there = {sample.set for sample in manifest.samples}
    main = tuple(name for name in data.train if name in there)
    if main:
        return Parts(main, data.protocol)
    return Parts(tuple(name for name in data.pretrain if name in there), "holdout")
