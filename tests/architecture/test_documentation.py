"""The documentation is complete where a machine can tell: settings, errors, links."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from sightline import errors
from sightline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("README.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
VARIABLE = re.compile(r"SIGHTLINE_[A-Z][A-Z0-9_]*[A-Z0-9]")


def settings_table() -> dict[str, str]:
    """Variable -> default, as the reference says."""
    text = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, re.MULTILINE))


def shown(default: object) -> str:
    value = default.get_secret_value() if isinstance(default, SecretStr) else default
    return "(empty)" if value == "" else f"`{value}`"


def test_every_setting_is_documented_with_its_default() -> None:
    fields = {f"SIGHTLINE_{name.upper()}": field for name, field in Settings.model_fields.items()}
    table = settings_table()
    assert set(table) == set(fields)
    del fields["SIGHTLINE_ROOT"]  # its default depends on the folder
    assert {name: table[name] for name in fields} == {name: shown(field.default) for name, field in fields.items()}


OUTSIDE = {"SIGHTLINE_REAL_DATA", "SIGHTLINE_TEST_POSTGRESQL", "SIGHTLINE_ONNX_THREADS", "SIGHTLINE_ERROR_FILE"}
"""Variables that are no setting of a project, each explained below the table."""


def test_no_page_and_no_module_names_a_setting_that_does_not_exist() -> None:
    known = {f"SIGHTLINE_{name.upper()}" for name in Settings.model_fields} | OUTSIDE
    files = [*PAGES, *(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py"), *(ROOT / "services").rglob("*.py")]
    named = {name for file in files for name in VARIABLE.findall(file.read_text(encoding="utf-8"))}
    assert named - known == set()
    reference = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert {name for name in OUTSIDE if f"`{name}`" not in reference} == set()


def error_classes() -> list[type[errors.SightlineError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]


@pytest.mark.parametrize("kind", error_classes(), ids=lambda kind: kind.__name__)
def test_every_error_is_drawn_in_the_tree_and_listed_with_its_exit_code(kind: type[errors.SightlineError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")
    reference = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| {kind.exit_code} \|.*`{kind.__name__}`", reference, re.MULTILINE)


def test_the_package_raises_no_error_class_from_elsewhere() -> None:
    own = {kind.__name__ for kind in error_classes()} | {"Stopped"}  # a signal: nobody waits for an answer
    foreign = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # A private one is a signal inside its module; it does not leave it.
            if isinstance(node, ast.ClassDef) and node.name not in own and not node.name.startswith("_"):
                bases = {ast.unparse(base) for base in node.bases}
                if any(base.endswith(("Error", "Exception")) for base in bases):
                    foreign.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert foreign == []


def anchors(page: Path) -> set[str]:
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        text = page.read_text(encoding="utf-8")
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in LINK.findall(text)]
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []
