"""Average precision against a slow implementation written from COCO's definition alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.geometry import box_iou
from sightline.tasks.pv_hotspots.metrics import Pool
from sightline.vision.average_precision import RECALL_POINTS, match

CONFUSION = [[0] * 3] * 3
"""Of a frame in which nothing is asked about it."""


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def slow_average_precision(frames, threshold):
    """`frames`: (boxes, scores, truth) each; boxes and truth are lists of four numbers."""
    answers = sorted(
        (
            (score, f, box)
            for f, (boxes, scores, _) in enumerate(frames)
            for box, score in zip(boxes, scores, strict=True)
        ),
        key=lambda answer: -answer[0],
    )
    taken = {f: set() for f in range(len(frames))}
    total = sum(len(truth) for _, _, truth in frames)
    points, found = [], 0
    for rank, (_, f, box) in enumerate(answers, start=1):
        free = [(iou(box, true), -k) for k, true in enumerate(frames[f][2]) if k not in taken[f]]
        best, index = max(free, default=(0.0, 0))
        if best >= threshold:
            taken[f].add(-index)
            found += 1
        points.append((found / total, found / rank))
    return float(np.mean([max((p for r, p in points if r >= level), default=0.0) for level in RECALL_POINTS]))


coordinates = st.integers(0, 12)


@st.composite
def boxes(draw, most):
    count = draw(st.integers(0, most))
    corners = [(draw(coordinates), draw(coordinates)) for _ in range(count)]
    return [[x, y, x + draw(st.integers(4, 8)), y + draw(st.integers(4, 8))] for x, y in corners]


@st.composite
def scenes(draw):
    frames = []
    for _ in range(draw(st.integers(1, 4))):
        found = draw(boxes(5))
        frames.append((found, [], draw(boxes(4))))
    count = sum(len(found) for found, _, _ in frames)
    scores = iter(draw(st.permutations(range(1, count + 1))))
    return [(found, [next(scores) / (count + 1) for _ in found], truth) for found, _, truth in frames]


def pooled(frames):
    statistics = []
    for found, scores, truth in frames:
        hits = match(
            box_iou(np.array(found, dtype=float).reshape(-1, 4), np.array(truth, dtype=float).reshape(-1, 4)),
            np.array(scores),
        )
        part = {"truth": len(truth), "score": list(scores), "hits": [int(row @ (1 << np.arange(10))) for row in hits]}
        modules = {"label": [], "score": []}
        kinds = {"module": part, "defected": part, "non_defected": part}
        statistics.append({**kinds, "modules": modules, "confusion": CONFUSION})
    return Pool(statistics)


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_average_precision_is_cocos(frames):
    if not any(truth for _, _, truth in frames):
        return
    metrics = pooled(frames).score(np.ones(len(frames)))
    assert np.isclose(metrics["ap50_defected"], slow_average_precision(frames, 0.5))
    at_all = [slow_average_precision(frames, threshold) for threshold in np.linspace(0.5, 0.95, 10)]
    assert np.isclose(metrics["ap50_95_defected"], np.mean(at_all))


@settings(max_examples=60, deadline=None)
@given(scenes(), st.data())
def test_a_weight_of_zero_is_as_if_the_frame_were_not_there(frames, data):
    weights = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(frames), max_size=len(frames))))
    kept = [frame for frame, weight in zip(frames, weights, strict=True) if weight]
    if not any(truth for _, _, truth in kept):
        assert np.isnan(pooled(frames).score(weights)["ap50_defected"])
        return
    expected = pooled(kept).score(np.ones(len(kept)))
    for name, value in pooled(frames).score(weights).items():
        assert np.isclose(value, expected[name], equal_nan=True), name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=12))
def test_auc_counts_pairs(modules):
    nothing = {"truth": 0, "score": [], "hits": []}
    rows = [
        {"module": nothing, "defected": nothing, "non_defected": nothing,
         "modules": {"label": [label], "score": [score / 5]}, "confusion": CONFUSION}
        for label, score, _ in modules
    ]  # fmt: skip
    weights = np.array([float(weight) for *_, weight in modules])
    wins = pairs = 0.0
    for label, score, weight in modules:
        for other, low, drawn in modules:
            if label == 1 and other == 0:
                pairs += weight * drawn
                wins += weight * drawn * (1.0 if score > low else 0.5 if score == low else 0.0)
    value = Pool(rows).score(weights)["auc_module"]
    assert np.isclose(value, wins / pairs) if pairs else np.isnan(value)
