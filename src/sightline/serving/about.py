"""The routes that tell of an endpoint: its model, whether it is ready, its description, its pages."""

from __future__ import annotations

import asyncio
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from sightline.errors import RequestError
from sightline.serving.answers import Live, ModelInfo, Ready
from sightline.serving.docs_page import docs_page
from sightline.serving.prefixes import prefix_of
from sightline.serving.routing import Router, problems
from sightline.serving.rules import Rule
from sightline.serving.state import endpoint_of
from sightline.task import Json

_PAGES = Path(__file__).with_name("pages")
_MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}

figures = Router()
probes = Router(Rule(open=True))
pages = Router(Rule(open=True, page=True))
files = Router(Rule(open=True), in_schema=False)


@figures.get(
    "/v1/model", summary="The model that answers, with its card", responses={200: {"model": ModelInfo}, **problems(503)}
)
async def get_model(request: Request) -> Response:
    """With what it was trained and evaluated on, and what it can be told of an image."""
    engine = endpoint_of(request).engine
    champion = engine.champion()
    return JSONResponse(
        {
            "task": engine.task,
            "version": champion.number,
            "since_s": champion.since_s,
            "card": champion.model.card.model_dump(mode="json"),
            "background": champion.background.document(),
        }
    )


@figures.get("/v1/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
async def get_metrics(request: Request) -> Response:
    """Requests, stages, batches and the version that answers, in the exposition format."""
    text = endpoint_of(request).metrics.text()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@probes.get("/v1/live", summary="Whether the process runs", responses={200: {"model": Live}})
async def get_live(request: Request) -> Response:  # noqa: ARG001
    """It does, if it answers at all."""
    return JSONResponse({"live": True})


@probes.get(
    "/v1/ready", summary="Whether a model answers; says why not", responses={200: {"model": Ready}, **problems(503)}
)
async def get_ready(request: Request) -> Response:
    """503 while no version answers, a call of it is stuck or its answers cannot be written.

    200 with a warning while a newer version cannot take over.
    """
    endpoint = endpoint_of(request)
    champion = endpoint.engine.champion()
    endpoint.engine.check()
    await asyncio.to_thread(endpoint.check_log)
    warning = endpoint.engine.keeper.problem
    more: dict[str, Json] = {"warning": warning.what} if warning else {}
    if endpoint.looks_at_areas:
        more["areas"] = True
    return JSONResponse({"ready": True, "task": endpoint.engine.task, "version": champion.number, **more})


@probes.get("/v1/openapi.json", summary="This description")
async def get_openapi(request: Request) -> Response:
    """OpenAPI, for programs. It differs with the model that answers: what it reads and can be told."""
    document = await asyncio.to_thread(endpoint_of(request).describe)
    return JSONResponse(prefix_of(request.scope).description(document))


@pages.get("/v1/docs", summary="This description as a page", response_class=HTMLResponse)
async def get_docs(request: Request) -> Response:
    """For people; it needs no network."""
    prefix = prefix_of(request.scope)
    return HTMLResponse(docs_page(prefix.description(await asyncio.to_thread(endpoint_of(request).describe)), prefix))


@pages.get("/", summary="A page to try it: upload an image, see the answer", response_class=HTMLResponse)
async def get_page(request: Request) -> Response:
    """It needs nothing from anywhere else."""
    page = await asyncio.to_thread((_PAGES / "index.html").read_text, encoding="utf-8")
    return HTMLResponse(prefix_of(request.scope).told(page))


@files.get("/v1/static/{name}")
async def get_static(request: Request) -> Response:
    """A file of the pages."""
    return await _file(request.path_params["name"])


async def _file(name: str) -> Response:
    """One file of pages/."""
    path = _PAGES / name
    known = len(name) < 100 and path.parent == _PAGES and path.suffix in _MEDIA_TYPES
    if not known or not path.is_file():
        raise RequestError("there is nothing here", where=name[:100], way_out="See /v1/docs.", status=404)
    content = await asyncio.to_thread(path.read_bytes)
    return Response(content, media_type=f"{_MEDIA_TYPES[path.suffix]}; charset=utf-8")
