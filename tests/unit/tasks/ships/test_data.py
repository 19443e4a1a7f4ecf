"""Chips and scenes of the upstream layout: what is read, what is a problem of one sample, and what is refused."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.maps.pictures import read_scene_pixels
from sightline.tasks.ships.chips import CHIP_PX, ChipName, document_text
from sightline.tasks.ships.data import excerpt, gsd_of, load_manifest, read_boxes, read_chip, source_of
from sightline.tasks.ships.labels import Box, hull_length
from sightline.vision.images import encode_png

SHIP = {"kind": "ship", "bbox": [10, 12, 40, 30]}


def chip(seed=0, side=CHIP_PX):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def write_chips(folder: Path, *stems, pixels=None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, stem in enumerate(stems):
        Image.fromarray(chip(seed) if pixels is None else pixels).save(folder / f"{stem}.png")
    return folder


def write_scene(root: Path, name="a", boxes=(SHIP,), folder="scenes", **document) -> Path:
    """A scene of 96 x 64 px and hand labels; `document` replaces parts of these."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(name)).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(root / folder / f"{name}.png")
    content = {"boxes": {name: list(boxes)}, "scene_file": {name: f"{folder}/{name}.png"}, **document}
    (root / "hand_labels.json").write_text(json.dumps(content))
    return root


def by_id(root):
    return {sample.id: sample for sample in load_manifest(root).samples}


def only(root):
    (sample,) = load_manifest(root).samples
    return sample


# -------------------------------------------------------------------------------------------------------- chips


@pytest.mark.parametrize("folder", ["shipsnet/shipsnet", "shipsnet", "chips/shipsnet/shipsnet", "."])
def test_a_chip_is_listed_with_its_label_and_scene(tmp_path, folder):
    root = tmp_path / "real"
    write_chips(root / folder, "1__20170721_180825_103c__-118.2188_33.7362", "0__lb_1__40_163")
    samples = by_id(root)
    ship, water = samples["1__20170721_180825_103c__-118.2188_33.7362"], samples["0__lb_1__40_163"]
    assert (ship.group, ship.stratum, ship.figures["ship"]) == ("20170721_180825_103c", "chip-ship", 1)
    assert (water.group, water.stratum, water.figures["ship"]) == ("lb_1", "chip-no-ship", 0)
    assert ship.figures["width"] == ship.figures["height"] == CHIP_PX
    assert ship.figures["scene"] == 0
    assert ship.problem == water.problem == ""
    manifest = load_manifest(root)
    assert read_chip(manifest, ship).shape == (CHIP_PX, CHIP_PX, 3)
    assert source_of(manifest, ship) == root / ship.input_file


@pytest.mark.parametrize("name", ["shipsnet.json", "shipsnet/shipsnet.json"])
def test_the_document_gives_the_same_chips_as_the_files(tmp_path, name):
    stems = ["1__lb_1__-118.25_33.75", "0__lb_1__40_163"]
    parts = [ChipName(1, "lb_1", -118.25, 33.75), ChipName(0, "lb_1", 40, 163)]
    write_chips(tmp_path / "files" / "shipsnet/shipsnet", *stems)
    path = tmp_path / "document" / name
    path.parent.mkdir(parents=True)
    path.write_text(document_text(parts, [chip(0), chip(1)]))
    files, document = load_manifest(tmp_path / "files"), load_manifest(tmp_path / "document")
    assert [s.id for s in files.samples] == [s.id for s in document.samples] == sorted(stems)
    for one, other in zip(files.samples, document.samples, strict=True):
        assert (one.group, one.stratum, one.labels_sha256) == (other.group, other.stratum, other.labels_sha256)
        assert (read_chip(files, one) == read_chip(document, other)).all()
        content = source_of(document, other)
        assert isinstance(content, bytes)
        assert (np.asarray(Image.open(io.BytesIO(content))) == read_chip(files, one)).all()


def test_a_chip_that_is_there_as_file_and_in_a_document_is_one_and_the_others_join(tmp_path):
    write_chips(tmp_path / "shipsnet", "1__a__1_2")
    parts = [ChipName(1, "a", 1.0, 2.0), ChipName(0, "b", 1, 2)]
    (tmp_path / "shipsnet.json").write_text(document_text(parts, [chip(0), chip(1)]))
    files = {sample.id: sample.input_file for sample in load_manifest(tmp_path).samples}
    assert files == {"1__a__1_2": "shipsnet/1__a__1_2.png", "0__b__1_2": "shipsnet.json"}


def test_chips_of_several_documents_and_folders_are_one_set(tmp_path):
    write_chips(tmp_path / "shipsnet", "1__a__1_2")
    write_chips(tmp_path / "chips", "1__c__1_2")
    for number, name in enumerate(("shipsnet.json", "shipsnet-2.JSON")):
        parts = [ChipName(0, "b", 1, 2), ChipName(0, "same", 1, 2)]
        (tmp_path / name).write_text(document_text(parts, [chip(number + 5), chip(9)]))
    manifest = load_manifest(tmp_path)
    assert [s.id for s in manifest.samples] == [
        "0__b__1_2",
        "0__b__1_2@shipsnet",
        "0__same__1_2",  # it is in both
        "1__a__1_2",
        "1__c__1_2",
    ]
    assert [s.problem for s in manifest.samples] == [""] * 5
    pixels = [read_chip(manifest, sample) for sample in manifest.samples[:2]]
    assert sorted(int(one.sum()) for one in pixels) == sorted(int(chip(n).sum()) for n in (5, 6))


def test_two_chips_of_one_name_are_a_problem(tmp_path):
    write_chips(tmp_path / "shipsnet", "1__a__1_2")
    write_chips(tmp_path / "chips", "1__a__1_2", pixels=chip(5))
    assert [bool(sample.problem) for sample in load_manifest(tmp_path).samples] == [False, True]


def test_a_copy_of_a_chip_in_another_folder_does_not_count_again(tmp_path):
    write_chips(tmp_path / "shipsnet", "1__a__1_2")
    write_chips(tmp_path / "chips", "1__a__1_2")
    first, copy = load_manifest(tmp_path).samples
    assert (first.id, first.problem) == ("1__a__1_2", "")
    assert copy.problem.endswith("is the same chip. Remove one of them.")


@pytest.mark.parametrize("stem", ["ship", "2__a__1_2", "1__a", "1__a__1", "1__a__1_x", "1__a__nan_2", "1____1_2",
                                  "1__a__1e9_2", "1__a__1_2__3"])  # fmt: skip
def test_a_chip_with_another_name_is_a_problem(tmp_path, stem):
    write_chips(tmp_path / "shipsnet", stem, "1__a__1_2")
    assert by_id(tmp_path)["1__a__1_2"].problem == ""
    assert stem in by_id(tmp_path)[stem].problem


@pytest.mark.parametrize(
    ("pixels", "words"),
    [(chip(side=64), "64 x 64 x 3, not 80 x 80"), (chip()[..., 0], "80 x 80, not 80 x 80 of RGB")],
)
def test_a_chip_of_another_size_or_of_grey_is_a_problem(tmp_path, pixels, words):
    write_chips(tmp_path / "set" / "shipsnet", "1__a__1_2", pixels=pixels)
    sample = only(tmp_path / "set")
    assert words in sample.problem
    assert str(tmp_path) not in sample.problem


def test_a_broken_chip_is_a_problem(tmp_path):
    path = write_chips(tmp_path / "shipsnet", "1__a__1_2") / "1__a__1_2.png"
    path.write_bytes(path.read_bytes()[:500])
    assert "truncated" in only(tmp_path).problem


def test_one_chip_under_both_labels_is_a_problem_of_both(tmp_path):
    write_chips(tmp_path / "shipsnet", "1__a__1_2", "0__b__3_4", "1__c__5_6", pixels=chip())
    write_chips(tmp_path / "shipsnet", "0__d__7_8", pixels=chip(4))
    problems = {name: sample.problem for name, sample in by_id(tmp_path).items()}
    assert "as ship and as no-ship" in problems["0__b__3_4"]
    assert [bool(problems[name]) for name in sorted(problems)] == [True, False, True, True]


def test_a_file_and_a_row_of_a_document_cannot_contradict_each_other_unseen(tmp_path):
    write_chips(tmp_path / "shipsnet", "0__a__1_2", pixels=chip(7))
    parts = [ChipName(1, "a", 1, 2), ChipName(1, "b", 1, 2)]
    (tmp_path / "shipsnet.json").write_text(document_text(parts, [chip(7), chip(8)]))
    problems = {name: sample.problem for name, sample in by_id(tmp_path).items()}
    assert problems.pop("1__b__1_2") == ""
    assert sorted(problems) == ["0__a__1_2", "1__a__1_2"]
    assert all("as ship and as no-ship" in problem for problem in problems.values())


def write_georeferenced(path: Path, pixels, gsd_m: float) -> None:
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(gsd_m, 0, 5e5, 0, -gsd_m, 5.5e6)}
    height, width = pixels.shape[:2]
    with rasterio.open(path, "w", driver="GTiff", count=3, height=height, width=width, dtype="uint8", **place) as file:
        file.write(np.moveaxis(pixels, -1, 0))


@pytest.mark.parametrize(("gsd_m", "fits"), [(0.5, False), (2.8, False), (2.95, True), (3.0, True), (3.3, False)])
def test_a_chip_that_tells_of_another_pixel_size_is_a_problem(tmp_path, gsd_m, fits):
    (tmp_path / "chips").mkdir()
    write_georeferenced(tmp_path / "chips/1__a__1_2.tif", chip(), gsd_m)
    sample = only(tmp_path)
    assert bool(sample.problem) is not fits
    assert fits or f"its pixels are {gsd_m:g} m, not 3 m. Resample it to 3 m (gdalwarp" in sample.problem


@pytest.mark.parametrize("gsd_m", [1.0, 3.0, 10.0])
def test_a_scene_has_the_pixels_that_it_tells(tmp_path, gsd_m):
    write_scene(tmp_path, scene_file={})
    (tmp_path / "scenes/a.png").unlink()
    write_georeferenced(tmp_path / "scenes/a.tif", np.full((64, 96, 3), 60, np.uint8), gsd_m)
    sample = only(tmp_path)
    assert sample.problem == ""
    assert gsd_of(sample) == pytest.approx(gsd_m, rel=1e-3)


def test_a_world_file_beside_a_scene_tells_its_pixel_size(tmp_path):
    write_scene(tmp_path)
    assert gsd_of(only(tmp_path)) == 3
    (tmp_path / "scenes/a.pgw").write_text("0.5\n0\n0\n-0.5\n500000\n5500000\n")
    (tmp_path / "scenes/a.prj").write_text(rasterio.crs.CRS.from_epsg(32633).to_wkt())
    assert gsd_of(only(tmp_path)) == pytest.approx(0.5, rel=1e-3)


def test_a_truth_and_a_world_file_that_disagree_are_a_problem(tmp_path):
    write_scene(tmp_path, "a")
    (tmp_path / "hand_labels.json").unlink()
    truth = {"type": "FeatureCollection", "features": [], "raster": {"transform": [4.0, 0, 0, 0, -4.0, 0]}}
    (tmp_path / "scenes/a.geojson").write_text(json.dumps(truth))
    assert gsd_of(only(tmp_path)) == 4
    (tmp_path / "scenes/a.pgw").write_text("0.5\n0\n0\n-0.5\n500000\n5500000\n")
    (tmp_path / "scenes/a.prj").write_text(rasterio.crs.CRS.from_epsg(32633).to_wkt())
    assert "a.png: its pixels are 0.5 m, but its labels say 4 m" in only(tmp_path).problem


POINTS = {
    "file": "port.png",
    "gsd_m": "unknown; about 5.3 m a pixel, enlarged",
    "vessels": [{"x": 20.5, "y": 30, "kind": "open"}, {"x": 40, "y": 12, "kind": "berth"}],
}


def write_points(root, document=None):
    (root / "aoi").mkdir(parents=True)
    Image.fromarray(np.full((64, 96, 3), 60, np.uint8)).save(root / "aoi/port.png")
    (root / "aoi/labels.json").write_text(json.dumps(document or {"how": "by eye", "pictures": [POINTS]}))
    return root


def test_middles_alone_are_labels_too(tmp_path):
    manifest = load_manifest(write_points(tmp_path))
    (sample,) = manifest.samples
    assert (sample.id, sample.group, sample.stratum, sample.problem) == ("scene-port", "port", "scene", "")
    assert (gsd_of(sample), sample.figures["ships"], sample.figures["alongside"]) == (5.3, 1, 1)
    boxes = read_boxes(manifest, sample)
    assert [(box.centre, box.where, box.is_point) for box in boxes] == [
        ((20.5, 30), "open_water", True),
        ((40, 12), "alongside", True),
    ]
    assert [box.size_class(5.3) for box in boxes] == [None, None]
    document = manifest.path(sample, "labels")
    assert json.loads(excerpt(document, [sample]))["pictures"] == [POINTS]
    assert excerpt(document, [sample], rest=True) == b""


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"gsd_m": "unknown"}, "tells no metres a pixel"),
        ({"gsd_m": -3}, "tells no metres a pixel"),
        ({"vessels": [{"x": 1, "y": "a", "kind": "open"}]}, "is not two numbers"),
        ({"vessels": [{"x": 1, "y": 2, "kind": "ship"}]}, "is not one of open, berth"),
        ({"vessels": [{"x": 1000, "y": 2, "kind": "open"}]}, "lies outside the frame"),
        ({"file": "../port.png"}, "names no file in this folder"),
        ({"file": "other.png"}, "there is no such file"),
    ],
)
def test_middles_that_cannot_be_are_problems(tmp_path, change, problem):
    sample = only(write_points(tmp_path, {"pictures": [{**POINTS, **change}]}))
    assert problem in sample.problem


def test_lengths_are_told_by_boxes_of_any_heading():
    for angle in np.deg2rad([0, 20, 45, 70, 90]):
        width, height = (abs(np.cos(angle - turn)) * 100 + abs(np.sin(angle - turn)) * 20 for turn in (0, np.pi / 2))
        assert hull_length(width, height) == pytest.approx(100, rel=0.02)


@pytest.mark.parametrize(
    ("box", "asked", "size"),
    [
        (Box("small", 0, 0, 4, 4), False, "20-50"),
        (Box("small", 0, 0, 9, 2), True, "20-50"),
        (Box("other", 0, 0, 20, 6), True, "50-160"),
        (Box("other", 0, 0, 60, 20), True, None),  # with its wake
        (Box("other", 0, 0, 60, 20, 40.0), True, "20-50"),  # its length is stated
        (Box("ship", 0, 0, 50, 12), True, "160+"),
    ],
)
def test_vessels_of_20_m_are_asked_for_by_class(box, asked, size):
    assert (box.is_asked_for(3.0), box.size_class(3.0)) == (asked, size)


# ----------------------------------------------------------------------------------------------------- document

GOOD = {"data": [[0] * 19_200], "labels": [1], "locations": [[1.5, 2]], "scene_ids": ["a"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": [[0] * 19_199]}, r"data\[0\]"),
        ({"data": [[256] * 19_200]}, r"data\[0\]"),
        ({"data": [[0.5] * 19_200]}, r"data\[0\]"),
        ({"data": [7]}, r"data\[0\]"),
        ({"data": {"0": []}}, r"\["),
        ({"labels": [2]}, r"labels\[0\]"),
        ({"labels": [True]}, r"labels\[0\]"),
        ({"labels": []}, "labels"),
        ({"locations": [[1]]}, r"locations\[0\]"),
        ({"locations": [["1", "2"]]}, r"locations\[0\]"),
        ({"scene_ids": ["../a"]}, r"scene_ids\[0\]"),
        ({"scene_ids": None}, "scene_ids"),
    ],
)
def test_a_document_with_a_wrong_field_is_listed_by_its_name(tmp_path, change, words):
    (tmp_path / "shipsnet.json").write_text(json.dumps({**GOOD, **change}))
    assert re.search(words, only(tmp_path).problem)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"data": [', '{"data": [[1,2', "[" * 100_000, '{"a": 1 "b": 2}',
                                  '{"data": [[1] [2]]}', '{"a": ' + "[" * 100_000])  # fmt: skip
def test_a_document_that_is_none_is_listed_and_refuses_nothing_else(tmp_path, text):
    (tmp_path / "shipsnet.json").write_text(text)
    write_chips(tmp_path / "shipsnet", "1__a__1_2")
    samples = by_id(tmp_path)
    assert samples["1__a__1_2"].problem == ""
    assert samples["shipsnet.json"].problem.startswith("shipsnet.json: ")


def test_members_may_come_in_any_order_and_a_chip_that_comes_twice_counts_once(tmp_path):
    twice = {name: values * 2 for name, values in GOOD.items()}
    text = json.dumps(dict(reversed(list(twice.items()))), indent=1)
    (tmp_path / "shipsnet.json").write_text(text)
    sample = only(tmp_path)
    assert (sample.id, sample.problem) == ("1__a__1.5_2", "")
    assert excerpt(tmp_path / "shipsnet.json", [sample], rest=True) == b"", "its copy goes with it"


def test_another_chip_of_the_same_name_is_one_more(tmp_path):
    parts = [ChipName(1, "a", 1.5, 2)] * 2
    (tmp_path / "shipsnet.json").write_text(document_text(parts, [chip(0), chip(1)]))
    assert [s.id for s in load_manifest(tmp_path).samples] == ["1__a__1.5_2", "1__a__1.5_2-2"]


# ------------------------------------------------------------------------------------------------------- scenes


@pytest.mark.parametrize("folder", ["scenes", "scenes/scenes", "scenes_rhammell"])
def test_a_labelled_scene_is_a_sample(tmp_path, folder):
    root = write_scene(tmp_path, "lb_1", [SHIP, {"kind": "small", "bbox": [1, 1, 3.5, 4]}], folder, scene_file={})
    sample = only(root)
    assert sample.id == "scene-lb_1"
    assert list(sample.files) == ["image", "labels"]
    assert (sample.group, sample.stratum, sample.problem) == ("lb_1", "scene", "")
    assert sample.figures == {"width": 96, "height": 64, "scene": 1, "gsd_m": 3, "ships": 1, "alongside": 0}
    manifest = load_manifest(root)
    assert read_boxes(manifest, sample) == (Box("ship", 10, 12, 40, 30), Box("small", 1, 1, 3.5, 4))
    assert read_scene_pixels(manifest.path(sample), Limits()).shape == (64, 96, 3)


def test_a_scene_without_boxes_is_no_sample(tmp_path):
    write_scene(tmp_path, "a")
    Image.fromarray(chip()).save(tmp_path / "scenes" / "b.png")
    assert only(tmp_path).id == "scene-a"


def test_a_scene_with_an_empty_list_of_boxes_is_one_without_ships(tmp_path):
    sample = only(write_scene(tmp_path, boxes=()))
    assert sample.problem == ""
    assert sample.figures["ships"] == 0


def test_boxes_may_stand_in_a_geojson_beside_the_scene(tmp_path):
    write_scene(tmp_path, "a")
    (tmp_path / "hand_labels.json").unlink()
    feature = {"type": "Feature", "geometry": None, "properties": {**SHIP, "length_m": 90}}
    (tmp_path / "scenes/a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    manifest = load_manifest(tmp_path)
    assert read_boxes(manifest, manifest.samples[0]) == (Box("ship", 10, 12, 40, 30, 90.0),)


def test_scenes_of_one_ground_and_their_chips_form_a_group(tmp_path):
    write_scene(tmp_path, "x", same_ground=[["x", "y"], ["z", "y"], ["p", "q"]])
    write_chips(tmp_path / "chips", "0__y__1_2", "0__z__1_2", "0__q__1_2", "0__scene_2__1_2", "0__scene_4__1_2",
                "0__sfbay_4__1_2", "0__w__1_2")  # fmt: skip
    groups = {name: sample.group for name, sample in by_id(tmp_path).items()}
    assert groups == {
        "scene-x": "x",
        "0__y__1_2": "x",
        "0__z__1_2": "x",
        "0__q__1_2": "p",
        "0__scene_2__1_2": "lb_1",
        "0__scene_4__1_2": "scene_1",
        "0__sfbay_4__1_2": "sfbay_4",
        "0__w__1_2": "w",
    }


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"kind": "submarine", "bbox": [1, 2, 3, 4]}, r"boxes\.a\[1\]: the kind 'submarine'"),
        ({"kind": "ship", "bbox": [1, 2, 3]}, r"boxes\.a\[1\]: .*four numbers"),
        ({"kind": "ship", "bbox": [1, 2, 3, "4"]}, r"boxes\.a\[1\]"),
        ({"kind": "ship", "bbox": [5, 2, 3, 4]}, r"boxes\.a\[1\]: .*x0 < x1"),
        ({"kind": "ship", "bbox": [1, 2, float("nan"), 4]}, r"boxes\.a\[1\]"),
        ({"kind": "ship", "bbox": [1, 2, 10**400, 4]}, r"boxes\.a\[1\]"),
        ({"kind": "ship", "bbox": [96, 2, 99, 4]}, "box 1: .*outside the frame of 96 x 64"),
        (None, r"boxes\.a\[1\]"),
    ],
)
def test_a_bad_box_is_its_scenes_problem(tmp_path, bad, words):
    write_scene(tmp_path, boxes=[SHIP, bad])
    write_chips(tmp_path / "shipsnet", "1__a__1_2")
    samples = by_id(tmp_path)
    assert samples["1__a__1_2"].problem == ""
    with pytest.raises(DataRejected, match=words):
        raise DataRejected(samples["scene-a"].problem)


def test_a_scene_needs_one_picture_and_boxes_that_agree(tmp_path):
    gone = write_scene(tmp_path / "gone")
    (gone / "scenes/a.png").unlink()
    assert "there are 0 pictures of a" in only(gone).problem
    twice = write_scene(tmp_path / "twice", scene_file={})
    (twice / "scenes/a.jpg").write_bytes((twice / "scenes/a.png").read_bytes())
    assert "there are 2 pictures of a" in only(twice).problem
    both = write_scene(tmp_path / "both")
    (both / "scenes/a.geojson").write_text('{"features": []}')
    assert "a has different boxes in a.geojson" in only(both).problem
    same = write_scene(tmp_path / "same")
    (same / "hand_labels-2.json").write_text((same / "hand_labels.json").read_text())
    assert only(same).problem == ""


def test_the_digest_of_the_labels_is_of_the_scenes_own_boxes(tmp_path):
    write_scene(tmp_path, "a")
    before = only(tmp_path).labels_sha256
    boxes = {"a": [SHIP], "b": [{"kind": "other", "bbox": [1, 2, 3, 4]}]}
    (tmp_path / "hand_labels.json").write_text(json.dumps({"boxes": boxes}))
    assert by_id(tmp_path)["scene-a"].labels_sha256 == before
    (tmp_path / "hand_labels.json").write_text(json.dumps({"boxes": {"a": []}}))
    assert only(tmp_path).labels_sha256 != before


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", ""])
def test_a_name_that_leads_out_of_the_set_is_refused(tmp_path, name):
    Image.fromarray(chip()).save(tmp_path / "secret.png")
    assert "scene_file" in only(write_scene(tmp_path / "set", scene_file={"a": name})).problem


@pytest.mark.parametrize("name", ["scenes\\a.png", "./scenes/a.png"])
def test_a_picture_may_be_named_as_windows_and_shells_do(tmp_path, name):
    assert only(write_scene(tmp_path, scene_file={"a": name})).problem == ""


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"boxes": 3}', '{"boxes": {}, "same_ground": ["a"]}', "[" * 100_000]
)
def test_hand_labels_that_are_none_are_listed_and_refuse_nothing_else(tmp_path, text):
    write_scene(tmp_path)
    (tmp_path / "hand_labels-2.json").write_text(text)
    samples = by_id(tmp_path)
    assert samples["scene-a"].problem == ""
    assert samples["hand_labels-2.json"].problem.startswith("hand_labels-2.json: ")


def test_a_second_document_of_boxes_adds_its_scenes(tmp_path):
    write_scene(tmp_path, "a")
    (tmp_path / "hand_labels.json").rename(tmp_path / "hand_labels-1.JSON")
    write_scene(tmp_path, "b", boxes=(), same_ground=[["a", "b"]])
    assert {name: (s.problem, s.group) for name, s in by_id(tmp_path).items()} == {
        "scene-a": ("", "a"),
        "scene-b": ("", "a"),
    }


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("nowhere")], ids=["pipe", "dangling"])
@pytest.mark.parametrize("name", ["shipsnet/1__a__1_2.png", "scenes/a.png", "hand_labels.json", "shipsnet.json"])
def test_what_is_no_file_is_listed_at_once(tmp_path, make, name):
    write_scene(tmp_path, "a")
    write_chips(tmp_path / "shipsnet", "1__a__1_2")
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)
    problems = [sample.problem for sample in load_manifest(tmp_path).samples if sample.problem]
    assert [name in problem for problem in problems] == [True]


def test_an_absent_layout_is_said(tmp_path):
    Image.fromarray(chip()).save(tmp_path / "holiday.png")
    with pytest.raises(DataMissing, match=r"shipsnet\.json"):
        load_manifest(tmp_path)


def test_what_is_gone_since_the_manifest_was_made_is_said(tmp_path):
    (tmp_path / "shipsnet.json").write_text(json.dumps(GOOD))
    manifest = load_manifest(tmp_path)
    (tmp_path / "shipsnet.json").write_text(json.dumps({**GOOD, "scene_ids": ["other"]}))
    with pytest.raises(DataRejected, match=r"1__a__1\.5_2 no longer exists"):
        read_chip(manifest, manifest.samples[0])
    (tmp_path / "shipsnet.json").unlink()
    with pytest.raises(DataMissing):
        source_of(manifest, manifest.samples[0])


# ---------------------------------------------------------------------------------------------------- real data


def test_the_real_set_is_read_whole(real_data):
    manifest = load_manifest(real_data / "ships")
    assert [sample.problem for sample in manifest.samples] == [""] * len(manifest)
    assert {sample.group for sample in manifest.samples} == {
        "lb_1",
        "scene_1",
        "sfbay_4",
        "port_of_aglericas_spain_raw_esri",
        "port_of_aglericas_spain_raw_sentinel",
    }
    scenes = [sample for sample in manifest.samples if sample.stratum == "scene"]
    assert {scene.id: scene.figures["ships"] for scene in scenes} == {
        "scene-lb_1": 14,
        "scene-sfbay_1": 12,
        "scene-sfbay_4": 2,
        "scene-scene_4": 10,
        "scene-port_of_aglericas_spain_raw_esri": 2,
        "scene-port_of_aglericas_spain_raw_sentinel": 3,
    }
    assert sum(sample.figures["ship"] for sample in manifest.samples if sample.stratum != "scene") == 23
    assert len(manifest) - len(scenes) == 158


def test_png_bytes_of_a_chip_hold_its_pixels():
    assert (np.asarray(Image.open(io.BytesIO(encode_png(chip(3))))) == chip(3)).all()
