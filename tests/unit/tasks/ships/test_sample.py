"""The synthetic set: it is read like the real one, tells the truth, and looks like water with ships."""

from __future__ import annotations

import io
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import mercantile
import numpy as np
import pytest
from PIL import Image
from rasterio.warp import transform
from shapely.geometry import Polygon, shape

from sightline.limits import Limits
from sightline.maps.pictures import read_scene_pixels
from sightline.tasks.ships.chips import CHIP_PX, GSD_M
from sightline.tasks.ships.data import load_manifest, read_boxes, read_chip
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.synthetic.cutting import KINDS, cut_chips
from sightline.tasks.ships.synthetic.decks import paint_hull
from sightline.tasks.ships.synthetic.hulls import SHIP_M, SMALL_M, VESSEL_M, draw_hull
from sightline.tasks.ships.synthetic.sample import write_sample
from sightline.tasks.ships.synthetic.scene import draw_scene
from sightline.tasks.ships.synthetic.services import develop, draw_seam
from sightline.tasks.ships.synthetic.traffic import FROM_LAND_M
from sightline.tasks.ships.synthetic.wakes import KELVIN_RAD, paint_wake
from tests.parameters import changed, params_of

SAMPLE = params_of("ships", Params).sample
SMALL = changed(SAMPLE, scenes=3, chips=40, scene={"width_px": 320, "height_px": 288, "vessels": (18, 20)})


class Steps:
    def __init__(self):
        self.done = []

    def advance(self, done, total, what):
        self.done.append((done, total))

    def metrics(self, step, values):
        raise AssertionError


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ships") / "sample"
    write_sample(folder, SMALL, Steps())
    return folder


def truth_of(root, sample):
    return json.loads((root / sample.files["labels"]).read_text())


def scenes_of(root):
    return [sample for sample in load_manifest(root).samples if sample.stratum == "scene"]


def test_the_set_is_read_like_the_real_one(root):
    manifest = load_manifest(root)
    assert [sample.problem for sample in manifest.samples] == [""] * len(manifest)
    strata = Counter(sample.stratum for sample in manifest.samples)
    assert strata["scene"] == 3
    assert strata["chip-ship"] == 10
    assert strata["chip-no-ship"] == pytest.approx(30, abs=3)
    assert len({sample.group for sample in manifest.samples}) == 3
    assert all(sample.group in sample.id for sample in manifest.samples)


def test_the_document_holds_the_chips_of_the_files(root, tmp_path):
    (tmp_path / "shipsnet.json").write_bytes((root / "shipsnet.json").read_bytes())
    files, document = load_manifest(root), load_manifest(tmp_path)
    chips = {sample.id: sample for sample in files.samples if sample.stratum != "scene"}
    assert {sample.id for sample in document.samples} == set(chips)
    for sample in document.samples:
        assert (read_chip(document, sample) == read_chip(files, chips[sample.id])).all()


def test_the_same_parameters_give_the_same_bytes_and_another_seed_others(tmp_path):
    params = SMALL.model_copy(update={"scenes": 1, "chips": 4, "document": False})

    def written(name, params):
        steps = Steps()
        write_sample(tmp_path / name, params, steps)
        assert steps.done == [(1, 1)]
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        return {path.relative_to(tmp_path / name).as_posix(): path.read_bytes() for path in files}

    first = written("a", params)
    assert written("b", params) == first
    other = written("c", params.model_copy(update={"seed": 6}))
    assert not {content for name, content in other.items() if name.endswith(".png")} & set(first.values())


def test_scenes_do_not_depend_on_how_many_chips_are_cut(root, tmp_path):
    params = SMALL.model_copy(update={"chips": 0, "tiles": False})
    write_sample(tmp_path, params, Steps())
    for path in (root / "scenes").iterdir():
        assert (tmp_path / "scenes" / path.name).read_bytes() == path.read_bytes()
    assert not (tmp_path / "shipsnet.json").exists()
    assert not (tmp_path / "tiles").exists()


def test_chips_come_from_scenes_of_3_m_and_the_others_have_every_size_of_pixel(tmp_path):
    params = changed(SMALL, scenes=4, chips=8, published_share=0.25, tiles=False, document=False)
    params = changed(params, scene={"width_px": 256, "height_px": 256})
    write_sample(tmp_path, params, Steps())
    gsds = {}
    for path in (tmp_path / "scenes").glob("*.geojson"):
        gsds[path.stem] = json.loads(path.read_text())["raster"]["gsd_m"]
    chips = {path.stem.split("__")[1] for path in (tmp_path / "shipsnet").rglob("*.png")}
    assert chips
    assert {gsds[scene] for scene in chips} == {GSD_M}
    others = sorted(gsd_m for gsd_m in gsds.values() if gsd_m != GSD_M)
    edges = 10 ** (np.arange(4) / 3)
    assert all(low <= gsd_m <= high for low, gsd_m, high in zip(edges, others, edges[1:], strict=False))
    assert len(others) == 3


# -------------------------------------------------------------------------------------------------------- truth


def test_the_truth_says_where_the_hulls_are(root):
    for sample in scenes_of(root):
        document = truth_of(root, sample)
        raster = document["raster"]
        a, _, c, _, e, f = raster["transform"]
        assert (a, e) == (raster["gsd_m"], -raster["gsd_m"])
        assert (raster["width"], raster["height"]) == (320, 288)
        for feature, box in zip(document["features"], read_boxes(load_manifest(root), sample), strict=True):
            polygon = shape(feature["geometry"])
            assert polygon.is_valid
            assert polygon.exterior.is_ccw
            lon, lat = np.array(polygon.exterior.coords).T
            x, y = (np.array(values) for values in transform("EPSG:4326", raster["crs"], lon, lat))
            column, row = (x - c) / a, (y - f) / e
            assert (column.min(), column.max()) == pytest.approx((box.x0, box.x1), abs=0.01)
            assert (row.min(), row.max()) == pytest.approx((box.y0, box.y1), abs=0.01)


def test_length_and_heading_are_those_of_the_polygon(root):
    features = [feature for sample in scenes_of(root) for feature in truth_of(root, sample)["features"]]
    assert features
    for feature in features:
        said = feature["properties"]
        lon, lat = np.array(feature["geometry"]["coordinates"][0]).T
        metres = np.stack([(lon - lon[0]) * np.cos(np.radians(lat[0])) * 111_320, (lat - lat[0]) * 111_133], 1)
        corners = np.array(Polygon(metres).minimum_rotated_rectangle.exterior.coords)
        sides = np.diff(corners, axis=0)
        longest = sides[np.hypot(*sides.T).argmax()]
        assert np.hypot(*longest) == pytest.approx(said["length_m"], rel=0.03)
        course = np.degrees(np.arctan2(*longest))
        assert abs((course - said["heading_deg"] + 90) % 180 - 90) < 4
        assert (said["kind"] == "berth") == (said["where"] == "alongside")
        if said["where"] == "open_water":
            kind = "ship" if said["length_m"] >= SHIP_M else "small" if said["length_m"] <= SMALL_M else "other"
            assert said["kind"] == kind


def scene_of(kind, number=0, gsd_m=GSD_M, sensor="published", **changes):
    rng = np.random.Generator(np.random.PCG64([11, number]))
    changes = {"vessels": (14, 18), "boats": (3, 6), "cloudy_share": 0, **changes}
    params = changed(SAMPLE.scene, width_px=448, height_px=384, **changes)
    return draw_scene(rng, params, kind, gsd_m, sensor)


@pytest.mark.parametrize(("gsd_m", "sensor"), [(1.0, "aerial"), (3.0, "published"), (4.4, "aerial"), (8.0, "sentinel")])
def test_vessels_differ_from_the_water_around_them(gsd_m, sensor):
    """Those of three pixels or more in length; a smaller one may be lost in the sea's own grain."""
    scene = scene_of("open", 0, gsd_m, sensor, moving_share=0, seam_share=0, length_m=(max(20.0, 6 * gsd_m), 350.0))
    calm = np.median(scene.pixels.reshape(-1, 3), axis=0)
    vessels = [hull for hull in scene.vessels if hull.length_m >= VESSEL_M]
    assert len(vessels) > 5
    for hull in vessels:
        middle = np.array([hull.x, hull.y])
        shares = np.array([0.0, 0.3, 0.6, 0.9])[:, None, None]
        columns, rows = (middle + (hull.outline() - middle) * shares).reshape(-1, 2).astype(int).T
        assert np.abs(scene.pixels[rows, columns] - calm).max() > 12


@pytest.fixture(scope="module")
def harbours():
    return [scene_of("harbour", number, gsd_m, "aerial", berth_share=1) for number, gsd_m in enumerate((1.2, 3, 7.5))]


def test_where_a_vessel_lies_agrees_with_what_is_around_it(harbours):
    """In open water nothing is near; alongside there is a quay, a pier or another vessel at its side."""
    import cv2

    found = Counter()
    for scene in harbours:
        away_m = cv2.distanceTransform((~scene.cover).astype(np.uint8), cv2.DIST_L2, 5) * scene.gsd_m
        polygons = [Polygon(hull.outline()) for hull in scene.vessels]
        for number, hull in enumerate(scene.vessels):
            found[hull.where] += 1
            land_m = min(away_m[int(y), int(x)] for x, y in hull.outline())
            others = [polygon for place, polygon in enumerate(polygons) if place != number]
            vessel_m = min((polygons[number].distance(other) for other in others), default=9.0) * scene.gsd_m
            if hull.where == "open_water":
                assert land_m > FROM_LAND_M
            else:
                assert min(land_m, vessel_m) < 4 + 1.5 * scene.gsd_m
                found["rafted"] += land_m > 10 + 1.5 * scene.gsd_m
    assert min(found["open_water"], found["alongside"]) > 10
    assert found["rafted"] > 1


def test_no_two_vessels_are_drawn_over_each_other(harbours):
    for scene in harbours:
        polygons = [Polygon(hull.outline()) for hull in scene.vessels]
        for number, polygon in enumerate(polygons):
            assert not any(polygon.intersects(other) for other in polygons[:number])


def test_there_are_vessels_of_every_size_and_boats_that_are_not_asked_for(harbours):
    lengths = [hull.length_m for scene in harbours for hull in scene.vessels]
    sizes = Counter(np.digitize(lengths, (VESSEL_M, 50, SHIP_M)).tolist())
    assert min(sizes[number] for number in range(4)) > 2
    assert len({hull.build for scene in harbours for hull in scene.vessels}) >= 8


def test_the_other_picture_of_a_mosaic_has_another_tone():
    steps = []
    for number in range(6):
        seam = draw_seam(np.random.default_rng(number), (96, 128))
        assert seam.shape == (96, 128)
        assert 0 < seam.mean() < 1
        level = np.full((96, 128, 3), 90, dtype=np.float32)
        pixels = develop(np.random.default_rng(number), level, 4.4, "aerial", seam)
        steps.append(np.abs(pixels[seam].mean(axis=0) - pixels[~seam].mean(axis=0)).max())
    assert np.median(steps) > 5


def test_open_water_has_the_level_and_grain_of_the_real_scenes():
    """PlanetScope water: means of 39 .. 106, grain of 2.7 .. 3.9 that its neighbour shares by 0.4 .. 0.7."""
    import cv2

    for number in range(4):
        scene = scene_of("open", number, moving_share=0)
        grey = scene.pixels.mean(axis=2).astype(np.float32)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), 4)
        windows = [np.s_[y : y + 48, x : x + 48] for y in range(0, 336, 48) for x in range(0, 400, 48)]
        calm = min(windows, key=lambda window: grey[window].max())
        assert 30 < grey[calm].mean() < 120
        assert 1.3 < fine[calm].std() < 5.5
        part = fine[calm]
        assert 0.25 < (part[:, 1:] * part[:, :-1]).mean() / part.var() < 0.85


def painted_cover(hull, side):
    """Painted alike over two backgrounds: where these shine through tells the cover, whatever the deck's colours."""
    dark, pale = (np.full((side, side, 3), level, dtype=np.float32) for level in (0, 1000))
    for picture in (dark, pale):
        paint_hull(np.random.default_rng(1), picture, hull, np.zeros(2))
    return 1 - (pale - dark)[..., 0].astype(np.float64) / 1000


def outline_cover(hull, side):
    """How much of each pixel the outline of the truth holds."""
    import cv2

    steps = int(8 * hull.gsd_m)
    fine = np.zeros((side * steps, side * steps), np.uint8)
    cv2.fillPoly(fine, [np.rint((hull.outline() * steps - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return fine.reshape(side, steps, side, steps).mean(axis=(1, 3))


@pytest.mark.parametrize("gsd_m", [1.0, 3.0, 4.4, 10.0])
def test_a_hull_is_painted_where_its_outline_is_and_as_long(gsd_m):
    for number in range(8):
        length_m, side = 42.0 * (number + 1), int(42 * (number + 1) / gsd_m) + 16
        hull = draw_hull(np.random.default_rng(number), length_m, (side / 2 + 0.37, side / 2), 47.0 * number, gsd_m)
        painted, told = painted_cover(hull, side), outline_cover(hull, side)
        assert np.abs(painted - told).sum() < 0.08 * Polygon(hull.outline()).length
        y, x = np.indices(painted.shape) + 0.5
        along = (x - hull.x) * hull.ahead[0] + (y - hull.y) * hull.ahead[1]
        assert np.ptp(along[painted > 0.2]) == pytest.approx(np.ptp(along[told > 0.2]), abs=1)


@pytest.mark.parametrize("gsd_m", [1.0, 4.4, 10.0])
def test_a_wake_is_behind_its_vessel_and_within_its_arms(gsd_m):
    for number in range(4):
        hull = draw_hull(np.random.default_rng(number), 60.0, (150.0, 150.0), 90.0 * number + 20, gsd_m)
        sea = np.full((300, 300, 3), 20, dtype=np.float32)
        paint_wake(np.random.default_rng(number), sea, replace(hull, speed_kn=14.0))
        changed_by = np.abs(sea - 20).mean(axis=2)
        y, x = np.indices(changed_by.shape) + 0.5
        ahead_m = ((x - hull.x) * hull.ahead[0] + (y - hull.y) * hull.ahead[1]) * gsd_m
        aside_m = np.abs((y - hull.y) * hull.ahead[0] - (x - hull.x) * hull.ahead[1]) * gsd_m
        assert changed_by[ahead_m > 30 + gsd_m].max() < 1
        assert (changed_by * ahead_m).sum() / changed_by.sum() < -30
        beyond = aside_m > np.tan(KELVIN_RAD) * (30 - ahead_m) + 60 + 0.2 * np.maximum(-ahead_m, 0)
        assert changed_by[beyond].max(initial=0) < 2


def test_only_vessels_under_way_have_a_speed():
    assert not any(hull.speed_kn for hull in scene_of("open", 1, moving_share=0, boats=(0, 0)).vessels)
    scene = scene_of("harbour", 1, moving_share=1)
    assert all((hull.speed_kn > 3) == (hull.where == "open_water") for hull in scene.vessels if hull.length_m > 20)


# -------------------------------------------------------------------------------------------------------- chips


def test_chips_show_what_their_label_says():
    for number, kind in enumerate(("harbour", "open")):
        scene = scene_of(kind, number)
        cuts = cut_chips(np.random.default_rng(0), scene, dict.fromkeys(KINDS, 8))
        assert Counter(cut.kind for cut in cuts)["ship"] == 8
        assert len({(cut.x, cut.y) for cut in cuts}) == len(cuts)
        for cut in cuts:
            assert scene.pixels[cut.window].shape == (CHIP_PX, CHIP_PX, 3)
            apart = [np.hypot(hull.x - cut.x, hull.y - cut.y) for hull in scene.vessels if hull.length_m > SMALL_M]
            if cut.kind == "ship":
                assert min(apart) < 12
            elif apart:
                assert min(apart) > 24


def test_a_scene_without_vessels_gives_chips_of_the_other_kinds():
    params = changed(SAMPLE.scene, width_px=256, height_px=256, vessels=(0, 0), boats=(0, 0))
    scene = draw_scene(np.random.default_rng(1), params, "open", GSD_M)
    assert not scene.vessels
    cuts = cut_chips(np.random.default_rng(0), scene, dict.fromkeys(KINDS, 5))
    assert {cut.kind for cut in cuts} <= {"empty", "clutter"}


# -------------------------------------------------------------------------------------------------------- tiles


def test_tiles_cover_the_scene_at_the_zoom_that_keeps_its_detail(root):
    for sample in scenes_of(root):
        raster = truth_of(root, sample)["raster"]
        tiles = tiles_of(root, raster)
        (zoom,) = {tile.z for tile in tiles}
        _, lat = middle(raster)
        metres = 156543.03392804097 * np.cos(np.radians(lat)) / 2**zoom
        gsd_m = raster["gsd_m"]
        assert metres <= gsd_m < 2 * metres
        opaque = sum((np.asarray(Image.open(path_of(root, tile)))[..., 3] > 0).sum() for tile in tiles)
        assert opaque * metres**2 == pytest.approx(320 * 288 * gsd_m**2, rel=0.02)


def test_the_scene_lies_on_the_tiles_where_the_truth_says(root):
    """Each pixel of a tile is looked up in the scene by its place on Earth: the pictures agree, without a shift."""
    import cv2

    compared = 0
    for sample in scenes_of(root):
        raster = truth_of(root, sample)["raster"]
        pixels = read_scene_pixels(root / sample.files["image"], Limits()).astype(np.float32)
        for tile in tiles_of(root, raster):
            picture = np.asarray(Image.open(path_of(root, tile)))
            column, row = in_scene(tile, raster)
            expected = cv2.remap(pixels, column, row, cv2.INTER_CUBIC)
            inside = (column > 1) & (column < 318) & (row > 1) & (row < 286)
            assert (picture[..., 3][inside] == 255).all()
            if not inside.all():
                continue
            assert np.abs(picture[..., :3] - expected).mean() < 2
            shift, _ = cv2.phaseCorrelate(expected.mean(axis=2), picture[..., :3].mean(axis=2, dtype=np.float32))
            assert np.hypot(*shift) < 0.1
            compared += 1
    assert compared


def in_scene(tile, raster):
    """(256, 256) columns and rows of the scene, 0 at the middle of its first pixel, of a tile's pixels."""
    bounds = mercantile.xy_bounds(tile)
    steps = (np.arange(256) + 0.5) / 256
    x, y = np.meshgrid(
        bounds.left + steps * (bounds.right - bounds.left), bounds.top - steps * (bounds.top - bounds.bottom)
    )
    east, north = transform("EPSG:3857", raster["crs"], x.ravel(), y.ravel())
    a, _, c, _, e, f = raster["transform"]
    column, row = (np.array(east) - c) / a - 0.5, (np.array(north) - f) / e - 0.5
    return column.reshape(256, 256).astype(np.float32), row.reshape(256, 256).astype(np.float32)


def tiles_of(root, raster):
    lon, _ = middle(raster)
    names = (path.relative_to(root / "tiles").with_suffix("").parts for path in (root / "tiles").rglob("*.png"))
    found = [mercantile.Tile(int(x), int(y), int(z)) for z, x, y in names]
    return [tile for tile in found if abs(mercantile.ul(tile).lng - lon) < 1]


def path_of(root, tile):
    return root / "tiles" / str(tile.z) / str(tile.x) / f"{tile.y}.png"


def middle(raster):
    a, _, c, _, e, f = raster["transform"]
    (lon,), (lat,) = transform(
        raster["crs"], "EPSG:4326", [c + a * raster["width"] / 2], [f + e * raster["height"] / 2]
    )
    return lon, lat


def test_a_scene_is_rgba_as_upstream(root):
    content = (root / scenes_of(root)[0].files["image"]).read_bytes()
    assert Image.open(io.BytesIO(content)).mode == "RGBA"


@pytest.mark.parametrize("number", range(3))
def test_scenes_too_small_for_a_coast_or_a_vessel_are_still_drawn(number):
    params = changed(SAMPLE.scene, width_px=256, height_px=256, vessels=(20, 20), cloudy_share=1)
    scene = draw_scene(np.random.default_rng(number), params, "harbour", (1.0, 3.0, 10.0)[number], "aerial")
    assert scene.pixels.shape == (256, 256, 3)
