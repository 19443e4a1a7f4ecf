from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from sightline.errors import BackendError, DataRejected
from sightline.gate.expectations import Parts, check
from sightline.gate.verdict import Verdict
from sightline.task import Expectation, Manifest, Sample

FOLDS = Parts(main=("real",), protocol="folds")
HOLDOUT = Parts(main=("real",), protocol="holdout")


def sample(number: int, set_name: str = "real") -> Sample:
    """Three samples a group; the groups take turns in splits and folds."""
    group = number // 3
    return Sample(
        id=f"im{number:02}",
        set=set_name,
        files={"image": f"images/im{number:02}.jpg", "label": f"labels/im{number:02}.json"},
        sha256=f"{set_name}{number}",
        labels_sha256="x",
        group=f"g{group}",
        stratum="a",
        figures={"width": 640.0, "boxes": float(number % 5)},
        split=("train", "validation", "test")[group % 3],
        fold=group % 3,
    )


def samples(count: int = 18) -> list[Sample]:
    return [sample(number) for number in range(count)]


def ask(tmp_path: Path, rows: list[Sample], *expectations: Expectation, parts: Parts = HOLDOUT) -> Verdict:
    return check(Manifest(tmp_path, tuple(rows)), expectations, parts, tmp_path / "gate")


def failing(verdict: Verdict) -> dict[str, tuple[str, ...]]:
    return {failure.why: failure.files for failure in verdict.failures}


@pytest.mark.parametrize("parts", [FOLDS, HOLDOUT])
def test_sound_data_pass(tmp_path: Path, parts: Parts) -> None:
    width = Expectation("between", "pictures are 640 wide", column="width", low=640, high=640)
    verdict = ask(tmp_path, samples(), width, parts=parts)
    assert verdict.passed
    assert verdict.failures == ()
    assert "pictures are 640 wide" in verdict.asked
    verdict.raise_if_failed()


@pytest.mark.parametrize(
    ("expectation", "observed"),
    [
        (Expectation("between", "why", column="boxes", low=0, high=3), ("4", "4", "4")),
        (Expectation("between", "why", column="boxes", high=3), ("4", "4", "4")),
        (Expectation("one_of", "why", column="id", values=tuple(f"im{n:02}" for n in range(17))), ("im17",)),
        (Expectation("mean_between", "why", column="boxes", low=2.5), ("1.83333",)),
        (Expectation("rows_between", "why", low=100), ("18",)),
        (Expectation("between", "why", column="height", low=1), ("no values",)),
    ],
)
def test_each_kind_of_expectation_fails_with_what_was_observed(
    tmp_path: Path, expectation: Expectation, observed: tuple[str, ...]
) -> None:
    verdict = ask(tmp_path, samples(), expectation)
    assert not verdict.passed
    assert [failure.observed for failure in verdict.failures if failure.why == "why"] == [observed]


def test_a_value_that_must_be_unique(tmp_path: Path) -> None:
    verdict = ask(tmp_path, samples(4), Expectation("unique", "why", column="boxes"))
    assert "why" not in failing(verdict)
    verdict = ask(tmp_path, samples(6), Expectation("unique", "why", column="boxes"))
    assert failing(verdict)["why"] == ("real/images/im00.jpg", "real/images/im05.jpg")


def test_a_file_with_a_problem_fails_the_gate_and_is_named_with_it(tmp_path: Path) -> None:
    rows = samples()
    rows[4] = replace(rows[4], problem="the file is truncated", sha256="", figures={})
    verdict = ask(tmp_path, rows, Expectation("between", "wide", column="width", low=640, high=640))
    assert list(failing(verdict).values()) == [("real/images/im04.jpg",)]
    with pytest.raises(DataRejected, match=r"im04\.jpg \(the file is truncated\)"):
        verdict.raise_if_failed()


def test_a_figure_that_is_no_number_does_not_pass_for_want_of_a_value(tmp_path: Path) -> None:
    rows = samples()
    rows[4] = replace(rows[4], figures={"width": float("nan"), "boxes": 1.0})
    verdict = ask(tmp_path, rows, Expectation("between", "wide", column="width", low=640, high=640))
    assert [failure.observed for failure in verdict.failures] == [("width is not a number",)]


@pytest.mark.parametrize("parts", [FOLDS, HOLDOUT])
def test_the_same_image_in_two_parts_is_found(tmp_path: Path, parts: Parts) -> None:
    rows = samples()
    rows[8] = replace(rows[8], sha256=rows[0].sha256)
    verdict = ask(tmp_path, rows, parts=parts)
    assert not verdict.passed
    assert failing(verdict)["no image is in two parts of the data"] == (
        "real/images/im00.jpg",
        "real/images/im08.jpg",
    )


def test_the_same_image_twice_in_one_part_is_a_warning(tmp_path: Path) -> None:
    rows = samples()
    rows[1] = replace(rows[1], sha256=rows[0].sha256)
    verdict = ask(tmp_path, rows)
    assert verdict.passed
    assert [failure.severity for failure in verdict.failures] == ["warning"]
    verdict.raise_if_failed()


def test_an_image_that_pre_trains_and_evaluates_is_found(tmp_path: Path) -> None:
    rows = [*samples(), *(replace(sample(n, "sample"), sha256=f"sample{n}") for n in range(18))]
    assert ask(tmp_path, rows, parts=FOLDS).passed
    rows[20] = replace(rows[20], sha256=rows[0].sha256)
    assert "no image is in two parts of the data" in failing(ask(tmp_path, rows, parts=FOLDS))


def test_a_group_in_two_parts_is_found(tmp_path: Path) -> None:
    rows = samples()
    rows[0] = replace(rows[0], split="test")
    verdict = ask(tmp_path, rows)
    assert not verdict.passed
    assert len(failing(verdict)["no group is in two parts of the data"]) == 3


def test_a_sample_without_a_split_is_found(tmp_path: Path) -> None:
    rows = samples()
    rows[0] = replace(rows[0], split="", fold=-1)
    assert failing(ask(tmp_path, rows))["every sample has a split and a fold"] == ("real/images/im00.jpg",)


@pytest.mark.parametrize(
    ("parts", "kept", "why"),
    [(HOLDOUT, ("train",), "train and test have samples"), (FOLDS, ("train",), "two folds or more have samples")],
)
def test_a_part_without_samples_fails(tmp_path: Path, parts: Parts, kept: tuple[str, ...], why: str) -> None:
    verdict = ask(tmp_path, [s for s in samples() if s.split in kept], parts=parts)
    assert not verdict.passed
    assert why in failing(verdict)


def test_no_sample_at_all_fails(tmp_path: Path) -> None:
    verdict = ask(tmp_path, [])
    assert not verdict.passed
    assert "there is at least one sample" in failing(verdict)


def test_a_warning_is_told_and_does_not_stop(tmp_path: Path) -> None:
    verdict = ask(tmp_path, samples(), Expectation("rows_between", "enough to be sure", low=1000, severity="warning"))
    assert verdict.passed
    assert list(failing(verdict)) == ["enough to be sure"]


def test_twenty_files_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    verdict = ask(tmp_path, samples(30), Expectation("between", "narrow", column="width", high=100))
    (failure,) = verdict.failures
    assert (len(failure.files), failure.count) == (20, 30)
    assert failure.files[0] == "real/images/im00.jpg"
    with pytest.raises(DataRejected, match="and 25 more"):
        verdict.raise_if_failed()


def test_the_same_data_give_the_same_verdict_file(tmp_path: Path) -> None:
    rows = samples()
    rows[4] = replace(rows[4], problem="the file is truncated")
    written = []
    for _ in range(2):
        ask(tmp_path, rows)
        written.append((tmp_path / "gate" / "verdict.json").read_bytes())
    assert written[0] == written[1]
    assert json.loads(written[0])["failures"][0]["files"] == ["real/images/im04.jpg"]


def test_the_docs_fetch_nothing_and_name_the_files(tmp_path: Path) -> None:
    rows = samples()
    rows[4] = replace(rows[4], problem="the file is <b>truncated</b>")
    verdict = ask(tmp_path, rows)
    pages = {path: path.read_text(encoding="utf-8") for path in verdict.docs.parent.rglob("*.html")}
    assert len(pages) == 3  # the first page, the suite, the results
    for text in pages.values():
        assert not re.findall(r"<script|<img|<link|url\(|src=", text)
        assert "default-src 'none'" in text
    assert all(text.count('name="viewport"') == 1 for text in pages.values())
    assert "real/images/im04.jpg" in pages[verdict.docs]
    assert "<b>truncated" not in pages[verdict.docs]
    for target in re.findall(r'href="([^"#]+)"', pages[verdict.docs]):
        assert (verdict.docs.parent / target).is_file()


def test_an_earlier_gate_is_replaced_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    ask(tmp_path, samples(9))
    verdict = ask(tmp_path, samples(18))
    assert sorted(path.name for path in (tmp_path / "gate").iterdir()) == ["docs", "verdict.json"]
    assert len(list(verdict.docs.parent.glob("validations/**/*.html"))) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["gate"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "gate").write_text("a file where the folder should be")
    with pytest.raises(BackendError, match="gate"):
        ask(tmp_path, samples())
