"""Kaggle's own client, against a server on this machine that speaks as Kaggle does."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sightline.downloads import download_competition_file, download_dataset
from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError
from tests.unit.test_downloads import largest_file

REF = "owner/thermograms"
PICTURE = bytes(range(256)) * 10_000  # 2.5 MB: the client writes in pieces of 1 MB


def zipped(files: dict[str, bytes]) -> bytes:
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return text.getvalue()


BUNDLE = zipped({"dataset_1/images/a.jpg": PICTURE, "dataset_1/annotations/a.json": b"{}"})


class Kaggle:
    """One data set, version 3, or one file of a competition, that lies in a bucket elsewhere, as at Kaggle."""

    def __init__(self) -> None:
        self.status = 200
        self.bundle = BUNDLE
        self.stored_as = "bundle.zip"
        self.md5 = hashlib.md5(BUNDLE).digest()
        self.break_after: list[int] = []
        self.asked: list[tuple[str, str | None, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                name = self.path.rpartition("/")[2]
                outer.asked.append((name, None, self.headers.get("Authorization")))
                if outer.status != 200:
                    self.answer(outer.status, b'{"message": "no"}', {"Content-Type": "application/json"})
                elif name == "GetDataset":
                    document = json.dumps({"currentVersionNumber": 3}).encode()
                    self.answer(200, document, {"Content-Type": "application/json"})
                else:
                    self.answer(302, b"", {"Location": f"/bucket/{outer.stored_as}"})

            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                outer.asked.append(("GET", wanted, None))
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                checksum = f"crc32c=AAAAAA==, md5={base64.b64encode(outer.md5).decode()}"
                headers = {"Accept-Ranges": "bytes", "X-Goog-Hash": checksum, "Content-Type": "application/zip"}
                headers["Last-Modified"] = "Wed, 01 Mar 2017 10:00:00 GMT"
                self.answer(206 if wanted else 200, outer.bundle[start:], headers, breaks=True)

            def answer(self, status: int, body: bytes, headers: dict[str, str], breaks: bool = False) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                end = outer.break_after.pop(0) if breaks and outer.break_after else len(body)
                with contextlib.suppress(OSError):
                    self.wfile.write(body[:end])

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kaggle]:
    from kagglesdk import kaggle_env

    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "credentials"))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = Kaggle()
    # The client offers no setting for another address than Kaggle's own few.
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, server.address)
    yield server
    server.close()


def test_a_data_set_arrives_unpacked_and_is_kept(
    kaggle: Kaggle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = download_dataset(REF)
    assert folder.is_relative_to(tmp_path / "cache")
    assert (folder / "dataset_1" / "images" / "a.jpg").read_bytes() == PICTURE
    assert download_dataset(REF) == folder
    assert [name for name, _, _ in kaggle.asked].count("DownloadDataset") == 1
    assert capsys.readouterr().out == "", "standard output belongs to --json"


def test_a_broken_connection_goes_on_where_it_broke(kaggle: Kaggle) -> None:
    kaggle.break_after = [2_000_000]
    assert (download_dataset(REF) / "dataset_1" / "annotations" / "a.json").read_bytes() == b"{}"
    assert [wanted for name, wanted, _ in kaggle.asked if name == "GET" and wanted] == ["bytes=1048576-"]


def test_a_token_from_the_environment_is_used(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-token")
    download_dataset(REF)
    assert kaggle.asked[0][2] == "Bearer a-token"


@pytest.mark.parametrize("status", [401, 403])
def test_without_credentials_it_says_how_to_give_them(kaggle: Kaggle, status: int) -> None:
    kaggle.status = status
    with pytest.raises(DataMissing, match=r"requires credentials") as caught:
        download_dataset(REF)
    for way in ("~/.kaggle/", "kaggle.json", "KAGGLE_API_TOKEN", "KAGGLE_USERNAME and KAGGLE_KEY"):
        assert way in caught.value.way_out


def test_broken_credentials_name_their_file(kaggle: Kaggle, tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "kaggle.json").write_text("{not json")
    with pytest.raises(ParamsError, match=r"kaggle\.json"):
        download_dataset(REF)


def test_an_unknown_data_set_is_missing(kaggle: Kaggle) -> None:
    kaggle.status = 404
    with pytest.raises(DataMissing, match="no such data set"):
        download_dataset(REF)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_is_a_backend_error(kaggle: Kaggle, status: int) -> None:
    kaggle.status = status
    with pytest.raises(BackendError, match=str(status)):
        download_dataset(REF)


def test_nobody_there_is_a_backend_error(kaggle: Kaggle) -> None:
    kaggle.close()
    with pytest.raises(BackendError, match="cannot be reached"):
        download_dataset(REF)


def test_a_wrong_checksum_is_refused(kaggle: Kaggle) -> None:
    kaggle.md5 = hashlib.md5(b"another").digest()
    with pytest.raises(DataRejected, match="damaged"):
        download_dataset(REF)


def test_a_full_disk_is_told(kaggle: Kaggle) -> None:
    with largest_file(100_000), pytest.raises(BackendError, match=r"cannot be written.*Free some space"):
        download_dataset(REF)
    assert (download_dataset(REF) / "dataset_1" / "images" / "a.jpg").is_file()


# --------------------------------------------------------------------------------------------------- competitions


COMPETITION = "satellite-competition"


@pytest.fixture
def joined(kaggle: Kaggle, monkeypatch: pytest.MonkeyPatch) -> Kaggle:
    """A competition's file, asked for with credentials: without any the client does not ask."""
    monkeypatch.setenv("KAGGLE_API_TOKEN", "a-token")
    kaggle.stored_as = "sixteen_band.zip"
    return kaggle


def test_a_file_of_a_competition_arrives_as_it_is_and_is_kept(
    joined: Kaggle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = download_competition_file(COMPETITION, "sixteen_band.zip")
    assert path.is_relative_to(tmp_path / "cache")
    assert path.name == "sixteen_band.zip"
    assert path.read_bytes() == BUNDLE
    assert joined.asked[0] == ("DownloadDataFile", None, "Bearer a-token")
    assert download_competition_file(COMPETITION, "sixteen_band.zip") == path
    assert capsys.readouterr().out == "", "standard output belongs to --json"


def test_a_file_of_a_competition_goes_on_where_it_broke(joined: Kaggle) -> None:
    joined.break_after = [2_000_000]
    assert download_competition_file(COMPETITION, "sixteen_band.zip").read_bytes() == BUNDLE
    assert "bytes=1048576-" in [wanted for _, wanted, _ in joined.asked]


def test_rules_that_are_not_accepted_are_told_with_their_address(joined: Kaggle) -> None:
    joined.status = 403
    with pytest.raises(DataMissing, match=r"rules of the competition are not accepted") as caught:
        download_competition_file(COMPETITION, "sixteen_band.zip")
    assert f"www.kaggle.com/competitions/{COMPETITION}/rules" in caught.value.way_out


def test_a_competition_without_credentials_says_how_to_give_them(kaggle: Kaggle) -> None:
    with pytest.raises(DataMissing, match=r"requires credentials") as caught:
        download_competition_file(COMPETITION, "sixteen_band.zip")
    assert "KAGGLE_API_TOKEN" in caught.value.way_out
    assert not kaggle.asked


@pytest.mark.parametrize(("status", "kind"), [(401, DataMissing), (404, DataMissing), (503, BackendError)])
def test_other_answers_of_a_competition(joined: Kaggle, status: int, kind: type[Exception]) -> None:
    joined.status = status
    with pytest.raises(kind, match="credentials" if status == 401 else "no file" if status == 404 else "503"):
        download_competition_file(COMPETITION, "sixteen_band.zip")
