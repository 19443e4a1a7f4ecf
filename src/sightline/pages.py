"""Small HTML pages that read well without a network: one style, no scripts, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

NO_NETWORK = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""
"""Put into a page's head: nothing is fetched and no script runs, whatever a file is called."""

VIEWPORT = """<meta name="viewport" content="width=device-width, initial-scale=1">"""
"""Put into a page's head: a telephone shows it at its own width."""

STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1.5rem; max-width: 75rem; }
h1, h4, h5 { line-height: 1.2; }
table { border-collapse: collapse; margin: .5rem 0 1.5rem; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .35rem .6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
.good { color: #15803d; } .bad { color: #dc2626; } .warn { color: #b45309; }
"""


REPORT_STYLE = (
    STYLE
    + """
.cards { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 220px; } figure img { width: 100%; } figure ul { margin: .2rem 0; padding-left: 1.1rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
.map { display: block; width: 100%; max-width: 720px; border: 1px solid #8886; }
.ground { fill: #8881; stroke: #8888; stroke-width: .5; } .camera { fill: #888; }
.finding { fill: #2c7fb8; stroke: #000; stroke-width: .5; }
.severity-high { fill: #d7191c; } .severity-medium { fill: #fd8d3c; } .severity-low { fill: #ffd92f; }
.severity-unknown { fill: #7b3294; }
path.scale { stroke: currentColor; stroke-width: 2; } text.scale { fill: currentColor; font-size: 12px; }
@media print { body { margin: 0; max-width: none; } figure { break-inside: avoid; } }
"""
)

PICTURES_WITHIN = NO_NETWORK.replace("style-src", "img-src data:; style-src")
"""The same, for a page that holds its pictures in itself."""


def page(title: str, blocks: Sequence[str], *, policy: str = NO_NETWORK, style: str = STYLE) -> str:
    """A whole page: the title as its heading, then blocks of HTML."""
    body = "\n".join(blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"{VIEWPORT}{policy}<style>{style}</style></head>\n<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is good, bad, warn or nothing."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain text."""
    head = "".join(f"<th>{escape(header)}</th>" for header in headers)
    lines = ("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<tr>{head}</tr>\n" + "\n".join(lines) + "\n</table>"


def link(text: str, href: str) -> str:
    """A paragraph with one link to a file beside the page."""
    return f'<p><a href="{escape(href)}">{escape(text)}</a></p>'
