"""Formats of the panels' tasks: what is written is read back, and what is broken is never half-read."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Point

from sightline.errors import DataRejected
from sightline.tasks.panel_defects.coco import Photograph, Shape, coco_document, paint, read_document
from sightline.tasks.panel_defects.data import CLASSES
from sightline.tasks.panel_defects.duplicates import connected
from sightline.tasks.panel_defects.tfrecord import crc32c, example, frame, read_example, read_records

WIDTH, HEIGHT = 24, 20
quarters = st.integers(0, 4 * HEIGHT).map(lambda value: value / 4)
corners = st.lists(st.tuples(quarters, quarters), min_size=3, max_size=7).map(np.array)
inside = corners.filter(lambda points: (points.min(axis=0) < HEIGHT).all() and (points.max(axis=0) > 0).all())
shapes = st.builds(
    lambda kind, rings: Shape(kind, tuple(rings)), st.integers(1, 5), st.lists(inside, min_size=1, max_size=2)
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(shapes, max_size=4), min_size=1, max_size=3))
def test_a_document_that_was_written_gives_the_same_masks(pictures):
    listed = [Photograph(f"{n}.jpg", WIDTH, HEIGHT, tuple(content), "", "") for n, content in enumerate(pictures)]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        path.write_text(json.dumps(coco_document(listed, CLASSES)))
        read = read_document(path, CLASSES)
    assert [photograph.problem for photograph in read.photographs] == [""] * len(listed)
    for before, after in zip(listed, read.photographs, strict=True):
        assert (paint(before.shapes, WIDTH, HEIGHT) == paint(after.shapes, WIDTH, HEIGHT)).all()


@settings(max_examples=80, deadline=None)
@given(corners)
def test_a_simple_polygon_covers_the_pixels_whose_centres_it_contains(points):
    ring = shapely.Polygon(points)
    mask = paint([Shape(1, (points,))], WIDTH, HEIGHT)
    if not ring.is_valid:
        return
    for y in range(HEIGHT):
        for x in range(WIDTH):
            centre = Point(x + 0.5, y + 0.5)
            if ring.exterior.distance(centre) > 1e-6:
                assert bool(mask[y, x]) == ring.contains(centre)


def slow_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([0, 0, 0, 0, 0, 66_000]))
def test_the_checksum_is_that_of_the_definition(data, more):
    data = data + bytes(range(256)) * (more // 256)
    assert crc32c(data) == slow_crc(data)


names = st.text(min_size=1, max_size=6)
floats = st.lists(st.floats(width=32, allow_nan=False), max_size=40)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(names, floats, max_size=4), max_size=4))
def test_records_that_were_written_are_read_back(examples):
    data = b"".join(
        frame(example({name: np.array(values, np.float32) for name, values in one.items()})) for one in examples
    )
    found = [read_example(content, "x") for content in read_records(data, "x")]
    assert [{name: values.tolist() for name, values in one.items()} for one in found] == examples


@settings(deadline=None)
@given(st.lists(floats, min_size=1, max_size=3), st.data())
def test_a_flipped_bit_is_always_found(lists, data):
    whole = bytearray(b"".join(frame(example({"B1": np.array(values, np.float32)})) for values in lists))
    at = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[at // 8] ^= 1 << at % 8
    with pytest.raises(DataRejected, match="record"):
        list(read_records(bytes(whole), "x"))


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_an_example_or_refused(data):
    with suppress(DataRejected):
        assert all(values.dtype == np.float32 for values in read_example(data, "x").values())


@settings(deadline=None)
@given(st.integers(1, 12), st.data())
def test_groups_do_not_depend_on_the_order(count, data):
    order = data.draw(st.permutations(range(count)))
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=12))
    letters = [f"{number:02d}" for number in range(count)]
    first, second = (np.array([pair[k] for pair in pairs], dtype=np.int64) for k in (0, 1))
    before = dict(zip(letters, connected(letters, first, second), strict=True))
    place = np.argsort(np.array(order))
    shuffled = [letters[number] for number in order]
    assert dict(zip(shuffled, connected(shuffled, place[first], place[second]), strict=True)) == before
    assert all(before[before[name]] == before[name] <= name for name in letters)
