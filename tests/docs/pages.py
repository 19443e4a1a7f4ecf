"""What the pages tell to type: the lines of their shell blocks, and their blocks of Python."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("README.md")])
BLOCK = re.compile(r"```(sh|bash|console|python)\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Written:
    """A line for a shell (its continuations joined), or a whole block of Python."""

    page: str
    text: str
    python: bool = False

    def __str__(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0]}"


def read(page: Path) -> list[Written]:
    """What one page tells to type, in its order."""
    found = []
    name = page.relative_to(ROOT).as_posix()
    for language, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            found.append(Written(name, block, python=True))
            continue
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            if (text := line.removeprefix("$ ").strip()) and not text.startswith("#"):
                found.append(Written(name, text))
    return found


WRITTEN = [written for page in PAGES for written in read(page)]
