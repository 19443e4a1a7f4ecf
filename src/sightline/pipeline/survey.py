"""An area on the map -> tiles -> one raster -> enlarged, if asked for -> what a model finds there, with coordinates.

    out/plan.json          what was asked for, and its key
    out/raw.tif            the mosaic (COG), cropped to the area
    out/enlarged.tif       the same, four times as large, where that was asked for
    out/<raster>.geojson   what was found in each of them (RFC 7946)
    out/<raster>.png       the raster with what was found
    out/comparison.png     raw, enlarged, and what was found in them, side by side
    out/summary.json       counts, tiles that lack, seconds, model and data, what enlarged it

A run that was killed goes on: tiles come from the cache, rasters of the same plan are kept.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from sightline.capabilities import Surveying
from sightline.drift.background import UNKNOWN, Background
from sightline.errors import BackendError, DataRejected, ParamsError, RequestError
from sightline.files import replace_bytes, sha256_file, sha256_files, write_json
from sightline.limits import Limits
from sightline.maps.area import Area
from sightline.maps.order import Order
from sightline.maps.pictures import MOST_PIXELS
from sightline.maps.tiles import AreaPlan, choose_zoom, describe_plan, plan_area, refuse
from sightline.maps.upscaling.choices import AUTO, advise, factor_of
from sightline.maps.zoom import GSD_BOUNDS_M
from sightline.pipeline.side_by_side import Panel, Picture, side_by_side
from sightline.task import Input, InputT, Json, Model, Prediction, Progress
from sightline.vision.images import encode_png

if TYPE_CHECKING:
    from sightline.maps.fetch import Fetched, Missing
    from sightline.maps.upscaling.upscale import Upscaler

RAW, ENLARGED = "raw", "enlarged"

OnAnswer = Callable[[Input, Prediction], None]
"""Called with an input that was scanned, and the answer."""

MOST_SCANNED_PX = 2**31
"""Pixels of an area at the network's scale: what a file on this machine may have too."""

_PANEL_PX = 1024
"""Height of a picture in the comparison."""


class Familiar(BaseModel):
    """How familiar a raster is to the model, in a word and in a sentence."""

    word: str
    reason: str


class Seen(BaseModel):
    """What of a survey's summary a person is shown: tiles that lack, what was found, how familiar each raster is."""

    tiles_missing: list[str]
    found: dict[str, dict[str, bool | int | float]]
    familiarity: dict[str, Familiar]


@dataclass(frozen=True)
class Workspace:
    """Where a survey reads and writes.

    Attributes:
        out: folder of the results.
        cache: folder of the tiles, shared by all surveys.
        limits: of what is decoded at once.
        background: what the model was trained on, and so how familiar a raster is to it.
    """

    out: Path
    cache: Path
    limits: Limits
    background: Background = UNKNOWN


def surveying(model: Model) -> Surveying:
    """The model, if it can look at areas.

    Raises:
        ParamsError: it cannot.
    """
    if not isinstance(model, Surveying):
        raise ParamsError(
            f"{model.card.task} does not support areas of the map", where="TASK", way_out="Use --task ships."
        )
    return model


def plan_survey(order: Order, wanted_gsd_m: float) -> AreaPlan:
    """The raster and tiles of an order, and how the raster is enlarged before it is looked at.

    Args:
        order: what is asked for.
        wanted_gsd_m: metres a pixel that the model's pictures have.

    Raises:
        ParamsError: there is no such way of enlarging.
        RequestError: a limit or the provider's terms forbid it; says how many tiles it would take.
    """
    area, provider = order.area, order.provider
    pixel_m = wanted_gsd_m if order.zoom is None else plan_area(area, order.zoom, provider).gsd_m
    advice = advise(max(pixel_m, provider.native_gsd_m), order.offered)
    choice = advice.choice if order.upscale == AUTO else order.upscale
    wanted = wanted_gsd_m * factor_of(choice)
    zoom = choose_zoom(area, provider, wanted) if order.zoom is None else order.zoom
    plan = replace(plan_area(area, zoom, provider, wanted), upscale=choice, advice=advice)
    refuse(plan, detecting=True)
    _refuse_work(plan, factor_of(choice))
    return plan


def _refuse_work(plan: AreaPlan, factor: int) -> None:
    """The bounds that a file has too (`ships.cost`), before a tile is asked for.

    Raises:
        RequestError: pixels that show nothing, or a raster too large once it is enlarged or scanned.
    """
    low, high = GSD_BOUNDS_M
    scanned_m = plan.gsd_m / factor
    if not low <= scanned_m <= high:
        raise RequestError(
            f"at zoom {plan.zoom}{f', enlarged {factor} times,' if factor > 1 else ''} a pixel is {scanned_m:.3g} m",
            where="zoom",
            way_out=f"Choose a zoom level that gives {low:g} to {high:g} m, or auto.",
        )
    pixels = plan.width_px * plan.height_px
    if factor > 1 and pixels * factor**2 > MOST_PIXELS:
        raise RequestError(
            f"enlarged {factor} times the area has {pixels * factor**2:,} pixels; at most {MOST_PIXELS:,} are allowed",
            where="area",
            way_out="Choose a smaller area or a lower zoom, or do not enlarge it.",
        )
    scanned_px = round(pixels * (plan.gsd_m / (plan.wanted_gsd_m / factor)) ** 2) if plan.wanted_gsd_m else 0
    if scanned_px > MOST_SCANNED_PX:
        raise RequestError(
            f"at the network's scale the area has {scanned_px:,} pixels; at most {MOST_SCANNED_PX:,} are allowed",
            where="area",
            way_out="Choose a smaller area.",
        )


def survey(
    plan: AreaPlan,
    upscaler: Upscaler | None,
    model: Surveying,
    workspace: Workspace,
    progress: Progress,
    on_answer: OnAnswer | None = None,
) -> dict[str, Json]:
    """Fetch, stitch, enlarge, look, and write everything below `place.out`; the summary.

    Args:
        plan: what is looked at.
        upscaler: what enlarges it before; None: it is looked at as it is only.
        model: what surveys it.
        workspace: where it reads and writes.
        progress: told how far it is; what it raises ends the survey, and another one goes on from there.
        on_answer: called with each raster that was scanned, as `model.read` gave it, and the answer.

    Raises:
        BackendError: tiles cannot be had, or the disk is full; called again it goes on.
        DataRejected: the folder holds another survey.
    """
    key = _key(plan)
    _claim(workspace.out, key, plan)
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    missing = _mosaic(plan, workspace, progress)
    seconds["tiles"] = time.perf_counter() - began
    rasters = {RAW: workspace.out / f"{RAW}.tif"}
    if upscaler is not None:
        began = time.perf_counter()
        rasters[ENLARGED] = _enlarge(upscaler, rasters[RAW], workspace.out, progress)
        seconds["enlarging"] = time.perf_counter() - began
    found: dict[str, dict[str, Json]] = {}
    familiarity: dict[str, Json] = {}
    for name, raster in rasters.items():
        began = time.perf_counter()
        source, prediction = _survey_raster(name, raster, model, plan.area, workspace, progress)
        if on_answer is not None:
            on_answer(source, prediction)
        found[name] = {key: said for key, said in prediction.document.items() if isinstance(said, int | float)}
        familiarity[name] = workspace.background.familiarity(prediction).document()
        seconds[f"detection in {name}"] = time.perf_counter() - began
    counts = {name: one.get("count") for name, one in found.items()}
    replace_bytes(workspace.out / "comparison.png", encode_png(_compared(rasters, counts, upscaler, plan)))
    summary = _summary(plan, model, [str(one) for one in missing], found, seconds)
    summary["familiarity"] = familiarity
    if upscaler is not None:
        summary["enlarged_by"] = {"choice": upscaler.choice, "factor": upscaler.factor, "weights": {**upscaler.weights}}
    write_json(workspace.out / "summary.json", summary)
    return summary


def _summary(
    plan: AreaPlan, model: Surveying, missing: list[str], found: dict[str, dict[str, Json]], seconds: dict[str, float]
) -> dict[str, Json]:
    return {
        "plan": describe_plan(plan),
        "tiles_missing": missing,
        "model": {"task": model.card.task, "candidate": model.card.candidate, "files": model.card.files},
        "found": found,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "attribution": plan.provider.attribution,
    }


def _key(plan: AreaPlan) -> str:
    """Tells two surveys apart that would make another raster."""
    import shapely

    said = {"provider": plan.provider.name, "zoom": plan.zoom, "area": shapely.to_wkt(plan.area.shape, 9)}
    if plan.provider.folder is not None:
        said["folder"] = str(plan.provider.folder.resolve())
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _claim(out: Path, key: str, plan: AreaPlan) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(
            f"the folder cannot be made ({error.strerror})", where=out, way_out="Give a folder in which you may write."
        ) from error
    path = out / "plan.json"
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8")).get("key") != key:
            raise DataRejected(
                "the folder holds the results of another area", where=out, way_out="Give another or an empty folder."
            )
    elif any(one for one in out.iterdir() if not one.name.startswith(".")):
        raise DataRejected("the folder is not empty", where=out, way_out="Give another or an empty folder.")
    write_json(path, {"key": key, **describe_plan(plan)})


def _mosaic(plan: AreaPlan, workspace: Workspace, progress: Progress) -> list[Missing]:
    """Fetch and stitch; a raster that was finished with all its tiles is kept."""
    from sightline.maps.fetch import fetch
    from sightline.maps.mosaic import write_mosaic

    target, done = workspace.out / f"{RAW}.tif", workspace.out / ".raw.whole"
    made_of = _source_of(plan)
    if target.exists() and done.exists() and done.read_text(encoding="utf-8") == made_of:
        return []
    fetched: Fetched = fetch(plan, workspace.cache, progress)
    mosaic = write_mosaic(plan, workspace.cache, target, progress, fetched)
    if not mosaic.missing:
        done.write_text(made_of, encoding="utf-8")
    return list(mosaic.missing)


def _source_of(plan: AreaPlan) -> str:
    """What a raster was stitched of: the server's address, or the SHA-256 of the tiles in somebody's folder."""
    folder = plan.provider.folder
    if folder is None:
        return plan.provider.url
    store = plan.provider.store(folder)
    paths = [store.path(tile) for tile in plan.tiles()]
    return sha256_files([path for path in paths if path.is_file()], folder)


def _enlarge(upscaler: Upscaler, raw: Path, out: Path, progress: Progress) -> Path:
    """The enlarged raster; one that was made of the same raster by the same upscaler is kept."""
    from sightline.maps.upscaling.raster import upscale_raster

    target, made = out / f"{ENLARGED}.tif", out / ".enlarged.of"
    said = f"{upscaler.choice} {upscaler.digest} {sha256_file(raw)}"
    if not (target.exists() and made.exists() and made.read_text(encoding="utf-8") == said):
        upscale_raster(raw, target, upscaler, progress, out / ".enlarging")
        made.write_text(said, encoding="utf-8")
    return target


def _survey_raster(
    name: str, raster: Path, model: Surveying[InputT], area: Area, workspace: Workspace, progress: Progress
) -> tuple[InputT, Prediction]:
    """Answer one raster, leave out what lies outside the area, and write it; the model's input and the answer."""
    source = model.read(raster, workspace.limits)
    prediction = model.survey(source, lambda done, total: progress.advance(done, total, f"detection in {name}"))
    prediction = model.within(prediction, area.shape)
    write_json(workspace.out / f"{name}.geojson", prediction.exports["geojson"])
    write_json(workspace.out / f"{name}.json", prediction.document)
    replace_bytes(workspace.out / f"{name}.png", encode_png(model.draw(source, prediction)))
    return source, prediction


def _compared(
    rasters: Mapping[str, Path], counts: Mapping[str, Json], upscaler: Upscaler | None, plan: AreaPlan
) -> Picture:
    """A row a raster: as it is, and with what was found in it."""
    from sightline.maps.glance import glance

    captions = {RAW: f"raw, {plan.gsd_m:.3g} m a pixel"}
    if upscaler is not None:
        captions[ENLARGED] = f"enlarged {upscaler.factor} times ({upscaler.choice})"
    rows = [
        (Panel(glance(raster, _PANEL_PX), captions[name]), Panel(_marked(raster), f"found in it: {counts[name]}"))
        for name, raster in rasters.items()
    ]
    return side_by_side(rows, _PANEL_PX)


def _marked(raster: Path) -> Picture:
    """The picture with what was found, which was written beside the raster."""
    from PIL import Image

    with Image.open(raster.with_suffix(".png")) as picture:
        return np.asarray(picture.convert("RGB"))
