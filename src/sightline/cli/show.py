"""Showing results: plain lines, tables, trees, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sightline.files import finite

if TYPE_CHECKING:
    from sightline.resampling import Figure
    from sightline.task import Json

_WIDEST = 1000


def echo(text: str, err: bool = False) -> None:
    """One line of text, at once: a reader behind a pipe waits for it too."""
    stream = sys.stderr if err else sys.stdout
    stream.write(text + "\n")
    stream.flush()


def print_json(document: Json) -> None:
    """JSON for programs; what is undefined becomes null."""
    echo(json.dumps(finite(document), indent=2))


def cell(value: Json) -> str:
    """A value as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def table(title: str, rows: Sequence[Mapping[str, Json]]) -> None:
    """Rows of the same keys; a block a row where the terminal is too narrow for a line without breaking words."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ():
        drawn.add_column(name, overflow="fold")
    for row in rows:
        drawn.add_row(*(cell(value) for value in row.values()))
    console = Console()
    wanted = Measurement.get(console, console.options.update(max_width=_WIDEST), drawn)
    if not console.is_terminal:
        Console(width=wanted.maximum).print(drawn, markup=False)  # a file or a pipe has no edge to break words at
    elif wanted.minimum <= console.width:
        console.print(drawn, markup=False)
    else:
        echo(title)
        for row in rows:
            echo(
                "\n".join(f"  {name + ':':<{max(map(len, row)) + 1}} {cell(value)}" for name, value in row.items())
                + "\n"
            )


def figure_rows(metrics: Mapping[str, Figure]) -> list[dict[str, Json]]:
    """A line a metric: value, interval, n."""
    return [
        {"metric": name, "value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n}
        for name, figure in metrics.items()
    ]


def tree(title: str, document: Mapping[str, Json]) -> None:
    """Nested mappings as a tree."""
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    def grow(branch: Tree, value: dict[str, Json] | list[Json]) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value, start=1)
        for key, inner in items:
            if isinstance(inner, dict | list) and inner:
                grow(branch.add(Text(str(key))), inner)
            else:
                branch.add(Text(f"{key}: {cell(inner) if not isinstance(inner, dict | list) else '-'}"))

    root = Tree(Text(title))
    grow(root, dict(document))
    Console().print(root)
