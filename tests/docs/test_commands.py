"""Commands on the pages are commands there are: names, options, make targets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from sightline.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("README.md")])
BLOCK = re.compile(r"```(?:sh|bash|console)\n(.*?)```", re.DOTALL)
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


def written_lines() -> Iterator[tuple[str, list[str]]]:
    """(where, words) of each line of the pages' shell blocks, continuations joined."""
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words:
                    yield f"{page.relative_to(ROOT)}: {line.strip()}", words


LINES = list(written_lines())


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


def section(name: str) -> str:
    parts = re.split(r"^### `sightline ([a-z ]+?)(?: [A-Z].*)?`$", REFERENCE.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_in_the_reference_with_all_its_options(name: str) -> None:
    text = section(name)
    assert [spellings for spellings in options(COMMANDS[name]) if not any(f"`{s}" in text for s in spellings)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example(name: str) -> None:
    assert f"`sightline {name}" in (COMMANDS[name].epilog or "")
