"""The secret of an installation: what the pages and interfaces of its own servers (MLflow, Prefect) ask for.

Binding to 127.0.0.1 keeps other machines out, but neither a web page in this machine's browser nor its other users.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from sightline.errors import BackendError

_BYTES = 32


def secret_file(state: Path) -> Path:
    """Where it lies; only its owner may read it."""
    return state / "secret"


def read_secret(state: Path) -> str:
    """The secret of the installation whose `state` folder this is; made at the first call, the same ever after.

    Raises:
        BackendError: the file cannot be read or written, or is empty.
    """
    path = secret_file(state)
    try:
        if not path.exists():
            _make(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:  # copied about, or a lax umask: it was readable by others
            path.chmod(0o600)
        found = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BackendError(
            f"the secret of this installation cannot be used ({error})",
            where=path,
            way_out=(
                "Check the disk's free space and your write permission, or remove the file: a new secret is then made."
            ),
        ) from error
    if len(found) < _BYTES:
        raise BackendError(
            "this file holds no secret", where=path, way_out="Remove the file: a new secret is then made."
        )
    return found


def _make(path: Path) -> None:
    """Whoever comes first makes it, whole from the first moment on; everybody else reads that one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".secret-{os.getpid()}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(_BYTES) + "\n")
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
