"""The application of an endpoint: its routes, and the parts that they work with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute

import sightline.serving.areas
from sightline.serving import about, streams
from sightline.serving.answers import answer_of
from sightline.serving.area_jobs import AreaJobs
from sightline.serving.camera import FrameLog, Seen
from sightline.serving.cameras import Cameras
from sightline.serving.capacity import Capacity
from sightline.serving.champion import Champions
from sightline.serving.description import Description
from sightline.serving.engine import Engine
from sightline.serving.map_tiles import MapTiles
from sightline.serving.metrics import Metrics
from sightline.serving.predicting import predicting
from sightline.serving.questions import Log
from sightline.serving.routing import METHODS, UNKNOWN, Router, answer_unrouted
from sightline.serving.rules import Rules
from sightline.serving.state import Endpoint
from sightline.serving.surveyor import Areas, Surveyor
from sightline.settings import Settings

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig

_NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI would hand each request to the tracer that BentoML has set up, which counts it already."""


class _Unlogged:
    """Keeps nothing, where nobody has a log."""

    def write(self, seen: Seen) -> str | None:  # noqa: ARG002
        return None


@dataclass(frozen=True)
class Sources:
    """What an endpoint takes from elsewhere.

    Attributes:
        champions: who says which version answers.
        log_answers: writes the rows of a batch before their answers leave.
        check_log: raises BackendError where `log_answers` would.
        areas: where areas of the map are queued, and what looks at them, for models that can; None: no such routes.
        open_camera_log: what writes the answers to a new camera's frames.
        capacity: threads and room that endpoints of one process share; None: of its own.
    """

    champions: Champions
    log_answers: Log
    check_log: Callable[[], None] = lambda: None
    areas: Areas | None = None
    open_camera_log: Callable[[], FrameLog] = _Unlogged
    capacity: Capacity | None = None


def build_app(
    task: str, answer: type[BaseModel], sources: Sources, settings: Settings, routers: Sequence[Router] = ()
) -> FastAPI:
    """The endpoint of one task. Its lifespan loads the champion and keeps it up to date.

    Put the `guard` before it, with the rules in `app.state.rules`.

    Args:
        task: its name.
        answer: what its models answer; see `sightline.tasks.answer_model`.
        sources: the registry, the log and the queue.
        settings: limits, batching, polling.
        routers: more routes, of whoever runs it.
    """
    on_map = (sightline.serving.areas.orders, sightline.serving.areas.looks) if sources.areas else ()
    always = (about.figures, about.probes, about.pages, about.files, *routers)
    answering = predicting(answer_of(task, answer))
    of_streams = (streams.frames, streams.watching)
    rules = Rules(*(router.rules() for router in (answering, *of_streams, *on_map, *always)))
    capacity = sources.capacity or Capacity(settings)
    endpoint, surveyor = _parts(task, sources, settings, capacity)
    description = Description(task, answer, settings, rules, _routes(always), _routes(on_map), _routes(of_streams))
    endpoint.describe = lambda: description.document(
        endpoint.engine.keeper.champion, endpoint.looks_at_areas, endpoint.watches_streams
    )
    app = FastAPI(
        lifespan=_lifespan(endpoint, surveyor, None if sources.capacity else capacity),
        telemetry=_NO_TELEMETRY,
        exception_handlers={HTTPException: answer_unrouted},
        redirect_slashes=False,
        openapi_url=None,  # the document differs with the model; FastAPI's pages load scripts from a CDN
        docs_url=None,
        redoc_url=None,
    )
    app.routes.extend(
        _routes((answering, *of_streams, *on_map, *always))
    )  # as they stand: `include_router` would match each request twice
    # BentoML hands on what a route of ours is for, and would answer anything else by itself.
    app.add_route(f"{UNKNOWN}{{path:path}}", answer_unrouted, methods=list(METHODS), include_in_schema=False)
    app.state.endpoint, app.state.engine, app.state.rules = endpoint, endpoint.engine, rules
    app.state.metrics, app.state.way_on = endpoint.metrics, "See /v1/docs."
    return app


def _routes(routers: Iterable[Router]) -> list[BaseRoute]:
    return [route for router in routers for route in router.routes]


def _parts(task: str, sources: Sources, settings: Settings, capacity: Capacity) -> tuple[Endpoint, Surveyor | None]:
    metrics = Metrics(task)
    engine = Engine(task, sources.champions, sources.log_answers, settings, metrics, capacity)
    surveyor, jobs = None, None
    if sources.areas is not None:
        surveyor = Surveyor(task, lambda: engine.keeper.champion, sources.areas, sources.log_answers, settings)
        jobs = AreaJobs(engine, sources.areas, surveyor, settings)
    cameras = Cameras(engine, settings, metrics, sources.open_camera_log, capacity.frames)
    return Endpoint(engine, settings, metrics, sources.check_log, MapTiles(settings), jobs, cameras, dict), surveyor


def _lifespan(
    endpoint: Endpoint, surveyor: Surveyor | None, own: Capacity | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        endpoint.engine.start()
        if surveyor is not None:
            surveyor.start()
        tidying = asyncio.create_task(endpoint.cameras.tidy())
        try:
            yield
        finally:
            tidying.cancel()
            await asyncio.to_thread(endpoint.cameras.close_all)
            if surveyor is not None:
                await asyncio.to_thread(surveyor.stop)
            await asyncio.to_thread(endpoint.tiles.close)
            await asyncio.to_thread(endpoint.engine.stop)
            if own is not None:
                own.close()

    return lifespan
