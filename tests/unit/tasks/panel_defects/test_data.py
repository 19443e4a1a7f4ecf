"""Photographs and their labels: what is read, what is listed as a problem, and what is refused."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.tasks.panel_defects.coco import read_document
from sightline.tasks.panel_defects.data import CLASSES, excerpt, load_manifest, read_labels, read_photograph

WIDTH, HEIGHT = 64, 48
CATEGORIES = [
    {"id": 0, "name": "solar-panel-fault"},
    *({"id": number, "name": name} for number, name in enumerate(CLASSES[1:], start=1)),
]


def square(x0, y0, x1, y1):
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def picture(seed=0, width=WIDTH, height=HEIGHT):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def note(image, category, *polygons, **more):
    return {"image_id": image, "category_id": category, "segmentation": list(polygons), **more}


def write_set(root: Path, names=("Dust-1.jpg",), annotations=(), folder="images", **document) -> Path:
    """A set of random photographs with the annotations given; `document` replaces parts of the JSON."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        Image.fromarray(picture(seed)).save(root / folder / name, format="JPEG")
    images = [{"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in enumerate(names)]
    content = {"categories": CATEGORIES, "images": images, "annotations": list(annotations), **document}
    (root / "_annotations.coco.json").write_text(json.dumps(content))
    return root


def only(root):
    (sample,) = load_manifest(root).samples
    return sample


def mask_of(root):
    manifest = load_manifest(root)
    return read_labels(manifest, manifest.samples[0])


# ------------------------------------------------------------------------------------------------------- labels


def test_pixels_whose_centre_lies_inside_get_the_class(tmp_path):
    mask = mask_of(write_set(tmp_path, annotations=[note(0, 3, square(2.4, 3.6, 10.4, 8.6))]))
    assert mask.shape == (HEIGHT, WIDTH)
    assert mask.dtype == np.uint8
    y, x = np.nonzero(mask)
    assert (x.min(), x.max(), y.min(), y.max()) == (2, 9, 4, 8)
    assert set(mask[mask > 0].tolist()) == {3}


@pytest.mark.parametrize("order", [1, -1])
def test_a_small_shape_stays_visible_on_a_large_one_whatever_their_order(tmp_path, order):
    notes = [note(0, 2, square(0, 0, 40, 40)), note(0, 1, square(10, 10, 14, 14))][::order]
    mask = mask_of(write_set(tmp_path, annotations=notes))
    assert mask[12, 12] == 1
    assert mask[20, 20] == 2


def test_a_shape_of_several_polygons_is_their_union(tmp_path):
    mask = mask_of(write_set(tmp_path, annotations=[note(0, 5, square(0, 0, 4, 4), square(10, 0, 14, 4))]))
    assert (mask == 5).sum() == 32


def test_a_polygon_that_crosses_itself_is_read_by_the_even_odd_rule(tmp_path):
    twice = [0, 0, 20, 0, 20, 20, 0, 20, 0, 0, 5, 5, 15, 5, 15, 15, 5, 15, 5, 5]
    mask = mask_of(write_set(tmp_path, annotations=[note(0, 4, twice)]))
    assert (mask == 4).sum() == 20 * 20 - 10 * 10
    bow = mask_of(write_set(tmp_path / "bow", annotations=[note(0, 4, [0, 0, 20, 20, 20, 0, 0, 20])]))
    assert 150 < (bow == 4).sum() < 250
    assert bow[10, 2] == bow[10, 17] == 4
    assert bow[2, 10] == 0


def test_a_polygon_that_leaves_the_frame_is_cut(tmp_path):
    root = write_set(tmp_path, annotations=[note(0, 5, square(-9, -9, 4, 4))])
    assert only(root).problem == ""
    assert (mask_of(root) == 5).sum() == 16


def test_categories_are_matched_by_name_not_by_number(tmp_path):
    categories = [{"id": 7, "name": "Snow Covered"}, {"id": 2, "name": "bird_drop"}]
    notes = [note(0, 7, square(0, 0, 4, 4)), note(0, 2, square(8, 0, 12, 4))]
    mask = mask_of(write_set(tmp_path, annotations=notes, categories=categories))
    assert sorted(set(mask.ravel().tolist())) == [0, 1, 5]


def test_one_document_is_parsed_once_and_again_when_it_has_changed(tmp_path):
    path = write_set(tmp_path) / "_annotations.coco.json"
    first = read_document(path, CLASSES)
    assert read_document(path, CLASSES) is first
    write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))])
    assert len(read_document(path, CLASSES).photographs[0].shapes) == 1


def test_a_document_of_the_same_size_and_time_is_not_taken_for_the_old_one(tmp_path):
    """Copying and unpacking bring a file's own time of writing along."""
    path = write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))]) / "_annotations.coco.json"
    before, first = path.stat(), read_document(path, CLASSES)
    write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 8, 8))])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert read_document(path, CLASSES) is not first


# ----------------------------------------------------------------------------------------------------- manifest


def test_a_sample_has_its_files_figures_stratum_and_group(tmp_path):
    root = write_set(tmp_path / "real", annotations=[note(0, 2, square(0, 0, 32, 48))])
    sample = only(root)
    assert sample.key == "real/Dust-1"
    assert list(sample.files) == ["image", "labels"]
    assert sample.stratum == "dusty"
    assert sample.group == "Dust-1"
    assert sample.figures["width"] == WIDTH
    assert sample.figures["polygons"] == 1
    assert sample.figures["share_dusty"] == sample.figures["share_defects"] == 0.5
    assert sample.figures["share_bird-drop"] == 0


@pytest.mark.parametrize("place", ["images", "."])
def test_photographs_lie_in_images_or_beside_the_document(tmp_path, place):
    assert only(write_set(tmp_path, folder=place)).problem == ""


def test_the_parts_of_an_export_are_one_set(tmp_path):
    for part, name in (("train", "Snow-1.jpg"), ("valid", "Clean-1.jpg"), ("test", "Snow-1.jpg")):
        write_set(tmp_path / part, [name], [note(0, 5, square(0, 0, 9, 9))], folder=".")
    manifest = load_manifest(tmp_path)
    assert [s.id for s in manifest.samples] == ["Clean-1", "test-Snow-1", "train-Snow-1"]
    assert all((read_labels(manifest, sample) == 5).sum() == 81 for sample in manifest.samples)


def test_names_without_a_prefix_get_the_stratum_of_what_covers_most(tmp_path):
    notes = [note(0, 2, square(0, 0, 40, 40)), note(0, 1, square(10, 10, 14, 14))]
    strata = {s.id: s.stratum for s in load_manifest(write_set(tmp_path, ["1_JPG.jpg", "2.jpg"], notes)).samples}
    assert strata == {"1_JPG": "dusty", "2": "clean"}


def test_near_duplicates_form_a_group(tmp_path):
    root = write_set(tmp_path, ["Bird-2.jpg", "Bird-1.jpg", "Bird-3.jpg"])
    again = np.clip(picture(0) * 0.97, 0, 255).astype(np.uint8)
    Image.fromarray(again).save(root / "images" / "Bird-3.jpg", quality=95)
    groups = {s.id: s.group for s in load_manifest(root).samples}
    assert groups == {"Bird-1": "Bird-1", "Bird-2": "Bird-2", "Bird-3": "Bird-2"}


def test_the_labels_digest_is_of_the_samples_share(tmp_path):
    notes = [note(0, 1, square(0, 0, 9, 9), id=4), note(1, 2, square(0, 0, 9, 9), id=5)]
    before = load_manifest(write_set(tmp_path, ["a.jpg", "b.jpg"], notes)).samples
    notes = [note(1, 2, square(0, 0, 9, 8), id=1), note(0, 1, square(0, 0, 9, 9), id=2)]
    after = load_manifest(write_set(tmp_path, ["a.jpg", "b.jpg"], notes)).samples
    assert before[0].labels_sha256 == after[0].labels_sha256
    assert before[1].labels_sha256 != after[1].labels_sha256
    assert [s.sha256 for s in before] == [s.sha256 for s in after]


# ---------------------------------------------------------------------------------------------------- bad labels

NAN = float("nan")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (note(0, 9, square(0, 0, 9, 9)), r"annotations\[1\]\.category_id: there is no category 9"),
        (note(0, 0, square(0, 0, 9, 9)), r"annotations\[1\]\.category_id: .*solar-panel-fault.* is not a defect"),
        (note(0, "dusty", square(0, 0, 9, 9)), r"category_id: there is no category 'dusty'"),
        (note(0, 1, [0, 0, 9, 9]), r"annotations\[1\]\.segmentation\[0\]: .*three points"),
        (note(0, 1, [0, 0, 9, 9, 4]), r"segmentation\[0\]: .*three points"),
        (note(0, 1, [0, 0, 9, NAN, 4, 4]), r"segmentation\[0\]\[3\]: nan is not a finite number"),
        (note(0, 1, [0, 0, 9, "4", 4, 4]), r"segmentation\[0\]\[3\]: '4' is not"),
        (note(0, 1, [0, 0, 9, 1e300, 4, 4]), r"segmentation\[0\]\[3\]"),
        (note(0, 1, square(64, 0, 70, 9)), r"outside the frame of 64 x 48"),
        (note(0, 1), r"segmentation: the annotation has no outline"),
        (note(0, 1, bbox=[0, 0, 9, 9]), r"segmentation: it is only a box"),
        ({"image_id": 0, "category_id": 1, "segmentation": {"counts": "aa", "size": [9, 9]}}, r"segmentation\.size"),
    ],
)
def test_a_bad_annotation_is_its_photographs_problem(tmp_path, bad, words):
    root = write_set(tmp_path / "set", ["a.jpg", "b.jpg"], [note(1, 1, square(0, 0, 9, 9)), bad])
    first, second = load_manifest(root).samples
    assert second.problem == ""
    assert first.sha256
    assert first.problem.startswith("_annotations.coco.json: annotations[1]")
    assert re.search(words, first.problem)
    with pytest.raises(DataRejected, match=words):
        read_labels(load_manifest(root), first)
    assert str(tmp_path) not in first.problem


def test_an_annotation_of_an_unlisted_image_is_named(tmp_path):
    root = write_set(tmp_path, ["a.jpg"], [note(77, 1, square(0, 0, 9, 9)), note(77, 1, square(0, 0, 9, 9))])
    problems = [s.problem for s in load_manifest(root).samples]
    assert "" in problems
    assert sorted(problems)[1:] == ["_annotations.coco.json: annotations[0].image_id: there is no image 77."]


def test_photographs_and_their_entries_must_agree(tmp_path):
    root = write_set(tmp_path, ["gone.jpg", "other.jpg", "cut.jpg", "fine.jpg"])
    (root / "images/gone.jpg").unlink()
    Image.fromarray(picture(1, 40, 40)).save(root / "images/other.jpg")
    whole = (root / "images/cut.jpg").read_bytes()
    (root / "images/cut.jpg").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(picture(9)).save(root / "images/extra.jpg")
    problems = {Path(next(iter(s.files.values()))).stem: s.problem for s in load_manifest(root).samples}
    assert "the photograph is missing: 'gone.jpg'" in problems["_annotations.coco"]
    assert "40 x 40 pixels, the labels state 64 x 48" in problems["other"]
    assert "cut.jpg: the image is truncated" in problems["cut"]
    assert "extra.jpg: the photograph is not listed" in problems["extra"]
    assert problems["fine"] == ""


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg"])
def test_a_name_that_leads_out_of_the_set_is_not_followed(tmp_path, name):
    Image.fromarray(picture()).save(tmp_path / "secret.jpg")
    root = write_set(tmp_path / "set", ["a.jpg"])
    images = [{"id": 0, "file_name": name, "width": WIDTH, "height": HEIGHT}]
    (root / "images/a.jpg").unlink()
    assert "the photograph is missing:" in only(write_set(root, [], images=images)).problem


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (
            {"id": 0, "file_name": "a.jpg", "width": 10**400, "height": 48},
            r"images\[0\]\.width: 10+ is not a length in pixels",
        ),
        (
            {"id": 0, "file_name": "a.jpg", "width": -3, "height": 48},
            r"images\[0\]\.width: -3 is not a length in pixels",
        ),
        ({"id": 0, "file_name": "a.jpg", "height": 48}, r"images\[0\]\.width: None"),
        ({"id": None, "file_name": "a.jpg", "width": 64, "height": 48}, r"images\[0\]\.id"),
    ],
)
def test_a_bad_entry_is_named(tmp_path, image, words):
    root = write_set(tmp_path, ["a.jpg"], images=[image])
    assert re.search(words, only(root).problem)


def test_an_entry_that_is_there_twice_is_refused(tmp_path):
    image = {"id": 0, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    same_id = load_manifest(
        write_set(tmp_path / "id", ["a.jpg", "b.jpg"], images=[image, {**image, "file_name": "b.jpg"}])
    )
    assert all("must not be empty or used twice" in s.problem for s in same_id.samples)
    twice = [image, {**image, "id": 1}]
    assert only(write_set(tmp_path / "same", ["a.jpg"], images=twice)).problem == ""
    other = write_set(tmp_path / "other", ["a.jpg"], [note(1, 1, square(0, 0, 9, 9))], images=twice)
    assert "a.jpg is listed with different labels (2 times)" in only(other).problem


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}', '{"images": 3, "annotations": [], "categories": []}',
                                  "[" * 100_000])  # fmt: skip
def test_a_document_that_is_none_is_listed_by_name_and_refuses_no_other(tmp_path, text):
    write_set(tmp_path / "valid", ["b.jpg"])
    root = write_set(tmp_path / "train")
    (root / "_annotations.coco.json").write_text(text)
    problems = {s.input_file: s.problem for s in load_manifest(tmp_path).samples}
    assert problems["train/_annotations.coco.json"].startswith("train/_annotations.coco.json: ")
    assert "not listed in train/_annotations.coco.json" in problems["train/images/Dust-1.jpg"]
    assert problems["valid/images/b.jpg"] == ""


def test_entries_that_are_no_objects_are_listed_and_the_others_are_read(tmp_path):
    good = {"id": 0, "file_name": "Dust-1.jpg", "width": WIDTH, "height": HEIGHT}
    root = write_set(tmp_path, images=[4, good], annotations=["x", note(0, 1, square(0, 0, 9, 9))])
    problems = sorted(s.problem for s in load_manifest(root).samples)
    assert problems[0] == ""
    assert [p.partition(": this")[0] for p in problems[1:]] == [
        "_annotations.coco.json: annotations[0]",
        "_annotations.coco.json: images[0]",
    ]


# ---------------------------------------------------------------------------------------- as other tools write them


def runs_of(mask):
    """Lengths of runs down the columns, outside first."""
    flat = np.concatenate([[False], mask.T.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff([0, *edges, mask.size]).tolist()


def packed(runs):
    """The text form, by the rule of cocoapi's maskApi.c (rleToString)."""
    text = ""
    for number, run in enumerate(runs):
        value, more = run - (runs[number - 2] if number > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr((bits | (32 if more else 0)) + 48)
    return text


@pytest.mark.parametrize("form", [lambda runs: runs, packed], ids=["plain", "packed"])
def test_run_length_masks_are_read_exactly(tmp_path, form):
    inside = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.3
    inside[:, 20:40] = True
    outline = {"size": [HEIGHT, WIDTH], "counts": form(runs_of(inside))}
    root = write_set(tmp_path, annotations=[{"image_id": 0, "category_id": 4, "segmentation": outline, "iscrowd": 1}])
    assert only(root).problem == ""
    assert ((mask_of(root) == 4) == inside).all()


def test_the_published_example_of_packed_runs_is_read():
    from sightline.tasks.panel_defects.runs import read_runs

    # runs 0, 4, 3 of a 1 x 7 picture: rleToString gives "043"
    assert read_runs({"size": [1, 7], "counts": "043"}, (7, 1), "") == (0, 4, 3)


@pytest.mark.parametrize("counts", ["", "\x7f", "o" * 99, [1, 2], [-1, 3073], None, [3073], [0.5, 3071.5]])
def test_run_length_masks_that_are_none_are_named(tmp_path, counts):
    outline = {"size": [HEIGHT, WIDTH], "counts": counts}
    root = write_set(tmp_path, annotations=[{"image_id": 0, "category_id": 4, "segmentation": outline}])
    assert "annotations[0].segmentation.counts" in only(root).problem


def test_a_small_mask_stays_visible_on_a_large_polygon(tmp_path):
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[10:14, 10:14] = True
    spot = {"image_id": 0, "category_id": 1, "segmentation": {"size": [HEIGHT, WIDTH], "counts": runs_of(inside)}}
    mask = mask_of(write_set(tmp_path, annotations=[spot, note(0, 2, square(0, 0, 40, 40))]))
    assert (mask[12, 12], mask[20, 20]) == (1, 2)


@pytest.mark.parametrize("stated", ["images\\Dust-1.jpg", "./images/Dust-1.jpg", "./Dust-1.jpg", "images//Dust-1.jpg"])
def test_names_may_be_written_as_windows_and_shells_do(tmp_path, stated):
    image = {"id": 0, "file_name": stated, "width": float(WIDTH), "height": HEIGHT}
    root = write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))], images=[image])
    assert only(root).problem == ""
    assert (mask_of(root) == 1).sum() == 81


@pytest.mark.parametrize(("on_disk", "stated"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_letters_may_be_composed_or_decomposed(tmp_path, on_disk, stated):
    there, said = (unicodedata.normalize(form, "Dust-Müller.jpg") for form in (on_disk, stated))
    image = {"id": 0, "file_name": said, "width": WIDTH, "height": HEIGHT}
    root = write_set(tmp_path, [there], [note(0, 1, square(0, 0, 9, 9))], images=[image])
    assert only(root).files["image"] == f"images/{there}"
    assert (mask_of(root) == 1).sum() == 81


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_document_may_begin_with_a_byte_order_mark(tmp_path, encoding):
    path = write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))]) / "_annotations.coco.json"
    path.write_text(path.read_text(), encoding=encoding)
    assert (mask_of(tmp_path) == 1).sum() == 81


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_labels_belong_to_the_picture_as_it_is_shown(tmp_path, orientation):
    shown = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    shown[4:20, 4:20] = 10
    stored = {3: shown[::-1, ::-1], 6: np.rot90(shown, 1), 8: np.rot90(shown, -1)}[orientation]
    root = write_set(tmp_path, annotations=[note(0, 1, square(4, 4, 20, 20))])
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(root / "images/Dust-1.jpg", quality=95, exif=exif)
    manifest = load_manifest(root)
    pixels = read_photograph(root / "images/Dust-1.jpg", Limits())
    assert pixels[read_labels(manifest, manifest.samples[0]) == 1].mean() < 20
    if orientation != 3:
        image = {"id": 0, "file_name": "Dust-1.jpg", "width": HEIGHT, "height": WIDTH}
        document = {"categories": CATEGORIES, "images": [image], "annotations": []}
        (root / "_annotations.coco.json").write_text(json.dumps(document))
        assert "EXIF orientation rotates it to 64 x 48" in only(root).problem


def test_ids_may_be_text_or_numbers(tmp_path):
    categories = [{"id": "3", "name": "dusty"}]
    image = {"id": "7", "file_name": "Dust-1.jpg", "width": WIDTH, "height": HEIGHT}
    notes = [note(7, 3, square(0, 0, 4, 4)), note(7.0, "3", square(8, 0, 12, 4))]
    mask = mask_of(write_set(tmp_path, annotations=notes, images=[image], categories=categories))
    assert (mask == 2).sum() == 32


def test_an_id_of_two_categories_is_none(tmp_path):
    categories = [{"id": 1, "name": "dusty"}, {"id": 1, "name": "bird-drop"}, {"name": "no id"}, 5]
    root = write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))], categories=categories)
    assert "category_id" in only(root).problem


def test_what_other_programs_leave_is_no_sample(tmp_path):
    root = write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))])
    for name in ("._Dust-1.jpg", ".DS_Store", "Thumbs.db", "desktop.ini", "Dust-1.jpg.aux.xml", "...png"):
        (root / "images" / name).write_bytes(b"\0\5\x16\7")
    (root / "._annotations.coco.json").write_bytes(b"\0\5")
    assert only(root).problem == ""


def test_documents_and_masks_may_have_suffixes_in_capitals(tmp_path):
    root = write_set(tmp_path / "coco", ["Dust-1.JPG"], [note(0, 1, square(0, 0, 9, 9))])
    (root / "_annotations.coco.json").rename(root / "_annotations.coco.JSON")
    assert (mask_of(root) == 1).sum() == 81
    pair = write_pair(tmp_path / "masks", mask=indexed(np.ones((HEIGHT, WIDTH))))
    (pair / "masks/a.png").rename(pair / "masks/a.PNG")
    assert (mask_of(pair) == 1).all()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("nowhere")], ids=["pipe", "dangling"])
@pytest.mark.parametrize("name", ["images/Dust-1.jpg", "_annotations.coco.json"])
def test_what_is_no_file_is_listed_at_once(tmp_path, make, name):
    root = write_set(tmp_path)
    (root / name).unlink()
    make(root / name)
    samples = load_manifest(root).samples
    assert any(s.problem.startswith(f"{name}: this ") for s in samples)
    assert all(s.problem for s in samples)


# ------------------------------------------------------------------------------------------------------- deliveries


def test_several_documents_are_one_set(tmp_path):
    for week in ("1", "2"):
        write_set(tmp_path, [f"Dust-{week}.jpg"], [note(0, int(week), square(0, 0, 9, 9))])
        (tmp_path / "_annotations.coco.json").rename(tmp_path / f"_annotations-{week}.coco.json")
    manifest = load_manifest(tmp_path)
    assert [s.problem for s in manifest.samples] == ["", ""]
    assert [int(read_labels(manifest, s).max()) for s in manifest.samples] == [1, 2]


def test_a_photograph_in_two_documents_must_have_the_same_labels(tmp_path):
    root = write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))])
    path = root / "_annotations.coco.json"
    (root / "_annotations-2.coco.json").write_text(path.read_text())
    assert only(root).problem == ""
    write_set(root, annotations=[note(0, 2, square(0, 0, 9, 9))])
    problem = only(root).problem
    assert "different labels (_annotations-2.coco.json and _annotations.coco.json)" in problem


def test_photographs_with_masks_may_join_a_set_of_documents(tmp_path):
    root = write_set(tmp_path, annotations=[note(0, 1, square(0, 0, 9, 9))])
    write_pair(root, mask=indexed(np.full((HEIGHT, WIDTH), 2)))
    manifest = load_manifest(root)
    assert [(s.id, s.problem, int(read_labels(manifest, s).max())) for s in manifest.samples] == [
        ("Dust-1", "", 1),
        ("a", "", 2),
    ]


def test_a_part_of_a_document_can_be_written(tmp_path):
    names = ["Dust-1.jpg", "Dust-2.jpg"]
    root = write_set(tmp_path, names, [note(n, n + 1, square(0, 0, 9, 9), id=5) for n in (0, 1)], info={"year": 2026})
    path = root / "_annotations.coco.json"
    first = load_manifest(root).samples[0]
    for rest, name, kind in ((False, names[0], 1), (True, names[1], 2)):
        part = json.loads(excerpt(path, [first], rest))
        assert [image["file_name"] for image in part["images"]] == [name]
        assert [one["category_id"] for one in part["annotations"]] == [kind]
        assert part["info"] == {"year": 2026}
    assert excerpt(path, load_manifest(root).samples, rest=True) == b""
    assert excerpt(root / "images/Dust-1.jpg", [first]) is None


def test_an_absent_layout_is_said(tmp_path):
    (tmp_path / "images").mkdir()
    with pytest.raises(DataMissing, match=r"_annotations\.coco\.json"):
        load_manifest(tmp_path)


# --------------------------------------------------------------------------------------------------------- masks


def write_pair(root, stem="a", mask=None):
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture()).save(root / "images" / f"{stem}.png")
    if mask is not None:
        mask.save(root / "masks" / f"{stem}.png")
    return root


def indexed(values):
    image = Image.fromarray(values.astype(np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9, 99, 99, 99])
    return image


@pytest.mark.parametrize("make", [indexed, lambda values: Image.fromarray(values.astype(np.uint8))])
def test_masks_are_read_by_index(tmp_path, make):
    values = np.zeros((HEIGHT, WIDTH))
    values[:10, :10] = 5
    root = write_pair(tmp_path, mask=make(values))
    assert (mask_of(root) == values).all()
    assert only(root).figures["share_snow-covered"] == pytest.approx(100 / (WIDTH * HEIGHT))
    assert only(root).stratum == "snow-covered"


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (
            Image.fromarray(np.full((HEIGHT, WIDTH), 255, np.uint8)),
            "a.png: the mask holds the values 255, classes are 0 to 5",
        ),
        (Image.fromarray(np.zeros((20, WIDTH), np.uint8)), "the mask is 64 x 20 pixels, its photograph 64 x 48"),
        (Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), "not class indices"),
        (Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16)), "not class indices"),
        (None, "the photograph has no masks/a.png"),
    ],
)
def test_a_mask_that_does_not_fit_is_a_problem(tmp_path, mask, words):
    assert words in only(write_pair(tmp_path, mask=mask)).problem


def test_a_mask_without_its_photograph_is_a_problem(tmp_path):
    root = write_pair(tmp_path, mask=indexed(np.zeros((HEIGHT, WIDTH))))
    (root / "images/a.png").unlink()
    assert "no photograph images/a.jpg" in only(root).problem


# --------------------------------------------------------------------------------------------------- photographs


def test_a_grey_photograph_becomes_colour(tmp_path):
    Image.fromarray(picture()[..., 0]).save(tmp_path / "a.png")
    assert read_photograph(tmp_path / "a.png", Limits()).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (Image.fromarray(np.zeros((40, 40), np.uint16)), "uint16 values are not those of a photograph"),
        (Image.fromarray(np.zeros((31, 40), np.uint8)), "40 x 31 pixels are too few"),
    ],
)
def test_what_is_no_photograph_is_refused(tmp_path, image, words):
    image.save(tmp_path / "a.png")
    with pytest.raises(DataRejected, match=words):
        read_photograph(tmp_path / "a.png", Limits())


# ------------------------------------------------------------------------------------------------- the real folder


def test_the_real_photographs(real_data):
    manifest = load_manifest(real_data / "panel_defects")
    assert len(manifest) == 685
    assert not [sample.problem for sample in manifest.samples if sample.problem]
    strata = {name: sum(s.stratum == name for s in manifest.samples) for name in {s.stratum for s in manifest.samples}}
    assert strata == {
        "clean": 159, "dusty": 157, "bird-drop": 136, "snow-covered": 97, "electrical-damage": 79,
        "physical-damage": 57,
    }  # fmt: skip
    assert sum(sample.figures["polygons"] for sample in manifest.samples) == 2058
    groups = {sample.group for sample in manifest.samples}
    assert len(groups) == 625
    assert groups <= {sample.id for sample in manifest.samples}
    shares = np.mean([np.bincount(read_labels(manifest, s).ravel(), minlength=6) for s in manifest.samples], axis=0)
    assert shares / 256**2 == pytest.approx([0.746, 0.074, 0.125, 0.009, 0.013, 0.031], abs=0.001)
