"""Words that a reader of the code and of its messages can rely on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CUSTOMARY = {
    "numpy": "np",
    "pandas": "pd",
    "pyarrow": "pa",
    "pyarrow.parquet": "pq",
    "torch.nn.functional": "F",
    "great_expectations": "gx",
    "great_expectations.expectations": "gxe",
    "collections.abc.Set": "AbstractSet",
    "sqlalchemy": "sa",
    "yaml.CSafeLoader": "SafeLoader",
}
"""Short names that every reader of such code knows, and the fast loader that stands in for the plain one."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    """The committed code with its name, tests apart."""
    for folder in ("src", "flows", "services", "bench"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def renamed_imports(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            prefix = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for one in node.names:
                if one.asname and one.asname != one.name:
                    yield node.lineno, f"{prefix}{one.name}", one.asname


def test_what_is_imported_keeps_its_name() -> None:
    """A call says which function it calls: `promote_best(...)`, never `decide(...)`."""
    hidden = [
        f"{name}:{line}: {what} as {alias}"
        for name, tree in sources()
        for line, what, alias in renamed_imports(tree)
        if CUSTOMARY.get(what) != alias
    ]
    assert not hidden
