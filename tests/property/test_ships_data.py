"""Formats of the ships' set: what is written is read back, and what is broken is never half-read."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.errors import DataRejected
from sightline.tasks.ships.chips import CHIP_PX, ChipName, document_text, parse_stem, read_document
from sightline.tasks.ships.labels import KINDS, Box, hand_boxes, read_hand_labels, read_truth
from sightline.tasks.ships.synthetic.hulls import Hull
from sightline.tasks.ships.synthetic.noise import fractal, waves

scenes = st.from_regex(r"[A-Za-z0-9.-]+(_[A-Za-z0-9.-]+)*", fullmatch=True)
places = st.floats(-180, 180) | st.integers(0, 10_000).map(float)
names = st.builds(ChipName, st.integers(0, 1), scenes, places, places)
sides = st.floats(-50, 500, allow_nan=False)
spans = st.floats(0.5, 300)
boxes = st.builds(
    lambda kind, x, y, w, h: Box(kind, x, y, x + w, y + h), st.sampled_from(KINDS), sides, sides, spans, spans
)


@given(names)
def test_the_name_of_a_chip_is_read_back(name):
    assert parse_stem(name.stem) == name


@given(st.text(max_size=30))
def test_any_text_is_a_name_or_refused(text):
    with suppress(DataRejected):
        assert parse_stem(text).label in (0, 1)


@settings(max_examples=15, deadline=None)
@given(st.lists(names, min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_a_document_of_chips_is_read_back(listed, seed):
    rng = np.random.default_rng(seed)
    pixels = [rng.integers(0, 256, (CHIP_PX, CHIP_PX, 3), dtype=np.uint8) for _ in listed]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shipsnet.json"
        path.write_text(document_text(listed, pixels))
        document = read_document(path)
    assert list(document.names) == listed
    assert (document.pixels == np.stack(pixels)).all()
    assert len(document.rows) == len(set(document.ids)) == len(listed)


@settings(deadline=None)
@given(st.recursive(st.none() | st.integers() | st.text(max_size=4),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["data", "labels", "locations", "scene_ids", "x"]), inner, max_size=4),
                    max_leaves=8))  # fmt: skip
def test_any_json_is_a_document_of_chips_or_refused(content):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "shipsnet.json"
        path.write_text(json.dumps(content))
        with suppress(DataRejected):
            document = read_document(path)
            assert len(document.names) == len(document.pixels)


@settings(deadline=None)
@given(st.lists(boxes, max_size=5))
def test_boxes_are_read_back_from_either_file(listed):
    stated = [{"kind": box.kind, "bbox": [box.x0, box.y0, box.x1, box.y1]} for box in listed]
    with TemporaryDirectory() as folder:
        by_hand, truth = Path(folder) / "hand_labels.json", Path(folder) / "a.geojson"
        by_hand.write_text(json.dumps({"boxes": {"a": stated}}))
        truth.write_text(json.dumps({"features": [{"properties": one} for one in stated]}))
        assert hand_boxes(read_hand_labels(by_hand), "a", "") == read_truth(truth) == tuple(listed)


@settings(max_examples=60, deadline=None)
@given(st.floats(20, 350), st.floats(4, 8), st.floats(0, 360), st.floats(2, 9), st.floats(2, 9))
def test_a_hull_has_the_length_the_beam_and_the_heading_it_says(length_m, slender, heading_deg, bow, stern):
    hull = Hull(100.3, 50.7, length_m, length_m / slender, heading_deg, "cargo", 3.0, bow, stern)
    outline = hull.outline() - (hull.x, hull.y)
    ahead, right = hull.ahead, np.array([-hull.ahead[1], hull.ahead[0]])
    assert np.ptp(outline @ ahead) * 3 == pytest.approx(length_m)
    assert np.ptp(outline @ right) * 3 == pytest.approx(length_m / slender, rel=0.03)
    off_deg = math.degrees(math.atan2(ahead[0], -ahead[1])) - heading_deg
    assert (off_deg + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)
    x0, y0, x1, y1 = hull.bbox
    assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((hull.x, hull.y), abs=0.12 * length_m / 3)


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 70), st.integers(16, 70), st.floats(0, 2.5), st.integers(0, 1000))
def test_noise_has_no_mean_and_unit_variance(height, width, slope, seed):
    rng = np.random.default_rng(seed)
    for field in (fractal(rng, (height, width), slope), waves(rng, (height, width), slope, 6.0)):
        assert field.shape == (height, width)
        assert float(field.mean()) == pytest.approx(0, abs=1e-3)
        assert float(field.std()) == pytest.approx(1, abs=1e-3)
