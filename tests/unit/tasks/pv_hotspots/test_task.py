"""The task as the platform sees it, with a model that needs no training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from sightline.params import TaskParams
from sightline.task import load_rows, save_rows
from sightline.tasks import open_task, params_model
from sightline.tasks.pv_hotspots.params import Params
from tests.parameters import changed, params_of
from tests.unit.tasks.pv_hotspots.networks import MODULES, picture, tiny_model

PARAMS = params_of("pv_hotspots", Params)


class Recorded:
    def __init__(self):
        self.steps = []

    def advance(self, done, total, what):
        self.steps.append((done, total))

    def metrics(self, step, values):
        """Nothing is kept."""


@pytest.fixture
def manifest(tmp_path):
    """Three frames of MODULES; one module is defected in the first two, and only there hot."""
    root = tmp_path / "real"
    for folder in ("images", "annotations"):
        (root / "dataset_1" / folder).mkdir(parents=True)
    for index, hot in enumerate(([5], [0], [])):
        Image.fromarray(picture(hot=hot)).save(root / f"dataset_1/images/f_{index}.png")
        instances = [
            {
                "corners": [{"x": x, "y": y} for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))],
                "defected_module": number in hot,
            }
            for number, (x0, y0, x1, y1) in enumerate(MODULES)
        ]
        (root / f"dataset_1/annotations/f_{index}.json").write_text(json.dumps({"instances": instances}))
    return open_task("pv_hotspots", PARAMS).load(root)


def test_evaluating_gives_a_row_a_frame_in_order(manifest, tmp_path):
    task, progress = open_task("pv_hotspots", PARAMS), Recorded()
    rows = task.evaluate(tiny_model(), manifest, progress)
    assert [row.key for row in rows] == [sample.key for sample in manifest.samples]
    assert progress.steps[-1] == (3, 3)
    save_rows(rows, tmp_path / "rows.jsonl")
    again = load_rows(tmp_path / "rows.jsonl")
    assert task.score(again, np.ones(3)) == task.score(rows, np.ones(3))
    assert task.score(rows, np.ones(3))["ap50_defected"] == pytest.approx(1)
    assert task.score(rows, np.ones(3))["auc_module"] == pytest.approx(1)
    assert set(rows[0].row) == set(rows[2].row)


def test_weights_choose_the_frames(manifest):
    task = open_task("pv_hotspots", PARAMS)
    rows = task.evaluate(tiny_model(), manifest, Recorded())
    assert np.isnan(task.score(rows, np.array([0.0, 0.0, 1.0]))["ap50_defected"])
    assert task.score(rows[:1], np.ones(1))["ap50_module"] == pytest.approx(1)


def test_the_gate_asks_about_figures_that_samples_have(manifest):
    sample = manifest.samples[0]
    for expectation in open_task("pv_hotspots", PARAMS).expectations():
        assert expectation.column == "stratum" or expectation.column in sample.figures
        assert expectation.why


def test_plots_are_what_the_platform_draws(manifest):
    task = open_task("pv_hotspots", PARAMS)
    drawn = task.plots(task.evaluate(tiny_model(), manifest, Recorded()))
    assert {"x", "y", "xlabel", "ylabel"} <= set(drawn["precision_recall_defected"])
    assert np.array(drawn["confusion"]["matrix"]).shape == (3, 3)


def test_an_unknown_candidate_is_refused_with_those_that_there_are():
    with pytest.raises(ValidationError, match=r"oracle: a candidate is one of .*fused"):
        changed(PARAMS, candidates=["fused", "oracle"])


def test_it_keeps_to_the_contract():
    task = open_task("pv_hotspots", PARAMS)
    assert task.name == "pv_hotspots"
    assert PARAMS.candidates == ("fused", "network", "feature")
    assert issubclass(params_model("pv_hotspots"), TaskParams)
