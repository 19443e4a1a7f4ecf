"""MLflow's server behind a gate, as `sightline up` starts it with `uvicorn --factory`.

MLflow looks at Host and Origin itself, but knows no user: any program on this machine could make an experiment whose
artifacts are `file:///etc` and read them, or let another version be champion. So it stands behind the secret of the
installation, and experiments keep their artifacts below mlruns/ whoever asks.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sightline.runtime.gate import Gate
from sightline.runtime.secret import read_secret, secret_file
from sightline.settings import Settings, load_settings
from sightline.tracking import Tracking


def create() -> ASGIApp:
    """The application.

    Raises:
        ParamsError: a setting is wrong.
        BackendError: the database or the secret cannot be used.
    """
    settings = load_settings()
    Tracking(settings).prepare()  # makes the database where there is none, one process at a time
    os.environ.update(_server_variables(settings))  # read when its modules are imported
    from mlflow.server.fastapi_app import app

    port = settings.mlflow_port
    return Gate(
        ArtifactsBelow(app, settings.mlruns),
        hosts=(f"127.0.0.1:{port}", f"localhost:{port}"),
        secret=read_secret(settings.state),
        hint=f"Any user name; the password is in {secret_file(settings.state)}.",
        open_paths=("/health",),
    )


def _server_variables(settings: Settings) -> dict[str, str]:
    """What `mlflow server` hands to its own application."""
    return {
        "_MLFLOW_SERVER_FILE_STORE": settings.tracking_uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": settings.tracking_uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": (settings.mlruns / "artifacts").as_uri(),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        # Jobs are of no use here and cost eight processes and 650 MB.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{settings.mlflow_port},localhost:{settings.mlflow_port}",
    }


class ArtifactsBelow:
    """Lets MLflow make only experiments whose artifacts lie below a folder, or where it puts them by itself."""

    def __init__(self, app: ASGIApp, folder: Path) -> None:
        self._app = app
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on one connection."""
        if scope["type"] != "http" or not scope["path"].endswith("/mlflow/experiments/create"):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        place = _artifact_location(body)
        if place and not is_below(place, self._folder):
            refusal = PlainTextResponse(f"Artifacts of this server must lie below {self._folder}.\n", 403)
            await refusal(scope, receive, send)
            return
        await self._app(scope, _again(body, receive), send)


def _again(body: bytes, receive: Receive) -> Receive:
    """The body once more, for the application; then whatever the server says."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _artifact_location(body: bytes) -> str:
    """The field of a request; empty where MLflow will not find it either."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    if isinstance(document, str):  # MLflow reads JSON in a JSON string too
        return _artifact_location(document.encode())
    fields = ("artifact_location", "artifactLocation")  # both are names of it in JSON for protobuf
    found = [document[name] for name in fields if document.get(name)] if isinstance(document, dict) else []
    return str(found[0]) if len(found) == 1 else "ambiguous" if found else ""


def is_below(place: str, folder: Path) -> bool:
    """Whether an artifact location is this server's own store, or a path at or below the folder."""
    parts = urlsplit(place)
    if parts.scheme == "mlflow-artifacts":
        return True
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        return False
    path = Path(unquote(parts.path))
    return path.is_absolute() and path.resolve().is_relative_to(folder.resolve())
