"""Commands on the pages are commands there are: names, options, make targets."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sightline.cli.app import app
from tests.contract import written
from tests.docs.pages import ROOT, WRITTEN, Written

REFERENCE = ROOT / "docs/reference/cli.md"


def commands() -> dict[str, Any]:
    """ "data add" -> its command."""
    found: dict[str, Any] = {}

    def walk(words: tuple[str, ...], command: Any) -> None:
        if hasattr(command, "commands"):  # typer brings a click of its own
            for name, inner in command.commands.items():
                walk((*words, name), inner)
        else:
            found[" ".join(words)] = command

    walk((), typer.main.get_command(app))
    return found


COMMANDS = commands()


def options(command: Any) -> list[set[str]]:
    """The spellings of each option."""
    return [{*p.opts, *p.secondary_opts} for p in command.params if p.param_type_name == "option"]


LINES = [(str(written), shlex.split(written.text, comments=True)) for written in WRITTEN if not written.python]


@pytest.mark.parametrize(("where", "words"), LINES, ids=[where for where, _ in LINES])
def test_a_written_command_exists(where: str, words: list[str]) -> None:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]  # settings in front of the command
    program = Path(words[0]).name
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        assert [word for word in words[1:] if "=" not in word and word not in targets] == []
    if program == "sightline" and words[1:] not in ([], ["--help"]):
        size = 2 if words[1] in ("data", "aoi") else 1
        command = COMMANDS[" ".join(words[1 : 1 + size])]
        known = set().union({"--help"}, *options(command))
        given = {word.partition("=")[0] for word in words[1 + size :] if word.startswith("-")}
        assert given - known == set()


@pytest.mark.parametrize("line", WRITTEN, ids=str)
def test_a_test_knows_how_to_type_what_is_written(line: Written) -> None:
    left = written.unknown(line, COMMANDS)
    assert not left, (
        f"{line}: nothing types {left}. In tests/contract/written.py, add to STANDS_FOR what stands for a reader's own "
        "file or address, to TYPED_AS_THEY_STAND a word that needs nothing, or to RUN_ELSEWHERE the test that runs it."
    )


@pytest.mark.parametrize(("start", "test"), written.RUN_ELSEWHERE.items())
def test_what_is_run_elsewhere_is_written_and_has_its_test(start: str, test: str) -> None:
    module, _, name = test.partition("::")
    assert f"def {name}(" in (ROOT / module).read_text(encoding="utf-8")
    assert any(written.run_elsewhere(line) == test and line.text.strip().startswith(start) for line in WRITTEN)


def section(name: str) -> str:
    parts = re.split(r"^### `sightline ([a-z -]+?)(?: [A-Z].*)?`$", REFERENCE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_in_the_reference_with_all_its_options(name: str) -> None:
    text = section(name)
    assert [spellings for spellings in options(COMMANDS[name]) if not any(f"`{s}" in text for s in spellings)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example(name: str) -> None:
    assert f"`sightline {name}" in (COMMANDS[name].epilog or "")
