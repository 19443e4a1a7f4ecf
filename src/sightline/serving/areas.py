"""The routes of areas: what an area would take, jobs that look at one, their results.

Every area is a job in the ledger. A request waits a while for its job, so that a small area is answered at
once; a larger one is told where to ask for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from sightline.capabilities import Surveying
from sightline.errors import BackendError, RequestError
from sightline.maps.outlines import MOST_BYTES
from sightline.maps.providers import Provider
from sightline.maps.tiles import describe_plan
from sightline.serving.champion import Champion
from sightline.serving.engine import Engine
from sightline.serving.map_tiles import MapTiles, ground_of
from sightline.serving.orders import (
    AreaOrder,
    Prepared,
    offered_upscales,
    prepare,
    provider_names,
    provider_of,
    read_order,
)
from sightline.serving.problems import problem_response
from sightline.serving.surveyor import Areas, Surveyor
from sightline.settings import Settings
from sightline.task import Json

if TYPE_CHECKING:
    from sightline.stores.queue import Job

Handler = Callable[[Request], Awaitable[Response]]

_RASTERS = ("raw", "enlarged")
_OF_RASTERS = {
    "geojson": "application/geo+json",
    "json": "application/json",
    "png": "image/png",
    "tif": "image/tiff",
}
RESULTS = {
    **{f"{raster}.{suffix}": kind for raster in _RASTERS for suffix, kind in _OF_RASTERS.items()},
    "comparison.png": "image/png",
    "summary.json": "application/json",
    "plan.json": "application/json",
}
"""The files of a job that are handed out, and their media types; see `pipeline.survey`."""

_RECENT = 20
_JSON = ("", "application/json", "application/octet-stream")
_ID = re.compile("[0-9a-f-]{1,36}")
_FIRST_LOOK_S, _LONGEST_PAUSE_S = 0.02, 0.5


class AreaRoutes:
    """The handlers of areas.

    Args:
        engine: for the champion.
        areas: the queue.
        surveyor: who works on it.
        tiles: of the maps on the page.
        settings: limits and places.
    """

    def __init__(self, engine: Engine, areas: Areas, surveyor: Surveyor, tiles: MapTiles, settings: Settings) -> None:
        self._engine = engine
        self._jobs = areas.jobs
        self._surveys = areas.surveys
        self._surveyor = surveyor
        self._tiles = tiles
        self._settings = settings
        self._adding = asyncio.Lock()
        self._providers: list[dict[str, Json]] = []

    def table(self) -> dict[str, dict[str, Handler]]:
        """Path -> method -> handler."""
        return {
            "/v1/areas": {"GET": self._list, "POST": self._create},
            "/v1/areas/plan": {"POST": self._plan},
            "/v1/areas/{id}": {"GET": self._show, "DELETE": self._delete},
            "/v1/areas/{id}/{file}": {"GET": self._file},
            "/v1/tiles/{provider}/{z}/{x}/{y}": {"GET": self._tile},
        }

    # ------------------------------------------------------------------------------------------------- asking

    async def _plan(self, request: Request) -> Response:
        _, prepared = await self._prepared(request)
        return JSONResponse({"task": self._engine.task, "plan": describe_plan(prepared.plan)})

    async def _create(self, request: Request) -> Response:
        order, prepared = await self._prepared(request)
        asked = order.model_dump(mode="json", exclude={"wait_s"}, exclude_defaults=True)
        # Another champion may want another zoom: an attempt that goes on must want the tiles of the one before.
        key = await self._add({"asked": {**asked, "zoom": prepared.plan.zoom}, "plan": describe_plan(prepared.plan)})
        self._surveyor.wake()
        job = await self._ended(key, order.wait_s)
        headers = {"Location": f"/v1/areas/{key}"}
        if job.state == "failed":
            response = _failure(job)
            response.headers.update(headers)
            return response
        document = await asyncio.to_thread(self._document, job)
        return JSONResponse(document, 200 if job.ended else 202, headers)

    async def _prepared(self, request: Request) -> tuple[AreaOrder, Prepared]:
        """The order in a body, planned.

        Raises:
            RequestError: it is refused.
            SightlineError: there is no champion.
        """
        model: Any = self._champion().model
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
        order = await asyncio.to_thread(read_order, body)
        return order, await asyncio.to_thread(prepare, order, model, self._settings, self._surveys)

    async def _add(self, order: Mapping[str, Json]) -> str:
        task = self._engine.task
        async with self._adding:
            if await asyncio.to_thread(self._jobs.waiting, task) >= self._settings.max_jobs:
                raise BackendError("too many areas are waiting", way_out="Try again later, or cancel one.")
            return await asyncio.to_thread(self._jobs.add, task, order)

    async def _ended(self, key: str, wait_s: float) -> Job:
        """The job at its end, or as it is after so long."""
        loop = asyncio.get_running_loop()
        end_s, pause_s = loop.time() + wait_s, _FIRST_LOOK_S
        while not (job := await self._job(key)).ended and (left_s := end_s - loop.time()) > 0:
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        return job

    # ------------------------------------------------------------------------------------------------- looking

    async def _list(self, _: Request) -> Response:
        self._refuse_other_tasks()
        return JSONResponse(await asyncio.to_thread(self._overview))

    def _overview(self) -> dict[str, Json]:
        task, settings = self._engine.task, self._settings
        if not self._providers:  # once: to see how far the operator's tiles reach, all of the coarsest are listed
            self._providers = [_provider(provider_of(name, settings)) for name in provider_names(settings)]
        return {
            "task": task,
            "jobs": [self._document(job) for job in self._jobs.recent(task, _RECENT)],
            "providers": self._providers,
            "upscale": list(offered_upscales(settings)),
        }

    async def _show(self, request: Request) -> Response:
        job = await self._job(request.path_params["id"])
        return JSONResponse(await asyncio.to_thread(self._document, job))

    async def _file(self, request: Request) -> Response:
        job = await self._job(request.path_params["id"])
        name = request.path_params["file"]
        path = self._folder(job) / name
        if name not in RESULTS or not await asyncio.to_thread(path.is_file):
            there = ", ".join(await asyncio.to_thread(self._files, job))
            raise RequestError(
                "there is no such file", where=name, way_out=f"There are: {there or 'none'}.", status=404
            )
        shown = f"area-{job.id}-{name}"
        return FileResponse(path, media_type=RESULTS[name], filename=shown, content_disposition_type="inline")

    async def _delete(self, request: Request) -> Response:
        job = await self._job(request.path_params["id"])
        await asyncio.to_thread(self._jobs.cancel, job.id)
        self._surveyor.wake()
        await asyncio.to_thread(self._surveyor.remove, job.id)  # one that runs is removed again when it has stopped
        return JSONResponse(await asyncio.to_thread(self._document, await self._job(job.id)))

    async def _tile(self, request: Request) -> Response:
        self._refuse_other_tasks()
        where = request.path_params
        return await self._tiles.answer(where["provider"], where["z"], where["x"], where["y"])

    # ------------------------------------------------------------------------------------------------- documents

    async def _job(self, key: str) -> Job:
        """A job of this task.

        Raises:
            RequestError: 404: there is none.
        """
        self._refuse_other_tasks()
        job = await asyncio.to_thread(self._jobs.find, key) if _ID.fullmatch(key) else None
        if job is None or job.task != self._engine.task:
            raise RequestError("there is no such area", where=key[:100], way_out="See /v1/areas.", status=404)
        return job

    def _document(self, job: Job) -> dict[str, Json]:
        """A job as clients see it."""
        outline = ("bbox", "geojson", "wkt")
        document: dict[str, Json] = {
            "id": job.id,
            "task": job.task,
            "state": job.state,
            "asked_s": job.time_s,
            "changed_s": job.changed_s,
            "attempts": job.attempts,
            "asked": {name: value for name, value in job.order["asked"].items() if name not in outline},
            "plan": job.order["plan"],
            "progress": dict(job.progress),
            "files": {name: f"/v1/areas/{job.id}/{name}" for name in self._files(job)},
        }
        if job.state == "done":
            document |= job.outcome
        elif job.outcome:  # it failed, or is tried again
            document["problem"] = {name: value for name, value in job.outcome.items() if name != "status"}
        return document

    def _files(self, job: Job) -> list[str]:
        return [name for name in RESULTS if (self._folder(job) / name).is_file()]

    def _folder(self, job: Job) -> Path:
        return self._settings.areas / job.id

    def _champion(self) -> Champion:
        """The champion, which looks at areas.

        Raises:
            RequestError: 404: it does not.
            SightlineError: there is none.
        """
        self._refuse_other_tasks()
        return self._engine.champion()

    def _refuse_other_tasks(self) -> None:
        champion = self._engine.keeper.champion
        if champion is not None and not isinstance(champion.model, Surveying):
            raise RequestError(
                f"{self._engine.task} does not support areas of the map",
                where="task",
                way_out="Send an image to /v1/predict.",
                status=404,
            )


def _failure(job: Job) -> JSONResponse:
    said = job.outcome
    return problem_response(said["status"], said["error"], said["where"], said["way_out"])


def _provider(provider: Provider) -> dict[str, Json]:
    """What a map needs to know of a provider."""
    return {
        "name": provider.name,
        "attribution": provider.attribution,
        "terms": provider.terms,
        "terms_url": provider.terms_url,
        "min_zoom": provider.min_zoom,
        "max_zoom": provider.max_zoom,
        "tile_px": provider.tile_px,
        "detects": provider.detects,
        "asks": urlsplit(provider.url).hostname or "",
        "ground": ground_of(provider),
    }
