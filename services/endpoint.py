"""The BentoML service of each task, by its name: `bentoml serve services.endpoint:ships`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from importlib import resources
from typing import Any

import bentoml
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sightline.errors import SightlineError
from sightline.pipeline.serve import areas_in, camera_log, champions, log_into
from sightline.runtime.proxies import without_proxy
from sightline.serving.about import get_openapi
from sightline.serving.app import Sources, build_app
from sightline.serving.champion import Champions
from sightline.serving.connections import bound_connections
from sightline.serving.engine import Engine
from sightline.serving.guard import guard
from sightline.serving.routing import Router
from sightline.serving.rules import Rule, Rules
from sightline.settings import Settings, load_settings
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.tasks import TASKS, answer_model

OPTIONS: dict[str, Any] = {
    "workers": 1,  # one process holds the model, uses all cores and batches across all clients
    "traffic": {"timeout": 150},  # the guard and the engine answer earlier (30 s for the body, 60 s to predict)
    "http": {"host": "127.0.0.1"},  # BentoML's own default is every address
    "logging": {"access": {"enabled": True, "skip_paths": ["/v1/ready", "/v1/live", "/v1/metrics"]}},
}
"""Options of `bentoml.service` for every endpoint."""


def __getattr__(name: str) -> Any:
    """The service of a task, made when it is asked for: making it reads the settings and opens the ledger."""
    if name not in TASKS:
        raise AttributeError(name)
    made = bentoml.service(type(name, (), {"__doc__": f"The endpoint of {name}."}), name=name, **OPTIONS)
    globals()[name] = made  # BentoML looks here for what it starts its workers with
    mount(made, name)
    return made


def mount(
    service: Any,
    task: str,
    answer: type[BaseModel] | None = None,
    source: Champions | None = None,
    settings: Settings | None = None,
) -> None:
    """Give a BentoML service the routes of a task's endpoint.

    Args:
        service: what `@bentoml.service` made; it needs no API of its own.
        task: name of the task.
        answer: what its models answer; what the task declares where not given.
        source: who says which version answers; the registry, or SIGHTLINE_MODEL_DIR, where not given.
        settings: from the environment where not given.

    Raises:
        ParamsError: a setting is wrong.
    """
    settings = settings or load_settings()
    os.environ.update(without_proxy(os.environ))
    _log_to_stderr()
    _end_with_supervisor()
    bound_connections()
    database = Database(settings.database_url)
    predictions = Predictions(database)
    sources = Sources(
        source or champions(task, settings),
        log_into(predictions, task),
        database.check,
        areas_in(database, settings),
        camera_log(predictions, task, settings.camera_every_s),
    )
    app = build_app(task, answer or answer_model(task), sources, settings, [bentomls_pages()])
    # BentoML's own /readyz follows ours.
    service.inner.__is_ready__ = lambda _: _is_ready(app.state.engine, database)
    service.mount_asgi_app(app, path="/")
    service.add_asgi_middleware(
        guard,
        rules=Rules(app.state.rules.table, OF_BENTOML),
        token=settings.token.get_secret_value(),
        max_bytes=settings.max_bytes,
        host=settings.host,
    )


OF_BENTOML = dict.fromkeys(("/livez", "/readyz", "/healthz", "/static_content/{path:path}"), Rule(open=True))
"""Routes of BentoML's own that need no token."""


def bentomls_pages() -> Router:
    """BentoML's own page (Swagger), which `/` would show, of our description at /docs.json, where it looks for one."""
    router = Router(Rule(open=True, page=True), in_schema=False)
    router.get("/bentoml")(_bentoml_page)
    router.get("/docs.json")(get_openapi)
    return router


def _is_ready(engine: Engine, database: Database) -> bool:
    try:
        engine.champion()
        engine.check()
        database.check()
    except SightlineError:
        return False
    return True


async def _bentoml_page(request: Request) -> Response:  # noqa: ARG001
    """As BentoML has it; the tracker in it is kept out by the guard's policy."""
    page = resources.files("_bentoml_impl.server") / "main-openapi.html"
    return HTMLResponse(page.read_text(encoding="utf-8"))


def _end_with_supervisor() -> None:
    """Let a worker stop when BentoML's supervisor is gone: killed, it leaves the worker and the port behind."""
    if bentoml.server_context.worker_index is None:
        return  # this is the supervisor itself, or a build
    supervisor = os.getppid()

    def follow() -> None:
        while os.getppid() == supervisor:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="supervisor", daemon=True).start()


def _log_to_stderr() -> None:
    logger = logging.getLogger("sightline")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
