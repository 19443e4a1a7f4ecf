"""One address for several tasks: each task's own application below `/v1/TASK/`, and what is told of all of them.

    /v1/ships/predict  ->  the application of ships, asked for /v1/predict
    /ships/            ->  its page
    /v1/tasks ...      ->  overview.py

A task that has no champion, or whose model cannot be loaded, says so itself; the others do not notice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import cached_property

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

import sightline
from sightline.errors import RequestError
from sightline.serving import about, overview
from sightline.serving.capacity import Capacity
from sightline.serving.description import ask_for_token
from sightline.serving.merging import Document, merge
from sightline.serving.metrics import Requests
from sightline.serving.overview import Door
from sightline.serving.prefixes import API, below, put
from sightline.serving.refusing import refuse
from sightline.serving.routing import Router, answer_unrouted
from sightline.serving.rules import Rule, Rules
from sightline.serving.state import Endpoint
from sightline.settings import Settings
from sightline.task import Json

OVERVIEW = (overview.figures, overview.probes, overview.pages, about.files)


def build_front_door(
    apps: Mapping[str, FastAPI],
    capacity: Capacity,
    settings: Settings,
    routers: Sequence[Router] = (),
    others: Sequence[str] = (),
) -> Starlette:
    """The application of several tasks. Its lifespan is theirs, and ends their capacity.

    Put the `guard` before it, with the rules in `app.state.rules`; none before a task's own.

    Args:
        apps: task -> what `build_app` made of it, with this capacity.
        capacity: threads and room that they share.
        settings: whether a token is asked for.
        routers: more routes, of whoever runs it.
        others: what the paths begin with that whoever runs it answers by itself.
    """
    routes = [route for router in (*OVERVIEW, *routers) for route in router.routes]
    rules = Rules(*(router.rules() for router in (*OVERVIEW, *routers)), *map(_placed, apps, apps.values()))
    endpoints: dict[str, Endpoint] = {task: app.state.endpoint for task, app in apps.items()}
    door = Door(endpoints, Requests(""), _Description(endpoints, routes, rules, settings).document)
    app = Starlette(
        routes=[_Tasks(apps), *routes, _Unknown(others)],
        lifespan=_lifespan(apps, capacity),
        exception_handlers={HTTPException: answer_unrouted},
    )
    app.router.redirect_slashes = False
    app.state.door, app.state.rules, app.state.metrics = door, rules, door.requests
    app.state.way_on = f"Tasks answer below {API}TASK/; TASK is one of {', '.join(apps)}. See /v1/docs."
    return app


def _placed(task: str, app: FastAPI) -> dict[str, Rule]:
    """The rules of a task's routes by their addresses behind the door.

    A file that is sent without a task is read too: its client is then told where to send it.
    """
    prefix, rules = below(task), app.state.rules.table
    without_task = {path: rule for path, rule in rules.items() if rule.upload}
    placed = {prefix.path(path): rule for path, rule in rules.items()}
    return {**without_task, **placed, prefix.page.removesuffix("/"): rules["/"]}


class _Description:
    """One document of all routes, made anew only when that of a task is another: merging takes tenths of a second."""

    def __init__(
        self, endpoints: Mapping[str, Endpoint], routes: Sequence[BaseRoute], rules: Rules, settings: Settings
    ) -> None:
        self._endpoints = endpoints
        self._routes = routes
        self._rules = rules
        self._settings = settings
        self._last: tuple[list[Document], dict[str, Json]] = ([], {})

    @cached_property
    def _own(self) -> Document:
        settings = self._settings
        own: Document = get_openapi(
            title="Sightline",
            version=sightline.__version__,
            description=f"Several tasks. At most {settings.max_bytes} bytes and {settings.max_pixels} pixels an image.",
            routes=self._routes,
        )
        ask_for_token(own, self._rules, settings)
        return own

    def document(self) -> dict[str, Json]:
        """OpenAPI 3.1, for the champions."""
        documents = {task: endpoint.describe() for task, endpoint in self._endpoints.items()}
        merged_of, merged = self._last
        if [*map(id, merged_of)] != [*map(id, documents.values())]:
            merged = merge(self._own, documents)
            self._last = [*documents.values()], merged
        return merged


def _lifespan(
    apps: Mapping[str, FastAPI], capacity: Capacity
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            async with AsyncExitStack() as stack:
                for app in apps.values():
                    await stack.enter_async_context(app.router.lifespan_context(app))
                stack.callback(capacity.end_measuring)  # first of all: models that wait for their turn do so no more
                yield
        finally:
            capacity.close()

    return lifespan


class _Tasks(BaseRoute):
    """Hands requests and websockets on to the application of the task that they name."""

    def __init__(self, apps: Mapping[str, FastAPI]) -> None:
        self._apps = apps
        self._prefixes = {task: below(task) for task in apps}

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for a task."""
        known = scope["type"] in ("http", "websocket") and self._task_in(scope["path"])[0] in self._apps
        return (Match.FULL if known else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the task answer."""
        task, path = self._task_in(scope["path"])
        await self._apps[task](put(scope, self._prefixes[task], path), receive, send)

    @staticmethod
    def _task_in(path: str) -> tuple[str, str]:
        """The task that a path names, and which of its own paths; no task where it names none."""
        if path.startswith(API):
            task, slash, rest = path.removeprefix(API).partition("/")
            return (task, API + rest) if slash else ("", path)
        return path.removeprefix("/").removesuffix("/"), "/"


class _Unknown(BaseRoute):
    """Requests and websockets that no route is for: refused in the one form; requests are counted."""

    def __init__(self, others: Sequence[str]) -> None:
        self._others = tuple(others)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether nobody else answers it."""
        unknown = scope["type"] in ("http", "websocket") and not scope["path"].startswith(self._others)
        return (Match.FULL if unknown else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse it."""
        if scope["type"] == "websocket":
            what, way_out = "there is nothing here", scope["app"].state.way_on
            await refuse(RequestError(what, where=scope["path"], way_out=way_out, status=404), scope, receive, send)
            return
        response = await answer_unrouted(Request(scope, receive, send))
        await response(scope, receive, send)
