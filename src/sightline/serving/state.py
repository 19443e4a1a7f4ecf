"""What the handlers of an endpoint work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.requests import HTTPConnection

from sightline.capabilities import Streaming, Surveying
from sightline.errors import RequestError
from sightline.serving.engine import Engine
from sightline.serving.metrics import Metrics, Requests
from sightline.settings import Settings
from sightline.task import Json

if TYPE_CHECKING:
    from sightline.serving.area_jobs import AreaJobs
    from sightline.serving.cameras import Cameras
    from sightline.serving.map_tiles import MapTiles


@dataclass
class Endpoint:
    """The parts of one endpoint; they live as long as its application.

    Attributes:
        engine: answers images.
        settings: limits and places.
        metrics: what is counted.
        check_log: raises BackendError where answers cannot be written.
        tiles: of the page's map.
        areas: looks at areas of the map; None where nobody queues any.
        cameras: what is remembered of those whose frames are answered.
        describe: its OpenAPI document.
    """

    engine: Engine
    settings: Settings
    metrics: Metrics
    check_log: Callable[[], None]
    tiles: MapTiles
    areas: AreaJobs | None
    cameras: Cameras
    describe: Callable[[], dict[str, Json]]

    @property
    def looks_at_areas(self) -> bool:
        """Whether the model that answers does; False while there is none."""
        champion = self.engine.keeper.champion
        return self.areas is not None and champion is not None and isinstance(champion.model, Surveying)

    @property
    def watches_streams(self) -> bool:
        """Whether the model that answers does; False while there is none."""
        champion = self.engine.keeper.champion
        return champion is not None and isinstance(champion.model, Streaming)

    def area_jobs(self) -> AreaJobs:
        """What looks at areas. Raises RequestError (404) where the champion does not."""
        champion = self.engine.keeper.champion
        if self.areas is None or (champion is not None and not isinstance(champion.model, Surveying)):
            raise RequestError(
                f"{self.engine.task} does not support areas of the map",
                where="task",
                way_out="Send an image to /v1/predict.",
                status=404,
            )
        return self.areas


def metrics_of(connection: HTTPConnection) -> Requests:
    """Where the requests to an application are counted."""
    return cast(Requests, connection.app.state.metrics)


def endpoint_of(connection: HTTPConnection) -> Endpoint:
    """The endpoint that a request or a websocket came to."""
    return cast(Endpoint, connection.app.state.endpoint)
