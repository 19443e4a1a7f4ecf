"""What may not be in a committed file."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import LONGEST

ROOT = Path(__file__).resolve().parents[2]

HOSTS = {
    "127.0.0.1": "what servers bind to",
    "localhost": "the same",
    "zenodo.org": "upstream data, and citations by DOI",
    "www.kaggle.com": "upstream data",
    "github.com": "upstream data (the published videos of battery packs)",
    "doi.org": "citations",
    "arxiv.org": "citations",
    "services.arcgisonline.com": "map tiles",
    "www.esri.com": "their terms",
    "tiles.maps.eox.at": "map tiles",
    "cloudless.eox.at": "their terms",
    "tile.openstreetmap.org": "map tiles",
    "operations.osmfoundation.org": "their terms",
    "www.gnu.org": "the licence",
    "www.w3.org": "XML namespaces of the drawings",
    "ns.adobe.com": "XML namespace of a camera's notes",
    "www.dji.com": "the maker's program for its thermograms",
    "www.sqlite.org": "citations",
    "mrcc.com": "document type of QGIS styles",
    "example.org": "reserved for examples",
    "example.com": "reserved for examples",
}
"""Every host that a committed file may name, and why. Package registries differ from user to user: none of them."""

ABSOLUTE = re.compile(r"(?<![\w.~})/-])/(?:root|home|Users|work|workspace|mnt|tmp)/[\w.-]+")
URL = re.compile(r"https?://(?:[^\s/@'\"]*@)?([A-Za-z0-9.-]+)")
LOCK_LINE = re.compile(r"[\w.-]+(\[[\w,-]+\])?==[^\s;]+( ; [^\\]+)?( \\)?|    --hash=sha256:[0-9a-f]{64}( \\)?|\s+#.*")


def committed_texts() -> dict[str, str]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    texts = {}
    for name in filter(None, names):
        path = ROOT / name
        if not path.is_file() or name == "LICENSE":
            continue
        try:
            texts[name] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
    return texts


def test_only_known_hosts_are_named() -> None:
    unknown = {
        f"{name}: {host}"
        for name, text in committed_texts().items()
        for host in URL.findall(text)
        if host.removesuffix(".") not in HOSTS and not host.endswith((".example", ".invalid", ".test"))
    }
    assert unknown == set()


def test_no_path_of_a_particular_machine() -> None:
    found = {f"{name}: {path}" for name, text in committed_texts().items() for path in ABSOLUTE.findall(text)}
    assert found == set()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-realesrgan.lock"])
def test_lock_file_names_packages_and_hashes_only(name: str) -> None:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#") and not LOCK_LINE.fullmatch(line)] == []


def test_no_large_file_is_committed() -> None:
    large = [name for name in committed_texts() if (ROOT / name).stat().st_size > 2**20]
    assert large == []


def test_the_files_of_tests_that_begin_first_are_there() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).is_file()] == []
