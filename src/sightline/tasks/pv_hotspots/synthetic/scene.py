"""A solar farm seen from above: tables of two rows of modules over uneven ground, some modules faulty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sightline.params import Frozen
from sightline.tasks.pv_hotspots.synthetic.camera import Camera, Pose
from sightline.tasks.pv_hotspots.synthetic.faults import FaultParams, draw_fault
from sightline.tasks.pv_hotspots.synthetic.simulation import Array, Module, Sources

_ROWS = 2  # of modules on a table


class SiteParams(Frozen):
    """Layout and weather. Pairs are the bounds of a uniform draw a flight."""

    tables_across: int = Field(ge=1, description="tables from west to east")
    tables_along: int = Field(ge=1, description="tables from south to north")
    modules_per_table: int = Field(ge=1, description="modules in each of a table's two rows")
    module_gap_m: float = Field(ge=0)
    table_gap_m: tuple[float, float]
    alley_m: tuple[float, float] = Field(description="from a table's top to the next, on a map")
    tilt_deg: tuple[float, float]
    clearance_m: float = Field(gt=0, description="lower edge above the ground")
    irradiance_w_per_m2: tuple[float, float]
    air_c: tuple[float, float]
    wind_m_per_s: tuple[float, float]
    module_spread_k: float = Field(ge=0, description="healthy modules differ by this")
    slope_k: tuple[float, float] = Field(description="across and along a module, half the range")
    box_k: float = Field(ge=0, description="mean rise over the box of a healthy module")
    ground_below_k: tuple[float, float] = Field(description="ground cooler than modules")
    ground_spread_k: tuple[float, float]
    ground_exponent: float = Field(gt=0, description="of the ground's power spectrum")
    gap_below_k: float = Field(description="gaps between modules cooler than modules")
    shade_k: float = Field(ge=0, description="ground cooler in the shade of a table")
    glare_k: float = Field(ge=0, description="greatest reflection of the sky's brightness on a frame")


@dataclass(frozen=True)
class Table:
    """One table.

    Attributes:
        origin_m: (3,) its upper western corner.
        across_m, down_m: (3,) unit vectors to the east and down the slope.
        width_m, height_m: its sides.
        celsius: (h, w) temperature at the module's raster; the first row at the top.
        corners_m: (n, 4, 2) of its modules in the table's plane: top right, top left, bottom left, bottom right.
        defective: (n,) which of them are faulty.
    """

    origin_m: Array
    across_m: Array
    down_m: Array
    width_m: float
    height_m: float
    celsius: Array
    corners_m: Array
    defective: NDArray[np.bool_]

    def points_m(self, plane_m: Array) -> Array:
        """Points (..., 2) in the table's plane as points (..., 3) in the world."""
        return np.asarray(self.origin_m + plane_m[..., :1] * self.across_m + plane_m[..., 1:] * self.down_m)


@dataclass(frozen=True)
class Site:
    """Tables and the ground, as one flight finds them.

    `ground_c` (n, n) covers `ground_m` metres to each side of the origin, south first.
    """

    tables: tuple[Table, ...]
    ground_c: Array
    ground_m: float
    module_c: float


# -------------------------------------------------------------------------------------------------------- site


def build_site(
    rng: np.random.Generator, params: SiteParams, module: Module, weather: tuple[float, float], faults: SiteFaults
) -> Site:
    """A site of `tables_across` x `tables_along` tables about the origin.

    Args:
        rng: draws layout, differences between modules, and faults.
        params: what to draw from.
        module: the design, in the flight's wind.
        weather: irradiance in W/m2 and the air in degrees Celsius.
        faults: share of defective modules and what ails them.
    """
    tilt = np.radians(rng.uniform(*params.tilt_deg))
    gap, alley = rng.uniform(*params.table_gap_m), rng.uniform(*params.alley_m)
    pitch_x, pitch_z = module.width_m + params.module_gap_m, module.height_m + params.module_gap_m
    width, height = params.modules_per_table * pitch_x, _ROWS * pitch_z
    draw = _ModuleDraw(rng, params, module, weather, faults)
    tables = []
    for along in range(params.tables_along):
        for across in range(params.tables_across):
            west = (across - params.tables_across / 2) * (width + gap)
            north = (along - params.tables_along / 2) * (height * np.cos(tilt) + alley) + height * np.cos(tilt)
            origin = np.array([west, north, params.clearance_m + height * np.sin(tilt)])
            down = np.array([0.0, -np.cos(tilt), -np.sin(tilt)])
            tables.append(_table(draw, origin, down, (width, height), (pitch_x, pitch_z)))
    module_c = weather[1] + float(np.median(module.rise(weather[0])))
    extent = max(params.tables_across * (width + gap), params.tables_along * (height + alley)) / 2 + 15
    ground = _ground(rng, params, extent, module_c)
    _shade(ground, extent, tables, params.shade_k)
    return Site(tuple(tables), ground, extent, module_c)


@dataclass(frozen=True)
class SiteFaults:
    """Share of defective modules on a site, and their faults."""

    share: float
    params: FaultParams


class _ModuleDraw:
    """Draws modules of one site: (h, w) temperature and whether defective."""

    def __init__(
        self,
        rng: np.random.Generator,
        params: SiteParams,
        module: Module,
        weather: tuple[float, float],
        faults: SiteFaults,
    ) -> None:
        self.rng, self.params, self.module, self.faults = rng, params, module, faults
        self.irradiance, self.air = weather
        self.sunlit = module.rise(self.irradiance)
        heat = module.params
        self.loss = float(module.plate.loss_w_per_m2k.min())
        self.box_w_per_k = self.loss * (heat.box_m + 0.02) ** 2
        height, width = self.sunlit.shape
        slope_x, slope_y = rng.uniform(*params.slope_k, 2) * rng.choice([-1, 1], 2)
        self.slope = np.add.outer(np.linspace(-slope_y, slope_y, height), np.linspace(-slope_x, slope_x, width))

    def __call__(self) -> tuple[Array, bool]:
        heat = self.module.params
        defective = bool(self.rng.random() < self.faults.share)
        cells = np.zeros((heat.rows, heat.columns))
        sources = Sources(cells)
        if defective:
            sources = draw_fault(self.rng, self.faults.params, heat, self.loss)
        box_w = sources.box_w + self.rng.exponential(self.params.box_k) * self.box_w_per_k
        # Healthy cells are matched to some hundredths of a watt; it is what makes modules look patched.
        scatter = self.rng.normal(0, 0.03 * self.loss * heat.cell_m**2, cells.shape)
        rise = self.module.rise(self.irradiance, Sources(sources.cells_w + scatter, box_w))
        offset = self.rng.normal(0, self.params.module_spread_k)
        return self.air + rise + self.slope * self.rng.uniform(0.6, 1.2) + offset, defective


def _table(
    draw: _ModuleDraw, origin: Array, down: Array, size_m: tuple[float, float], pitch_m: tuple[float, float]
) -> Table:
    """A table of 2 x `modules_per_table` modules; gaps between them show the shaded ground below."""
    raster = draw.module.params.raster_m
    gap_c = draw.air + float(np.median(draw.sunlit)) - draw.params.gap_below_k
    celsius = np.full((round(size_m[1] / raster), round(size_m[0] / raster)), gap_c)
    corners, defective = [], []
    width, height = draw.module.width_m, draw.module.height_m
    for row in range(_ROWS):
        for column in range(draw.params.modules_per_table):
            left, top = column * pitch_m[0], row * pitch_m[1]
            values, faulty = draw()
            y, x = round(top / raster), round(left / raster)
            target = celsius[y : y + values.shape[0], x : x + values.shape[1]]
            target[:] = values[: target.shape[0], : target.shape[1]]
            right, bottom = left + width, top + height
            corners.append([[right, top], [left, top], [left, bottom], [right, bottom]])
            defective.append(faulty)
    across = np.array([1.0, 0.0, 0.0])
    return Table(origin, across, down, *size_m, celsius, np.array(corners), np.array(defective))


# ------------------------------------------------------------------------------------------------------ ground

_GROUND_PX_M = 0.06


def _ground(rng: np.random.Generator, params: SiteParams, extent_m: float, module_c: float) -> Array:
    """Fractal ground: cool vegetation, warm soil, hot stones and dry bushes."""
    size = int(2 * extent_m / _GROUND_PX_M)
    rough = _fractal(rng, size, params.ground_exponent)
    patches = _fractal(rng, size, params.ground_exponent - 0.6)
    cover = _fractal(rng, size, params.ground_exponent + 1.0)
    spread = rng.uniform(*params.ground_spread_k)
    hot = np.maximum(patches - rng.uniform(1.2, 2.0), 0) * (1 + np.tanh(cover)) * rng.uniform(1.0, 5.0)
    mean = module_c - rng.uniform(*params.ground_below_k)
    below = mean + spread * (0.7 * rough + 0.5 * cover) + hot
    # Nothing on the ground is much hotter than the modules, or colder than the air over wet grass.
    return np.asarray(module_c + 1.0 - np.logaddexp(0, module_c + 1.0 - below))


def _fractal(rng: np.random.Generator, size: int, exponent: float) -> Array:
    """(size, size) noise of unit variance with a power spectrum f^-exponent."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    fast = next_fast_len(size, real=True)
    spectrum = rfft2(rng.standard_normal((fast, fast)))
    frequency = np.hypot(np.fft.fftfreq(fast)[:, None], np.fft.rfftfreq(fast)[None])
    frequency[0, 0] = np.inf
    # Below a hundredth of a cycle a pixel (5 m) all is one: else the largest waves would be all there is.
    field = irfft2(spectrum * np.maximum(frequency, 0.01) ** (-exponent / 2) * np.isfinite(frequency), (fast, fast))
    return np.asarray(field[:size, :size] / field.std())


def _shade(ground: Array, extent_m: float, tables: list[Table], shade_k: float) -> None:
    """Cool the ground under and north of each table, in place."""
    for table in tables:
        top = table.origin_m
        foot = top + table.height_m * table.down_m
        west, east = ((x + extent_m) / _GROUND_PX_M for x in (top[0] - 0.5, top[0] + table.width_m + 0.5))
        south, north = ((y + extent_m) / _GROUND_PX_M for y in (foot[1] - 0.2, top[1] + 0.7))
        ramp = 0.5 / _GROUND_PX_M
        x, y = np.arange(ground.shape[1]), np.arange(ground.shape[0])
        weight_x = np.clip((x - west) / ramp, 0, 1) * np.clip((east - x) / ramp, 0, 1)
        weight_y = np.clip((y - south) / ramp, 0, 1) * np.clip((north - y) / ramp, 0, 1)
        rows, columns = np.flatnonzero(weight_y), np.flatnonzero(weight_x)
        ground[np.ix_(rows, columns)] -= shade_k * np.outer(weight_y[rows], weight_x[columns])


# ----------------------------------------------------------------------------------------------------- picture


def render(site: Site, camera: Camera, pose: Pose, glare_c: Array) -> Array:
    """Temperatures in degrees Celsius that the camera's rays (h, w) meet.

    `glare_c` (h, w) is what reflections add on glass; it moves with the camera, not with the modules.
    """
    from scipy.ndimage import map_coordinates

    rays = camera.rays @ pose.rotation
    depth = -pose.position_m[2] / rays[..., 2]
    east, north = pose.position_m[0] + depth * rays[..., 0], pose.position_m[1] + depth * rays[..., 1]
    at = np.stack([north + site.ground_m, east + site.ground_m]) / _GROUND_PX_M
    celsius: Array = map_coordinates(site.ground_c, at, order=1, mode="mirror")
    for table in site.tables:
        window = _window(table, camera, pose)
        plane = np.stack([table.across_m, table.down_m, table.origin_m - pose.position_m], axis=1)
        across, down, scale = np.moveaxis(rays[window] @ np.linalg.inv(plane).T, -1, 0)
        across, down = across / scale, down / scale
        hit = (across >= 0) & (across < table.width_m) & (down >= 0) & (down < table.height_m) & (scale > 0)
        pixels = table.celsius.shape[0] / table.height_m, table.celsius.shape[1] / table.width_m
        where = np.stack([down[hit] * pixels[0], across[hit] * pixels[1]]) - 0.5
        celsius[window][hit] = map_coordinates(table.celsius, where, order=1, mode="nearest") + glare_c[window][hit]
    return celsius


def _window(table: Table, camera: Camera, pose: Pose) -> tuple[slice, slice]:
    """Rows and columns of rays outside of which the table cannot be (empty where it is not in view)."""
    mesh = np.stack(np.meshgrid(np.linspace(0, table.width_m, 24), np.linspace(0, table.height_m, 9)), axis=-1)
    pixels = camera.project(table.points_m(mesh), pose).reshape(-1, 2)
    if not np.isfinite(pixels).all():
        return slice(None), slice(None)
    fold = camera.params.supersampling
    low = np.maximum((pixels.min(axis=0) - 4) * fold, 0).astype(int)
    high = np.maximum((pixels.max(axis=0) + 4) * fold, 0).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])
