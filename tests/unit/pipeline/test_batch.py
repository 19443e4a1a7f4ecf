"""Many files are answered, whatever some of them are, and a second call does only what is new."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.background import UNKNOWN
from sightline.errors import ParamsError
from sightline.ledger import Ledger
from sightline.pipeline.batch import Answered, Job, answer_files
from sightline.pipeline.delivery import Delivery, deliver, picture_of
from sightline.pipeline.inputs import InputFile, find_inputs
from sightline.task import Limits
from tests.toy import ToyTask, write_set
from tests.unit.cli.toy_model import saved_toy


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        task="toy",
        restore=ToyTask().restore,
        directory=saved_toy(tmp_path / "model"),
        identity={"task": "toy", "version": 3},
        code="1",
        limits=Limits(),
        out=tmp_path / "out",
    )


@pytest.fixture
def flight(tmp_path: Path) -> Path:
    folder = tmp_path / "flight"
    write_set(folder, groups=2, frames=4, seed=1)
    return folder


def answer(job: Job, flight: Path, processes: int = 1) -> list[Answered]:
    return list(answer_files(job, find_inputs([flight], ("image/png",), job.out), processes))


def test_an_answer_says_what_made_it(job: Job, flight: Path) -> None:
    first = answer(job, flight)[0]
    saved = json.loads((job.out / f"{first.name}.json").read_text())
    assert saved["file"] == str(flight / f"{first.name}.png")
    assert (saved["task"], saved["version"], saved["conditions"]) == ("toy", 3, {})
    assert len(saved["sha256"]) == 64


def test_one_process_or_two_give_the_same_answers(job: Job, flight: Path) -> None:
    one = answer(replace(job, out=None), flight)
    two = answer(replace(job, out=None), flight, processes=2)
    assert [a.document for a in one] == [a.document for a in two]


def test_a_second_call_answers_nothing_anew(job: Job, flight: Path) -> None:
    before = answer(job, flight)
    again = answer(job, flight)
    assert not any(a.reused for a in before)
    assert all(a.reused for a in again)
    assert [a.document for a in again] == [a.document for a in before]


@pytest.mark.parametrize("change", ["version", "threshold", "code", "file", "picture", "answer"])
def test_what_is_made_of_something_else_is_made_anew(job: Job, flight: Path, change: str) -> None:
    first, *others = answer(job, flight)
    changed = {"first": 1}
    match change:
        case "version":
            job, changed = replace(job, identity={**job.identity, "version": 4}), {"first": 1, "others": 1}
        case "threshold":
            job, changed = replace(job, threshold=10.0), {"first": 1, "others": 1}
        case "code":
            job, changed = replace(job, code="2"), {"first": 1, "others": 1}
        case "file":
            Image.fromarray(np.full((8, 8), 200, np.uint8)).save(flight / f"{first.name}.png")
        case "picture":
            (job.out / f"{first.name}.png").unlink()
        case "answer":
            (job.out / f"{first.name}.json").write_text('{"half": ')
    again = answer(job, flight)
    assert not again[0].reused
    assert [a.reused for a in again[1:]] == ["others" not in changed] * len(others)
    assert json.loads((job.out / f"{first.name}.json").read_text())["version"] == job.identity["version"]


def test_odd_files_are_told_and_the_rest_goes_on(job: Job, flight: Path) -> None:
    (flight / "broken.png").write_bytes(b"no image")
    (flight / "dangling.png").symlink_to(flight / "nowhere.png")
    os.mkfifo(flight / "pipe.png")
    found = {a.name: a.problem for a in answer(job, flight)}
    assert {name for name, problem in found.items() if problem} == {"broken", "dangling", "pipe"}
    assert all(name in problem for name, problem in found.items() if problem)
    assert not (job.out / "broken.json").exists()


def test_logged_answers_are_in_the_log_once(job: Job, flight: Path, tmp_path: Path) -> None:
    logged = replace(job, ledger=tmp_path / "ledger.sqlite")
    answer(job, flight)  # without a log: these do not count as logged
    answer(logged, flight)
    again = answer(logged, flight)
    answers = Ledger(tmp_path / "ledger.sqlite").answers("toy")
    assert len(answers) == len(again) == len({a.document["prediction_id"] for a in again})
    assert all(a.reused for a in again)


def test_the_files_themselves_are_never_overwritten(job: Job, flight: Path) -> None:
    before = {path: path.read_bytes() for path in flight.iterdir()}
    with pytest.raises(ParamsError, match="overwrite"):
        list(answer_files(replace(job, out=flight), find_inputs([flight], ("image/png",), None)))
    assert {path: path.read_bytes() for path in flight.iterdir()} == before


def test_a_threshold_for_a_model_without_one_is_refused(job: Job, flight: Path) -> None:
    class Plain(ToyTask):
        def restore(self, directory: Path):
            model = super().restore(directory)
            return _Unthresholded(model)

    with pytest.raises(ParamsError, match="no threshold"):
        answer(replace(job, restore=Plain().restore, threshold=0.5), flight)


class _Unthresholded:
    def __init__(self, model) -> None:
        self.card, self.read, self.predict, self.draw = model.card, model.read, model.predict, model.draw


def test_nor_through_a_link_to_their_folder(job: Job, flight: Path) -> None:
    link = flight.parent / "link"
    link.symlink_to(flight)
    before = {path: path.read_bytes() for path in flight.iterdir()}
    with pytest.raises(ParamsError, match="overwrite"):
        list(answer_files(replace(job, out=flight), find_inputs([link], ("image/png",), None)))
    assert {path: path.read_bytes() for path in flight.iterdir()} == before


def test_nor_by_an_export_of_another_answer(job: Job, flight: Path, tmp_path: Path) -> None:
    picture = min(flight.glob("*.png"))
    photo, mask = tmp_path / "a.jpg", tmp_path / "a.mask.png"
    Image.open(picture).save(photo)
    picture.rename(mask)
    inputs = [InputFile(photo, "a"), InputFile(mask, "other")]
    with pytest.raises(ParamsError, match="overwrite"):
        list(answer_files(replace(job, out=tmp_path), inputs))


def test_nor_where_they_are_called_from_beside_the_folder_of_answers(
    job: Job, flight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "x" / "a.png"
    other.parent.mkdir()
    min(flight.glob("*.png")).rename(other)
    before = other.read_bytes()
    monkeypatch.chdir(flight)
    inputs = find_inputs([Path("../x/a.png"), *Path().iterdir()], ("image/png",), Path("../out"))
    answers = list(answer_files(replace(job, out=Path("../out")), inputs, 1))
    assert other.read_bytes() == before
    assert (tmp_path / "out" / f"{answers[0].name}.json").is_file()
    assert sorted(path.name for path in other.parent.iterdir()) == ["a.png"]


def test_nor_through_a_link_in_the_folder_of_answers(job: Job, flight: Path) -> None:
    picture = min(flight.glob("*.png"))
    before = picture.read_bytes()
    job.out.mkdir()
    (job.out / "day").symlink_to(flight)
    with pytest.raises(ParamsError, match="overwrite"):
        list(answer_files(job, [InputFile(picture, f"day/{picture.stem}")], 1))
    assert picture.read_bytes() == before


def test_a_name_that_is_no_utf8_is_answered_logged_and_reported(job: Job, flight: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(flight) + b"/m\xfcll.png"))
    min(flight.glob("*.png")).rename(odd)
    logged = replace(job, ledger=tmp_path / "ledger.sqlite")
    answers = answer(logged, flight)
    assert not any(one.problem for one in answers)
    delivery = Delivery("toy", job.out, {}, UNKNOWN, {}, None, [picture_of(one) for one in answers], {}, drawn=True)
    deliver(delivery)
    assert "m\\udcfcll.png" in (job.out / "summary.csv").read_text()
    assert any(one.source == "m\\udcfcll.png" for one in Ledger(tmp_path / "ledger.sqlite").answers("toy"))
