"""What is shown can be read and copied, however wide the place is."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from sightline.cli.show import table

HASH = "0123456789abcdef" * 4
ROWS = [{"version": 3, "sha256": HASH, "decision": "promoted"}, {"version": 4, "sha256": HASH, "decision": "refused"}]


def test_a_pipe_gets_whole_words(capsys: pytest.CaptureFixture[str]) -> None:
    table("versions", [{**row, "more": HASH, "and": HASH} for row in ROWS])
    assert capsys.readouterr().out.count(HASH) == 6


@pytest.mark.parametrize(("columns", "blocks"), [(80, True), (200, False)])
def test_a_narrow_terminal_breaks_no_hash(columns: int, blocks: bool) -> None:
    ours, theirs = pty.openpty()
    code = f"from sightline.cli.show import table; table('versions', {ROWS!r})"
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", code], stdout=theirs, env=environment, check=True)
    os.close(theirs)
    text = os.read(ours, 100_000).decode()
    os.close(ours)
    assert text.count(HASH) == 2
    assert ("decision:" in text) == blocks
