from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sightline.errors import DataMissing, DataRejected, ParamsError
from sightline.pipeline.fit import fit, fit_keys, is_finished, plan_fits
from sightline.pipeline.project import Project
from sightline.progress import Bars
from tests.parameters import changed
from tests.toy import PARAMS, ToyTask, split_again, toy_project, write_set


def train(project: Project, candidate: str = "threshold") -> list[tuple[int, dict[str, float]]]:
    seen: list[tuple[int, dict[str, float]]] = []
    with Bars("train") as bars:
        fit(project, candidate, bars, lambda step, values: seen.append((step, values)))
    return seen


def trainings(project: Project) -> list[str]:
    assert isinstance(project.task, ToyTask)
    return project.task.trainings


def test_the_sample_alone_is_held_out_by_split(tmp_path: Path) -> None:
    plan = plan_fits(toy_project(tmp_path, "sample"))
    assert [f.name for f in plan.fits] == ["final"]
    assert plan.protocol == "holdout"
    assert plan.main == ("sample",)
    seen = {s.group for s in plan.fits[0].train.samples} | {s.group for s in plan.fits[0].validation.samples}
    assert not seen & {s.group for s in plan.test["final"].samples}


def test_real_data_are_evaluated_out_of_fold_after_one_pretraining(tmp_path: Path) -> None:
    plan = plan_fits(toy_project(tmp_path, "sample", "real"))
    assert [f.name for f in plan.fits] == ["pretrain", "fold-0", "fold-1", "fold-2", "final"]
    assert plan.main == ("real",)
    evaluated = [s.key for name in ("fold-0", "fold-1", "fold-2") for s in plan.test[name].samples]
    assert sorted(evaluated) == sorted(s.key for s in plan.fits[-1].train.samples)
    for one in plan.fits[1:4]:
        tested = {s.group for s in plan.test[one.name].samples}
        assert not tested & {s.group for s in (*one.train.samples, *one.validation.samples)}
        assert one.start == "pretrain"


def test_nothing_that_evaluates_was_seen_in_pretraining(tmp_path: Path) -> None:
    plan = plan_fits(toy_project(tmp_path, "sample", "real"))
    tested = {s.key for data in plan.test.values() for s in data.samples}
    assert not tested & {s.key for s in plan.fits[0].train.samples}


def test_holdout_can_be_asked_for(tmp_path: Path) -> None:
    params = changed(PARAMS, data={"protocol": "holdout"})
    plan = plan_fits(toy_project(tmp_path, "sample", "real", params=params))
    assert [f.name for f in plan.fits] == ["pretrain", "final"]
    assert {s.set for s in plan.validation.samples} == {"real"}


def test_pretraining_sets_alone_are_trained_on_for_a_share_of_the_steps(tmp_path: Path) -> None:
    """A demonstration shall not take long; where real data are there, nothing is left out."""
    params = changed(PARAMS, data={"alone_share": 0.5})
    for name in "abc":
        (tmp_path / name).mkdir()
    alone, whole = (toy_project(tmp_path / name, "sample", params=one) for name, one in (("a", params), ("b", PARAMS)))
    assert [fit.share for fit in plan_fits(alone).fits] == [0.5]
    assert fit_keys(alone, plan_fits(alone)) != fit_keys(whole, plan_fits(whole))
    train(alone)
    assert isinstance(alone.task, ToyTask)
    assert alone.task.shares == [0.5]
    assert {fit.share for fit in plan_fits(toy_project(tmp_path / "c", "sample", "real", params=params)).fits} == {1.0}


def test_each_fit_is_done_once(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample")
    seen = train(project)
    assert seen == [(1, {"final/level": pytest.approx(seen[0][1]["final/level"])})]
    train(project)
    assert len(trainings(project)) == 1
    assert is_finished(project, "threshold", fit_keys(project, plan_fits(project)))
    assert not is_finished(project, "constant", fit_keys(project, plan_fits(project)))


def test_a_set_that_nothing_can_be_evaluated_on_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    project = toy_project(tmp_path)
    write_set(project.data / "sample", groups=1, frames=4, seed=1)
    split_again(project)
    with pytest.raises(DataRejected, match=r"no sample of the set sample is left to evaluate .* other groups"):
        plan_fits(project)


def test_new_data_keep_the_pretraining(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample", params=changed(PARAMS, data={"alone_share": 1.0}))
    train(project)
    write_set(project.data / "real", groups=6, frames=4, seed=9)
    split_again(project)
    train(project)
    # The fit on the sample, where it took all steps, is the pre-training of the next run: trained once.
    assert len(trainings(project)) == 1 + 3 + 1


def test_what_is_written_tells_all(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample", "real")
    train(project)
    folder = project.models("threshold")
    assert (folder / "final" / "card.json").is_file()
    fits = json.loads((folder / "fits.json").read_text())
    assert set(fits["keys"]) == {"pretrain", "fold-0", "fold-1", "fold-2", "final"}
    with (folder / "training.csv").open(newline="") as file:
        seen = {line["key"] for line in csv.DictReader(file)}
    assert {s.key for s in plan_fits(project).fits[-1].train.samples} <= seen
    assert not list(folder.parent.glob(".*"))


def test_keys_follow_data_and_parameters(tmp_path: Path) -> None:
    project = toy_project(tmp_path, "sample")
    before = fit_keys(project, plan_fits(project))
    other = Project(project.settings, PARAMS.model_copy(update={"seed": 2}), project.task)
    assert fit_keys(other, plan_fits(other)) != before
    watched = Project(project.settings, PARAMS.model_copy(update={"evaluate": PARAMS.evaluate}), project.task)
    assert fit_keys(watched, plan_fits(watched)) == before
    (project.data / "sample" / "g1x0-0.txt").write_text("1")
    assert fit_keys(project, plan_fits(project)) != before


def test_an_unknown_candidate_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="threshold, constant"):
        train(toy_project(tmp_path, "sample"), "treshold")


def test_no_data_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="sightline data sample toy"):
        train(toy_project(tmp_path))
