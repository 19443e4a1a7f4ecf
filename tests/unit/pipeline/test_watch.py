from __future__ import annotations

import hashlib
import json
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.stats import ks_2samp

from sightline.cli.watch import DRIFT, UNKNOWN, code_of
from sightline.errors import ModelMissing, ModelRejected
from sightline.pipeline.promote import promote_by_hand
from sightline.pipeline.watch import Drift, check_drift, drawn, should_ask_retraining
from sightline.stores.predictions import Answer, Frame
from sightline.task import Row, load_rows, save_rows
from tests.fake_tracking import FakeTracking
from tests.toy import toy_project

NOW_S = 1_800_000_000.0
DAY_S = 86400.0


def column_tests(reference, current, threshold, folder):
    (folder / "evidently.html").write_text("the report")
    return {name: float(ks_2samp(reference[name].dropna(), current[name].dropna()).pvalue) for name in reference}


def flat_row(rng: np.random.Generator, level: float) -> dict[str, float | int | str]:
    return {"input_mean": float(rng.normal(level)), "output_spot": int(rng.integers(2))}


class Watched:
    """A project whose champion was evaluated on 60 images, and whose endpoint answers."""

    def __init__(self, root: Path, *, with_champion: bool = True) -> None:
        self.project = toy_project(root)
        self.tracking = FakeTracking()
        self.rng = np.random.default_rng(0)
        self.evaluation = root / "evaluation"
        self.evaluate(("real", 60, 0.0))
        self.tracking.add("toy", "threshold", root / "model", self.evaluation)
        if with_champion:
            self.promote(1)

    def promote(self, number: int) -> None:
        """Make a version champion."""
        promote_by_hand(self.project, self.tracking, str(number), "a test")

    def evaluate(self, *parts: tuple[str, int, float]) -> None:
        """Store evaluated rows: (set, how many, their level); promotion looks at the set `real`."""
        rows = []
        for name, count, level in parts:
            for n in range(count):
                embedding = tuple(self.rng.normal(level, size=3))
                key = f"{name}/{level}-{n}"
                rows.append(Row(key, f"sha {key}", f"g{key}", "a", {}, flat_row(self.rng, level), embedding))
        save_rows(rows, self.evaluation / "rows.jsonl")
        (self.evaluation / "metrics.json").write_text(json.dumps({"main": ["real"], "sets": {}}))

    def label(self, count: int, level: float = 0.0, name: str = "real") -> None:
        """Keep further labelled samples as the reference of inputs, each a group of its own."""
        path = self.evaluation / "reference.jsonl"
        rows = load_rows(path) if path.is_file() else []
        for n in range(count):
            key, embedding = f"{name}/labelled {level}-{n}", tuple(self.rng.normal(level, size=3))
            rows.append(Row(key, f"sha {key}", f"g{key}", "a", {}, {"input_mean": self.rng.normal(level)}, embedding))
        save_rows(rows, path)

    def answer(
        self,
        count: int,
        *,
        level: float = 0.0,
        version: int = 1,
        time_s: float = NOW_S - 100,
        group: str = "",
        camera: str = "",
    ) -> None:
        tag = f"{version}-{level}-{time_s}-{group}"
        self.project.predictions.log(
            [
                Answer(
                    "toy",
                    version,
                    f"sha {tag} {n}",
                    f"{n} at {level}.png",
                    flat_row(self.rng, level) | ({"group": group} if group else {}),
                    self.rng.normal(level, size=3).astype(np.float32),
                    time_s,
                    frame=Frame(camera, n, n / 10) if camera else None,
                )
                for n in range(count)
            ]
        )

    def watch(self, now_s: float = NOW_S) -> Drift:
        return check_drift(self.project, self.tracking, now_s=now_s, column_tests=column_tests)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_unshifted_traffic_is_reported_and_is_no_drift(watched: Watched, tmp_path: Path) -> None:
    watched.answer(40)
    drift = watched.watch()
    assert (drift.verdict, drift.state, drift.rows, drift.version) == (False, "same", 40, 1)
    assert drift.report == tmp_path / "build/watch/toy/report/index.html"
    assert "http://127.0.0.1:5000/#/models/toy" in drift.report.read_text()
    assert "No drift" in drift.report.read_text()


def test_shifted_traffic_is_drift_with_reasons_and_a_list_of_images_to_label(watched: Watched) -> None:
    watched.answer(30, level=5.0)
    watched.answer(10)
    drift = watched.watch()
    assert drift.verdict
    assert any("input_mean went from" in reason for reason in drift.reasons)
    assert all(name.endswith("at 5.0.png") for name in drift.most_drifted)
    assert len(drift.most_drifted) == 20


def test_the_report_goes_to_the_registry_and_the_verdict_into_the_ledger(watched: Watched) -> None:
    watched.answer(40, level=5.0)
    drift = watched.watch()
    ((name, folder, metrics),) = watched.tracking.reports
    assert name == "watch 2027-01-15T08:00:00+00:00"
    assert (folder / "evidently.html").is_file()
    assert metrics["drift"] == 1.0
    (entry,) = watched.project.events.history("toy", "drift")
    assert entry.document["drift"] is True
    assert entry.document["run_id"] == drift.run_id == "report1"
    assert entry.document["reasons"] == list(drift.reasons)
    assert len(entry.document["most_drifted"][0]["sha256"]) > 0


def test_only_the_champions_answers_of_the_period_count(watched: Watched) -> None:
    watched.answer(40, level=5.0, version=2)
    watched.answer(40, level=5.0, time_s=NOW_S - 8 * DAY_S)
    watched.answer(40, level=5.0, time_s=NOW_S + 1)
    assert watched.watch().state == "too few"
    watched.answer(25)
    assert (watched.watch().state, watched.watch().rows) == ("same", 25)


def test_only_the_sets_that_evaluate_are_the_reference(watched: Watched) -> None:
    watched.answer(40, level=5.0)
    watched.evaluate(("real", 60, 0.0), ("sample", 60, 5.0))
    assert watched.watch().verdict
    watched.evaluate(("real", 60, 5.0), ("sample", 60, 0.0))
    assert not watched.watch().verdict


def test_answers_of_one_group_are_one_piece_of_evidence(watched: Watched) -> None:
    for flight in range(2):
        watched.answer(20, level=0.5, group=f"flight {flight}")
    drift = watched.watch()
    assert (drift.state, drift.known, drift.verdict) == ("too few", False, False)
    assert "40 different inputs (20 are needed) in 2 groups" in drift.reasons[0]


def test_closed_days_are_exported_on_the_way(watched: Watched, tmp_path: Path) -> None:
    watched.answer(3, time_s=NOW_S - DAY_S)
    watched.answer(2)
    watched.watch()
    rows = pq.read_table(tmp_path / "state" / "predictions").to_pylist()
    assert [(row["task"], str(row["day"]), row["version"]) for row in rows] == [("toy", "2027-01-14", 1)] * 3


def test_a_champion_on_the_shifted_data_ends_the_drift(watched: Watched, tmp_path: Path) -> None:
    watched.answer(40, level=5.0)
    assert watched.watch().verdict
    watched.evaluation = tmp_path / "second"
    watched.evaluate(("real", 60, 0.0), ("real", 20, 5.0))
    watched.tracking.add("toy", "threshold", tmp_path / "model", watched.evaluation)
    watched.promote(2)
    assert watched.watch().state == "too few"
    watched.answer(40, level=5.0, version=2)
    after = watched.watch()
    assert (after.verdict, after.state, after.version) == (False, "changed", 2)


def test_without_a_champion_there_is_nothing_to_watch(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing):
        Watched(tmp_path, with_champion=False).watch()


@pytest.mark.parametrize("name", ["rows.jsonl", "metrics.json"])
@pytest.mark.parametrize("content", [None, "", "{", "[1]"])
def test_a_broken_evaluation_is_told_with_its_folder(watched: Watched, name: str, content: str | None) -> None:
    path = watched.evaluation / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    if (name, content) == ("rows.jsonl", ""):
        assert watched.watch().state == "too few"
        return
    with pytest.raises(ModelRejected, match="evaluation"):
        watched.watch()


def test_retraining_is_asked_for_once_a_cooldown(watched: Watched) -> None:
    watched.answer(40, level=5.0)
    drift = watched.watch()
    assert should_ask_retraining(watched.project, drift)
    watched.project.events.record("request", "toy", {})
    assert not should_ask_retraining(watched.project, drift)
    assert not should_ask_retraining(watched.project, drift, now_s=time.time() + 23 * 3600)
    assert should_ask_retraining(watched.project, drift, now_s=time.time() + 25 * 3600)


def test_without_drift_nothing_is_asked_for(watched: Watched) -> None:
    watched.answer(40)
    assert not should_ask_retraining(watched.project, watched.watch())


def test_no_answers_are_too_few(watched: Watched) -> None:
    drift = watched.watch()
    assert (drift.state, drift.known, drift.verdict, drift.rows) == ("too few", False, False, 0)
    (entry,) = watched.project.events.history("toy", "drift")
    assert (entry.document["state"], entry.document["known"]) == ("too few", False)


def test_three_evaluated_flights_cannot_tell_but_with_the_samples_trained_on_half_a_shift_is_drift(
    watched: Watched,
) -> None:
    watched.evaluate(("real", 3, 0.0))
    watched.answer(60)
    watched.answer(60, level=8.0)
    before = watched.watch()
    assert (before.state, before.known, before.verdict) == ("cannot tell", False, False)
    watched.label(30)
    after = watched.watch()
    assert (after.state, after.known, after.verdict) == ("drift", True, True)


def test_samples_of_pre_training_are_no_reference(watched: Watched) -> None:
    watched.answer(40, level=5.0)
    watched.label(60, 0.0)
    watched.label(60, 5.0, name="sample")
    assert watched.watch().verdict


@pytest.mark.parametrize(
    ("level", "answers", "code"), [(0.0, 0, UNKNOWN), (0.0, 3, UNKNOWN), (0.0, 60, 0), (8.0, 60, DRIFT)]
)
def test_no_drift_and_drift_and_not_known_have_codes_of_their_own(
    watched: Watched, level: float, answers: int, code: int
) -> None:
    watched.answer(answers, level=level)
    assert code_of(watched.watch()) == code


def test_of_many_inputs_the_same_inputs_are_drawn_evenly_and_few_are_held() -> None:
    def given(order: Iterable[int]) -> Iterator[Answer]:
        held = []
        for number in order:
            embedding = np.zeros(1, np.float32)
            held.append(weakref.ref(embedding))
            digest = hashlib.sha256(b"%d" % number).hexdigest()
            yield Answer("toy", 1, digest, f"{number}", {}, embedding)
        del embedding
        assert sum(one() is not None for one in held) <= 2 * 500 + 1

    first = drawn(given(range(5000)), most=500)
    again = drawn(given([*reversed(range(5000)), *range(5000)]), most=500)
    numbers = {int(one.name) for one in first}
    assert [one.sha256 for one in first] == [one.sha256 for one in again]
    assert len(numbers) == 500
    assert 150 < sum(number < 2500 for number in numbers) < 350  # as by lot: neither the oldest nor the newest
    assert len(drawn(given([1, 2, 2, 3]), most=500)) == 3


def test_frames_of_a_camera_are_not_compared_with_whole_inputs(watched: Watched) -> None:
    watched.answer(40)
    watched.answer(200, level=5.0, camera="cam1")
    found = watched.watch()
    assert (found.state, found.rows) == ("same", 40)
