"""The tutorial followed word by word in a checkout of its own: the new task goes through the whole loop."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.settings import Settings
from sightline.tasks import TASKS
from tests.contract.checkout import Checkout
from tests.contract.subjects import ROOT
from tests.warm.databases import give_prefect_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PAGE = (ROOT / "docs/tutorial/add-a-task.md").read_text(encoding="utf-8")


def block(language: str, holding: str) -> str:
    """The page's block of a language that holds a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(next(text for text in blocks if holding in text))


def insert(path: Path, before: str, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert content.count(before) == 1, f"{path.name} has changed: {before!r}"
    path.write_text(content.replace(before, text + before), encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("tutorial") / "project", shared)
    give_prefect_database(shared, Settings(root=made.folder))
    source, target = shlex.split(block("sh", "cp -r"))[2:]
    shutil.copytree(made.folder / source, made.folder / target)
    tasks = made.folder / "src/sightline/tasks/__init__.py"
    insert(tasks, '}\n"""The only list of tasks', block("python", "Declaration("))
    with (made.folder / "params.yaml").open("a", encoding="utf-8") as file:
        file.write(block("yaml", "promotion:"))
    for line in block("sh", "sightline stages").splitlines():
        made.type(*shlex.split(line)[1:])
    shutil.copytree(ROOT / "tests", made.folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    made.commit("a new task")
    return made


def test_the_page_can_be_followed(checkout: Checkout, tmp_path: Path) -> None:
    for line in block("sh", "sightline run").splitlines():
        words = shlex.split(line)
        assert words[0] == ".venv/bin/sightline"
        checkout.type(*words[1:])
    answers = {path.name for path in (checkout.folder / "answers").iterdir()}
    assert answers >= {"0000.json", "0000.png", "summary.csv", "report.html"}
    candidates = {version["candidate"] for version in checkout.ask("models", "bright_spots")}
    assert candidates == {"peak", "mean"}
    assert checkout.ask("lineage", "bright_spots@champion")
    assert checkout.ask("run", "bright_spots")["unchanged"] is True


def test_the_new_task_is_served_and_watched(checkout: Checkout) -> None:
    picture = min((checkout.folder / "data/bright_spots/sample/images").iterdir())
    with checkout.serving() as endpoint:
        content = {"Content-Type": "image/png"}
        status, answer = endpoint.ask("POST", "/v1/bright_spots/predict", picture.read_bytes(), content)
    assert (status, answer["version"]) == (200, 1)
    assert checkout.ask("watch", "bright_spots")["rows"] == 1


def test_the_new_task_has_stages_schedules_and_is_under_contract(checkout: Checkout) -> None:
    assert "train-bright_spots:" in (checkout.folder / "dvc.yaml").read_text(encoding="utf-8")
    tests = ("tests/architecture", "tests/flows/test_deployments.py", "tests/contract/test_data.py")
    others = " or ".join(TASKS)  # whose tests are run beside this one
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-k", f"not ({others})", *tests]
    environment = checkout.environment()
    done = subprocess.run(command, cwd=checkout.folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 100
