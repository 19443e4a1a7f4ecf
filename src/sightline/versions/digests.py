"""MD5 of files, as DVC names contents by, remembered: a data set is not read whole to see that nothing has changed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sightline.errors import BackendError
from sightline.files import write_text
from sightline.stamps import SETTLED_NS, Stamp, is_settled, stamp_of


def md5_files(files: Mapping[str, Path], kept: Path, settled_ns: int = SETTLED_NS) -> dict[str, str]:
    """Name -> MD5 of each file; of those that have not changed since, what the file `kept` remembers.

    One that was written less than `settled_ns` ago is read again the next time.
    """
    known = _read(kept)
    started_ns = time.time_ns()
    now = {name: stamp_of(path) for name, path in files.items()}
    digests = {name: _known(known.get(name), now[name]) or _md5(path) for name, path in files.items()}
    old = [name for name, stamp in now.items() if is_settled(stamp, started_ns, settled_ns)]
    settled = {name: [list(now[name]), digests[name]] for name in old}
    if settled != known:
        with suppress(BackendError):  # a disk that is full or read-only: they are made again
            write_text(kept, json.dumps(settled))
    return digests


def _read(kept: Path) -> dict[str, object]:
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _known(entry: object, now: Stamp) -> str:
    match entry:
        case [list(before), str(digest)] if tuple(before) == now:
            return digest
    return ""


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
