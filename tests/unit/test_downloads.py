"""Downloads against a server on this machine that breaks, lies and refuses; archives that attack."""

from __future__ import annotations

import contextlib
import email.utils
import gzip
import hashlib
import io
import resource
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sightline.downloads import Retries, download, is_archive, unpack, unpack_nested
from sightline.downloads.archives import Allowed
from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError, SightlineError
from sightline.upstream import RemoteFile

CONTENT = bytes(range(256)) * 1200  # 300 kB
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Answer:
    """What the server does with one request. `send` bytes of the body leave before it hangs up."""

    status: int = 200
    body: bytes = CONTENT
    headers: dict[str, str] = field(default_factory=dict)
    send: int | None = None
    ranges: bool = True


class Server:
    """Gives the prepared answers one after the other; the last one for ever."""

    def __init__(self) -> None:
        self.answers = [Answer()]
        self.asked: list[str | None] = []  # the Range of each request
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                outer.asked.append(self.headers.get("Range"))
                body, status, headers = answer.body, answer.status, dict(answer.headers)
                wanted = self.headers.get("Range")
                if wanted and answer.ranges and status == 200:
                    start = int(wanted.removeprefix("bytes=").rstrip("-"))
                    whole = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    status, headers["Content-Range"] = (
                        (206, whole) if start < len(body) else (416, f"bytes */{len(body)}")
                    )
                    body = body[start:]
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body[: answer.send])
                if answer.send is not None:
                    self.close_connection = True

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/files/a.bin?download=1"
        self.file = RemoteFile(self.url, SHA256)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


class Progress:
    def __init__(self) -> None:
        self.seen: list[tuple[int, int, str]] = []

    def advance(self, done: int, total: int, what: str) -> None:
        self.seen.append((done, total, what))

    def metrics(self, step: int, values: object) -> None: ...


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def retries(pauses: list[float]) -> Retries:
    return Retries(attempts=3, timeout_s=5.0, sleep=pauses.append)


# --------------------------------------------------------------------------------------------------------- https


def test_a_file_arrives_with_progress_and_is_not_asked_for_again(
    server: Server, retries: Retries, tmp_path: Path
) -> None:
    progress = Progress()
    path = download(server.file, tmp_path / "new", progress, retries)
    assert path == tmp_path / "new" / "a.bin"
    assert path.read_bytes() == CONTENT
    assert progress.seen[-1] == (len(CONTENT), len(CONTENT), "download a.bin")
    assert [item.name for item in path.parent.iterdir()] == ["a.bin"]
    assert download(server.file, tmp_path / "new", progress, retries) == path
    assert len(server.asked) == 1


def test_md5_will_do(server: Server, retries: Retries, tmp_path: Path) -> None:
    file = replace(server.file, checksum=f"md5:{hashlib.md5(CONTENT).hexdigest()}")
    assert download(file, tmp_path, Progress(), retries).read_bytes() == CONTENT


def test_a_broken_connection_goes_on_where_it_broke(
    server: Server, retries: Retries, pauses: list[float], tmp_path: Path
) -> None:
    server.answers = [Answer(send=100_000), Answer(send=50_000), Answer()]
    assert download(server.file, tmp_path, Progress(), retries).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]
    assert pauses == [1.0, 1.0], "it had gained bytes each time"


def test_it_goes_on_in_the_next_call_too(server: Server, retries: Retries, tmp_path: Path) -> None:
    server.answers = [Answer(send=70_000), Answer(503)]
    with pytest.raises(BackendError, match="continues where it stopped"):
        download(server.file, tmp_path, Progress(), retries)
    server.answers, server.asked = [Answer()], []
    progress = Progress()
    assert download(server.file, tmp_path, progress, retries).read_bytes() == CONTENT
    assert server.asked == ["bytes=70000-"]
    assert progress.seen[0][0] > 70_000


def test_a_server_without_ranges_sends_all_again(server: Server, retries: Retries, tmp_path: Path) -> None:
    server.answers = [Answer(send=100_000, ranges=False), Answer(ranges=False)]
    assert download(server.file, tmp_path, Progress(), retries).read_bytes() == CONTENT


def test_a_wrong_checksum_removes_the_file(server: Server, retries: Retries, tmp_path: Path) -> None:
    server.answers = [Answer(body=CONTENT[:-1] + b"!")]
    with pytest.raises(DataRejected, match=r"not the published one.*sha256:"):
        download(server.file, tmp_path, Progress(), retries)
    assert list(tmp_path.iterdir()) == []


def test_the_beginning_of_an_older_file_is_thrown_away(server: Server, retries: Retries, tmp_path: Path) -> None:
    (tmp_path / "a.bin.partial").write_bytes(b"old" * 1000)
    assert download(server.file, tmp_path, Progress(), retries).read_bytes() == CONTENT
    assert server.asked == ["bytes=3000-", None]


@pytest.mark.parametrize("beginning", [CONTENT, CONTENT + b"more"], ids=["complete", "too long"])
def test_a_partial_file_up_to_the_end_or_beyond(
    server: Server, retries: Retries, tmp_path: Path, beginning: bytes
) -> None:
    (tmp_path / "a.bin.partial").write_bytes(beginning)
    assert download(server.file, tmp_path, Progress(), retries).read_bytes() == CONTENT


def test_a_damaged_file_from_before_is_replaced(server: Server, retries: Retries, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"damaged")
    assert download(server.file, tmp_path, Progress(), retries).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("status", "kind", "word"),
    [
        (401, DataMissing, "login"),
        (403, DataMissing, "login"),
        (404, DataMissing, "does not have the file"),
        (410, DataMissing, "does not have the file"),
        (500, BackendError, "answered 500"),
        (429, BackendError, "answered 429"),
    ],
)
def test_refusals_name_the_address_and_the_way_out(
    server: Server, retries: Retries, tmp_path: Path, status: int, kind: type[SightlineError], word: str
) -> None:
    server.answers = [Answer(status, b"no")]
    with pytest.raises(kind, match=word) as caught:
        download(server.file, tmp_path, Progress(), retries)
    assert caught.value.where == server.url
    assert caught.value.way_out
    assert len(server.asked) == (3 if kind is BackendError else 1)
    assert list(tmp_path.iterdir()) == []


def test_it_waits_longer_each_time_and_as_long_as_asked(
    server: Server, pauses: list[float], retries: Retries, tmp_path: Path
) -> None:
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    server.answers = [
        *(Answer(500), Answer(502), Answer(429, headers={"Retry-After": "17"})),
        *(Answer(503, headers={"Retry-After": soon}), Answer(503, headers={"Retry-After": "9999"})),
        *(Answer(503, headers={"Retry-After": "soon"}), Answer()),
    ]
    download(server.file, tmp_path, Progress(), replace(retries, attempts=9))
    assert pauses[:3] == [1.0, 2.0, 17.0]
    assert 25 < pauses[3] <= 30
    assert pauses[4:] == [60.0, 32.0]


def test_a_redirect_is_followed_and_a_circle_is_not(server: Server, retries: Retries, tmp_path: Path) -> None:
    server.answers = [Answer(302, b"", {"Location": "/elsewhere"}), Answer()]
    assert download(server.file, tmp_path, Progress(), retries).name == "a.bin"
    server.answers = [Answer(302, b"", {"Location": server.url})]
    with pytest.raises(BackendError, match="in circles"):
        download(replace(server.file, url=server.url.replace("a.bin", "b.bin")), tmp_path, Progress(), retries)


def test_nobody_listening_is_a_backend_error(retries: Retries, pauses: list[float], tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="failed 3 times"):
        download(RemoteFile("http://127.0.0.1:1/a.bin", SHA256), tmp_path, Progress(), retries)
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize("url", ["http://example.org/a", "ftp://example.org/a", "file:///etc/passwd"])
def test_only_https_is_asked(retries: Retries, tmp_path: Path, url: str) -> None:
    with pytest.raises(ParamsError, match="only https"):
        download(RemoteFile(url, SHA256), tmp_path, Progress(), retries)


def test_an_unknown_kind_of_checksum_is_refused(server: Server, retries: Retries, tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match="crc32"):
        download(replace(server.file, checksum="crc32:00"), tmp_path, Progress(), retries)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writing beyond `size` fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_what_has_come_is_kept(server: Server, retries: Retries, tmp_path: Path) -> None:
    with largest_file(100_000), pytest.raises(BackendError, match=r"cannot be written.*Free some space"):
        download(server.file, tmp_path, Progress(), retries)
    assert (tmp_path / "a.bin.partial").stat().st_size == 100_000
    server.asked.clear()
    assert download(server.file, tmp_path, Progress(), retries).read_bytes() == CONTENT
    assert server.asked == ["bytes=100000-"]


def test_no_room_is_told_before_anything_is_written(server: Server, retries: Retries, tmp_path: Path) -> None:
    server.answers = [Answer(206, b"", {"Content-Range": "bytes 5-", "Content-Length": str(2**60)}, send=0)]
    (tmp_path / "a.bin.partial").write_bytes(CONTENT[:5])
    with pytest.raises(BackendError, match="too little free space"):
        download(server.file, tmp_path, Progress(), retries)
    assert (tmp_path / "a.bin.partial").read_bytes() == CONTENT[:5]


# ------------------------------------------------------------------------------------------------------ archives

Writer = Callable[[Path, dict[str, bytes]], None]


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture(params=[write_zip, write_tar], ids=["zip", "tar.gz"])
def write(request: pytest.FixtureRequest) -> Writer:
    chosen: Writer = request.param
    return chosen


def test_an_archive_is_unpacked_with_its_folders(write: Writer, tmp_path: Path) -> None:
    archive = tmp_path / "a"
    write(archive, {"x/1.txt": b"one", "./x/y/2.txt": b"two", "3.txt": b""})
    assert is_archive(archive)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("from an earlier one")
    unpack(archive, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p.read_bytes() for p in (tmp_path / "out").rglob("*.*")}
    assert found == {"x/1.txt": b"one", "x/y/2.txt": b"two", "3.txt": b""}
    assert not (tmp_path / "out" / "old").exists()


@pytest.mark.parametrize("name", ["../evil", "x/../../evil", "/etc/evil", "..\\evil", "C:\\evil", "C:evil", "."])
def test_a_path_that_leaves_the_folder_is_refused(write: Writer, tmp_path: Path, name: str) -> None:
    write(tmp_path / "a", {"good": b"1", name: b"evil"})
    with pytest.raises(DataRejected, match=r"leads out of the folder"):
        unpack(tmp_path / "a", tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("*evil*"))
    assert not (tmp_path / "in" / "out").exists()


def write_members(path: Path, *names: str) -> None:
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (("same", "same"), r"the name 'same' occurs twice"),
        (("same", "./same"), r"the name './same' occurs twice"),
        (("a", "a/b"), r"'a/b' occurs as a file and as a folder"),
        (("a/b", "a"), r"'a' occurs (twice|as a file and as a folder)"),
        (("x" * 300,), r"'x+\.\.\.' is too long for this disk"),
        (("/".join(["y" * 200] * 30),), r"too long for this disk"),
    ],
)
def test_a_name_that_cannot_be_written_is_said_to_be_wrong(tmp_path: Path, names: tuple[str, ...], match: str) -> None:
    write_members(tmp_path / "a", *names)
    with pytest.raises(DataRejected, match=match) as caught:
        unpack(tmp_path / "a", tmp_path / "out")
    assert "room" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_encrypted_zip_is_said_to_be_encrypted(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a": b"secret"}))
    content[6] |= 1  # the flag in the file's own head, and in the directory at the end
    content[content.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataRejected, match=r"encrypted\. Unpack it with its own program"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_zip_packed_in_another_way_is_not_called_damaged(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a": b"content"}))
    for at in (8, content.index(b"PK\1\2") + 10):
        content[at] = 98  # PPMd
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataRejected, match="the compression of the archive is not supported"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a", "w") as archive:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataRejected, match="link or a device"):
        unpack(tmp_path / "a", tmp_path / "out")


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        member = zipfile.ZipInfo("link")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataRejected, match="link"):
        unpack(tmp_path / "a", tmp_path / "out")


def test_a_bomb_is_refused_before_it_fills_the_disk(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "a", {"zeros": bytes(80 * 2**20)})
    with pytest.raises(DataRejected, match="too large for its size"):
        unpack(tmp_path / "a", tmp_path / "out", Allowed(ratio=100))
    assert not list(tmp_path.glob("out*"))


def test_too_many_files_are_refused(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "a", {str(number): b"" for number in range(5)})
    with pytest.raises(DataRejected, match="more than 4 files"):
        unpack(tmp_path / "a", tmp_path / "out", Allowed(files=4))


def test_damaged_archives_are_refused(write: Writer, tmp_path: Path) -> None:
    path = tmp_path / "a"
    write(path, {"x": bytes(range(256)) * 500})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataRejected, match="damaged"):
        unpack(path, tmp_path / "out")
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes(byte ^ 255 for byte in whole[middle : middle + 8]) + whole[middle + 8 :])
    with pytest.raises(DataRejected, match="damaged"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "records.tfrecord.gz"
    path.write_bytes(gzip.compress(b"no tar"))
    assert not is_archive(path)
    with pytest.raises(DataRejected, match="damaged"):
        unpack(path, tmp_path / "out")


def test_a_full_disk_leaves_nothing_half_unpacked(write: Writer, tmp_path: Path) -> None:
    write(tmp_path / "a", {"x": CONTENT})
    with largest_file(100_000), pytest.raises(BackendError, match=r"cannot be unpacked.*Free some space"):
        unpack(tmp_path / "a", tmp_path / "out")
    assert not list(tmp_path.glob("out*"))


def zip_of(files: dict[str, bytes]) -> bytes:
    text = io.BytesIO()
    with zipfile.ZipFile(text, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return text.getvalue()


def test_archives_in_archives_are_unpacked_where_they_lie(tmp_path: Path) -> None:
    rows = zip_of({"rows.csv": b"a,b", "__MACOSX/._rows.csv": b"junk"})
    deep = zip_of({"images/a.tif": CONTENT, "more.zip": zip_of({"b.tif": b"b"})})
    (tmp_path / "a.zip").write_bytes(zip_of({"rows.csv.zip": rows, "bands.zip": deep, "._bands.zip": b"no archive"}))
    unpack_nested(tmp_path / "a.zip", tmp_path / "out")
    assert (tmp_path / "out/rows/rows.csv").read_bytes() == b"a,b"
    assert (tmp_path / "out/bands/images/a.tif").read_bytes() == CONTENT
    assert (tmp_path / "out/bands/more/b.tif").read_bytes() == b"b"
    assert not [path for path in tmp_path.rglob("*.zip") if path.name[0] != "." and path.name != "a.zip"]


@pytest.mark.parametrize(
    ("inner", "match"),
    [
        ({"x.7z": b"7z"}, "not supported"),
        ({"a.zip": zip_of({"b.zip": zip_of({"c.zip": zip_of({"d": b"d"})})})}, "archives are nested"),
        ({"a.zip": zip_of({"../b": b"b"})}, "leads out of the folder"),
        ({"a.zip": zip_of({"b": bytes(300_000)})}, "too large for its size"),
    ],
)
def test_what_is_wrong_with_an_inner_archive_leaves_nothing(
    inner: dict[str, bytes], match: str, tmp_path: Path
) -> None:
    (tmp_path / "whole.zip").write_bytes(zip_of(inner))
    with pytest.raises(DataRejected, match=match):
        unpack_nested(tmp_path / "whole.zip", tmp_path / "out", Allowed(bytes=200_000))
    assert not (tmp_path / "out").exists()
