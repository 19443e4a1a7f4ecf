"""The tutorial followed word by word in a checkout of its own: the new task goes through the whole loop."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.contract.checkout import Checkout
from tests.contract.subjects import ROOT

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
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("tutorial") / "project")
    source, target = shlex.split(block("sh", "cp -r"))[2:]
    shutil.copytree(made.folder / source, made.folder / target)
    tasks = made.folder / "src/sightline/tasks/__init__.py"
    tasks.write_text(tasks.read_text("utf-8").replace("TASKS = (", 'TASKS = ("bright_spots", '), encoding="utf-8")
    insert(tasks, "        case _:", block("python", "case "))
    with (made.folder / "params.yaml").open("a", encoding="utf-8") as file:
        file.write(block("yaml", "promotion:"))
    pipeline = yaml.safe_load((made.folder / "dvc.yaml").read_text(encoding="utf-8"))
    added = yaml.safe_load(block("yaml", "foreach"))
    for name, stage in added["stages"].items():
        pipeline["stages"][name]["foreach"] |= stage["foreach"]
    (made.folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False), encoding="utf-8")
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
