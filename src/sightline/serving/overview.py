"""The routes that tell of all tasks behind one address: which there are, what answers, whether it does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import cast

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from sightline.errors import BackendError, ModelMissing, SightlineError
from sightline.serving import about
from sightline.serving.answers import Live
from sightline.serving.docs_page import docs_page
from sightline.serving.metrics import Requests, exposition
from sightline.serving.overview_answers import AllReady, ModelList, TaskList
from sightline.serving.prefixes import below
from sightline.serving.routing import Router, problems
from sightline.serving.rules import Rule
from sightline.serving.state import Endpoint
from sightline.task import Json

figures = Router()
probes = Router(Rule(open=True))
pages = Router(Rule(open=True, page=True))


@dataclass(frozen=True)
class Door:
    """What lies behind one address.

    Attributes:
        endpoints: by task.
        requests: those that are for no task.
        describe: the OpenAPI document of all of it.
    """

    endpoints: Mapping[str, Endpoint]
    requests: Requests
    describe: Callable[[], dict[str, Json]]

    def ready(self) -> dict[str, Json]:
        """Which tasks answer, and which have nothing to answer with; asks the ledger.

        Raises:
            ModelMissing: none answers.
            SightlineError: one that has a champion does not, or no answer could be written.
        """
        warnings: dict[str, Json] = {}
        for task, endpoint in self.endpoints.items():
            keeper = endpoint.engine.keeper
            if (reason := _not_ready(endpoint)) is not None:
                raise BackendError(f"{task} is not ready: {reason.what}", where=task, way_out="See /v1/tasks.")
            if keeper.state == "ready" and keeper.problem is not None:
                warnings[task] = keeper.problem.what
        tasks = self._of_state("ready")
        if not tasks:
            raise ModelMissing("no task has a champion", way_out="Run `sightline run TASK` first.")
        for check in {endpoint.check_log for endpoint in self.endpoints.values()}:
            check()
        return {"ready": True, "tasks": tasks, "without_champion": self._of_state("no champion"), "warnings": warnings}

    def _of_state(self, state: str) -> list[Json]:
        return [task for task, endpoint in self.endpoints.items() if endpoint.engine.keeper.state == state]

    def tasks(self) -> list[dict[str, Json]]:
        """Each task, whether it answers or why not, and what it can do."""
        return [_told(task, endpoint) for task, endpoint in self.endpoints.items()]


def _not_ready(endpoint: Endpoint) -> SightlineError | None:
    """Why a task that has a champion does not answer; None where it does, or has none."""
    keeper = endpoint.engine.keeper
    if keeper.state in ("loading", "failed"):
        return keeper.problem
    try:
        endpoint.engine.check()
    except BackendError as error:
        return error
    return None


def _told(task: str, endpoint: Endpoint) -> dict[str, Json]:
    keeper, prefix = endpoint.engine.keeper, below(task)
    champion, problem = keeper.champion, keeper.problem
    card = champion.model.card if champion else None
    return {
        "task": task,
        "state": keeper.state,
        "problem": problem.what if problem else None,
        "version": champion.number if champion else None,
        "data_version": champion.background.data_version if champion else None,
        "routes": prefix.api,
        "page": prefix.page,
        "formats": list(card.formats) if card else [],
        "conditions": dict(card.conditions) if card else {},
        "rasters": list(champion.warmed.rasters) if champion else [],
        "areas": endpoint.looks_at_areas,
        "streams": endpoint.watches_streams,
    }


def door_of(connection: HTTPConnection) -> Door:
    """The front door that a request came to."""
    return cast(Door, connection.app.state.door)


# ------------------------------------------------------------------------------------------------- routes


@probes.get("/v1/tasks", summary="The tasks behind this address", responses={200: {"model": TaskList}})
async def get_tasks(request: Request) -> Response:
    """Whether each answers, or why not, with which version, and what it can do."""
    return JSONResponse({"tasks": door_of(request).tasks()})


@figures.get("/v1/models", summary="The models that answer", responses={200: {"model": ModelList}})
async def get_models(request: Request) -> Response:
    """With what each was trained and evaluated on. Its card is at /v1/TASK/model."""
    champions = [(task, one.engine.keeper.champion) for task, one in door_of(request).endpoints.items()]
    models = [
        {
            "task": task,
            "version": champion.number,
            "candidate": champion.model.card.candidate,
            "since_s": champion.since_s,
            "data_version": champion.background.data_version,
            "background": champion.background.document(),
        }
        for task, champion in champions
        if champion is not None
    ]
    return JSONResponse({"models": models})


@figures.get("/v1/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
async def get_metrics(request: Request) -> Response:
    """Those of all tasks, by the label `task`; requests that are for none have it empty."""
    door = door_of(request)
    text = exposition([door.requests, *(endpoint.metrics for endpoint in door.endpoints.values())])
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


probes.get("/v1/live", summary="Whether the process runs", responses={200: {"model": Live}})(about.get_live)


@probes.get(
    "/v1/ready",
    summary="Whether each task that has a champion answers; says why not",
    responses={200: {"model": AllReady}, **problems(503)},
)
async def get_ready(request: Request) -> Response:
    """503 while one of them does not, while none has a champion, or while answers cannot be written.

    A task without a champion is named, and does not count. Each task is asked alone at /v1/TASK/ready.
    """
    return JSONResponse(await asyncio.to_thread(door_of(request).ready))


@probes.get("/v1/openapi.json", summary="This description")
async def get_openapi(request: Request) -> Response:
    """OpenAPI of all tasks, for programs. It differs with the models that answer."""
    return JSONResponse(await asyncio.to_thread(door_of(request).describe))


@pages.get("/v1/docs", summary="This description as a page", response_class=HTMLResponse)
async def get_docs(request: Request) -> Response:
    """For people; it needs no network."""
    return HTMLResponse(docs_page(await asyncio.to_thread(door_of(request).describe)))


@pages.get("/", summary="A page that lists the tasks", response_class=HTMLResponse)
async def get_page(request: Request) -> Response:
    """Each has a page of its own, where it can be tried."""
    rows = "".join(map(_row, door_of(request).tasks()))
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sightline</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        '<link rel="stylesheet" href="/v1/static/style.css"></head><body><main><h1>Sightline</h1>'
        "<table><tr><th>Task</th><th>Version</th><th>State</th><th>Besides images</th></tr>"
        f'{rows}</table><footer><a href="/v1/docs">API documentation</a></footer></main></body></html>'
    )


def _row(told: dict[str, Json]) -> str:
    more = ", ".join(name for name in ("areas", "streams") if told[name])
    state = f"{told['state']}: {told['problem']}" if told["problem"] else str(told["state"])
    version = "" if told["version"] is None else str(told["version"])
    cells = "".join(f"<td>{escape(text)}</td>" for text in (version, state, more))
    return f'<tr><td><a href="{told["page"]}">{escape(str(told["task"]))}</a></td>{cells}</tr>'
