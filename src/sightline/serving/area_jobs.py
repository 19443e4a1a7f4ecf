"""Areas as jobs of the ledger: put into the queue, waited for a while, told of as clients see them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sightline.capabilities import Surveying
from sightline.errors import BackendError, RequestError
from sightline.maps.providers import Provider
from sightline.maps.tiles import describe_plan
from sightline.maps.upscaling.choices import AUTO
from sightline.serving.engine import Engine
from sightline.serving.map_tiles import ground_of
from sightline.serving.orders import (
    AreaOrder,
    Ordered,
    Prepared,
    offered_upscales,
    prepare,
    provider_names,
    provider_of,
    read_order,
)
from sightline.serving.prefixes import Prefix
from sightline.serving.surveyor import Areas, Surveyor
from sightline.settings import Settings
from sightline.task import Json

if TYPE_CHECKING:
    from sightline.stores.queue import Job

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
_ID = re.compile("[0-9a-f-]{1,36}")
_FIRST_LOOK_S, _LONGEST_PAUSE_S = 0.02, 0.5


class AreaJobs:
    """The areas of one endpoint.

    Args:
        engine: for the champion.
        areas: the queue, and what plans areas.
        surveyor: who works on them.
        settings: limits and places.
    """

    def __init__(self, engine: Engine, areas: Areas, surveyor: Surveyor, settings: Settings) -> None:
        self._engine = engine
        self._jobs = areas.jobs
        self._surveys = areas.surveys
        self._surveyor = surveyor
        self._settings = settings
        self._adding = asyncio.Lock()
        self._providers: list[dict[str, Json]] = []

    async def prepare(self, body: bytes) -> tuple[AreaOrder, Prepared]:
        """Read an order from a request's body, and plan it.

        Raises:
            RequestError: it is refused.
            SightlineError: there is no champion.
        """
        model = self._engine.champion().model
        if not isinstance(model, Surveying):
            raise RequestError("this model does not look at areas", way_out="Send an image.", status=404)
        order = await asyncio.to_thread(read_order, body)
        return order, await asyncio.to_thread(prepare, order, model, self._settings, self._surveys)

    async def add(self, order: AreaOrder, prepared: Prepared) -> str:
        """Put an area into the queue, and return its id.

        Raises:
            BackendError: too many are waiting.
        """
        task = self._engine.task
        asked = order.model_dump(mode="json", exclude={"wait_s"}, exclude_defaults=True)
        # Another champion may want another zoom: an attempt that goes on must want the tiles of the one before.
        settled: dict[str, Json] = {"zoom": prepared.plan.zoom, "upscale": prepared.plan.upscale}
        wanted = {"asked": {**asked, **settled}, "plan": describe_plan(prepared.plan)}
        async with self._adding:
            if await asyncio.to_thread(self._jobs.waiting, task) >= self._settings.max_jobs:
                raise BackendError("too many areas are waiting", way_out="Try again later, or cancel one.")
            key = await asyncio.to_thread(self._jobs.add, task, wanted)
        self._surveyor.wake()
        return key

    async def ended(self, key: str, wait_s: float) -> Job:
        """The job once it has ended, or as it is when the wait is over."""
        loop = asyncio.get_running_loop()
        end_s, pause_s = loop.time() + wait_s, _FIRST_LOOK_S
        while not (job := await self.find(key)).ended and (left_s := end_s - loop.time()) > 0:
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        return job

    async def find(self, key: str) -> Job:
        """A job of this task.

        Raises:
            RequestError: 404: there is none.
        """
        job = await asyncio.to_thread(self._jobs.find, key) if _ID.fullmatch(key) else None
        if job is None or job.task != self._engine.task:
            raise RequestError("there is no such area", where=key[:100], way_out="See /v1/areas.", status=404)
        return job

    async def cancel(self, job: Job) -> Job:
        """Cancel a job and remove its results; the job as it is then."""
        await asyncio.to_thread(self._jobs.cancel, job.id)
        self._surveyor.wake()
        await asyncio.to_thread(self._surveyor.remove, job.id)  # one that runs is removed again when it has stopped
        return await self.find(job.id)

    # ------------------------------------------------------------------------------------------------- documents

    def overview(self, prefix: Prefix) -> dict[str, Json]:
        """The newest areas, and who has tiles."""
        task, settings = self._engine.task, self._settings
        if not self._providers:  # once: to see how far the operator's tiles reach, all of the coarsest are listed
            self._providers = [_provider(provider_of(name, settings)) for name in provider_names(settings)]
        return {
            "task": task,
            "jobs": [self.document(job, prefix) for job in self._jobs.recent(task, _RECENT)],
            "providers": self._providers,
            "upscale": [AUTO, *offered_upscales(settings)],
        }

    def plan_document(self, prepared: Prepared) -> dict[str, Json]:
        """What an area would take."""
        return {"task": self._engine.task, "plan": describe_plan(prepared.plan)}

    def document(self, job: Job, prefix: Prefix) -> dict[str, Json]:
        """A job as clients see it whose routes have this prefix."""
        outline = ("bbox", "geojson", "wkt")
        ordered = Ordered.model_validate(job.order)
        document: dict[str, Json] = {
            "id": job.id,
            "task": job.task,
            "state": job.state,
            "asked_s": job.time_s,
            "changed_s": job.changed_s,
            "attempts": job.attempts,
            "asked": {name: value for name, value in ordered.asked.items() if name not in outline},
            "plan": ordered.plan,
            "progress": dict(job.progress),
            "files": {name: prefix.told(f"/v1/areas/{job.id}/{name}") for name in self.files(job)},
        }
        if job.state == "done":
            document |= job.outcome
        elif job.outcome:  # it failed, or is tried again
            document["problem"] = {name: value for name, value in job.outcome.items() if name != "status"}
        return document

    def files(self, job: Job) -> list[str]:
        """Names of the results that are there."""
        return [name for name in RESULTS if (self._folder(job) / name).is_file()]

    def path(self, job: Job, name: str) -> Path:
        """Where a file of the results is, if it is there."""
        return self._folder(job) / name

    def _folder(self, job: Job) -> Path:
        return self._settings.areas / job.id


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
