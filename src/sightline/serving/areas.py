"""The routes of areas on the map: what one would take, jobs that look at one, their results, and tiles for the page.

A request waits a while for its job, so that a small area is answered at once; a larger one is told where to ask for it.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from sightline.errors import RequestError
from sightline.maps.outlines import MOST_BYTES
from sightline.serving.area_answers import Area, AreaOverview, PlannedArea
from sightline.serving.area_jobs import RESULTS
from sightline.serving.orders import AreaOrder, Failure
from sightline.serving.prefixes import prefix_of
from sightline.serving.problems import problem_response
from sightline.serving.routing import Router, json_body, media, problems
from sightline.serving.rules import Rule
from sightline.serving.state import endpoint_of

orders = Router(Rule(upload=True))
looks = Router()

_JSON = ("", "application/json", "application/octet-stream")

_ORDER = json_body(AreaOrder)  # `read_order` reads it, and says which key is wrong and what it takes
_REFUSED = problems(
    better={
        422: "A key or a value is wrong, or a limit or the terms forbid it.",
        503: "No champion, or too many areas are waiting; see Retry-After.",
    }
)
_GONE = problems(better={404: "There is no such area, file or tile."})

AreaId = Annotated[str, Path(alias="id", description="Of the area.")]
FileName = Annotated[str, Path(description=f"One of {', '.join(RESULTS)}.")]


# ------------------------------------------------------------------------------------------------- asking


@orders.post(
    "/v1/areas",
    summary="Look at an area on the map",
    responses={
        200: {"model": Area, "description": "It is done."},
        202: {"model": Area, "description": "It is queued or running: ask at `Location`."},
        **_REFUSED,
    },
    openapi_extra=_ORDER,
)
async def create_area(request: Request) -> Response:
    """Plans, downloads, stitches, enlarges where asked for, looks; waits `wait_s` for it."""
    areas = endpoint_of(request).area_jobs()
    order, prepared = await areas.prepare(await _order_in(request))
    key = await areas.add(order, prepared)
    job = await areas.ended(key, order.wait_s)
    prefix = prefix_of(request.scope)
    headers = {"Location": prefix.told(f"/v1/areas/{key}")}
    if job.state == "failed":
        failure = Failure.model_validate(job.outcome)
        response = problem_response(failure.status, failure.error, failure.where, failure.way_out)
        response.headers.update(headers)
        return response
    document = await asyncio.to_thread(areas.document, job, prefix)
    return JSONResponse(document, 200 if job.ended else 202, headers)


@orders.post(
    "/v1/areas/plan",
    summary="What an area would take; nothing is downloaded",
    responses={
        200: {"model": PlannedArea, "description": "Tiles, megapixels, seconds, terms, and the zoom that fits."},
        **_REFUSED,
    },
    openapi_extra=_ORDER,
)
async def plan_area(request: Request) -> Response:
    """It says what would be refused, too."""
    areas = endpoint_of(request).area_jobs()
    _, prepared = await areas.prepare(await _order_in(request))
    return JSONResponse(areas.plan_document(prepared))


async def _order_in(request: Request) -> bytes:
    """The body of a request for an area.

    Raises:
        RequestError: 413 or 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _JSON:
        raise RequestError(
            f"the media type {kind[:100]!r} is not taken",
            where="Content-Type",
            way_out="Send JSON: -H 'Content-Type: application/json'.",
            status=415,
        )
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise RequestError(
            f"it is larger than {MOST_BYTES:,} bytes",
            where="body",
            way_out="Simplify the outline: use fewer corners.",
            status=413,
        )
    return body


# ------------------------------------------------------------------------------------------------- looking


@looks.get("/v1/areas", summary="The newest areas, and who has tiles", responses={200: {"model": AreaOverview}})
async def list_areas(request: Request) -> Response:
    """Also the enlargements that are offered here."""
    return JSONResponse(await asyncio.to_thread(endpoint_of(request).area_jobs().overview, prefix_of(request.scope)))


@looks.get(
    "/v1/areas/{id}",
    summary="How far an area is, or what was found",
    responses={200: {"model": Area, "description": "The area."}, **_GONE},
)
async def get_area(request: Request, key: AreaId) -> Response:
    """Ask again until `state` is done, failed or cancelled."""
    areas = endpoint_of(request).area_jobs()
    job = await areas.find(key)
    return JSONResponse(await asyncio.to_thread(areas.document, job, prefix_of(request.scope)))


@looks.delete(
    "/v1/areas/{id}",
    summary="Cancel an area, remove its results",
    responses={200: {"model": Area, "description": "The area."}, **_GONE},
)
async def delete_area(request: Request, key: AreaId) -> Response:
    """One that runs stops at its next step."""
    areas = endpoint_of(request).area_jobs()
    job = await areas.cancel(await areas.find(key))
    return JSONResponse(await asyncio.to_thread(areas.document, job, prefix_of(request.scope)))


@looks.get(
    "/v1/areas/{id}/{file}",
    summary="A file of the results",
    response_class=FileResponse,
    responses={200: media(sorted(set(RESULTS.values())), "The file."), **_GONE},
)
async def get_area_file(request: Request, key: AreaId, file: FileName) -> Response:
    """`files` of the area says which there are."""
    areas = endpoint_of(request).area_jobs()
    job = await areas.find(key)
    path = areas.path(job, file)
    if file not in RESULTS or not await asyncio.to_thread(path.is_file):
        there = ", ".join(await asyncio.to_thread(areas.files, job))
        raise RequestError("there is no such file", where=file, way_out=f"There are: {there or 'none'}.", status=404)
    shown = f"area-{job.id}-{file}"
    return FileResponse(path, media_type=RESULTS[file], filename=shown, content_disposition_type="inline")


@looks.get(
    "/v1/tiles/{provider}/{z}/{x}/{y}",
    summary="A tile of the map",
    response_class=Response,
    responses={200: media(["image/png", "image/jpeg"], "The tile."), **_GONE},
)
async def get_tile(
    request: Request,
    provider: Annotated[str, Path(description="Its name.")],
    z: Annotated[str, Path(description="The level.")],
    x: Annotated[str, Path(description="The column.")],
    y: Annotated[str, Path(description="The row, from the north.")],
) -> Response:
    """For the map on the page; kept on this machine as the tiles of areas are."""
    endpoint = endpoint_of(request)
    endpoint.area_jobs()
    return await endpoint.tiles.answer(provider, z, x, y)
