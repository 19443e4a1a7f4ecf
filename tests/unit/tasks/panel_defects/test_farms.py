"""Sentinel-2 chips: both layouts, what is filled, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from sightline.errors import DataMissing, DataRejected
from sightline.limits import Limits
from sightline.tasks.panel_defects import farms
from sightline.tasks.panel_defects.chip import BANDS, CLEAR_CIRRUS, chip_of, read_chip
from sightline.tasks.panel_defects.duplicates import connected
from sightline.tasks.panel_defects.farms import (
    excerpt,
    load_manifest,
    read_farms,
    read_labels,
    read_sample,
    source_of,
)
from sightline.tasks.panel_defects.picture import picture_of_chip
from sightline.tasks.panel_defects.places import farm_outlines, links_within, places
from sightline.tasks.panel_defects.tfrecord import crc32c, example, frame, read_example, write_records
from sightline.vision.images import Pixels

SIDE = 40


def counts(seed=0, bands=13):
    return np.random.default_rng(seed).integers(200, 4000, (bands, SIDE, SIDE)).astype(np.float32)


def label(x0=5, x1=20):
    mask = np.zeros((SIDE, SIDE), dtype=np.float32)
    mask[8:17, x0:x1] = 1
    return mask


def record(seed=0, mask=None, without=(), **more):
    floats = {name: band.ravel() for name, band in zip(BANDS, counts(seed), strict=True) if name not in without}
    mask = label() if mask is None else mask
    return example({**floats, "solar_panel": mask.ravel(), **more})


def write_pair(root, name, bands=None, mask=None):
    for folder in ("input", "label"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    bands = counts() if bands is None else bands
    tifffile.imwrite(root / "input" / f"{name}.tif", np.moveaxis(bands, 0, -1), compression="lzw")
    image = Image.fromarray(label().astype(np.uint8) if mask is None else mask)
    image.save(root / "label" / f"{name}.png")
    return root


def problem(root):
    return [sample.problem for sample in load_manifest(root).samples]


# ------------------------------------------------------------------------------------------------------ records


@pytest.mark.parametrize("name", ["2023_us.tfrecord.gz", "2023_us.tfrecord", "deeper/still/2023_us.tfrecord.gz"])
def test_records_are_read_in_any_order(tmp_path, name):
    root = tmp_path / "real"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    write_records(root / name, [record(seed, label(5, 20 + seed)) for seed in range(3)])
    manifest = load_manifest(root)
    assert [s.id.rpartition("-")[2] for s in manifest.samples] == [f"2023_us_{n:05d}" for n in range(3)]
    assert len({s.sha256 for s in manifest.samples}) == 3
    for number in (2, 0, 1):
        chip, mask = read_sample(manifest, manifest.samples[number])
        assert chip.bands == pytest.approx(counts(number) / 10_000)
        assert (mask == label(5, 20 + number)).all()
    backwards = manifest.where(lambda sample: True)
    backwards = type(manifest)(manifest.root, backwards.samples[::-1])
    assert [s.id for s, _, _ in read_farms(backwards)] == [s.id for s in backwards.samples]
    assert (read_labels(manifest, manifest.samples[1]) == label(5, 21)).all()


def test_a_file_of_one_record_is_read_as_an_image_too(tmp_path):
    path = tmp_path / "a_00003.tfrecord.gz"
    write_records(path, [record()])
    (sample,) = load_manifest(tmp_path).samples
    assert sample.id == "a_00003"
    assert read_chip(path, Limits()).sha256 == sample.sha256
    picture = picture_of_chip(read_chip(path.read_bytes(), Limits()))
    assert picture.pixels.shape == (SIDE, SIDE, 13)
    assert picture.display.shape == (SIDE, SIDE, 3)
    write_records(path, [record(), record(1)])
    with pytest.raises(DataRejected, match="several records"):
        read_chip(path, Limits())


@pytest.mark.parametrize("count", [1, 3])
def test_a_model_can_read_each_record_by_itself(tmp_path, count):
    write_records(tmp_path / "a.tfrecord.gz", [record(seed) for seed in range(count)])
    manifest = load_manifest(tmp_path)
    for number, sample in enumerate(manifest.samples):
        chip = read_chip(source_of(manifest, sample), Limits())
        assert chip.sha256 == sample.sha256
        assert chip.bands == pytest.approx(counts(number) / 10_000)


def test_float_lists_may_be_unpacked():
    values = np.arange(5, dtype=np.float32)
    unpacked = b"".join(b"\x0d" + struct.pack("<f", value) for value in values)
    feature = b"\x12" + bytes([len(unpacked)]) + unpacked
    entry = b"\x0a\x02B1" + b"\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    message = b"\x0a" + bytes([len(features)]) + features
    assert read_example(message, "x")["B1"].tolist() == values.tolist()


def test_the_label_is_binarised(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record(mask=label() * 0.3)])
    manifest = load_manifest(tmp_path)
    assert (read_labels(manifest, manifest.samples[0]) == label()).all()
    assert manifest.samples[0].stratum == "farm"


def test_a_missing_b10_is_filled_and_said(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record(without=("B10",))])
    (sample,) = load_manifest(tmp_path).samples
    assert sample.figures["bands_filled"] == 1
    chip, _ = read_sample(load_manifest(tmp_path), sample)
    assert chip.filled == ("B10",)
    assert chip.bands[10] == pytest.approx(CLEAR_CIRRUS)
    assert chip.bands[11] == pytest.approx(counts()[11] / 10_000)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (record(without=("B4", "B8A")), "there is no B4, B8A"),
        (record(B4=np.zeros(7, np.float32)), "B4: 7 values do not form a square chip"),
        (record(mask=label() * np.nan), "solar_panel: the label holds NaN"),
        (record().replace(b"solar_panel", b"solar_paint"), "there is no solar_panel"),
        (b"\x0a\xff\xff\xff", "not a tf.train.Example"),
        (b"\xff" * 40, "not a tf.train.Example"),
        (b"", "there is no solar_panel"),
    ],
)
def test_a_bad_record_is_listed_and_the_rest_goes_on(tmp_path, bad, words):
    write_records(tmp_path / "a.tfrecord", [record(0), bad, record(2)])
    before, problem, after = problem_of = [s.problem for s in load_manifest(tmp_path).samples]
    assert (before, after) == ("", "")
    assert problem.startswith("a.tfrecord: record 1")
    assert words in problem
    assert str(tmp_path) not in "".join(problem_of)


def corrupted(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data, start: data[: start + 7], "truncated within the length"),
        (lambda data, start: data[: start + 500], "truncated within the record"),
        (lambda data, start: data[:-2], "truncated within the record"),
        (lambda data, start: corrupted(data, start + 2), "checksum of the length"),
        (lambda data, start: corrupted(data, start + 500), "checksum of the record"),
    ],
)
def test_a_broken_file_is_named_with_its_record(tmp_path, damage, words):
    first, second = frame(record(0)), frame(record(1))
    (tmp_path / "a.tfrecord").write_bytes(damage(first + second, len(first)))
    good, bad = problem(tmp_path)
    assert good == ""
    assert bad.startswith("a.tfrecord: record 1: ")
    assert words in bad


def test_a_record_that_claims_to_be_huge_is_not_read(tmp_path):
    length = struct.pack("<Q", 2**31)
    crc = crc32c(length)
    head = length + struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
    (tmp_path / "a.tfrecord").write_bytes(head + bytes(100))
    assert "2,147,483,648 bytes are more than" in problem(tmp_path)[0]


def test_a_file_of_empty_records_is_not_gone_through(tmp_path):
    write_records(tmp_path / "a.tfrecord.gz", [record(), *[b""] * 5000])
    problems = problem(tmp_path)
    assert len(problems) == 102
    assert problems[0] == ""
    assert "record 101: 100 of the 101 records before it cannot be used" in problems[-1]


def test_bad_records_among_as_many_good_ones_hide_none_of_these(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record(), b""] * 120)
    assert sum(not said for said in problem(tmp_path)) == 120


def test_more_records_than_a_file_may_have_are_said_and_not_divided(tmp_path, monkeypatch):
    monkeypatch.setattr(farms, "_MOST_RECORDS", 3)
    write_records(tmp_path / "a.tfrecord", [record(seed) for seed in range(5)])
    samples = load_manifest(tmp_path).samples
    assert [bool(s.problem) for s in samples] == [False, False, False, True]
    assert "more than 3 records" in samples[-1].problem
    assert excerpt(tmp_path / "a.tfrecord", samples[:1]) is None


@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_a_truncated_gzip_is_named_with_its_record(tmp_path, keep):
    write_records(tmp_path / "a.tfrecord.gz", [record(0), record(1)])
    whole = (tmp_path / "a.tfrecord.gz").read_bytes()
    (tmp_path / "a.tfrecord.gz").write_bytes(whole[: int(keep * len(whole))])
    problems = problem(tmp_path)
    assert "a.tfrecord.gz: record" in problems[-1]
    assert "broken" in problems[-1] or "truncated" in problems[-1]


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bnonsense", gzip.compress(b"", mtime=0)])
def test_a_file_without_records_is_named(tmp_path, content):
    (tmp_path / "a.tfrecord.gz").write_bytes(content)
    assert "a.tfrecord.gz" in problem(tmp_path)[0]


def test_the_checksum_is_the_published_one():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720's polynomial, the usual check value
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(bytes([255]) * 32) == 0x62A8AB43
    assert crc32c(b"") == 0


# -------------------------------------------------------------------------------------------------------- pairs


def test_the_converters_layout_is_read(tmp_path):
    root = write_pair(tmp_path, "solar_global_00000")
    manifest = load_manifest(root)
    (sample,) = manifest.samples
    assert sample.files == {"image": "input/solar_global_00000.tif", "labels": "label/solar_global_00000.png"}
    chip, mask = read_sample(manifest, sample)
    assert chip.bands == pytest.approx(counts() / 10_000)
    assert (mask == label()).all()
    assert sample.figures["share_solar_panel"] == pytest.approx(label().mean())


def test_a_label_in_black_and_white_is_read(tmp_path):
    root = write_pair(tmp_path, "a", mask=(label() * 255).astype(np.uint8))
    manifest = load_manifest(root)
    assert (read_labels(manifest, manifest.samples[0]) == label()).all()


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.full((SIDE, SIDE), 7, np.uint8), "a.png: the label holds the values 7, not 0 and 1"),
        (np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE), "holds the values 0, 1, 2"),
        (np.zeros((9, SIDE), np.uint8), "the label is 40 x 9 pixels, its chip 40 x 40"),
        (np.zeros((SIDE, SIDE, 3), np.uint8), "not class indices"),
    ],
)
def test_a_label_that_does_not_fit_is_a_problem(tmp_path, mask, words):
    assert words in problem(write_pair(tmp_path, "a", mask=mask))[0]


def test_pairs_that_are_not_complete_are_named(tmp_path):
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b")
    (tmp_path / "input/a.tif").unlink()
    (tmp_path / "label/b.png").unlink()
    assert problem(tmp_path) == [
        "label/a.png: the label has no input/a.tif. Add it, or remove the label.",
        "input/b.tif: the chip has no label/b.png. Add it, or remove the chip.",
    ]


def test_an_absent_layout_is_said(tmp_path):
    (tmp_path / "input").mkdir()
    with pytest.raises(DataMissing, match="tfrecord"):
        load_manifest(tmp_path)


# ------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("scale", "kind"),
    [(1, np.float32), (1, np.float64), (1, np.uint16), (1e-4, np.float32), (1e-4, np.float64), (1e-4, np.float16)],
)
def test_counts_and_reflectance_are_told_apart(scale, kind):
    chip = chip_of(Pixels((counts() * scale).astype(kind)), "", "x")
    assert chip.bands == pytest.approx(counts() / 10_000, abs=2e-4)
    assert chip.bands.dtype == np.float32
    assert chip.valid.all()


@pytest.mark.parametrize("nodata", [np.nan, -9999, np.inf, 1e300, 0])
def test_pixels_without_data_are_filled_and_marked(nodata):
    values = counts().astype(np.float64)
    values[:, :10, :10] = nodata
    chip = chip_of(Pixels(values), "", "x")
    assert (~chip.valid).sum() == 100
    assert np.isfinite(chip.bands).all()
    assert chip.bands[3, 2, 2] == pytest.approx(np.median(counts()[3][chip.valid]) / 10_000)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (counts(bands=3), "it has 3 bands, not 13"),
        (counts(bands=14), "it has 14 bands"),
        (counts().astype(np.uint8), "8-bit values"),
        (counts() * np.nan, "100% of the pixels have no data"),
        (np.zeros((13, SIDE, SIDE)), "100% of the pixels have no data"),
        (counts() * 100, "are not reflectance"),
        (counts() - 8000, "are not reflectance|no data"),
        (counts()[:, :20], "40 x 20 pixels are too few"),
    ],
)
def test_what_is_no_reflectance_is_refused(values, words):
    with pytest.raises(DataRejected, match=words):
        chip_of(Pixels(values), "", "x")


def test_a_tiff_of_three_bands_is_refused_by_name(tmp_path):
    tifffile.imwrite(tmp_path / "rgb.tif", counts()[:3], photometric="minisblack")
    with pytest.raises(DataRejected, match=r"rgb\.tif: it has 3 bands, not 13"):
        read_chip(tmp_path / "rgb.tif", Limits())


# ------------------------------------------------------------------------------------------------------- places


def test_coordinates_link_chips_that_overlap_over_the_years(tmp_path):
    for year, aside in ((2022, 0.0), (2023, 0.002)):
        (tmp_path / "data_coordinates").mkdir(exist_ok=True)
        empty = [record(10 * year + n, np.zeros((SIDE, SIDE), np.float32)) for n in range(2)]
        write_records(tmp_path / f"{year}_us.tfrecord.gz", empty)
        points = [[-120.0 + aside, 36.0], [-90.0, 40.0 + aside]]
        (tmp_path / "data_coordinates" / f"{year}_us.json").write_text(json.dumps(points))
    groups = {s.id: s.group for s in load_manifest(tmp_path).samples}
    assert groups == {f"{year}_us_0000{n}": f"2022_us_0000{n}" for year in (2022, 2023) for n in range(2)}


def test_coordinates_of_more_places_than_there_are_chips_are_not_guessed_at(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record(n, np.zeros((SIDE, SIDE), np.float32)) for n in range(2)])
    (tmp_path / "data_coordinates").mkdir()
    (tmp_path / "data_coordinates/a.json").write_text(json.dumps([[0, 0], [0, 0], [0, 0]]))
    assert len({s.group for s in load_manifest(tmp_path).samples}) == 2


EMPTY = np.zeros((SIDE, SIDE), np.float32)
HERE, ELSEWHERE = [-120.0, 36.0], [-90.0, 40.0]


def test_a_chip_of_unknown_place_keeps_the_places_of_the_others(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record(n, EMPTY) for n in range(4)])
    write_coordinates(tmp_path, "a.json", [HERE, None, ELSEWHERE, HERE])
    assert [s.group for s in load_manifest(tmp_path).samples] == ["a_00000", "a_00001", "a_00002", "a_00000"]


def test_another_list_may_know_what_one_does_not(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record(n, EMPTY) for n in range(2)])
    last = load_manifest(tmp_path).samples[1].sha256
    write_coordinates(tmp_path, "a.json", [HERE, None])
    write_coordinates(tmp_path, "z.json", {last: HERE})
    first, second = load_manifest(tmp_path).samples
    assert first.group == second.group
    assert second.files["context"] == "data_coordinates/z.json"


@pytest.mark.parametrize("leaving", range(4))
def test_the_chips_that_stay_keep_their_places(tmp_path, leaving):
    records, points = [record(n, EMPTY) for n in range(4)], [HERE, None, ELSEWHERE, HERE]
    write_records(tmp_path / "a.tfrecord", records)
    write_coordinates(tmp_path, "a.json", points)
    gone = load_manifest(tmp_path).samples[leaving]
    (tmp_path / "data_coordinates/a.json").write_bytes(excerpt(tmp_path / "data_coordinates/a.json", [gone], rest=True))
    write_records(tmp_path / "a.tfrecord", records[:leaving] + records[leaving + 1 :])
    stays = points[:leaving] + points[leaving + 1 :]
    groups = [s.group for s in load_manifest(tmp_path).samples]
    linked = [place for place, point in enumerate(stays) if point == HERE]
    assert len({groups[place] for place in linked}) == 1
    assert len(set(groups)) == 4 - len(linked)


def write_coordinates(root, name, content):
    (root / "data_coordinates").mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (root / "data_coordinates" / name).write_text(text)


@pytest.mark.parametrize("text", ["", "[", "7", "[" * 100_000, "[[1, 2, 3]]", '[["a", 2]]', "[[200, 2]]", "[[NaN, 2]]"])
def test_a_list_of_coordinates_that_is_none_is_the_problem_of_its_chips(tmp_path, text):
    (tmp_path / "real").mkdir()
    for name in ("a", "b"):
        write_records(tmp_path / "real" / f"{name}.tfrecord", [record()])
    write_coordinates(tmp_path / "real", "a.json", text)
    bad, good = problem(tmp_path / "real")
    assert bad.startswith("data_coordinates/a.json: ")
    assert good == ""


def test_a_wrong_entry_is_the_problem_of_its_own_chip(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record(n) for n in range(3)])
    write_coordinates(tmp_path, "a.json", [[0, 0], [0, 91], [0, 0]])
    first, second, third = problem(tmp_path)
    assert (first, third) == ("", "")
    assert second.startswith("data_coordinates/a.json: [1]: this is not a longitude and a latitude.")


def test_a_list_of_coordinates_of_no_chip_is_listed_by_itself(tmp_path):
    write_records(tmp_path / "a.tfrecord", [record()])
    write_coordinates(tmp_path, "b.JSON", "[")
    good, odd = load_manifest(tmp_path).samples
    assert (good.problem, odd.input_file) == ("", "data_coordinates/b.JSON")
    assert odd.problem.startswith("data_coordinates/b.JSON: the file is not valid JSON.")


def test_a_file_of_one_record_is_taken_whole(tmp_path):
    write_records(tmp_path / "a.tfrecord.gz", [record()])
    sample = load_manifest(tmp_path).samples[0]
    content = excerpt(tmp_path / "a.tfrecord.gz", [sample])
    assert hashlib.sha256(content).hexdigest() == sample.sha256, "it is told by its own digest"


def farm(shape, centre, length, width, angle):
    y, x = np.indices(shape, dtype=float)
    u = (x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)
    v = (y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)
    return (np.abs(u) < length / 2) & (np.abs(v) < width / 2)


def test_the_same_outline_elsewhere_in_the_chip_links_two_chips():
    masks = [
        farm((128, 128), (60, 60), 40, 20, 0.4),
        farm((128, 128), (47.5, 71.2), 40, 20, 0.4),
        farm((128, 128), (60, 60), 40, 20, 0.9),
        farm((128, 128), (60, 60), 46, 20, 0.4),
        farm((128, 128), (0, 60), 40, 20, 0.4),
        np.zeros((128, 128), bool),
    ]
    outlines = [farm_outlines(mask) for mask in masks]
    assert [len(rows) for rows in outlines] == [1, 1, 1, 1, 0, 0]
    names = list("fbcdea")
    assert places(names, np.full((6, 2), np.nan), outlines, [""] * 6, 2560) == ["b", "b", "c", "d", "e", "a"]


@pytest.mark.parametrize("norm", [2, np.inf])
@pytest.mark.parametrize("most_pairs", [0, 10**6])
def test_links_join_what_all_close_pairs_join(norm, most_pairs):
    points = np.round(np.random.default_rng(3).random((700, 4)) * 40) / 40  # some twice, some at the distance itself
    off = np.linalg.norm(points[:, None] - points[None], ord=norm, axis=2) <= 0.1
    names = [f"{number:03d}" for number in range(700)]
    groups = connected(names, *links_within(points, 0.1, norm, most_pairs))
    assert groups == connected(names, *np.nonzero(off))
    assert 1 < len(set(groups)) < 700


def test_one_crowded_place_makes_no_more_links_than_chips():
    crowd = np.concatenate([np.zeros((2000, 3)), np.random.default_rng(0).random((2000, 3))])
    links = links_within(crowd, 10.0, 2)
    assert len(links[0]) == 3999
    assert len(links_within(crowd[:0], 10.0, 2)[0]) == 0


def test_the_same_bytes_are_one_place():
    nothing = [np.zeros((0, 4))] * 4
    assert places(list("abcd"), np.full((4, 2), np.nan), nothing, ["x", "", "x", ""], 2560) == ["a", "b", "a", "d"]


def test_a_record_of_more_values_than_allowed_is_refused_before_it_is_decoded():
    record = example({band: values.ravel() for band, values in zip(BANDS, counts(), strict=True)})
    assert read_chip(frame(record), Limits()).bands.shape == (13, SIDE, SIDE)
    with pytest.raises(DataRejected, match="more than 1,000"):
        read_chip(frame(record), Limits(pixels=1000))


# ---------------------------------------------------------------------------------------------------------- bombs


def field(number, content):
    length, size = bytearray(), len(content)
    while size >= 128:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([number << 3 | 2, *length, size]) + content


@pytest.mark.parametrize(
    "record_",
    [
        field(1, b"\x0a\0" * 300_000),  # empty features
        field(1, field(1, field(1, b"B1") + field(2, field(2, b"\x0a\0" * 300_000)))),  # empty lists of floats
        b"\x08\0" * 300_000,  # numbers that mean nothing
    ],
    ids=["features", "floats", "numbers"],
)
def test_a_record_of_millions_of_empty_fields_is_refused_before_it_costs_anything(record_):
    packed = gzip.compress(frame(record_), 1)
    assert len(packed) < 100_000
    with pytest.raises(DataRejected, match="more than 100,000 fields"):
        read_chip(packed, Limits())


def test_a_record_that_inflates_beyond_the_limit_is_refused():
    packed = gzip.compress(frame(bytes(70 * 2**20)), 1)
    with pytest.raises(DataRejected, match="bytes are more than"):
        read_chip(packed, Limits())
