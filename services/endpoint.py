"""The BentoML services: of each task by its name, of all behind one address by the name `sightline`.

bentoml serve services.endpoint:ships
bentoml serve services.endpoint:sightline
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import bentoml
from fastapi import FastAPI
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from sightline.errors import SightlineError
from sightline.pipeline.serve import areas_in, camera_log, champions, log_into, tasks_served
from sightline.runtime.proxies import without_proxy
from sightline.serving import ALL_TASKS, about, overview
from sightline.serving.app import Sources, build_app
from sightline.serving.capacity import Capacity
from sightline.serving.champion import Champions
from sightline.serving.connections import bound_connections
from sightline.serving.front_door import build_front_door
from sightline.serving.guard import guard
from sightline.serving.routing import Handler, Router
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
    """A service, made when it is asked for: making it reads the settings and opens the ledger."""
    if name not in (*TASKS, ALL_TASKS):
        raise AttributeError(name)
    about_it = "All tasks behind one address." if name == ALL_TASKS else f"The endpoint of {name}."
    made = bentoml.service(type(name, (), {"__doc__": about_it}), name=name, **OPTIONS)
    globals()[name] = made  # BentoML looks here for what it starts its workers with
    if name == ALL_TASKS:
        settings = load_settings()
        mount_together(made, [Served(task) for task in tasks_served(settings)], settings)
    else:
        mount(made, name)
    return made


@dataclass(frozen=True)
class Served:
    """A task that is served.

    Attributes:
        task: its name.
        answer: what its models answer; what the task declares where not given.
        source: who says which version answers; the registry, or SIGHTLINE_MODEL_DIR, where not given.
    """

    task: str
    answer: type[BaseModel] | None = None
    source: Champions | None = None

    def app(
        self, settings: Settings, database: Database, capacity: Capacity | None = None, routers: Sequence[Router] = ()
    ) -> FastAPI:
        """Its application."""
        predictions = Predictions(database)
        sources = Sources(
            self.source or champions(self.task, settings, database),
            log_into(predictions, self.task),
            database.check,
            areas_in(database, settings),
            camera_log(predictions, self.task, settings.camera_every_s),
            capacity,
        )
        return build_app(self.task, self.answer or answer_model(self.task), sources, settings, routers)


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
    database = Database(settings.database_url)
    app = Served(task, answer, source).app(settings, database, routers=[bentomls_pages(about.get_openapi)])

    def check() -> None:
        app.state.engine.champion()
        app.state.engine.check()
        database.check()

    _install(service, app, check, settings)


def mount_together(service: Any, tasks: Sequence[Served], settings: Settings) -> None:
    """Give a BentoML service the routes of several tasks, each below its name; all work in one process.

    Args:
        service: what `@bentoml.service` made; it needs no API of its own.
        tasks: that are served.
        settings: of all of them.
    """
    database, capacity = Database(settings.database_url), Capacity(settings)
    apps = {one.task: one.app(settings, database, capacity) for one in tasks}
    app = build_front_door(apps, capacity, settings, [bentomls_pages(overview.get_openapi)], others=[_ASSETS])
    _install(service, app, app.state.door.ready, settings)


def _install(service: Any, app: Starlette, check: Callable[[], object], settings: Settings) -> None:
    """Let a BentoML service answer with an application; its own /readyz follows `check`."""
    os.environ.update(without_proxy(os.environ))
    _log_to_stderr()
    _end_with_supervisor()
    bound_connections()
    service.inner.__is_ready__ = lambda _: _passes(check)
    service.mount_asgi_app(app, path="/")
    service.add_asgi_middleware(
        guard,
        rules=Rules(app.state.rules.table, OF_BENTOML),
        token=settings.token.get_secret_value(),
        max_bytes=settings.max_bytes,
        host=settings.host,
    )


_ASSETS = "/static_content/"
"""Where BentoML keeps what its own page shows."""

OF_BENTOML = dict.fromkeys(("/livez", "/readyz", "/healthz", f"{_ASSETS}{{path:path}}"), Rule(open=True))
"""Routes of BentoML's own that need no token."""


def bentomls_pages(get_openapi: Handler) -> Router:
    """BentoML's own page (Swagger), which `/` would show, of our description at /docs.json, where it looks for one."""
    router = Router(Rule(open=True, page=True), in_schema=False)
    router.get("/bentoml")(_bentoml_page)
    router.get("/docs.json")(get_openapi)
    return router


def _passes(check: Callable[[], object]) -> bool:
    try:
        check()
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
