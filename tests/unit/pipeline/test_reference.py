from __future__ import annotations

from pathlib import Path

import numpy as np

from sightline.drift.background import reference_rows
from sightline.limits import Limits
from sightline.pipeline.evaluate import evaluate
from sightline.pipeline.fit import fit
from sightline.pipeline.reference import refer, spread
from sightline.progress import Bars
from sightline.task import Sample, TrainingData
from tests.toy import Silent, ToyModel, toy_project


def samples(groups: int, frames: int) -> list[Sample]:
    return [Sample(f"{g}-{f}", "real", {}, f"{g}{f}", "", f"g{g}", "a") for g in range(groups) for f in range(frames)]


def test_groups_come_before_frames() -> None:
    chosen = spread(samples(10, 50), 15, seed=1)
    assert len(chosen) == 15
    assert len({sample.group for sample in chosen[:10]}) == 10
    assert spread(samples(10, 50), 15, seed=1) == chosen
    assert len(spread(samples(2, 3), 15, seed=1)) == 6


def test_all_labelled_samples_are_the_reference_also_those_trained_on(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample", "real")
    with Bars("train") as bars:
        fit(project, "threshold", bars, lambda _step, _values: None)
    evaluate(project, "threshold", Silent())
    rows = reference_rows(project.evaluation("threshold"))
    assert sorted(row.key for row in rows) == sorted(sample.key for sample in project.load().samples)
    assert all(set(row.row) == {"input_mean"} for row in rows)  # no answer: it has seen these

    final = project.task.restore(project.models("threshold") / "final")
    manifest = project.load()
    for row in rows[:5]:
        sample = next(s for s in manifest.samples if s.key == row.key)
        (prediction,) = final.predict([final.read(manifest.path(sample), Limits())])
        assert np.allclose(row.embedding, prediction.embedding, rtol=1e-5)


def test_what_an_endpoint_would_refuse_is_left_out(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "real")
    manifest = project.load()
    manifest.path(manifest.samples[0]).write_bytes(b"no image any more")
    card = project.task.train("constant", TrainingData(manifest, manifest), tmp_path, Silent()).card
    rows = refer(project, ToyModel(card), manifest, ("real",), Silent())
    assert len(rows) == len(manifest) - 1
