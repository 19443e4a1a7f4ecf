"""What code is made of: the modules of this package that a module imports, however late, and those that they import.

Read from the text, so that nothing is imported: some 60 modules in a fifth of a second. A function's imports count;
those of `if TYPE_CHECKING` do not, since they are gone when the code runs.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import sightline
from sightline.files import sha256_files

PACKAGE = Path(sightline.__file__).parent

PASSED_THROUGH = {
    "sightline": "holds the version's number",
    "sightline.tasks": "only names the tasks: it would bring in all of them",
    "sightline.errors": "words",
    "sightline.params": "values, which are told apart by themselves",
    "sightline.files": "writes what it is given",
    "sightline.imports": "tells what code is made of",
    "sightline.stamps": "tells whether a file has changed; that files are what they are is told by their digests",
    "sightline.stopping": "ends work, and changes none that is finished",
    "sightline.progress": "tells how far a stage is",
    "sightline.settings": "where things are, not what they are",
    "sightline.runtime.disk": "sees whether there is room",
    "sightline.stores": "is not written by a stage",
    "sightline.stores.database": "is not written by a stage",
    "sightline.stores.events": "is not written by a stage",
    "sightline.stores.predictions": "is not written by a stage",
    "sightline.runtime.secret": "belongs to the servers",
    "sightline.runtime.proxies": "belongs to the servers",
    "sightline.runtime.processes": "belongs to the servers",
    "sightline.runtime.servers": "belongs to the servers; the gate links to MLflow's pages",
    "sightline.runtime.tether": "belongs to the servers",
    "sightline.pages": "how a page looks",
    "sightline.pipeline": "holds nothing",
    "sightline.pipeline.listings": "keeps what the task lists",
}
"""What a model's code imports and a stage passes through, and why a change there makes no other model."""


def modules_below(package: str) -> tuple[str, ...]:
    """All modules of a package of ours, by name."""
    folder = file_of(package).parent
    names = (".".join(("sightline", *file.relative_to(PACKAGE).with_suffix("").parts)) for file in folder.rglob("*.py"))
    return tuple(sorted(name.removesuffix(".__init__") for name in names))


def file_of(module: str) -> Path:
    """Where a module of ours is. Raises LookupError where there is none of that name."""
    place = PACKAGE.parent.joinpath(*module.split("."))
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            return file
    raise LookupError(module)


def closure(modules: Iterable[str]) -> frozenset[str]:
    """The modules and all of ours that they are made of, without those of `PASSED_THROUGH`."""
    found: set[str] = set()
    ahead = list(modules)
    while ahead:
        module = ahead.pop()
        if module not in found and module not in PASSED_THROUGH:
            found.add(module)
            ahead += _imported(module)
    return frozenset(found)


def digest(modules: Iterable[str]) -> str:
    """SHA-256 over the files of the modules' closure."""
    return sha256_files([file_of(module) for module in closure(modules)], PACKAGE)


@cache
def _imported(module: str) -> tuple[str, ...]:
    """Modules of ours that one imports, and the package that it lies in."""
    tree = ast.parse(file_of(module).read_text(encoding="utf-8"))
    found = {name for node in _run(tree) for name in _names(node)}
    return tuple(sorted(found | {module.rpartition(".")[0]}))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, without what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _run(child)


def _names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (one.name for one in names if one.name.partition(".")[0] == "sightline")
        case ast.ImportFrom(module=str(module), names=names, level=0) if module.partition(".")[0] == "sightline":
            yield module
            yield from (name for one in names if _is_module(name := f"{module}.{one.name}"))


def _is_module(name: str) -> bool:
    try:
        file_of(name)
    except LookupError:
        return False
    return True
