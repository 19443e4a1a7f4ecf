"""What the routes of areas answer as JSON, as types, for the endpoint's OpenAPI."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from sightline.serving.answers import Familiarity, Problem, Said


class AreaEstimate(Said):
    """What an area takes."""

    area_km2: float
    bounds: list[float] = Field(min_length=4, max_length=4, description="West, south, east, north in degrees.")
    provider: str
    zoom: int
    tiles: int
    width_px: int
    height_px: int
    megapixels: float
    gsd_m: float = Field(description="Metres a pixel of the raster.")
    native_gsd_m: float = Field(description="Metres a pixel of the provider's own pictures.")
    download_bytes: int = Field(description="Estimated; what is in the cache is not asked for again.")
    seconds: float = Field(description="Estimated.")
    attribution: str = Field(description="The credit that the provider wants to be shown.")
    terms: str
    terms_url: str
    wanted_gsd_m: float | None = Field(default=None, description="Metres a pixel of the pictures the model knows.")
    wanted_zoom: float | None = Field(default=None, description="The zoom that has them, also between two levels.")
    advised_zoom: int | None = Field(default=None, description="The zoom of the provider that comes nearest.")
    upscale: str | None = Field(default=None, description="How the raster is enlarged before it is looked at.")
    enlarging_seconds: float | None = Field(default=None, description="Estimated, without a graphics card.")
    advised_upscale: str | None = Field(default=None, description="How it should be, by what was measured.")
    advice: str | None = Field(default=None, description="What was measured.")


class PlannedArea(Said):
    """What an area would take; nothing was downloaded."""

    task: str
    plan: AreaEstimate


class Progress(Said):
    """How far an area is; empty before there is any."""

    done: int | None = None
    total: int | None = None
    what: str | None = None


class SurveyedModel(Said):
    """The model that looked."""

    task: str
    candidate: str
    files: dict[str, str] = Field(description="File name -> SHA-256.")


class EnlargedBy(Said):
    """What enlarged a raster before it was looked at."""

    choice: str
    factor: int
    weights: dict[str, str] = Field(description="Of a network: file, SHA-256, and where they are from.")


class AreaSummary(Said):
    """Of an area that is done."""

    plan: AreaEstimate
    tiles_missing: list[str] = Field(description="Tiles that lack; their place is masked.")
    model: SurveyedModel
    found: dict[str, dict[str, float]] = Field(description="By raster: `count`, and what else the answer counts.")
    familiarity: dict[str, Familiarity] | None = Field(
        default=None, description="By raster; null in areas from before it was told."
    )
    seconds: dict[str, float] = Field(description="That each step took.")
    attribution: str
    enlarged_by: EnlargedBy | None = Field(default=None, description="Null where the raster was not enlarged.")


class Area(Said):
    """An area that is looked at as a job."""

    id: str = Field(description="A UUID, or of an old area a number.")
    task: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    asked_s: float = Field(description="When it was asked for, Unix time.")
    changed_s: float = Field(description="When any of this changed last, Unix time.")
    attempts: int = Field(description="How often it was begun.")
    asked: dict[str, JsonValue] = Field(description="What was asked for, without the outline.")
    plan: AreaEstimate
    progress: Progress
    files: dict[str, str] = Field(description="Name -> where to get it.")
    summary: AreaSummary | None = Field(default=None, description="Of an area that is done.")
    version: int | None = Field(default=None, description="The model version that looked.")
    data_version: str | None = Field(
        default=None, description="Of the data that it was trained on; empty where it is not known."
    )
    prediction_ids: list[str] | None = Field(default=None, description="Rows in the ledger.")
    problem: Problem | None = Field(default=None, description="Why it failed, or is tried again.")


class TileProvider(Said):
    """Who has tiles of the map."""

    name: str
    attribution: str
    terms: str
    terms_url: str
    min_zoom: int
    max_zoom: int
    tile_px: int
    detects: bool = Field(description="Whether the terms allow to look for things in them.")
    asks: str = Field(description="The host that tiles are asked of; empty for the operator's own.")
    ground: list[float] | None = Field(description="West, south, east, north of the operator's tiles; else null.")


class AreaOverview(Said):
    """The newest areas, and who has tiles."""

    task: str
    jobs: list[Area]
    providers: list[TileProvider]
    upscale: list[str] = Field(description="The enlargements that are offered.")
