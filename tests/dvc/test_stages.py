"""The real dvc.yaml, run by the real DVC: what a change runs again, and how one goes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.dvc.site import EVALUATION, EVERYTHING, TRAINING, Site
from tests.warm.programs import warm_programs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Site:
    """Everything run once and committed."""
    site = Site(tmp_path_factory.mktemp("site"), warm_programs(shared))
    site.dvc("repro")
    assert site.calls() == EVERYTHING
    site.commit("First models")
    return site


@pytest.fixture
def site(reproduced: Site) -> Site:
    """The same, brought back to its first commit."""
    reproduced.git("checkout", "--quiet", "--force", "main")
    reproduced.dvc("checkout", "--quiet", "--force")
    reproduced.calls()
    return reproduced


def test_a_second_time_nothing_is_done(site: Site) -> None:
    said = site.dvc("repro")
    assert site.calls() == []
    assert "up to date" in said
    assert json.loads(site.dvc("status", "--json") or "{}") == {}
    assert site.git("status", "--short") == ""


def test_parameters_of_other_steps_run_nothing_again(site: Site) -> None:
    site.set_param("pv_hotspots.watch.cooldown_h", 1.0)
    site.set_param("pv_hotspots.promotion.margin", 0.5)
    site.set_param("pv_hotspots.sample.flights", 2)  # the data folder speaks for itself
    site.set_param("pv_hotspots.train.reference.scratch.epochs", 7)  # not the recipe in force
    site.dvc("repro")
    assert site.calls() == []


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("pv_hotspots.evaluate.resamples", 200, EVALUATION),
        ("pv_hotspots.train.cpu.scratch.epochs", 3, TRAINING),
        ("pv_hotspots.seed", 21, TRAINING),
        ("profile", "reference", TRAINING),
        ("pv_hotspots.gate.level_spread", 3.0, ["validate"]),  # the verdict stays what it was
        ("pv_hotspots.data.folds", 4, EVERYTHING),
    ],
)
def test_a_parameter_runs_again_what_depends_on_it(site: Site, name: str, value: object, expected: list[str]) -> None:
    site.set_param(name, value)
    site.dvc("repro")
    assert site.calls() == expected


def test_code_runs_again_what_depends_on_it_and_prose_nothing(site: Site) -> None:
    for name in ("README.md", "__pycache__/x.cpython-311.pyc", "x.partial"):
        site.write(f"src/sightline/tasks/pv_hotspots/{name}", "new")
    site.write("src/sightline/cli/show.py", "# another look")
    site.dvc("repro")
    assert site.calls() == []
    evaluate = site.root / "src/sightline/pipeline/evaluate.py"
    evaluate.write_text(evaluate.read_text() + "\n# evaluated otherwise\n")
    site.dvc("repro")
    assert site.calls() == EVALUATION
    site.git("clean", "--quiet", "--force", "-d")


def test_new_data_run_everything_again_and_going_back_runs_nothing(site: Site) -> None:
    before = site.metrics()
    first = site.git("rev-parse", "HEAD").strip()
    site.write("data/pv_hotspots/real/c.json", "c 1")
    site.dvc("add", "--quiet", "data")
    site.dvc("repro")
    assert site.calls() == EVERYTHING
    after = site.metrics()
    assert all(before[name] != after[name] for name in before)
    assert "ap50_defected" in site.dvc("metrics", "diff")
    site.git("checkout", "--quiet", "-b", "more-data")
    site.commit("More data")

    changes = json.loads(site.dvc("metrics", "diff", "--json", first))
    metric = "sets.sample.metrics.ap50_defected.value"
    assert changes["build/evaluations/pv_hotspots/fused/metrics.json"][metric]["old"] == before["fused"]

    site.git("checkout", "--quiet", "main")
    site.dvc("checkout", "--quiet")
    assert not (site.root / "data/pv_hotspots/real").exists()
    assert site.metrics() == before
    site.dvc("repro")
    assert site.calls() == []


def test_a_closed_gate_stops_before_training(site: Site) -> None:
    site.write("data/pv_hotspots/sample/a.json", "broken")
    site.environment["CLOSED"] = "1"
    try:
        site.dvc("repro", fails=True)
    finally:
        del site.environment["CLOSED"]
    assert site.calls() == ["validate"]
    site.dvc("checkout", "--quiet", "--force", "data")


def test_checkpoints_survive_the_stage(site: Site) -> None:
    half = site.root / "build/checkpoints/pv_hotspots/half"
    half.parent.mkdir(parents=True, exist_ok=True)
    (half.parent / "other").write_text("kept")
    site.set_param("pv_hotspots.seed", 22)
    site.dvc("repro", "--single-item", "train-pv_hotspots@feature")
    assert (half.parent / "other").read_text() == "kept"


@pytest.mark.parametrize("where", [[], ["--temp"]], ids=["here", "in a copy"])
def test_an_experiment_with_another_parameter(site: Site, where: list[str]) -> None:
    before = site.metrics()
    seed = 31 + len(where)
    site.dvc("exp", "run", *where, "--name", f"seed-{seed}", "--set-param", f"pv_hotspots.seed={seed}")
    assert site.calls() == TRAINING
    shown = json.loads(site.dvc("exp", "show", "--json"))
    [experiment] = [one for base in shown for one in base.get("experiments") or [] if one["name"] == f"seed-{seed}"]
    figures = experiment["revs"][0]["data"]["metrics"]["build/evaluations/pv_hotspots/fused/metrics.json"]["data"]
    assert figures["sets"]["sample"]["metrics"]["ap50_defected"]["value"] != before["fused"]
    if where:
        assert site.metrics() == before, "an experiment in a copy leaves this folder alone"
    site.git("checkout", "--quiet", "--force", "main")


def test_curves_of_the_candidates_share_a_plot_and_pictures_are_shown(site: Site, tmp_path: Path) -> None:
    shown = json.loads(site.dvc("plots", "show", "--json", "--out", str(tmp_path)))
    assert not shown.get("errors"), shown["errors"]
    curves = shown["data"]["pv_hotspots: precision over recall of defected modules (IoU 0.5)"][0]["content"]
    text = json.dumps(curves)
    assert all(f"pv_hotspots/{name}/" in text or name in text for name in ("fused", "network", "feature"))
    assert '"recall of defected modules (IoU 0.5)"' in text
    names = set(shown["data"])
    assert "build/evaluations/pv_hotspots/fused/pictures/a.png" in names
    assert "build/evaluations/pv_hotspots/fused/charts/confusion.png" in names
