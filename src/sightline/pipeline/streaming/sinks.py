"""Where the answers of a stream go: files, a webhook, the ledger, a marked video."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sightline.capabilities import Marking
from sightline.errors import BackendError, DataRejected, ParamsError
from sightline.files import finite, write_json
from sightline.pipeline.streaming.frame_log import CameraLog
from sightline.pipeline.streaming.said import Said
from sightline.serving.camera import Seen
from sightline.video.addresses import shown
from sightline.video.writing import Movie

if TYPE_CHECKING:
    import httpx


# ----------------------------------------------------------------------------------------------------- files


class JsonLines:
    """`answers.jsonl`, an answer a line, and at the end `answer.json` of the whole with its exports.

    A file that is full, or there from before, is renamed to `answers-<time>.jsonl`, so that no line is ever cut.

    Args:
        folder: of this camera.
        most_bytes: from which on a file is full.
    """

    name = "the file of answers"

    def __init__(self, folder: Path, most_bytes: int = 16 * 2**20) -> None:
        self._folder = folder
        self._path = folder / "answers.jsonl"
        self._most_bytes = most_bytes
        self._begun = False

    def takes(self, said: Said) -> bool:
        """What is kept."""
        return said.kept

    def write(self, said: Said) -> None:
        """Append a line. Raises BackendError where the disk is full or the folder is closed."""
        line = (json.dumps(said.document(), allow_nan=False) + "\n").encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._rotate(len(line))
            with self._path.open("ab") as file:
                whole = file.tell()
                try:
                    file.write(line)
                    file.flush()
                except OSError:
                    os.truncate(self._path, whole)  # half a line would spoil the next
                    raise
        except OSError as error:
            raise BackendError(
                f"answers cannot be written ({error.strerror or error})",
                where=self._path,
                way_out="Check the disk's free space and your write permission.",
            ) from error
        if said.whole:
            write_json(self._folder / "answer.json", said.document())
            for suffix, export in said.prediction.exports.items():
                write_json(self._folder / f"answer.{suffix}", finite(export))

    def _rotate(self, more: int) -> None:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size and (not self._begun or size + more > self._most_bytes):
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            self._path.replace(self._path.with_name(f"answers-{stamp}.jsonl"))
        self._begun = True

    def close(self) -> None:
        """Each line is on disk already."""


# ------------------------------------------------------------------------------------------------- a webhook


def check_webhook(url: str) -> None:
    """Whether answers may be sent there: over https, or to this machine.

    Raises:
        ParamsError: they may not.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))):
        raise ParamsError(
            "answers are sent to https addresses, or to this machine",
            where=shown(url),
            way_out="Give for example https://example.org/hook or http://127.0.0.1:8000/hook.",
        )


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Webhook:
    """Sends each change of verdict, and the answer to the whole, as JSON; anything but 2xx is a failure.

    Args:
        url: see `check_webhook`.
        timeout_s: longest for one.
        transport: how; for tests.
    """

    def __init__(self, url: str, timeout_s: float = 5.0, transport: httpx.BaseTransport | None = None) -> None:
        import httpx

        check_webhook(url)
        self.name = f"the webhook {shown(url)}"
        self._url = url
        self._client = httpx.Client(timeout=timeout_s, transport=transport, follow_redirects=False)

    def takes(self, said: Said) -> bool:
        """Changes and the whole."""
        return said.changed or said.whole

    def write(self, said: Said) -> None:
        """Send one, at the second try if the first fails. Raises BackendError."""
        try:
            self._send(said)
        except BackendError:
            self._send(said)

    def _send(self, said: Said) -> None:
        import httpx

        try:
            status = self._client.post(self._url, json=said.document()).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._failed(type(error).__name__) from error
        if not 200 <= status < 300:
            raise self._failed(f"it answers {status}")

    def _failed(self, why: str) -> BackendError:
        return BackendError(
            f"an answer could not be sent ({why})", where=self.name, way_out="Check that the receiver runs."
        )

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


# ------------------------------------------------------------------------------------------------ the ledger


class Ledger:
    """Writes what `CameraLog` keeps.

    Args:
        log: of this camera.
        version: the model's number.
    """

    name = "the ledger"

    def __init__(self, log: CameraLog, version: int) -> None:
        self._log = log
        self._version = version

    def takes(self, said: Said) -> bool:  # noqa: ARG002
        """All of them: those that are not kept are counted."""
        return True

    def write(self, said: Said) -> None:
        """Write one, or count it. Raises BackendError."""
        number = None if said.frame is None else said.frame.number
        self._log.write(
            Seen(said.camera, self._version, said.sha256, said.prediction, number, said.at_s, changed=said.changed)
        )

    def close(self) -> None:
        """Write what is still to be counted. Raises BackendError."""
        self._log.close()


# ------------------------------------------------------------------------------------------- a marked video


@dataclass
class _Reel:
    """The film that is being written, and when it began by the stream's clock."""

    movie: Movie
    began_s: float
    size: tuple[int, ...]


class Film:
    """`marked.mp4`: the answers drawn on their frames. After `most_s`, or with another size, the next one begins.

    Args:
        folder: of this camera; films that are there stay.
        model: draws.
        most_s: length of a film: one that is cut off by a power failure is lost.
    """

    name = "the marked video"

    def __init__(self, folder: Path, model: Marking, most_s: float = 600.0) -> None:
        self._folder = folder
        self._model = model
        self._most_s = most_s
        self._reel: _Reel | None = None

    def takes(self, said: Said) -> bool:
        """Answers to frames."""
        return not said.whole

    def write(self, said: Said) -> None:
        """Draw and append one. Raises BackendError; what was filmed since the last cut is then lost."""
        assert said.frame is not None
        picture = self._model.mark(said.frame, said.prediction)
        reel = self._reel
        if reel is not None and (said.at_s - reel.began_s > self._most_s or picture.shape != reel.size):
            self.close()
        reel = self._reel = self._reel or _Reel(Movie(self._free()), said.at_s, picture.shape)
        try:
            reel.movie.add(picture, said.at_s - reel.began_s)
        except (BackendError, DataRejected):
            self._reel = None
            raise

    def _free(self) -> Path:
        """The first name that is not taken."""
        path, number = self._folder / "marked.mp4", 1
        while path.exists():
            number += 1
            path = self._folder / f"marked-{number}.mp4"
        return path

    def close(self) -> None:
        """Finish the film. Raises BackendError."""
        reel, self._reel = self._reel, None
        if reel is not None:
            reel.movie.close()
