"""The DVC remote: a folder or S3, where data versions and models are shared from."""

from __future__ import annotations

import configparser
from pathlib import Path

from sightline.errors import DataMissing, ParamsError
from sightline.settings import Settings
from sightline.versions.program import call

REMOTE = "sightline"


def configure_remote(settings: Settings) -> str:
    """Write the remote of the settings into `.dvc/config.local`, which is not committed; its address.

    Credentials are none of our business: S3's come from its own environment variables and files.

    Raises:
        ParamsError: no remote is set.
    """
    if not settings.dvc_remote:
        raise ParamsError(
            "no DVC remote is set",
            where="SIGHTLINE_DVC_REMOTE",
            way_out="Set SIGHTLINE_DVC_REMOTE to a folder or to s3://bucket/path.",
        )
    url = settings.dvc_remote
    if "://" not in url:
        url = str((settings.root / Path(url).expanduser()).resolve())
    if not _knows(settings.root, url):
        call(settings.root, "remote", "add", "--local", "--force", "--default", REMOTE, url)
    if settings.dvc_endpoint_url:
        call(settings.root, "remote", "modify", "--local", REMOTE, "endpointurl", settings.dvc_endpoint_url)
    return url


def _knows(root: Path, url: str) -> bool:
    """Whether the remote is there already: adding it anew would drop what a person set beside its address."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(root / ".dvc" / "config.local", encoding="utf-8")
    return parser.get(f"'remote \"{REMOTE}\"'", "url", fallback="") == url


def push(settings: Settings) -> str:
    """Send the pinned data and the stages' outputs, as they are now, to the remote; its address.

    Raises:
        ParamsError: no remote is set, or it cannot be used.
        BackendError: it cannot be reached.
    """
    url = configure_remote(settings)
    call(settings.root, "push", "--remote", REMOTE)
    return url


def pull(settings: Settings, task: str) -> None:
    """Bring what data.dvc pins of a task from the remote into `data/<task>`.

    Raises:
        ParamsError: no remote is set, or it cannot be used.
        DataMissing: the remote does not hold it.
        DataRejected: files that are nowhere else would be overwritten.
        BackendError: it cannot be reached.
    """
    url = configure_remote(settings)
    try:
        call(settings.root, "pull", "--remote", REMOTE, f"data/{task}")
    except DataMissing as error:
        raise DataMissing(
            f"this remote does not hold the data of {task} that data.dvc pins",
            where=url,
            way_out=f"Run `sightline data push {task}` in the folder that has them, or name another remote with "
            f"SIGHTLINE_DVC_REMOTE; `sightline data sample {task}` writes a synthetic set.",
        ) from error
