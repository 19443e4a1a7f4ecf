"""The list of a Zenodo record's files, from a server on this machine that answers as its API does, or does not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightline.downloads import Retries, download, list_record
from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError
from tests.unit.test_downloads import CONTENT, Answer, Progress, Server

MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def retries() -> Retries:
    return Retries(attempts=3, timeout_s=5.0, sleep=lambda _: None)


def page(server: Server) -> str:
    return server.url.partition("/files/")[0] + "/records/10939100"


def entry(server: Server, name: str = "2023_us.tfrecord.gz", **changes: Any) -> dict[str, Any]:
    address = f"{page(server).replace('/records/', '/api/records/')}/files/{name}/content"
    return {"key": name, "checksum": MD5, "size": len(CONTENT), "links": {"self": address}, **changes}


def listing(*entries: Any) -> Answer:
    return Answer(body=json.dumps({"id": 10939100, "metadata": {}, "files": entries}).encode())


def test_a_records_files_are_listed_and_downloaded_under_their_names(
    server: Server, retries: Retries, tmp_path: Path
) -> None:
    server.answers = [listing(entry(server), entry(server, "2022 global.tfrecord.gz")), Answer()]
    files = list_record(page(server), retries)
    assert [file.name for file in files] == ["2023_us.tfrecord.gz", "2022 global.tfrecord.gz"]
    assert (files[0].checksum, files[0].bytes) == (MD5, len(CONTENT))
    path = download(files[0], tmp_path, Progress(), retries)
    assert path == tmp_path / "2023_us.tfrecord.gz"
    assert path.read_bytes() == CONTENT


def test_a_server_that_fails_for_a_moment_is_asked_again(server: Server, retries: Retries) -> None:
    server.answers = [Answer(503, b""), Answer(send=10), listing(entry(server))]
    assert len(list_record(page(server), retries)) == 1
    server.answers = [Answer(503, b"")]
    with pytest.raises(BackendError, match="failed 3 times"):
        list_record(page(server), retries)


@pytest.mark.parametrize(("status", "word"), [(404, "does not have"), (410, "does not have"), (403, "login")])
def test_a_record_that_is_gone_or_closed_is_told(server: Server, retries: Retries, status: int, word: str) -> None:
    server.answers = [Answer(status, b"{}")]
    with pytest.raises(DataMissing, match=word):
        list_record(page(server), retries)


def test_a_record_without_files_is_told(server: Server, retries: Retries) -> None:
    server.answers = [listing()]
    with pytest.raises(DataMissing, match="no public files"):
        list_record(page(server), retries)


@pytest.mark.parametrize("name", ["../evil", "a/b", "a\\b", "/etc/passwd", ".hidden", "", "..", "a\nb"])
def test_a_name_that_leaves_the_folder_is_refused(server: Server, retries: Retries, name: str) -> None:
    server.answers = [listing(entry(server, key=name))]
    with pytest.raises(DataRejected, match="sightline data add"):
        list_record(page(server), retries)


@pytest.mark.parametrize(
    "changes", [{"checksum": "crc32:00"}, {"checksum": None}, {"links": {}}, {"links": {"self": 3}}, {"size": "much"}]
)
def test_entries_that_say_too_little_are_refused(server: Server, retries: Retries, changes: dict[str, Any]) -> None:
    server.answers = [listing({**entry(server), **changes})]
    with pytest.raises(DataRejected, match="unknown form"):
        list_record(page(server), retries)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"files": 3}', b'{"files": [3]}', b"[" * 100_000, b"\xff"])
def test_what_is_no_list_is_refused(server: Server, retries: Retries, body: bytes) -> None:
    server.answers = [Answer(body=body)]
    with pytest.raises(DataRejected, match="unknown form"):
        list_record(page(server), retries)


def test_an_endless_answer_is_cut_off(server: Server, retries: Retries) -> None:
    server.answers = [Answer(body=bytes(17 * 2**20))]
    with pytest.raises(DataRejected, match="the document has more than"):
        list_record(page(server), retries)


def test_only_https_and_only_records_are_asked(retries: Retries) -> None:
    with pytest.raises(ParamsError, match="only https"):
        list_record("http://example.org/records/1", retries)
    with pytest.raises(DataMissing, match="not the page of a Zenodo record"):
        list_record("https://example.org/doi/1", retries)
