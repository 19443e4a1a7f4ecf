"""What a route of an endpoint is: declared once, with its types and its rule, and failing in one form.

    router = Router(Rule(upload=True))

    @router.post("/v1/thing", responses={200: {"model": Thing}, **problems(422)})
    async def thing(request: Request) -> Response: ...

A handler that takes nothing but the request is called as it is: FastAPI's reading of parameters costs 0.1 ms. What
such a handler takes is told by `query_parameters` of the type that it reads them with. What is answered is told by
`responses`, and never validated on its way out: tests hold it against real answers. A handler's docstring is read by
clients.
"""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, request_response
from starlette.types import Receive, Scope, Send

from sightline.errors import RequestError, SightlineError
from sightline.serving.answers import Problem
from sightline.serving.prefixes import API, prefix_of
from sightline.serving.problems import problem, problem_response
from sightline.serving.rules import Rule
from sightline.serving.state import metrics_of
from sightline.task import Json

log = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[object, object, Response]]
Responses = dict[int | str, dict[str, Any]]

PROBLEMS = {
    400: "The form cannot be read.",
    401: "The token is missing or wrong.",
    403: "There is no token, and another machine or another site's page asks.",
    404: "There is nothing of that name; says what there is.",
    409: "Something else is there already; says what.",
    408: "The body did not arrive in time.",
    413: "The upload is larger than the limit, or would take too long or too much memory; says what can be answered.",
    415: "The media type is not taken.",
    422: "The image cannot be read or has more pixels than the limit, or a condition cannot be.",
    429: "Too many wrong tokens came from this address.",
    431: "A line of the head is too long.",
    503: "No champion is loaded, or there is too much work before it; see Retry-After.",
}
"""What a status means wherever a route does not say it better."""

UNKNOWN = API
"""The route under which requests for nothing are counted."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


# ------------------------------------------------------------------------------------------------- declaring


def problems(*statuses: int, better: Mapping[int, str] | None = None) -> Responses:
    """Statuses with a problem as their answer; `better` says what some of them mean here."""
    texts = {status: PROBLEMS[status] for status in statuses} | dict(better or {})
    return {status: {"model": Problem, "description": text} for status, text in texts.items()}


def media(kinds: Iterable[str], description: str) -> dict[str, Json]:
    """An answer that is a file of one of these media types."""
    return {"description": description, "content": {kind: {"schema": BINARY} for kind in kinds}}


BINARY: Json = {"type": "string", "format": "binary"}


def query_parameters(model: type[BaseModel], *names: str) -> list[Json]:
    """The fields of a type, or those of these names, as the query parameters that it is read from."""
    fields = model.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": field["description"],
            "schema": {key: value for key, value in field.items() if key not in ("title", "description")},
        }
        for name, field in fields.items()
        if not names or name in names
    ]


def json_body(model: type[BaseModel]) -> dict[str, Json]:
    """The `openapi_extra` of a route that reads this type out of its body by itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


class Router(APIRouter):
    """Routes of one rule.

    Args:
        rule: what the guard lets through to them; they are described with what it refuses.
        in_schema: whether they are described.
    """

    def __init__(self, rule: Rule | None = None, *, in_schema: bool = True) -> None:
        self.rule = rule or Rule()
        super().__init__(
            route_class=Route,
            responses=problems(*self.rule.refusals()),
            generate_unique_id_function=lambda route: route.name,
            include_in_schema=in_schema,
        )

    def rules(self) -> dict[str, Rule]:
        """Path -> rule, for the guard."""
        return {path: self.rule for route in self.routes if (path := getattr(route, "path", ""))}


# ------------------------------------------------------------------------------------------------- answering


class Route(APIRoute):
    """A route whose failures are problems, which is counted, and which answers HEAD where it answers GET."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **declared: Any) -> None:
        super().__init__(path, endpoint, **declared)
        if self._takes_request_alone:  # it needs none of the two stacks that FastAPI opens for each request
            self.app = request_response(self.get_route_handler())

    def get_route_handler(self) -> Handler:
        """The handler, with every error turned into an answer."""
        return _answering(self.path, self.endpoint if self._takes_request_alone else super().get_route_handler())

    @property
    def _takes_request_alone(self) -> bool:
        return list(inspect.signature(self.endpoint).parameters) == ["request"]

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route."""
        return super().matches({**scope, "method": "GET"} if self._is_head(scope) else scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that matches."""
        await (self.app if self._is_head(scope) else super().handle)(scope, receive, send)

    def _is_head(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["method"] == "HEAD" and "GET" in (self.methods or ())


def _answering(path: str, handler: Handler) -> Handler:
    async def answer(request: Request) -> Response:
        start_s = time.perf_counter()
        try:
            response = await handler(request)
        except Exception as error:
            response = _failed(request, path, error)
        metrics_of(request).answered(path, response.status_code, time.perf_counter() - start_s)
        return response

    return answer


def _failed(request: Request, path: str, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return problem_response(
            422,
            f"the value cannot be taken: {first['msg']}",
            str(first["loc"][-1])[:100],
            prefix_of(request.scope).told("See /v1/docs for what is taken here."),
        )
    if not isinstance(error, SightlineError):
        log.error("%s %s failed", request.method, path, exc_info=error)
    return problem(error, prefix_of(request.scope))


async def answer_unrouted(request: Request, error: Exception | None = None) -> Response:
    """A request that no route is for, or none with its method; also what else the framework refuses by itself."""
    prefix = prefix_of(request.scope)
    path, methods = next(iter(_methods_of(request.app.routes, request.scope).items()), (UNKNOWN, ()))
    if methods:
        takes = " and ".join(methods)
        found = RequestError(
            f"{prefix.path(path)} takes {takes} only",
            where=request.method,
            way_out=f"Send {takes} instead.",
            status=405,
        )
    else:
        status = error.status_code if isinstance(error, HTTPException) else 404
        what = "there is nothing here" if status == 404 else str(getattr(error, "detail", "this is refused"))
        found = RequestError(what, where=prefix.path(request.url.path), way_out=request.app.state.way_on, status=status)
    response = problem(found, prefix)
    if methods:
        response.headers["Allow"] = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
    metrics_of(request).answered(path, response.status_code, 0.0)
    return response


def _methods_of(routes: Sequence[BaseRoute], scope: Scope) -> Mapping[str, list[str]]:
    """Path -> methods that it takes, of the routes whose path is asked for, but by another method."""
    found: dict[str, list[str]] = {}
    for route in routes:
        if isinstance(route, APIRoute) and route.matches(scope)[0] == Match.PARTIAL:
            found.setdefault(route.path, []).extend(sorted(route.methods or ()))
    return found
