"""Words that a reader of the code and of its messages can rely on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sightline import errors

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


TREE = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.SightlineError)
}
"""The names of all errors that Sightline raises on purpose."""


@cache
def sources() -> list[tuple[str, ast.Module]]:
    """The committed code with its name, tests apart."""
    folders = [ROOT / name for name in ("src", "flows", "services", "bench", "docs/tutorial")]
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]


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


EMPTY = {
    "Correct it.",
    "Look at it.",
    "Check it.",
    "Mend it.",
    "Try again.",
    "Give another.",
    "Give a file.",
    "See above.",
    "See the documentation.",
}
"""Ways out that say nothing."""


def last_words(value: ast.expr) -> str:
    """The text with which an expression ends, as far as it is written there."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    if isinstance(value, ast.JoinedStr) and value.values:
        return last_words(value.values[-1])
    return last_words(value.right) if isinstance(value, ast.BinOp) else ""


def ways_out(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Where a way out is written, and its last words; also where a function returns or a constant holds it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "way_out" and (words := last_words(node.value)):
            yield node.value.lineno, words


def test_a_way_out_says_what_to_do_in_a_whole_sentence() -> None:
    found = [(name, *way) for name, tree in sources() for way in ways_out(tree)]
    assert len(found) > 200
    assert not [f"{name}:{line}: {words}" for name, line, words in found if words in EMPTY or not words.endswith(".")]


def test_errors_of_the_tree_say_the_way_out() -> None:
    """What is raised without a place is completed by its caller: a tile of many, a sample of a set."""
    bare = [
        f"{name}:{node.lineno}"
        for name, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        and isinstance(node.exc, ast.Call)
        and isinstance(node.exc.func, ast.Name)
        and node.exc.func.id in TREE
        and "where" in {one.arg for one in node.exc.keywords}
        and not {"way_out", None} & {one.arg for one in node.exc.keywords}
    ]
    assert not bare


def parameters(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Each parameter: its line, its name, and its type as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and node.annotation is not None:
            yield node.lineno, node.arg, ast.unparse(node.annotation)


def test_a_report_is_a_document_and_progress_is_told() -> None:
    found = [(name, *one) for name, tree in sources() for one in parameters(tree)]
    told = [one for one in found if one[3].split(" | ")[0] == "Progress"]
    assert len(told) > 50
    assert not [f"{name}:{line}: {word}" for name, line, word, _ in told if word != "progress"]
    documents = ("Path", "str", "dict[", "Mapping[")
    assert not [
        f"{name}:{line}" for name, line, word, kind in found if word == "report" and not kind.startswith(documents)
    ]


ONE_MEANING = {
    "Plan": "FitPlan and AreaPlan are the plans there are; how a model is called is its Batching",
    "Place": "where something is on the ground (panel_defects.landscape); an input in progress has a Reservation",
    "Report": "a document; a task tells its Progress",
}
"""Words for which a class of that bare name would be a second meaning; docs/concept.md lists what each means."""


def test_a_word_names_one_thing() -> None:
    """No class of the platform takes a bare word that means something else; windows are of pictures, never of time."""
    platform = [(name, tree) for name, tree in sources() if "/tasks/" not in name and name.startswith("src/")]
    classes = [
        f"{name}:{node.lineno}: {ONE_MEANING[node.name]}"
        for name, tree in platform
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name in ONE_MEANING
    ]
    assert not classes
    seen = [name for name, _ in platform if name.startswith("src/sightline/drift/")]
    assert len(seen) > 5
    assert not [name for name in (*seen, "src/sightline/pipeline/watch.py") if "window" in (ROOT / name).read_text()]


def test_the_words_are_explained() -> None:
    page = (ROOT / "docs/concept.md").read_text(encoding="utf-8")
    words = {
        word for line in page.splitlines() if line.startswith("| ") for word in line.split(" | ")[0][2:].split(", ")
    }
    assert {"window", "plan", "place", "report", "progress", "reservation", "current", "batching"} <= words
