"""The synthetic set: it is read like the real one, tells the truth, and looks like water with ships."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path

import mercantile
import numpy as np
import pytest
from PIL import Image
from rasterio.warp import transform
from shapely.geometry import Polygon, shape

from sightline.limits import Limits
from sightline.tasks.ships.data import CHIP_PX, GSD_M, load_manifest, read_boxes, read_chip, read_scene_pixels
from sightline.tasks.ships.params import Params
from sightline.tasks.ships.synthetic.cutting import KINDS, cut_chips
from sightline.tasks.ships.synthetic.hulls import SHIP_M, SMALL_M, draw_hull, paint_hull
from sightline.tasks.ships.synthetic.sample import write_sample
from sightline.tasks.ships.synthetic.scene import FROM_LAND_PX, draw_scene
from tests.parameters import changed, params_of

SAMPLE = params_of("ships", Params).sample
SMALL = changed(SAMPLE, scenes=3, chips=36, scene={"width_px": 320, "height_px": 288, "vessels_per_km2": (8, 10)})


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
    assert strata["chip-ship"] == 9
    assert strata["chip-no-ship"] == pytest.approx(27, abs=3)
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


# -------------------------------------------------------------------------------------------------------- truth


def test_the_truth_says_where_the_hulls_are(root):
    for sample in scenes_of(root):
        document = truth_of(root, sample)
        raster = document["raster"]
        a, _, c, _, e, f = raster["transform"]
        assert (a, e) == (GSD_M, -GSD_M)
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
        if said["kind"] != "berth":
            kind = "ship" if said["length_m"] >= SHIP_M else "small" if said["length_m"] <= SMALL_M else "other"
            assert said["kind"] == kind


def scene_of(kind, number=0, **changes):
    rng = np.random.Generator(np.random.PCG64([11, number]))
    params = changed(SAMPLE.scene, width_px=512, height_px=448, vessels_per_km2=(6, 8), cloudy_share=0, **changes)
    return draw_scene(rng, params, kind)


def test_vessels_differ_from_the_water_around_them():
    scene = scene_of("open", moving_share=0)
    calm = np.median(scene.pixels.reshape(-1, 3), axis=0)
    for hull in scene.vessels:
        x, y = int(hull.x), int(hull.y)
        assert np.abs(scene.pixels[y - 1 : y + 2, x - 1 : x + 2] - calm).max() > 12


def test_vessels_in_open_water_keep_off_the_land_and_those_at_berth_lie_at_it():
    import cv2

    kinds = Counter()
    for number in range(3):
        scene = scene_of("harbour", number, berth_share=1)
        away = cv2.distanceTransform((~scene.cover).astype(np.uint8), cv2.DIST_L2, 5)
        for hull in scene.vessels:
            kinds[hull.kind] += 1
            nearest = min(away[int(y), int(x)] for x, y in hull.outline())
            assert nearest < 6 if hull.kind == "berth" else nearest > FROM_LAND_PX - 2
    assert kinds["berth"]
    assert kinds["ship"] + kinds["other"]


def test_open_water_has_the_level_and_grain_of_the_real_scenes():
    """PlanetScope water: means of 39 .. 106, grain of 2.7 .. 3.9 that its neighbour shares by 0.4 .. 0.7."""
    import cv2

    for number in range(4):
        scene = scene_of("open", number, moving_share=0)
        grey = scene.pixels.mean(axis=2).astype(np.float32)
        fine = grey - cv2.GaussianBlur(grey, (0, 0), 4)
        windows = [np.s_[y : y + 48, x : x + 48] for y in range(0, 400, 48) for x in range(0, 460, 48)]
        calm = min(windows, key=lambda window: grey[window].max())
        assert 30 < grey[calm].mean() < 120
        assert 1.3 < fine[calm].std() < 5.5
        part = fine[calm]
        assert 0.25 < (part[:, 1:] * part[:, :-1]).mean() / part.var() < 0.85


def test_a_hull_is_painted_where_its_outline_is():
    """Painted alike over two backgrounds: where these shine through tells the cover, whatever the deck's colours."""
    for number in range(8):
        place = (80.37 + number / 7, 79.6)
        hull = draw_hull(np.random.default_rng(number), 40.0 * (number + 1), place, 47.0 * number, GSD_M)
        dark, pale = (np.full((160, 160, 3), level, dtype=np.float32) for level in (0, 1000))
        for picture in (dark, pale):
            paint_hull(np.random.default_rng(1), picture, hull, np.zeros(2))
        cover = 1 - (pale - dark)[..., 0].astype(np.float64) / 1000
        y, x = np.indices(cover.shape) + 0.5
        polygon = Polygon(hull.outline())
        middle_px = (cover * x).sum() / cover.sum(), (cover * y).sum() / cover.sum()
        assert middle_px == pytest.approx((polygon.centroid.x, polygon.centroid.y), abs=0.05)
        assert cover.sum() == pytest.approx(polygon.area, rel=0.05)


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
    scene = draw_scene(
        np.random.default_rng(1), changed(SAMPLE.scene, width_px=256, height_px=256, vessels_per_km2=(0, 0)), "open"
    )
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
        assert metres <= GSD_M < 2 * metres
        opaque = sum((np.asarray(Image.open(path_of(root, tile)))[..., 3] > 0).sum() for tile in tiles)
        assert opaque * metres**2 == pytest.approx(320 * 288 * GSD_M**2, rel=0.02)


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
    params = changed(SAMPLE.scene, width_px=256, height_px=256, vessels_per_km2=(30, 30), cloudy_share=1)
    scene = draw_scene(np.random.default_rng(number), params, "harbour")
    assert scene.pixels.shape == (256, 256, 3)
