"""Many files are answered, whatever some of them are, and a second call does only what is new."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sightline.drift.background import UNKNOWN
from sightline.errors import ParamsError, RequestError
from sightline.limits import Limits
from sightline.pipeline.batch import Answered, Job, answer_files
from sightline.pipeline.delivery import Delivery, deliver, picture_of
from sightline.pipeline.inputs import InputFile, find_inputs
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.task import Prediction
from tests.toy import ToyInput, ToyModel, ToyTask, write_set
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


def test_an_answer_that_is_not_written_names_no_files(job: Job, flight: Path) -> None:
    assert "written" not in answer(replace(job, out=None), flight)[0].document


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


@pytest.mark.parametrize("name", ["{stem}.pgw", "{stem}.PRJ", "{stem}.png.aux.xml", "{stem}.png.msk"])
def test_what_lies_beside_a_file_is_part_of_what_its_answer_is_made_of(job: Job, flight: Path, name: str) -> None:
    first = answer(job, flight)[0]
    companion = flight / name.format(stem=first.name)

    def reused() -> set[str]:
        return {one.name for one in answer(job, flight) if one.reused}

    every = {path.stem for path in flight.glob("*.png")}
    for change in (lambda: companion.write_text("0.5"), lambda: companion.write_text("0.7"), companion.unlink):
        change()
        assert reused() == every - {first.name}
        assert reused() == every
    (flight / f"{first.name}0.pgw").write_text("of another file")
    assert reused() == every


class _Exporting:
    """Answers with one export; where `refused` is set, the first file does not fit the conditions."""

    def __init__(self, model: ToyModel, export: str, refused: str = "") -> None:
        self.card, self.draw, self.read = model.card, model.draw, model.read
        self._model, self._export, self._refused = model, export, refused

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        if batch[0].sha256 == self._refused:
            raise RequestError("the file states its own scale", where="offset", way_out="Leave it out.", status=422)
        return [replace(one, exports={self._export: {}}) for one in self._model.predict(batch)]


def exporting(job: Job, export: str, refused: str = "") -> Job:
    return replace(job, restore=lambda directory: _Exporting(ToyTask().restore(directory), export, refused))


def test_what_an_earlier_answer_wrote_does_not_stay_beside_a_new_one(job: Job, flight: Path) -> None:
    first, *_ = answer(exporting(job, "pixels.json"), flight)
    (job.out / f"{first.name}.notes.txt").write_text("mine")
    newer = replace(job, identity={"task": "toy", "version": 4}, pictures=False)
    answer(exporting(newer, "geojson"), flight)
    there = sorted(path.name for path in job.out.glob(f"{first.name}.*"))
    assert there == [f"{first.name}.{suffix}" for suffix in ("geojson", "json", "notes.txt")]


class _Filming(ToyModel):
    """Answers, draws and films in one pass; each pass counts."""

    passes = 0

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        _Filming.passes += len(batch)
        return super().predict(batch)

    def draw(self, source: ToyInput, prediction: Prediction) -> NDArray[np.uint8]:
        _Filming.passes += 1
        return super().draw(source, prediction)

    def film(self, source: ToyInput, path: Path) -> tuple[Prediction, NDArray[np.uint8]]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a film")
        prediction = self.predict([source])[0]
        return prediction, super().draw(source, prediction)


def test_a_model_that_films_goes_through_an_input_once(job: Job, flight: Path) -> None:
    plain = {one.name: (job.out / f"{one.name}.png").read_bytes() for one in answer(job, flight)}
    filming = replace(job, restore=lambda d: _Filming(ToyTask().restore(d).card), identity={"version": 4})
    _Filming.passes = 0
    answered = answer(filming, flight)
    assert _Filming.passes == len(answered) == 8
    for one in answered:
        assert one.document["written"] == ["png", "mp4"]
        assert (job.out / f"{one.name}.mp4").read_bytes() == b"a film"
        assert (job.out / f"{one.name}.png").read_bytes() == plain[one.name]
    answer(replace(filming, pictures=False, identity={"version": 5}), flight)
    assert _Filming.passes == 16
    assert not list(job.out.rglob("*.mp4"))


def test_a_film_takes_no_place_of_a_file_that_is_no_answer_and_leaves_nothing(job: Job, flight: Path) -> None:
    name = find_inputs([flight], ("image/png",), job.out)[0].name
    own = job.out / f"{name}.mp4"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    refused, *_ = answer(replace(job, restore=lambda d: _Filming(ToyTask().restore(d).card)), flight)
    assert "would overwrite" in refused.problem
    assert own.read_text() == "mine"
    assert not list(job.out.rglob(".*"))


@pytest.mark.parametrize("suffix", ["png", "json", "a"])
def test_a_file_that_is_no_answer_is_not_overwritten(job: Job, flight: Path, suffix: str) -> None:
    name = find_inputs([flight], ("image/png",), job.out)[0].name
    own = job.out / f"{name}.{suffix}"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    refused, *others = answer(exporting(job, "a"), flight)
    assert "would overwrite" in refused.problem
    assert own.name in refused.problem
    assert own.read_text() == "mine"
    assert [path.name for path in own.parent.glob(f"{Path(name).name}*")] == [own.name]
    assert not any(one.problem for one in others)


def test_an_answer_that_was_cut_off_leaves_none_of_another_version(job: Job, flight: Path) -> None:
    class Killed(BaseException):
        """The process is gone."""

    class Dying(_Exporting):
        def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
            return [replace(one, exports={"a": {}, "b": _Bomb()}) for one in self._model.predict(batch)]

    class _Bomb(dict):
        def items(self):
            raise Killed

    before = answer(exporting(job, "a"), flight)[0]
    newer = replace(job, identity={"task": "toy", "version": 4})
    with pytest.raises(Killed):
        answer(replace(newer, restore=lambda d: Dying(ToyTask().restore(d), "")), flight)
    again = answer(exporting(job, "a"), flight)[0]
    assert not again.reused
    assert again.document == before.document
    assert not list(job.out.rglob("*.begun"))


def test_a_condition_that_one_file_does_not_take_refuses_that_file_alone(job: Job, flight: Path) -> None:
    odd = min(flight.glob("*.png"))
    stating = exporting(job, "geojson", hashlib.sha256(odd.read_bytes()).hexdigest())
    first, *others = answer(stating, flight)
    assert odd.name in first.problem
    assert "its own scale" in first.problem
    assert not any(one.problem for one in others)
    assert all(one.reused for one in answer(stating, flight)[1:])


def test_odd_files_are_told_and_the_rest_goes_on(job: Job, flight: Path) -> None:
    (flight / "broken.png").write_bytes(b"no image")
    (flight / "dangling.png").symlink_to(flight / "nowhere.png")
    os.mkfifo(flight / "pipe.png")
    found = {a.name: a.problem for a in answer(job, flight)}
    assert {name for name, problem in found.items() if problem} == {"broken", "dangling", "pipe"}
    assert all(name in problem for name, problem in found.items() if problem)
    assert not (job.out / "broken.json").exists()


def test_logged_answers_are_in_the_log_once(job: Job, flight: Path, tmp_path: Path) -> None:
    logged = replace(job, database=f"sqlite:///{tmp_path}/ledger.sqlite")
    answer(job, flight)  # without a log: these do not count as logged
    answer(logged, flight)
    again = answer(logged, flight)
    answers = list(Predictions(Database(f"sqlite:///{tmp_path}/ledger.sqlite")).given("toy"))
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
            return _Unadjustable(model)

    with pytest.raises(ParamsError, match="no threshold"):
        answer(replace(job, restore=Plain().restore, threshold=0.5), flight)


class _Unadjustable:
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
    logged = replace(job, database=f"sqlite:///{tmp_path}/ledger.sqlite")
    answers = answer(logged, flight)
    assert not any(one.problem for one in answers)
    delivery = Delivery("toy", job.out, {}, UNKNOWN, {}, None, [picture_of(one) for one in answers], {}, drawn=True)
    deliver(delivery)
    assert "m\\udcfcll.png" in (job.out / "summary.csv").read_text()
    predictions = Predictions(Database(f"sqlite:///{tmp_path}/ledger.sqlite"))
    assert any(one.source == "m\\udcfcll.png" for one in predictions.given("toy"))
