from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import pytest

from sightline.evaluation import read_metrics
from sightline.pipeline.evaluate import evaluate
from sightline.pipeline.fit import fit
from sightline.pipeline.lineage import trace_lineage
from sightline.pipeline.project import Project
from sightline.pipeline.register import describe, example_bytes, flatten_metrics, flatten_params, note_tag
from sightline.pipeline.reproduce import pair_figures
from sightline.progress import Bars
from sightline.resampling import Figure
from tests.fake_tracking import FakeTracking
from tests.toy import Silent, toy_project


@pytest.fixture
def evaluated(tmp_path: Path) -> Project:
    project = toy_project(tmp_path, "sample")
    with Bars("train") as bars:
        fit(project, "threshold", bars, lambda _step, _values: None)
    evaluate(project, "threshold", Silent())
    return project


def test_parameters_become_dotted_names() -> None:
    flat = flatten_params({"seed": 1, "train": {"epochs": 3, "sizes": [1, 2]}})
    assert flat == {"seed": "1", "train.epochs": "3", "train.sizes": "[1, 2]"}


def test_metrics_are_named_by_set_and_leave_out_the_undefined(evaluated: Project) -> None:
    metrics = read_metrics(evaluated.evaluation("threshold"))
    undefined = Figure(math.nan, 0.5, 1.0, 4)
    measured = metrics.validation.model_copy(update={"metrics": {"accuracy": undefined}})
    metrics = metrics.model_copy(update={"validation": measured})
    flat = flatten_metrics(metrics)
    assert flat["sample/accuracy"] == 1.0
    assert flat["sample/n"] == metrics.sets["sample"].n
    assert "validation/accuracy" not in flat


def test_lineage_leads_back_to_data_and_forward_to_decisions(evaluated: Project) -> None:
    tracking = FakeTracking()
    version = tracking.add(
        "toy", "threshold", evaluated.models("threshold") / "final", evaluated.evaluation("threshold")
    )
    tracking.tag(version, {"data_version": "abc.dir", "git_commit": "123"})
    evaluated.events.record(
        "promotion", "toy", {"challenger": 1, "champion": None, "outcome": "promoted", "reasons": []}
    )
    evaluated.events.record("promotion", "toy", {"challenger": 7, "champion": 6, "outcome": "refused", "reasons": []})
    document = trace_lineage(evaluated, tracking, tracking.version("toy", "1"))
    assert document["made from"]["data version"] == "abc.dir"
    assert document["evaluated"]["sample"]["accuracy"] == 1.0
    assert [entry["outcome"] for entry in document["decisions"]] == ["promoted"]
    json.dumps(document)


def test_what_people_must_know_of_a_model_stands_in_its_version(evaluated: Project) -> None:
    tags = {
        "candidate": "threshold",
        "git_dirty": "false",
        "protocol": "holdout",
        "data_version": "abc",
        "git_commit": "",
    }
    metrics, model = read_metrics(evaluated.evaluation("threshold")), evaluated.models("threshold") / "final"
    assert note_tag(model) == {}
    assert "Note" not in describe(evaluated, metrics, tags)
    card = json.loads((model / "card.json").read_text())
    card["provenance"]["note"] = "it has not converged"
    (model / "card.json").write_text(json.dumps(card))
    assert note_tag(model) == {"note": "it has not converged"}
    assert "**Note**: it has not converged." in describe(evaluated, metrics, {**tags, **note_tag(model)})


def test_figures_are_paired_by_set_and_name(evaluated: Project) -> None:
    metrics = read_metrics(evaluated.evaluation("threshold"))
    assert pair_figures(metrics, metrics) == {"sample/accuracy": (1.0, 1.0)}
    assert pair_figures(metrics, metrics.model_copy(update={"sets": {}})) == {"sample/accuracy": (1.0, None)}


def test_the_example_of_a_folder_that_is_one_input_is_what_one_would_upload(tmp_path: Path) -> None:
    (tmp_path / "2.png").write_bytes(b"second")
    (tmp_path / "1.png").write_bytes(b"first")
    (tmp_path / "deeper").mkdir()
    packed = example_bytes(tmp_path)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"1.png": b"first", "2.png": b"second"}
    assert packed == example_bytes(tmp_path)
    assert example_bytes(tmp_path / "1.png") == example_bytes(b"first") == b"first"
