"""Registering: each evaluated candidate becomes a model version that can be followed back to all it was made from."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import zipfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from sightline import versions
from sightline.errors import ModelMissing
from sightline.evaluation import Metrics, by_set, evaluated_rows, read_metrics
from sightline.files import sha256_file, write_json, write_text
from sightline.pipeline.project import Project
from sightline.pipeline.stages import evaluate_stage
from sightline.task import Card, Json
from sightline.tracking import Record, Tracking, Version

UNKNOWN = "unknown"
"""In a tag: it could not be told, which is not `false`."""


def register_candidates(project: Project, tracking: Tracking) -> list[Version]:
    """Register every candidate that was evaluated and is not registered yet; their versions, in the candidates' order.

    Raises:
        ModelMissing: a candidate was not evaluated.
        BackendError: MLflow cannot be reached.
    """
    known = {version.tags.get("stage_key"): version for version in tracking.versions(project.name)}
    result = []
    for candidate in project.params.candidates:
        key = versions.stage_key(project.settings, evaluate_stage(project.name, candidate))
        found = known.get(key)
        if found is None:
            found = tracking.register(_record(project, candidate, key))
        elif candidate not in found.aliases:  # data or parameters went back, or a kill came between
            tracking.set_alias(project.name, candidate, found.number)
            found = tracking.version(project.name, str(found.number))
        result.append(found)
    return result


def _record(project: Project, candidate: str, stage_key: str) -> Record:
    models, evaluation = project.models(candidate), project.evaluation(candidate)
    if not (models / "fits.json").is_file():
        raise ModelMissing("this candidate was not trained", where=models, way_out="Run `sightline run` first.")
    fits = json.loads((models / "fits.json").read_text(encoding="utf-8"))
    metrics = read_metrics(evaluation)
    sources = _collect_sources(project, candidate)
    tags = {
        "stage_key": stage_key,
        "candidate": candidate,
        "fit_key": fits["keys"]["final"],
        "protocol": fits["protocol"],
        **_source_tags(project),
        **note_tag(models / "final"),
    }
    return Record(
        task=project.name,
        candidate=candidate,
        model=models / "final",
        evaluation=evaluation,
        params=flatten_params(project.params.model_dump(mode="json")),
        metrics=flatten_metrics(metrics),
        history={path.name.split(".")[0]: _read_history(path) for path in sorted(models.glob("*.history.csv"))},
        tags=tags,
        files={"sources": tuple(sorted(sources.iterdir())), "gate": (project.validation(),)},
        example=_example(project, evaluation),
        samples=Counter(sample.set for sample in project.load().samples),
        description=describe(project, metrics, tags),
    )


def note_tag(model: Path) -> dict[str, str]:
    """What people must know of a model, as its card says; nothing where it says nothing."""
    card = Card.model_validate_json((model / "card.json").read_text(encoding="utf-8"))
    return {"note": str(card.provenance["note"])} if "note" in card.provenance else {}


def describe(project: Project, metrics: Metrics, tags: Mapping[str, str]) -> str:
    """What a person should read first of a version, as Markdown; the decision is added when it is taken."""
    name = project.params.promotion.metric
    figure = metrics.headline(name)
    note = f"**Note**: {tags['note']}.\n\n" if "note" in tags else ""
    state = {"true": ", with uncommitted changes", "false": ""}.get(tags["git_dirty"], ", changes unknown")
    return (
        f"`{tags['candidate']}` for `{project.name}`: {name} {figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
        f" on {figure.n} samples of {', '.join(metrics.main)} ({tags['protocol']}).\n\n"
        f"{note}**Data**: `{tags['data_version']}`. **Code**: `{tags['git_commit'][:12] or UNKNOWN}`{state}."
    )


def _collect_sources(project: Project, candidate: str) -> Path:
    """What a reproduction needs, as files: data.dvc, dvc.lock, params.yaml, the lock, the diff against HEAD."""
    root, folder = project.settings.root, project.models(candidate).with_name(f".{candidate}.sources")
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("data.dvc", "dvc.lock", "dvc.yaml", "params.yaml", "requirements.lock"):
        if (root / name).is_file():
            write_text(folder / name, (root / name).read_text(encoding="utf-8"))
    write_text(folder / "diff.patch", versions.diff(project.settings))
    manifest = project.load()
    lines: list[Json] = [
        {"key": s.key, "sha256": s.sha256, "labels_sha256": s.labels_sha256, "split": s.split, "fold": s.fold}
        for s in manifest.samples
    ]
    write_json(folder / "manifest.json", lines)
    return folder


def _source_tags(project: Project) -> dict[str, str]:
    root = project.settings.root
    params = json.dumps(project.params.model_dump(mode="json"), sort_keys=True)
    lock = root / "requirements.lock"
    code = versions.code_state(project.settings)
    return {
        "data_version": versions.data_version(project.settings, project.name),
        "git_commit": code.commit,
        "git_dirty": UNKNOWN if code.changed is None else str(code.changed).lower(),
        **({"git_problem": code.problem} if code.problem else {}),
        "params_hash": hashlib.sha256(params.encode()).hexdigest(),
        "lock_hash": sha256_file(lock) if lock.is_file() else "",
    }


def flatten_params(values: Mapping[str, Json], prefix: str = "") -> dict[str, str]:
    """Nested parameters as dotted names; MLflow holds at most 6,000 characters each."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(flatten_params(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = json.dumps(value)[:6000] if isinstance(value, list) else str(value)[:6000]
    return flat


def flatten_metrics(metrics: Metrics) -> dict[str, float]:
    """`<set>/<metric>` with `.low` and `.high`; what is undefined is left out."""
    flat: dict[str, float] = {}
    for part, measured in {**metrics.sets, "validation": metrics.validation}.items():
        flat[f"{part}/n"] = float(measured.n)
        for name, figure in measured.metrics.items():
            for suffix, value in (("", figure.value), (".low", figure.low), (".high", figure.high)):
                if math.isfinite(value):
                    flat[f"{part}/{name}{suffix}"] = value
    return flat


def _read_history(path: Path) -> dict[int, dict[str, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        return {
            int(line["step"]): {name: float(value) for name, value in line.items() if name != "step" and value}
            for line in csv.DictReader(file)
        }


def _example(project: Project, evaluation: Path) -> bytes:
    """An input that the model was evaluated on: real enough to be an example, and small."""
    rows = by_set(evaluated_rows(evaluation))
    wanted = next(iter(rows.values()))[0].key
    manifest = project.load()
    sample = next(s for s in manifest.samples if s.key == wanted)
    return example_bytes(project.task.source(manifest, sample))


def example_bytes(source: Path | bytes) -> bytes:
    """An input as one uploads it: of a folder a ZIP of its files, the same bytes whenever it is made."""
    if isinstance(source, bytes):
        return source
    if not source.is_dir():
        return source.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(path for path in source.iterdir() if path.is_file()):
            archive.writestr(zipfile.ZipInfo(path.name), path.read_bytes())
    return packed.getvalue()
