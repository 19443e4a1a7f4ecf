"""The tutorial's task is whole: every verb, in the order in which the platform uses them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from docs.tutorial.bright_spots.params import BrightSpotsParams
from docs.tutorial.bright_spots.task import BrightSpots
from sightline.errors import DataMissing, DataRejected, ModelMissing, ModelRejected
from sightline.limits import Limits
from sightline.params import load_section
from sightline.splits import apply_splits, assign
from sightline.task import Manifest, Task, TrainingData

ROOT = Path(__file__).resolve().parents[2]


class Silent:
    def advance(self, done: int, total: int, what: str) -> None:
        assert what
        assert 0 < done <= total

    def metrics(self, step: int, values: dict[str, float]) -> None:
        assert step >= 0
        assert values


def section() -> str:
    """The YAML that the page tells to put into params.yaml."""
    page = (ROOT / "docs/tutorial/add-a-task.md").read_text(encoding="utf-8")
    return page.split("```yaml")[1].split("```")[0]


@pytest.fixture
def params(tmp_path: Path) -> BrightSpotsParams:
    (tmp_path / "params.yaml").write_text("profile: cpu\n" + section(), encoding="utf-8")
    return load_section(tmp_path / "params.yaml", "bright_spots", BrightSpotsParams)


@pytest.fixture
def task(params: BrightSpotsParams) -> Task:
    return BrightSpots(params)


@pytest.fixture
def data(task: Task, params: BrightSpotsParams, tmp_path: Path) -> Manifest:
    task.sample(tmp_path / "sample", Silent())
    manifest = task.load(tmp_path / "sample")
    return apply_splits(manifest, assign(manifest.samples, params.data), params.data.folds)


def test_a_task_from_sample_to_prediction(
    task: Task, params: BrightSpotsParams, data: Manifest, tmp_path: Path
) -> None:
    parts = {name: data.where(lambda s, n=name: s.split == n) for name in ("train", "validation", "test")}
    accuracy = {}
    for candidate in params.candidates:
        model = task.train(candidate, TrainingData(parts["train"], parts["validation"]), tmp_path / candidate, Silent())
        saved = tmp_path / f"{candidate}.model"
        saved.mkdir()
        model.save(saved)
        rows = task.evaluate(task.restore(saved), parts["test"], Silent())
        assert [row.key for row in rows] == [sample.key for sample in parts["test"].samples]
        accuracy[candidate] = task.score(rows, np.ones(len(rows)))["accuracy"]
        assert task.score(rows, np.zeros(len(rows)) + 2)["accuracy"] == accuracy[candidate]
    assert accuracy["peak"] > 0.9 > accuracy["mean"]


def test_the_restored_model_answers_like_the_saved_one(task: Task, data: Manifest, tmp_path: Path) -> None:
    model = task.train("peak", TrainingData(data, Manifest(data.root, ())), tmp_path / "work", Silent())
    model.save(tmp_path)
    again = task.restore(tmp_path)
    path = data.path(data.samples[0])
    picture = model.read(path, Limits())
    assert again.predict([picture])[0].row == model.predict([again.read(path.read_bytes(), Limits())])[0].row
    assert again.draw(picture, again.predict([picture])[0]).shape == (32, 32, 3)


def test_the_sample_is_the_same_for_its_seed(params: BrightSpotsParams, tmp_path: Path) -> None:
    digests = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        task = BrightSpots(params.model_copy(update={"seed": seed}))
        task.sample(tmp_path / name / "sample", Silent())
        digests.append(task.load(tmp_path / name / "sample").digest())
    assert digests[0] == digests[1] != digests[2]


def test_bad_input_is_refused(task: Task, data: Manifest, tmp_path: Path) -> None:
    model = task.train("peak", TrainingData(data, data), tmp_path / "work", Silent())
    whole = data.path(data.samples[0]).read_bytes()
    for broken in (b"", b"not a picture", whole[: len(whole) // 2]):
        with pytest.raises(DataRejected):
            model.read(broken, Limits())
    with pytest.raises(DataRejected, match="more than 100"):
        model.read(whole, Limits(pixels=100))
    with pytest.raises(DataMissing):
        task.load(tmp_path / "nowhere")
    with pytest.raises(ModelMissing):
        task.restore(tmp_path / "nowhere")
    (tmp_path / "card.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelRejected):
        task.restore(tmp_path)


def test_a_broken_picture_is_listed_with_its_problem(task: Task, data: Manifest, tmp_path: Path) -> None:
    data.path(data.samples[3]).write_bytes(b"not a picture")
    problems = {sample.id: sample.problem for sample in task.load(tmp_path / "sample").samples if sample.problem}
    assert list(problems) == [data.samples[3].id]
