"""What a client asks for when it asks for an area: untrusted JSON -> a checked order -> a plan.

No path comes from a client: an outline is text or JSON, a provider a name on the list. Folders and networks on this
machine are those that the operator has named in the settings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from sightline.capabilities import Surveying, adjust
from sightline.drift.background import Background
from sightline.errors import BackendError, DataError, ParamsError, RequestError
from sightline.maps.area import Area, read_area
from sightline.maps.order import Order
from sightline.maps.providers import PROVIDERS, Provider, find_provider, open_folder
from sightline.maps.tiles import AreaPlan
from sightline.maps.upscaling.choices import AUTO, CHOICES, Asked, Choice, factor_of
from sightline.maps.upscaling.upscale import Upscaler, open_upscaler
from sightline.settings import Settings
from sightline.task import Input, Json, Prediction, Progress

FOLDER = "folder"
"""The provider of the operator's own tiles."""

INSTALLED = "installed"
"""In place of a file of weights: those that `make realesrgan` has installed."""

MOST_WAIT_S = 50.0


def scan_step(stride: int, passes: int) -> dict[str, float]:
    """The step of a scan, for `adjust`: asked for as a multiple of 32 px, or 0, and 1 or 2 passes.

    Empty where the model's own is wanted.
    """
    return {} if not stride and passes == 1 else {"stride_px": (stride or 32) // passes}


class AreaOrder(BaseModel):
    """The body of `POST /v1/areas`; the description of a field is also what a client is told that gave a wrong one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    bbox: tuple[float, float, float, float] | str = Field(
        default="", description="west, south, east, north in degrees, as four numbers or a text W,S,E,N"
    )
    geojson: dict[str, JsonValue] | str = Field(default="", description="a GeoJSON object, or its text")
    wkt: str = Field(default="", description="a text POLYGON ((...)) in longitude and latitude")
    provider: str = Field(default="esri", max_length=100, description="the name of one of the listed providers")
    zoom: Literal["auto"] | int = Field(default="auto", description="auto, or a level from 0 to 24")
    upscale: Asked = Field(default="auto", description=f"one of {', '.join((AUTO, *CHOICES))}")
    threshold: float | None = Field(default=None, ge=0, le=1, description="a probability from 0 to 1, or null")
    passes: int = Field(default=1, ge=1, le=2, description="1 or 2")
    stride: int = Field(default=0, ge=0, le=2**16, multiple_of=32, description="0, or a multiple of 32")
    wait_s: float = Field(default=20.0, ge=0, le=MOST_WAIT_S, description=f"seconds from 0 to {MOST_WAIT_S:g}")

    @property
    def adjusted(self) -> dict[str, float]:
        """What of the model is to be another value, for `adjust`."""
        threshold = {} if self.threshold is None else {"threshold": self.threshold}
        return threshold | scan_step(self.stride, self.passes)

    def area(self) -> Area:
        """The area that is ordered.

        Raises:
            RequestError: see `read_area`.
        """
        bbox = self.bbox if isinstance(self.bbox, str) else ",".join(map(repr, self.bbox))
        geojson = self.geojson if isinstance(self.geojson, str) else json.dumps(self.geojson)
        return read_area(bbox=bbox, geojson=geojson, wkt=self.wkt)


OnAnswer = Callable[[Input, Prediction], None]
"""Called with an input that was scanned, and the answer."""


class Surveys(Protocol):
    """What plans and looks at areas; `pipeline.serve` wires it in."""

    def plan(self, order: Order, wanted_gsd_m: float) -> AreaPlan:
        """See `pipeline.survey.plan_survey`."""
        ...

    def run(
        self,
        prepared: Prepared,
        background: Background,
        upscaler: Upscaler | None,
        out: Path,
        progress: Progress,
        on_answer: OnAnswer,
    ) -> dict[str, Json]:
        """See `pipeline.survey.survey`."""
        ...


class Ordered(BaseModel):
    """What a job in the queue holds: what was asked for, without what only the asking client needs, and the plan."""

    asked: dict[str, JsonValue]
    plan: dict[str, JsonValue]


class Failure(BaseModel):
    """The outcome of a job that failed, as a client may see it, and the HTTP status of that."""

    error: str
    where: str
    way_out: str
    status: int


@dataclass(frozen=True)
class Prepared:
    """An order that can be carried out: its plan, and the model with the threshold and step that were asked for."""

    plan: AreaPlan
    model: Surveying


def read_order(body: bytes) -> AreaOrder:
    """The order in a request's body.

    Raises:
        RequestError: 422: it is no JSON object, a key is unknown, or a value has the wrong type or cannot be.
    """
    try:
        return AreaOrder.model_validate_json(body or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
    field = str(first["loc"][0])[:100] if first["loc"] else ""
    if field in AreaOrder.model_fields:
        way_out = f"Give {AreaOrder.model_fields[field].description}."
        raise _wrong("the value cannot be taken", field, way_out)
    if field:
        raise _wrong("the key is unknown", field, f"Choose one of: {', '.join(AreaOrder.model_fields)}.")
    raise _wrong("this is not a JSON object", "body", 'Send for example {"bbox": [-5.46, 36.11, -5.40, 36.15]}.')


def prepare(order: AreaOrder, model: Surveying, settings: Settings, surveys: Surveys) -> Prepared:
    """Everything that can be refused is refused here; nothing is downloaded.

    Raises:
        RequestError: 422: the outline, the provider, a limit, its terms, the threshold or the step.
        BackendError: the operator's folder of tiles is not usable.
    """
    offered = offered_upscales(settings)
    if order.upscale != AUTO and order.upscale not in offered:
        raise _wrong(f"{order.upscale} is not offered here", "upscale", f"Offered: {', '.join((AUTO, *offered))}.")
    zoom = None if order.zoom == "auto" else order.zoom
    try:
        adjusted = adjust(model, order.adjusted)
        wanted = Order(order.area(), provider_of(order.provider, settings), zoom, order.upscale, offered)
        plan = surveys.plan(wanted, model.wanted_gsd_m)
    except (ParamsError, RequestError) as error:
        raise _wrong(error.what, error.where, error.way_out) from error
    return Prepared(plan, adjusted)


def provider_of(name: str, settings: Settings) -> Provider:
    """A listed provider, or the operator's folder.

    Raises:
        RequestError: 422: it is not listed.
        BackendError: the folder is not usable.
    """
    if name == FOLDER and settings.tiles:
        try:
            return open_folder(settings.root / settings.tiles)
        except DataError as error:
            raise BackendError(error.what, where=error.where, way_out="Correct SIGHTLINE_TILES.") from error
    if name not in PROVIDERS:
        raise _wrong(
            f"{name!r} is no provider here", "provider", f"Choose one of: {', '.join(provider_names(settings))}."
        )
    return find_provider(name)


def provider_names(settings: Settings) -> Sequence[str]:
    """Names of the tile providers, the operator's own folder first, where there is one."""
    return ([FOLDER] if settings.tiles else []) + list(PROVIDERS)


def offered_upscales(settings: Settings) -> Sequence[str]:
    """The choices that need no network, and those whose network the operator has named."""
    lacking = {name for name, path in (("fast", settings.upscaler), ("realesrgan", settings.realesrgan)) if not path}
    return [choice for choice in CHOICES if choice not in lacking]


def open_chosen(choice: str, settings: Settings) -> Upscaler | None:
    """The chosen enlargement; None for none.

    Raises:
        ModelMissing, ModelRejected: what the operator named is not usable.
    """
    if factor_of(choice) == 1:
        return None
    fast, weights = (settings.root / path if path else None for path in (settings.upscaler, settings.realesrgan))
    if settings.realesrgan == INSTALLED:
        weights = None
    return open_upscaler(cast("Choice", choice), fast=fast, weights=weights, sha256=settings.realesrgan_sha256)


def _wrong(what: str, where: str, way_out: str) -> RequestError:
    return RequestError(what, where=where, way_out=way_out, status=422)
