"""Thresholds and least areas: what they leave of a mask, and that the best pair is found."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from sightline.tasks.land_cover.shapes import CLASSES
from sightline.tasks.land_cover.thresholds import UNKNOWN, Cutoffs, Trial
from sightline.vision.masks import polygons_of

PROBABILITY, AREA = (0.2, 0.4, 0.6, 0.8), (0, 3, 9, 25)


def probabilities(seed, size=(40, 50)):
    import cv2

    planes = np.random.default_rng(seed).random((len(CLASSES), *size)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.5) for plane in planes])
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def test_patches_below_the_least_area_go_and_corners_do_not_join():
    plane = np.zeros((len(CLASSES), 8, 8), dtype=np.float32)
    plane[0, 0, :3] = 0.9  # three pixels
    plane[0, 1, 3] = 0.9  # one more, at a corner only
    plane[0, 5:8, 5:8] = 0.9  # nine
    masks = Cutoffs(area_px=(4,) + (0,) * 9).masks(plane)
    assert masks[0].sum() == 9
    assert masks[0, 5:8, 5:8].all()
    assert Cutoffs(area_px=(3,) + (0,) * 9).masks(plane)[0].sum() == 12


@pytest.mark.parametrize("least", [0, 5, 20])
def test_what_is_left_are_the_polygons_that_are_large_enough(least):
    made = probabilities(1)
    cutoffs = Cutoffs((0.5,) * 10, (least,) * 10)
    for whole, kept in zip(cutoffs.above(made), cutoffs.masks(made), strict=True):
        expected = [polygon for polygon in polygons_of(whole) if polygon.area >= least]
        assert polygons_of(kept) == expected


def test_the_best_pair_is_the_best_of_all_pairs():
    tiles = [(probabilities(seed), probabilities(seed) + 0.2 * probabilities(seed + 5) > 0.65) for seed in (1, 2)]
    trial = Trial(PROBABILITY, AREA)
    for made, truth in tiles:
        trial.add(made, truth)
    for kind in range(len(CLASSES)):
        found = {}
        for threshold, least in product(PROBABILITY, AREA):
            answers = [Cutoffs((threshold,) * 10, (least,) * 10).masks(made)[kind] for made, _ in tiles]
            both = sum(int((a & t[kind]).sum()) for a, (_, t) in zip(answers, tiles, strict=True))
            either = sum(int((a | t[kind]).sum()) for a, (_, t) in zip(answers, tiles, strict=True))
            found[threshold, least] = both / either
        jaccard, threshold, least = trial.best(kind)
        assert jaccard == pytest.approx(max(found.values()))
        assert found[threshold, least] == pytest.approx(jaccard)


def test_a_class_that_is_nowhere_keeps_the_middle():
    trial = Trial(PROBABILITY, AREA)
    trial.add(probabilities(1), np.zeros((len(CLASSES), 40, 50), dtype=bool))
    assert not trial.present(0)
    assert trial.best(0) == (0.0, UNKNOWN, 0)


def test_a_class_that_no_threshold_hits_keeps_the_middle():
    made, truth = probabilities(1), np.zeros((len(CLASSES), 40, 50), dtype=bool)
    made[0, 10:12, 10:12] = 0.01
    truth[0, 10:12, 10:12] = True
    trial = Trial(PROBABILITY, AREA)
    trial.add(made, truth)
    assert trial.present(0)
    assert trial.best(0) == (0.0, UNKNOWN, 0)


def test_cutoffs_survive_their_card():
    cutoffs = Cutoffs(tuple(0.1 + 0.05 * k for k in range(10)), tuple(range(10)))
    assert Cutoffs.from_document(json.loads(json.dumps(cutoffs.document()))) == cutoffs
    with pytest.raises(KeyError):
        Cutoffs.from_document({"buildings": 0.5})
