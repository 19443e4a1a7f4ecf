"""The registry on a real MLflow with sqlite."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.errors import BackendError, ModelMissing, ModelRejected
from sightline.evaluation import read_metrics
from sightline.pipeline.evaluate import evaluate
from sightline.pipeline.fit import fit
from sightline.pipeline.project import Project
from sightline.progress import Bars
from sightline.settings import Settings
from sightline.tracking import Record, Tracking, registry
from tests.toy import Silent, toy_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = toy_project(tmp_path_factory.mktemp("project"), "sample")
    with Bars("train") as bars:
        fit(project, "threshold", bars, lambda _step, _values: None)
    evaluate(project, "threshold", Silent())
    return project


@pytest.fixture(scope="module")
def tracking(project: Project) -> Tracking:
    return Tracking(project.settings)


def record(project: Project, stage_key: str) -> Record:
    note = project.settings.root / "note.txt"
    note.write_text("made from this")
    image = next((project.data / "sample").glob("*.png"))
    return Record(
        task="toy",
        candidate="threshold",
        model=project.models("threshold") / "final",
        evaluation=project.evaluation("threshold"),
        params={"seed": "1"},
        metrics={"sample/accuracy": 1.0},
        history={"final": {1: {"level": 0.5}, 2: {"level": 0.25}}},
        tags={"stage_key": stage_key, "candidate": "threshold", "fit_key": "f" * 16, "data_version": f"{'d' * 32}.dir"},
        files={"sources": (note,)},
        example=image.read_bytes(),
        samples={"sample": 24},
        description="threshold: accuracy 1.000",
    )


def test_a_version_is_whole(project: Project, tracking: Tracking) -> None:
    with pytest.raises(ModelMissing, match="sightline run toy"):
        tracking.version("toy", "champion")
    assert tracking.versions("toy") == []
    version = tracking.register(record(project, "key1"))
    assert version.number == 1
    assert version.aliases == ("threshold",)
    assert version.tags["stage_key"] == "key1"
    restored = project.task.restore(tracking.directory(version))
    assert restored.card.candidate == "threshold"
    assert read_metrics(tracking.evaluation(version)).main == ("sample",)
    assert (tracking.sources(version) / "note.txt").read_text() == "made from this"
    assert tracking.find_run("toy", "stage_key", "key1") == version.run_id


def test_aliases_move_and_a_training_goes_on_in_its_run(project: Project, tracking: Tracking) -> None:
    with tracking.training_run("toy", "threshold", "a" * 16) as live:
        live(1, {"final/level": 0.5})
        first = live.run_id
    with tracking.training_run("toy", "threshold", "a" * 16) as live:
        assert live.run_id == first
    again = record(project, "key2")
    again = dataclasses.replace(again, tags={**again.tags, "fit_key": "a" * 16})
    version = tracking.register(again)
    assert version.run_id == first
    tracking.set_alias("toy", "champion", version.number)
    assert tracking.current("toy", "champion") == version.number
    tracking.tag(version, {"decision": "promoted", "reasons": "there was no champion"})
    assert tracking.version("toy", "champion").tags["decision"] == "promoted"
    tracking.delete_alias("toy", "champion")
    assert tracking.current("toy", "champion") is None
    assert tracking.current("nobody", "champion") is None


def test_a_report_is_stored_with_its_figures(tracking: Tracking, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>no drift</p>")
    run_id = tracking.log_report("toy", "2026-11-21", tmp_path, {"rows": 20.0})
    assert run_id


def test_an_unreachable_server_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = Tracking(Settings(root=tmp_path, mlflow_uri="http://127.0.0.1:9"))
    with pytest.raises(BackendError, match=r"127\.0\.0\.1:9"):
        away.versions("toy")


OPEN = """
import sys
from pathlib import Path
from sightline.settings import Settings
from sightline.tracking import Tracking
print(Tracking(Settings(root=Path(sys.argv[1]))).versions("toy"))
"""


def test_processes_that_open_a_new_registry_at_once_make_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate(timeout=300)[0] for process in started] == ["[]\n"] * 3


def files_of(root: Path) -> dict[str, tuple[int, int]]:
    return {str(p.relative_to(root)): (p.stat().st_size, p.stat().st_mtime_ns) for p in root.rglob("*") if p.is_file()}


def test_the_tables_say_what_mlflow_says(tracking: Tracking) -> None:
    """Also holds `registry.SCHEMAS` against the MLflow that is installed."""
    found = registry.read_versions(tracking._settings.mlruns, "toy")
    assert found == tracking._asked_versions("toy")
    assert found is not None
    assert len(found) == 2


def test_versions_of_one_training_have_runs_of_their_own(project: Project, tracking: Tracking) -> None:
    """Evaluated anew after the same training: the older version keeps its figures."""
    first = tracking.version("toy", "2")
    before = files_of(tracking.evaluation(first))
    again = record(project, "key3")
    again = dataclasses.replace(
        again, evaluation=project.settings.root / "evaluation3", tags=dict(first.tags) | again.tags
    )
    again = dataclasses.replace(again, tags={**again.tags, "fit_key": first.tags["fit_key"]})
    shutil.copytree(project.evaluation("threshold"), again.evaluation)
    metrics = read_metrics(again.evaluation).document() | {"protocol": "another"}
    (again.evaluation / "metrics.json").write_text(json.dumps(metrics))
    second = tracking.register(again)
    assert second.run_id != first.run_id
    assert read_metrics(tracking.evaluation(second)).protocol == "another"
    assert files_of(tracking.evaluation(first)) == before


def test_a_person_finds_the_data_and_the_decision_in_mlflow(tracking: Tracking) -> None:
    version = tracking.version("toy", "2")
    with tracking._translated() as client:
        dataset = client.get_run(version.run_id).inputs.dataset_inputs[0].dataset
        assert (dataset.name, dataset.digest) == ("toy", f"{'d' * 32}.dir")
        assert json.loads(dataset.source)["path"] == "data/toy"
        assert json.loads(dataset.profile)["samples"] == {"sample": 24}
        assert "champion" in client.get_registered_model("toy").description
        said = client.get_model_version("toy", "2").description
        experiment = client.get_experiment_by_name("toy").experiment_id
    first, pages, decision = said.split("\n\n")
    assert (first, decision) == ("threshold: accuracy 1.000", "**Decision**: promoted (there was no champion)")
    assert f"(#/experiments/{experiment}/runs/{version.run_id}/artifacts)" in pages


def test_a_copied_project_reads_its_own_and_never_writes_into_the_original(
    project: Project, tracking: Tracking, tmp_path: Path
) -> None:
    original = project.settings.mlruns
    before = files_of(original)
    root = tmp_path / "a copy, Zürich 50%"
    shutil.copytree(project.settings.root, root)
    copy = Tracking(Settings(root=root))
    for folder in (copy.directory, copy.evaluation, copy.sources):
        assert folder(copy.version("toy", "1")).is_relative_to(root)
    copy.log_report("toy", "report", copy.evaluation(copy.version("toy", "1")), {"rows": 1.0})
    with copy.training_run("toy", "threshold", "f" * 16) as live:
        live(1, {"level": 0.5})
    copied = dataclasses.replace(project, settings=Settings(root=root))
    version = copy.register(record(copied, "of the copy"))
    assert copy.directory(version).is_relative_to(root)
    assert files_of(original) == before


def test_another_registry_is_never_answered_from_the_cache_of_this_one(
    project: Project, tracking: Tracking, tmp_path: Path
) -> None:
    """The same folder, another MLflow: version 1 there is not version 1 here, whatever `build/` holds."""
    ours = project.settings.model_copy(update={"mlflow_uri": project.settings.tracking_uri})
    theirs = project.settings.model_copy(update={"mlflow_uri": f"sqlite:///{tmp_path / 'theirs.db'}"})
    assert read_metrics(Tracking(ours).evaluation(Tracking(ours).version("toy", "1"))).protocol != "theirs"
    other = record(project, "key1")
    other = dataclasses.replace(other, evaluation=tmp_path / "evaluation")
    shutil.copytree(project.evaluation("threshold"), other.evaluation)
    (other.evaluation / "metrics.json").write_text(
        json.dumps(read_metrics(other.evaluation).document() | {"protocol": "theirs"})
    )
    elsewhere = Tracking(theirs)
    version = elsewhere.register(other)
    assert version.number == 1
    assert read_metrics(elsewhere.evaluation(version)).protocol == "theirs"
    assert elsewhere.holder("toy", "threshold") == dataclasses.replace(version, aliases=("threshold",))
    assert read_metrics(Tracking(ours).evaluation(Tracking(ours).version("toy", "1"))).protocol != "theirs"


def test_a_file_that_was_changed_after_registering_is_refused(tracking: Tracking) -> None:
    version = tracking.version("toy", "1")
    rows = tracking.evaluation(version) / "rows.jsonl"
    content = rows.read_bytes()
    rows.write_bytes(content + b"\n")
    try:
        with pytest.raises(ModelRejected, match=r"rows\.jsonl"):
            tracking.evaluation(version)
    finally:
        rows.write_bytes(content)
