"""The upstream layout: what is read, what is clipped, and what is said of bad files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import DataMissing, DataRejected
from sightline.geometry import box_iou
from sightline.tasks.pv_hotspots.data import coco_document, load_manifest, read_labels, time_blocks

WIDTH, HEIGHT = 64, 48


def quad(x0, y0, x1, y1):
    return [{"x": x, "y": y} for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]


def module(corners, defected=False, key="defected_module"):
    return {"corners": corners, "center": {"x": 0, "y": 0}, key: defected}


def write_labels(path: Path, instances) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"instances": instances}))
    return path


def write_pair(root: Path, stem: str, instances=(), folder="dataset_1", value=0) -> None:
    picture = (np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) + value).astype(np.uint8)
    images = root / folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(images / f"{stem}.png")
    write_labels(root / folder / "annotations" / f"{stem}.json", list(instances))


def labels_of(tmp_path, instances):
    return read_labels(write_labels(tmp_path / "a.json", instances), WIDTH, HEIGHT)


def test_a_module_inside_the_frame_keeps_its_box(tmp_path):
    labels = labels_of(tmp_path, [module(quad(5, 6, 20, 30), defected=True)])
    assert labels.boxes.tolist() == [[5, 6, 20, 30]]
    assert labels.classes.tolist() == [1]


def test_the_plural_key_is_read_too(tmp_path):
    assert labels_of(tmp_path, [module(quad(5, 6, 20, 30), True, "defected_modules")]).classes.tolist() == [1]


def test_a_module_that_reaches_outside_is_clipped_as_a_polygon(tmp_path):
    """A slanted module's box follows what is visible of it, which clamping x and width would not give."""
    corners = [{"x": x, "y": y} for x, y in ((-10, 10), (10, 0), (20, 20), (0, 30))]
    labels = labels_of(tmp_path, [module(corners)])
    assert labels.boxes[0] == pytest.approx([0, 0, 20, 30])
    labels = labels_of(tmp_path, [module([{"x": c["x"], "y": c["y"] - 15} for c in corners])])
    assert labels.boxes[0] == pytest.approx([0, 0, 20, 15])
    labels = labels_of(tmp_path, [module([{"x": c["x"] - 9, "y": c["y"]} for c in corners])])
    assert labels.boxes[0] == pytest.approx([0, 0, 11, 25.5])


def test_a_module_of_which_less_than_a_quarter_is_visible_is_dropped(tmp_path):
    labels = labels_of(tmp_path, [module(quad(-31, 0, 9, 20)), module(quad(-29, 0, 11, 20))])
    assert labels.boxes.tolist() == [[0, 0, 11, 20]]
    assert labels.dropped == 1


def test_corners_clicked_crosswise_give_the_same_box(tmp_path):
    crossed = [quad(5, 6, 20, 30)[index] for index in (0, 2, 1, 3)]
    assert labels_of(tmp_path, [module(crossed)]).boxes.tolist() == [[5, 6, 20, 30]]


def test_a_frame_without_modules_is_fine(tmp_path):
    labels = labels_of(tmp_path, [])
    assert labels.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("instances", "field"),
    [
        ([{"center": {}, "defected_module": False}], r"instances\[0\].*corners"),
        ([module(quad(0, 0, 9, 9)), module(quad(0, 0, 9, 9)[:3])], r"instances\[1\]\.corners.*3 corners"),
        ([module([*quad(0, 0, 9, 9)[:3], {"x": float("nan"), "y": 1}])], r"corners\[3\]\.x"),
        ([module([*quad(0, 0, 9, 9)[:3], {"x": 1, "y": float("inf")}])], r"corners\[3\]\.y"),
        ([module([*quad(0, 0, 9, 9)[:3], {"x": "1", "y": 1}])], r"corners\[3\]\.x"),
        ([module([*quad(0, 0, 9, 9)[:3], {"x": 1}])], r"corners\[3\]\.y"),
        ([module([*quad(0, 0, 9, 9)[:3], 7])], r"corners\[3\]\.x"),
        ([{"corners": quad(0, 0, 9, 9)}], "defected_module"),
        ([module(quad(0, 0, 9, 9), "cracked")], "class 'cracked' is unknown"),
        ([module(quad(0, 0, 9, 9), 1)], "class 1 is unknown"),
        ([5], r"instances\[0\]"),
    ],
)
def test_bad_labels_are_refused_by_file_and_field(tmp_path, instances, field):
    with pytest.raises(DataRejected, match=field) as caught:
        labels_of(tmp_path, instances)
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"instances": 3}', "[" * 100_000])
def test_what_is_not_the_document_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataRejected, match=r"a\.json"):
        read_labels(path, WIDTH, HEIGHT)


# ----------------------------------------------------------------------------------------------------- manifest


@pytest.mark.parametrize("nested", ["", "upstream"])
def test_both_folders_are_found_also_one_level_deeper(tmp_path, nested):
    root = tmp_path / "real"
    write_pair(root / nested, "20180630_154039", [module(quad(5, 5, 20, 30), True)])
    write_pair(root / nested, "20180630_154041", folder="dataset_2", value=3)
    manifest = load_manifest(root)
    assert [sample.key for sample in manifest.samples] == ["real/20180630_154039", "real/20180630_154041"]
    first, second = manifest.samples
    assert manifest.path(first).is_file()
    assert manifest.path(first, "labels").is_file()
    assert (first.stratum, second.stratum) == ("defects", "none")
    assert first.group != second.group
    assert first.figures["modules"] == 1
    assert first.figures["boxes_outside"] == 0
    assert not first.problem


def test_the_digests_tell_content(tmp_path):
    write_pair(tmp_path / "a", "x", value=1)
    write_pair(tmp_path / "b", "x", value=2)
    one, other = load_manifest(tmp_path / "a").samples[0], load_manifest(tmp_path / "b").samples[0]
    assert one.sha256 != other.sha256
    assert one.labels_sha256 == other.labels_sha256


def test_the_same_name_in_both_folders_gives_two_ids(tmp_path):
    write_pair(tmp_path / "real", "x")
    write_pair(tmp_path / "real", "x", folder="dataset_2", value=2)
    assert [s.id for s in load_manifest(tmp_path / "real").samples] == ["dataset_1-x", "dataset_2-x"]


def test_an_absent_layout_is_said(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataMissing, match="dataset_1"):
        load_manifest(tmp_path)


def test_bad_samples_are_listed_with_their_problem_and_the_rest_goes_on(tmp_path):
    root = tmp_path / "real"
    for stem in ("good", "no_label", "no_image", "broken", "bad_label"):
        write_pair(root, stem)
    (root / "dataset_1/annotations/no_label.json").unlink()
    (root / "dataset_1/images/no_image.png").unlink()
    (root / "dataset_1/images/broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrest")
    write_labels(root / "dataset_1/annotations/bad_label.json", [{"defected_module": True}])
    problems = {sample.id: sample.problem for sample in load_manifest(root).samples}
    assert problems["good"] == ""
    for stem, words in {
        "no_label": "no annotations/no_label.json",
        "no_image": "no images/no_image",
        "broken": "broken.png",
        "bad_label": "corners",
    }.items():
        assert words in problems[stem]
        assert stem in problems[stem]
        assert str(tmp_path) not in problems[stem]


# ------------------------------------------------------------------------------------------------------- groups


def test_frames_less_than_half_a_minute_apart_form_a_block():
    stems = ["20180630_154039", "20180630_154139", "20180630_154201", "20180630_154239", "20180630_154305"]
    assert list(time_blocks(stems).values()) == [
        "20180630_154039", "20180630_154139", "20180630_154139", "20180630_154239", "20180630_154239",
    ]  # fmt: skip


def test_sites_are_told_apart_by_what_precedes_the_time():
    blocks = time_blocks(["a_20180630_154039", "b_20180630_154040"])
    assert len(set(blocks.values())) == 2


@pytest.mark.parametrize(
    ("stems", "groups"),
    [
        (["north_1", "north_2", "south_1"], 2),
        (["IMG_0001", "IMG_0002"], 2),
        (["20181340_256199", "other"], 2),
        (["1", "2"], 2),
    ],
)
def test_names_without_a_time(stems, groups):
    assert len(set(time_blocks(stems).values())) == groups


# --------------------------------------------------------------------------------------------------------- COCO


def test_predictions_as_coco():
    document = coco_document("a.jpg", (64, 48), np.array([[1.0, 2.0, 11.0, 22.0]]), [1], [0.75])
    assert document["annotations"][0]["bbox"] == [1, 2, 10, 20]
    assert document["annotations"][0]["category_id"] == 2
    assert document["categories"][1]["name"] == "defected"
    json.dumps(document, allow_nan=False)


# --------------------------------------------------------------------------------------------------- real frames


def test_the_real_thermograms(real_data):
    manifest = load_manifest(real_data / "pv_hotspots")
    assert len(manifest) == 15
    assert not [sample.problem for sample in manifest.samples if sample.problem]
    assert sum(sample.figures["defected"] for sample in manifest.samples) > 50
    assert all(sample.figures["boxes_outside"] == 0 for sample in manifest.samples)
    assert len({sample.group for sample in manifest.samples}) == 4
    labels = read_labels(manifest.path(manifest.samples[0], "labels"), 640, 512)
    assert box_iou(labels.boxes, labels.boxes).max() == pytest.approx(1)
