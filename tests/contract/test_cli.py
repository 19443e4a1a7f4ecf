"""Every verb of the command line over every task, in a checkout of its own, as a person would type them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.settings import Settings
from sightline.tasks import TASKS
from tests.contract.checkout import Checkout
from tests.contract.subjects import Silent, tiny_params, tiny_task
from tests.contract.written import Reader, run_elsewhere, task_of
from tests.docs.pages import WRITTEN
from tests.videos import write_video
from tests.warm.databases import give_prefect_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def of_its_own_code(task: str) -> None:
    """Leaves out a task that differs from another in its files alone, where a test is of nothing that reads them."""
    if task == "solar_farms":
        pytest.skip("panel_defects runs the same code")


@pytest.fixture(scope="module")
def checkout(task: str, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """After the sample was written and the flow has run once."""
    made = Checkout(tmp_path_factory.mktemp(task) / "project", shared, [task])
    give_prefect_database(shared, Settings(root=made.folder))
    made.type("models", task, code=5)
    made.type("run", task, code=4)  # there are no data yet
    made.type("data", "sample", task)
    made.type("run", task)
    return made


@pytest.fixture(scope="module")
def inputs(checkout: Checkout, task: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three of the set; of those that are folders of frames one as a folder, one as a ZIP, and one as a video."""
    asked = tiny_task(task)
    manifest = asked.load(checkout.folder / "data" / task / "sample")
    sources = [(sample, asked.source(manifest, sample)) for sample in manifest.samples[:3]]
    folders = [source for _, source in sources if isinstance(source, Path) and source.is_dir()]
    if not folders:
        return [manifest.path(sample) for sample, _ in sources]
    made = tmp_path_factory.mktemp("inputs")
    packed = shutil.make_archive(str(made / "packed"), "zip", folders[1])
    frames = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folders[2].iterdir())]
    return [folders[0], Path(packed), write_video(made / "film.mp4", frames)]


def test_a_second_run_finds_nothing_changed(checkout: Checkout, task: str) -> None:
    assert checkout.ask("run", task)["unchanged"] is True
    assert len(checkout.ask("models", task)) == len(tiny_params(task).candidates)


def test_data_are_there_and_pinned(checkout: Checkout, task: str) -> None:
    assert checkout.ask("data", "status", task)["data_version"]
    assert isinstance(checkout.ask("data", "versions", task), list)


def test_the_gate_is_open(checkout: Checkout, task: str) -> None:
    verdict = checkout.ask("validate", task)
    assert verdict["passed"] is True
    assert Path(verdict["docs"]).exists()


def test_training_again_does_nothing(checkout: Checkout, task: str) -> None:
    checkout.type("train", task, "--candidate", tiny_params(task).candidates[0])
    checkout.type("train", task, "--candidate", "nonsense", code=3)


def test_each_candidate_is_a_version_that_was_evaluated(checkout: Checkout, task: str) -> None:
    for candidate in tiny_params(task).candidates:
        assert checkout.ask("evaluate", f"{task}@{candidate}")
    checkout.type("evaluate", f"{task}@nonsense", code=5)


def test_a_saved_folder_is_evaluated_on_labels_of_ones_own(checkout: Checkout, task: str, tmp_path: Path) -> None:
    tiny_task(task, seed=11).sample(tmp_path / "mine", Silent())
    candidate = tiny_params(task).candidates[0]
    folder = checkout.folder / "build" / "models" / task / candidate / "final"
    answer = checkout.ask("evaluate", task, "--model", folder, "--data", tmp_path / "mine")
    assert answer["task"] == task
    assert {"model", "data", "protocol"} <= set(answer)
    for figure in answer["metrics"].values():
        assert set(figure) == {"value", "low", "high", "n"}


def test_files_are_answered(checkout: Checkout, task: str, inputs: list[Path], tmp_path: Path) -> None:
    ref = f"{task}@{tiny_params(task).candidates[0]}"
    answers = checkout.ask("predict", ref, *inputs, "--out", tmp_path / "out", "--log")
    assert [answer["file"] for answer in answers] == [str(path) for path in inputs]
    pictures = [path for path in (tmp_path / "out").rglob("*.png") if not path.name.endswith(".mask.png")]
    assert len(pictures) == len(inputs)
    broken = tmp_path / f"broken{inputs[0].suffix}"
    broken.write_bytes(b"not what it says")
    assert broken.name in checkout.type("predict", ref, broken, inputs[0], code=4)


def test_conditions_that_the_model_does_not_know_are_refused(checkout: Checkout, task: str, inputs: list[Path]) -> None:
    ref = f"{task}@{tiny_params(task).candidates[0]}"
    assert "nonsense" in checkout.type("predict", ref, inputs[0], "--condition", "nonsense=1", code=6)
    assert "NAME=VALUE" in checkout.type("predict", ref, inputs[0], "--condition", "nonsense", code=3)


def test_a_version_can_be_followed_back(checkout: Checkout, task: str) -> None:
    ref = f"{task}@{tiny_params(task).candidates[0]}"
    text = json.dumps(checkout.ask("lineage", ref))
    assert checkout.ask("data", "status", task)["data_version"] in text


@pytest.mark.usefixtures("of_its_own_code")
def test_a_version_can_be_made_again(checkout: Checkout, task: str) -> None:
    again = checkout.ask("reproduce", f"{task}@{tiny_params(task).candidates[-1]}")
    assert again["agrees"] is True
    assert again["largest"] == 0


@pytest.mark.usefixtures("of_its_own_code")
def test_promotion_by_hand_and_back(checkout: Checkout, task: str) -> None:
    listed = checkout.ask("models", task)
    assert all(isinstance(version["value"], float | int | None) for version in listed)
    first, second = (str(version["version"]) for version in listed[:2])
    checkout.type("promote", f"{task}@{first}", code=3)  # a reason is wanted
    for number in (first, second):
        checkout.type("promote", f"{task}@{number}", "--reason", "a test")
    assert second in checkout.ask("lineage", f"{task}@champion")["version"]
    checkout.type("rollback", task)
    assert first in checkout.ask("lineage", f"{task}@champion")["version"]
    answering = {version["version"]: version for version in checkout.ask("models", task)}
    assert [number for number, version in answering.items() if version["answers"]] == [int(first)]
    assert answering[int(second)]["decision"] == "rolled back"
    checkout.type("rollback", task, code=5)  # there is no one before


@pytest.mark.usefixtures("of_its_own_code")
def test_of_few_answers_nobody_can_tell_whether_they_have_drifted(checkout: Checkout, task: str) -> None:
    found = checkout.ask("watch", task)
    assert (found["state"], found["drift"]) == ("too few", None)
    checkout.type("watch", task, "--exit-code", code=9)


@pytest.mark.usefixtures("of_its_own_code")
def test_fetching_without_a_network_is_told_in_one_line(checkout: Checkout, task: str) -> None:
    upstream = tiny_task(task).upstream
    unasked = upstream is None or upstream.kind == "competition"  # nothing published; credentials are wanted first
    assert checkout.type("data", "fetch", task, code=4 if unasked else 7).strip()


def test_ones_own_data_join_the_set(checkout: Checkout, task: str, tmp_path: Path) -> None:
    tiny_task(task, seed=12).sample(tmp_path / "mine", Silent())
    before = checkout.ask("data", "status", task)["data_version"]
    checkout.type("data", "add", task, tmp_path / "nowhere", code=4)
    assert checkout.ask("data", "status", task)["data_version"] == before
    checkout.type("data", "add", task, tmp_path / "mine")
    after = checkout.ask("data", "status", task)
    assert after["data_version"] != before
    assert "real" in json.dumps(after["sets"])


@pytest.mark.filterwarnings("default")  # a person who types gets no errors for them either
def test_what_the_pages_tell_can_be_typed(checkout: Checkout, task: str, tmp_path: Path) -> None:
    lines = [line for line in WRITTEN if task_of(line) == task and not run_elsewhere(line)]
    if not lines:
        pytest.skip("no line of the pages is of this task")
    reader = Reader(checkout, task, tmp_path)
    reader.prepare()
    for line in lines:
        if "curl" not in line.text:
            reader.type(line)
    if asked := [line for line in lines if "curl" in line.text]:
        with reader.serving():
            for line in asked:
                reader.type(line)
