"""What a word stands for that names a video: a file, a folder of pictures, a device, or an address on the network."""

from __future__ import annotations

import re
import socket
import ssl
import stat
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from sightline.errors import BackendError, DataMissing, ParamsError

Kind = Literal["file", "folder", "device", "rtsp", "http"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_KINDS: dict[str, Kind] = {"rtsp": "rtsp", "rtsps": "rtsp", "http": "http", "https": "http"}
_TLS_PORTS = {"https": 443, "rtsps": 322}
_HIDDEN = "..."


def kind_of(word: str) -> Kind:
    """What a word names.

    Raises:
        DataMissing: there is no such file, folder or device.
        ParamsError: the address is none, or of a kind that is not read.
    """
    scheme = _SCHEME.match(word)
    if scheme is None:
        return _kind_on_disk(word)
    kind = _KINDS.get(scheme[1].lower())
    if kind is None:
        raise ParamsError(
            f"addresses that begin with {scheme[1]}:// are not read",
            where=shown(word),
            way_out=f"Give a file, a folder, a device (/dev/video0), or an address of {', '.join(_KINDS)}.",
        )
    _check_host(word)
    return kind


def _kind_on_disk(word: str) -> Kind:
    try:
        mode = Path(word).stat().st_mode
    except (OSError, ValueError) as error:
        reason = "there is no such file, folder or device"
        if isinstance(error, PermissionError):
            reason = "you may not look there"
        raise DataMissing(reason, where=word, way_out="Check the path for a spelling mistake.") from error
    if stat.S_ISDIR(mode):
        return "folder"
    return "device" if stat.S_ISCHR(mode) else "file"


def _check_host(address: str) -> None:
    try:
        parts = urlsplit(address)
        complete = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        complete = False
    if not complete or re.search(r"[\x00-\x20\x7f]", address):
        raise ParamsError(
            "this is not a whole address", where=shown(address), way_out="Write for example rtsp://192.168.1.20/stream."
        )


def check_resolves(address: str) -> None:
    """Raise BackendError where nobody knows the host: FFmpeg has no word for that."""
    host = urlsplit(address).hostname or ""
    try:
        socket.getaddrinfo(host, None)
    except (OSError, UnicodeError) as error:
        raise BackendError(
            f"there is no host {host}, or its name cannot be looked up",
            where=shown(address),
            way_out="Check the name for a spelling mistake, or write the camera's number (192.168.1.20).",
        ) from error


def certificate_problem(address: str, timeout_s: float) -> str:
    """Why the certificate of an https or rtsps address is not trusted; empty where it is, or where there is none.

    FFmpeg checks it, but says `input/output error`.
    """
    parts = urlsplit(address)
    port = _TLS_PORTS.get(parts.scheme.lower())
    if port is None:
        return ""
    try:
        with (
            socket.create_connection((parts.hostname or "", parts.port or port), timeout_s) as plain,
            ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return ""


def shown(word: str) -> str:
    """The word for people, logs and tables: of an address neither its user and password nor its query."""
    if not _SCHEME.match(word):
        return word
    head, _, rest = word.partition("://")
    bare = re.split(r"[?#]", rest.rpartition("@")[2], maxsplit=1)[0]  # a password may hold any sign, even a slash
    return f"{head}://{bare}{'?' + _HIDDEN if '?' in word else ''}"
