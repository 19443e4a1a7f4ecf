"""Files over HTTPS: a download goes on where it broke off, and is kept only if its checksum is right."""

from __future__ import annotations

import email.utils
import hashlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from sightline.errors import BackendError, DataMissing, DataRejected, ParamsError
from sightline.task import Progress
from sightline.upstream import RemoteFile

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

_LOCAL = ("127.0.0.1", "localhost", "::1")
_LARGEST_DOCUMENT = 16 * 2**20


@dataclass(frozen=True)
class Retries:
    """How patient a download is.

    Attributes:
        attempts: how often in a row it may fail without a byte gained.
        first_s: pause after the first failure; it doubles with each one.
        longest_s: longest pause, also where the server asks for a longer one.
        timeout_s: longest silence of the server.
        sleep: what pauses.
    """

    attempts: int = 5
    first_s: float = 1.0
    longest_s: float = 60.0
    timeout_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep


class _Again(Exception):
    """Trying again may help. `pause_s` is what the server asks for; 0 where it does not say."""

    def __init__(self, why: str, pause_s: float = 0.0) -> None:
        super().__init__(why)
        self.pause_s = pause_s


def download(file: RemoteFile, folder: Path, progress: Progress, retries: Retries | None = None) -> Path:
    """Download a file into `folder`; the path it is at.

    What is there with the right checksum is not downloaded again. A download that broke off, here or in an earlier
    call, goes on where it stopped (`<name>.partial`).

    Raises:
        DataMissing: the address does not exist any more, or wants a login.
        DataRejected: the checksum is wrong; the file is removed.
        BackendError: the server or the network fails again and again, or the disk is full; what has come is kept.
        ParamsError: the address is not https.
    """
    _check_address(file.url, file.url)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file.name
    if path.is_file() and _digest(path, file.checksum) == file.checksum:
        return path
    partial = folder / f"{file.name}.partial"
    resumed = partial.is_file()
    _fill(file, partial, progress, retries or Retries())
    if _digest(partial, file.checksum) != file.checksum and resumed:
        partial.unlink()  # the beginning may be that of an older file
        _fill(file, partial, progress, retries or Retries())
    found = _digest(partial, file.checksum)
    if found != file.checksum:
        partial.unlink()
        raise DataRejected(
            f"the downloaded file is not the published one: its checksum is {found}, not {file.checksum}",
            where=file.url,
            way_out="Try again. If it fails again, the publisher has changed the file: see the publisher's page.",
        )
    partial.replace(path)
    return path


def _check_address(url: str, asked: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOCAL):
        leads = "" if url == asked else f", and leads to {url}"
        raise ParamsError(
            f"only https addresses are allowed{leads}", where=asked, way_out="Use an address that begins with `https:`."
        )


def _digest(path: Path, checksum: str) -> str:
    """`<algorithm>:<hex>` of a file, by the algorithm of `checksum`; empty where the publisher gives none."""
    if not checksum:
        return ""
    name = checksum.partition(":")[0]
    if name not in ("sha256", "md5"):
        raise ParamsError(
            f"the checksum {checksum!r} is neither sha256:... nor md5:...",
            where=path.name,
            way_out="Correct the checksum in the task's `UPSTREAM`.",
        )
    with path.open("rb") as opened:
        return f"{name}:{hashlib.file_digest(opened, name).hexdigest()}"


def read_document(url: str, retries: Retries | None = None) -> bytes:
    """A small document, whole.

    Raises:
        DataMissing, BackendError, ParamsError: as `download`.
        DataRejected: it has more than 16 MB.
    """
    _check_address(url, url)

    def ask(client: httpx.Client) -> bytes:
        with client.stream("GET", url) as response:
            _check_address(str(response.url), url)
            _check_status(response, url)
            content = bytearray()
            for piece in response.iter_bytes():
                content += piece
                if len(content) > _LARGEST_DOCUMENT:
                    raise DataRejected(
                        f"the document has more than {_LARGEST_DOCUMENT:,} bytes",
                        where=url,
                        way_out="Open the address in a browser: it may lead to another document now.",
                    )
            return bytes(content)

    return _patiently(ask, url, retries or Retries())


def _fill(file: RemoteFile, partial: Path, progress: Progress, retries: Retries) -> None:
    """Ask again until all bytes are there."""
    try:
        _patiently(
            lambda client: _ask(client, file, partial, progress), file.url, retries, gained=lambda: _size(partial)
        )
    except OSError as error:
        raise BackendError(
            f"the download cannot be written ({error.strerror})",
            where=partial,
            way_out="Free some space on the disk and run the command again: it continues where it stopped.",
        ) from error


def _patiently(
    ask: Callable[[httpx.Client], T], url: str, retries: Retries, gained: Callable[[], int] = lambda: 0
) -> T:
    """Ask until it succeeds; `gained` tells how many bytes are there, so that a failure after some is the first."""
    import httpx

    failures = 0
    with httpx.Client(follow_redirects=True, timeout=httpx.Timeout(retries.timeout_s, connect=10.0)) as client:
        while True:
            before = gained()
            try:
                return ask(client)
            except (httpx.TransportError, _Again) as error:
                failures = 1 if gained() > before else failures + 1
                if failures >= retries.attempts:
                    raise BackendError(
                        f"the download failed {failures} times ({error or type(error).__name__})",
                        where=url,
                        way_out="Run the command again later: it continues where it stopped.",
                    ) from error
                pause_s = retries.first_s * 2 ** (failures - 1)
                asked_s = error.pause_s if isinstance(error, _Again) else 0.0
                retries.sleep(min(max(pause_s, asked_s), retries.longest_s))
            except httpx.TooManyRedirects as error:
                raise BackendError(
                    "the address redirects in circles", where=url, way_out="Try again later, or ask the publisher."
                ) from error


def _ask(client: httpx.Client, file: RemoteFile, partial: Path, progress: Progress) -> None:
    """One request: the whole file, or what is missing of it."""
    have = _size(partial)
    headers = {"Accept-Encoding": "identity"}  # the bytes that the checksum is of
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", file.url, headers=headers) as response:
        _check_address(str(response.url), file.url)
        if response.status_code == 416:  # asked beyond the end: it is complete, or it is another file
            if have == _length_of_range(response):
                return
            partial.unlink()
            raise _Again("the partial download is longer than the file")
        _check_status(response, file.url)
        if response.status_code != 206 or not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # this server always sends the whole file
        length = int(response.headers.get("Content-Length", 0))
        _check_room(partial, length, file)
        _write(response, partial, have, have + length if length else file.bytes, progress)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _length_of_range(response: httpx.Response) -> int:
    text = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(text) if text.isdecimal() else -1


def _check_status(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    if status in (401, 403):
        raise DataMissing(
            f"the server requires a login ({status})",
            where=url,
            way_out="Download the file with your browser, unpack it, and use `sightline data add`.",
        )
    if status in (408, 425, 429) or status >= 500:
        raise _Again(f"the server answered {status}", _pause_s(response.headers.get("Retry-After", "")))
    raise DataMissing(
        f"the server does not have the file ({status})",
        where=url,
        way_out="See the publisher's page for the file's new address.",
    )


def _pause_s(text: str) -> float:
    """Retry-After: seconds, or a date."""
    if text.isdecimal():
        return float(text)
    try:
        return max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except ValueError:
        return 0.0


def _check_room(partial: Path, needed: int, file: RemoteFile) -> None:
    free = shutil.disk_usage(partial.parent).free
    if needed > free:
        raise BackendError(
            (
                f"the disk has too little free space: {needed / 2**20:.0f} MB more are needed,"
                f" {free / 2**20:.0f} MB are free"
            ),
            where=partial.parent,
            way_out=f"Free some space on the disk, then run the command again to download {file.name}.",
        )


def _write(response: httpx.Response, partial: Path, have: int, total: int, progress: Progress) -> None:
    what = f"download {partial.name.removesuffix('.partial')}"
    with partial.open("ab" if have else "wb") as out:
        done = have
        for piece in response.iter_raw():
            out.write(piece)
            done += len(piece)
            progress.advance(done, max(total, done), what)
