"""The routes of an endpoint."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sightline.capabilities import Surveying
from sightline.conditions import parse_conditions
from sightline.errors import RequestError, SightlineError
from sightline.serving.areas import AreaRoutes, Handler
from sightline.serving.champion import Champions
from sightline.serving.engine import Answered, Engine, Log
from sightline.serving.map_tiles import MapTiles
from sightline.serving.metrics import Metrics
from sightline.serving.openapi import describe, docs_page
from sightline.serving.problems import problem
from sightline.serving.surveyor import Areas, Surveyor
from sightline.serving.uploads import read_upload
from sightline.settings import Settings
from sightline.task import Json

log = logging.getLogger(__name__)

_PAGES = Path(__file__).with_name("pages")
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
_EXTRAS = ("picture", "rasters", "exports")
_OPTIONS = ("source", *_EXTRAS)  # query parameters that are no conditions of the image


def build_app(
    task: str,
    champions: Champions,
    settings: Settings,
    log_answers: Log,
    areas: Areas | None = None,
    check_log: Callable[[], None] = lambda: None,
) -> Starlette:
    """The endpoint of one task. Its lifespan loads the champion and keeps it up to date.

    Put the `Guard` before it.

    Args:
        task: its name.
        champions: who says which version answers.
        settings: limits, batching, polling.
        log_answers: writes the rows of a batch before their answers leave.
        check_log: raises BackendError where `log_answers` would.
        areas: where areas of the map are queued, and what looks at them, for models that can; None: no such routes.
    """
    metrics = Metrics(task)
    engine = Engine(task, champions, log_answers, settings, metrics)
    tiles = MapTiles(settings)
    surveyor = Surveyor(task, lambda: engine.keeper.champion, areas, log_answers, settings) if areas else None
    on_maps = AreaRoutes(engine, areas, surveyor, tiles, settings).table() if areas and surveyor else {}
    routes = _Routes(engine, settings, metrics, on_maps, check_log)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        engine.start()
        if surveyor is not None:
            surveyor.start()
        try:
            yield
        finally:
            if surveyor is not None:
                await asyncio.to_thread(surveyor.stop)
            await asyncio.to_thread(tiles.close)
            await asyncio.to_thread(engine.stop)

    app = Starlette(routes=routes.table(), lifespan=lifespan)
    app.state.engine = engine
    return app


class _Routes:
    """The handlers, by path and method."""

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        metrics: Metrics,
        on_maps: dict[str, dict[str, Handler]],
        check_log: Callable[[], None],
    ) -> None:
        self._check_log = check_log
        self._engine = engine
        self._settings = settings
        self._metrics = metrics
        self._on_maps = bool(on_maps)
        self._handlers: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._page},
            "/v1/predict": {"POST": self._predict},
            "/v1/picture": {"POST": self._picture},
            "/v1/raster/{name}": {"POST": self._raster},
            "/v1/model": {"GET": self._model},
            "/v1/live": {"GET": self._live},
            "/v1/ready": {"GET": self._ready},
            "/v1/metrics": {"GET": self._exposition},
            "/v1/openapi.json": {"GET": self._openapi},
            "/v1/docs": {"GET": self._docs},
            "/v1/static/{name}": {"GET": self._static},
            **on_maps,
        }

    def table(self) -> list[Route]:
        """A route a path; each answers wrong methods itself, so that every error is JSON of one shape."""
        known = [
            Route(path, self._answering(path, handlers), methods=list(_METHODS), name=path)
            for path, handlers in self._handlers.items()
        ]
        return [*known, Route("/v1/{path:path}", self._answering("/v1/", {}), methods=list(_METHODS))]

    def _answering(self, path: str, handlers: dict[str, Handler]) -> Handler:
        """The handler of the request's method, with every error turned into an answer, and counted."""
        by_method = {**({"HEAD": handlers["GET"]} if "GET" in handlers else {}), **handlers}

        async def answer(request: Request) -> Response:
            start_s = time.perf_counter()
            try:
                if by_method and request.method not in by_method:
                    takes = " and ".join(handlers)
                    raise RequestError(
                        f"{path} takes {takes} only",
                        where=request.method,
                        way_out=f"Send {takes} instead.",
                        status=405,
                    )
                response = await by_method.get(request.method, self._unknown)(request)
            except Exception as error:
                if not isinstance(error, SightlineError):
                    log.error("%s %s failed", request.method, path, exc_info=error)
                response = problem(error)
                if response.status_code == 405:
                    response.headers["Allow"] = ", ".join(sorted(by_method))
            self._metrics.answered(path, response.status_code, time.perf_counter() - start_s)
            return response

        return answer

    async def _unknown(self, request: Request) -> Response:
        raise RequestError("there is nothing here", where=request.url.path, way_out="See /v1/docs.", status=404)

    # ------------------------------------------------------------------------------------------------ predicting

    async def _predict(self, request: Request) -> Response:
        if _wants_picture(request):
            return await self._picture(request)
        wanted = {name: request.query_params.get(name, "").lower() in ("1", "true", "yes") for name in _EXTRAS}
        async with self._held(request) as answered:
            document: dict[str, Json] = {
                **answered.prediction.document,
                "task": self._engine.task,
                "version": answered.version,
                "prediction_id": answered.id,
                "sha256": answered.question.input.sha256,
                **answered.question.champion.background.attached(answered.prediction),
            }
            if wanted["picture"]:
                document["picture"] = _data_address(await self._engine.draw(answered))
            if wanted["rasters"]:
                for name in answered.prediction.rasters:
                    document[name] = _data_address(await self._engine.raster(answered, name))
            if wanted["exports"]:
                document["exports"] = dict(answered.prediction.exports)
            return Response(json.dumps(document, allow_nan=False), media_type="application/json")

    async def _picture(self, request: Request) -> Response:
        async with self._held(request) as answered:
            return Response(await self._engine.draw(answered), headers=_lineage(answered), media_type="image/png")

    async def _raster(self, request: Request) -> Response:
        name, known = request.path_params["name"], self._engine.champion().warmed.rasters
        if name not in known:
            way_out = f"There are: {', '.join(known)}." if known else "Ask /v1/predict."
            raise RequestError(
                f"{self._engine.task} answers no such raster", where=name[:100], way_out=way_out, status=404
            )
        async with self._held(request) as answered:
            png = await self._engine.raster(answered, name)
            return Response(png, headers=_lineage(answered), media_type="image/png")

    @asynccontextmanager
    async def _held(self, request: Request) -> AsyncIterator[Answered]:
        """The answer to an upload; what it holds in memory counts till the end."""
        card = self._engine.champion().model.card
        given = ((name, text) for name, text in request.query_params.multi_items() if name not in _OPTIONS)
        conditions = parse_conditions(given, card)
        upload = await read_upload(request, card.formats, self._settings.max_bytes)
        async with self._engine.answering(upload.content, upload.name, conditions, lambda: _gone(request)) as answered:
            yield answered

    # ------------------------------------------------------------------------------------------------ about it

    async def _model(self, _: Request) -> Response:
        champion = self._engine.champion()
        return JSONResponse(
            {
                "task": self._engine.task,
                "version": champion.number,
                "since_s": champion.since_s,
                "card": champion.model.card.model_dump(mode="json"),
                "background": champion.background.document(),
            }
        )

    async def _live(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, _: Request) -> Response:
        """503 while no version answers, a call of it is stuck or its answers cannot be written.

        200 with a warning while a newer version cannot take over.
        """
        champion = self._engine.champion()
        self._engine.check()
        await asyncio.to_thread(self._check_log)
        warning = self._engine.keeper.problem
        notes: dict[str, Json] = {"warning": warning.what} if warning else {}
        if self._looks_at_areas():
            notes["areas"] = True
        return JSONResponse({"ready": True, "task": self._engine.task, "version": champion.number, **notes})

    def _looks_at_areas(self) -> bool:
        champion = self._engine.keeper.champion
        return self._on_maps and champion is not None and isinstance(champion.model, Surveying)

    async def _exposition(self, _: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, _: Request) -> Response:
        return JSONResponse(self._description())

    async def _docs(self, _: Request) -> Response:
        return HTMLResponse(docs_page(self._description()))

    def _description(self) -> dict[str, Json]:
        champion = self._engine.keeper.champion
        card = champion.model.card if champion else None
        return describe(self._engine.task, card, self._settings, self._looks_at_areas())

    async def _page(self, _: Request) -> Response:
        return await _file("index.html")

    async def _static(self, request: Request) -> Response:
        return await _file(request.path_params["name"])


def _lineage(answered: Answered) -> dict[str, str]:
    return {"X-Sightline-Version": str(answered.version), "X-Sightline-Prediction-Id": str(answered.id)}


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _data_address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _wants_picture(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "image/png" in accepted and "application/json" not in accepted and "*/*" not in accepted


async def _file(name: str) -> Response:
    """One file of pages/."""
    path = _PAGES / name
    known = len(name) < 100 and path.parent == _PAGES and path.suffix in _MEDIA_TYPES
    if not known or not path.is_file():
        raise RequestError("there is nothing here", where=name[:100], way_out="See /v1/docs.", status=404)
    content = await asyncio.to_thread(path.read_bytes)
    return Response(content, media_type=f"{_MEDIA_TYPES[path.suffix]}; charset=utf-8")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
