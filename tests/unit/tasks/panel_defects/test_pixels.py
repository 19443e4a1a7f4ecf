"""The plain classifier: its graph answers what scikit-learn answers, its features do not depend on the strips."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.panel_defects import pixels
from sightline.tasks.panel_defects.params import Params
from sightline.tasks.panel_defects.pixels import (
    PixelClassifier,
    feature_strips,
    grow_trees,
    pixel_features,
    train_pixels,
)
from sightline.vision.graphs import open_session
from tests.parameters import changed, params_of

PARAMS = changed(
    params_of("panel_defects", Params).train.pixels,
    trees=12,
    pixels_per_leaf=2,
    pixels_per_tree=400,
    features_share=0.5,
    sigmas_px=(1.0, 3.0),
)


def problem(count=900, width=7, classes=(0, 1, 2, 3), seed=0):
    """Features on a coarse grid, so that thresholds are met exactly, and classes that follow them."""
    rng = np.random.default_rng(seed)
    features = (rng.integers(-40, 40, (count, width)) / 7).astype(np.float32)
    index = np.clip((features[:, 0] + features[:, 1] > 0) * 2 + (features[:, 2] > 1), 0, len(classes) - 1)
    return features, np.array(classes, dtype=np.uint8)[index.astype(int)]


def answers(graph, features):
    return open_session(graph, 1).run(None, {"pixels": features})[1]


@pytest.mark.parametrize("classes", [(0, 1, 2, 3), (0, 1, 5), (0, 1), (2,)])
@pytest.mark.parametrize("seed", range(2))
def test_the_graph_answers_what_scikit_learn_answers(seed, classes):
    features, truth = problem(classes=classes, seed=seed)
    expected = grow_trees(features, truth, PARAMS, seed)
    found = answers(train_pixels(features, truth, PARAMS, seed), features)
    np.testing.assert_allclose(found, expected.predict_proba(features), atol=2e-6)


def test_values_at_the_thresholds_take_the_same_branch():
    features, truth = problem()
    expected = grow_trees(features, truth, PARAMS, 1)
    graph = train_pixels(features, truth, PARAMS, 1)
    rng = np.random.default_rng(5)
    tried = rng.permuted(features, axis=0)
    for tree in (one.tree_ for one in expected.estimators_):
        inner = np.flatnonzero(tree.children_left >= 0)
        at = rng.choice(inner, len(tried))
        exact = tree.threshold[at].astype(np.float32)
        for values in (exact, np.nextafter(exact, np.float32(9e9)), np.nextafter(exact, np.float32(-9e9))):
            tried[np.arange(len(tried)), tree.feature[at]] = values
            np.testing.assert_allclose(answers(graph, tried), expected.predict_proba(tried), atol=2e-6)


def test_the_same_seed_grows_the_same_trees():
    features, truth = problem()
    first, again, other = (train_pixels(features, truth, PARAMS, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_balance_makes_rare_classes_more_likely():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((2000, 3)).astype(np.float32)
    truth = (rng.random(2000) < 0.05).astype(np.uint8)  # nothing to learn but the frequency
    means = []
    for balance in (0.0, 0.5, 1.0):
        params = PARAMS.model_copy(update={"balance": balance, "pixels_per_leaf": 50})
        means.append(answers(train_pixels(features, truth, params, 1), features)[:, 1].mean())
    assert means[0] == pytest.approx(0.05, abs=0.02)
    assert means[0] < means[1] < means[2]
    assert means[2] == pytest.approx(0.5, abs=0.1)


def picture(height=40, width=50, bands=3, seed=0):
    """Noise that gets brighter from left to right."""
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((bands, height, width)) + np.linspace(-2, 2, width)).astype(np.float32)


@pytest.mark.parametrize(("bands", "size"), [(3, (40, 50)), (13, (33, 20)), (2, (1, 1))])
def test_features_are_finite_and_one_row_a_pixel(bands, size):
    features = pixel_features(picture(*size, bands), (1.0, 3.0))
    assert features.dtype == np.float32
    assert len(features) == size[0] * size[1]
    assert np.isfinite(features).all()


def test_features_of_strips_are_those_of_the_whole(monkeypatch):
    bands = picture(150, 60)
    whole = pixel_features(bands, (1.0, 4.0))
    monkeypatch.setattr(pixels, "_STRIP_PX", 7 * 60)
    strips = list(feature_strips(bands, (1.0, 4.0)))
    assert len(strips) == 22
    assert [rows.start for rows, _ in strips] == list(range(0, 150, 7))
    np.testing.assert_allclose(np.concatenate([features for _, features in strips]), whole, rtol=1e-3, atol=2e-3)


def test_a_class_that_was_not_there_in_training_is_never_answered():
    bands = picture()
    truth = np.where(bands[0] > 0, 5, 2).astype(np.uint8)
    sigmas = PARAMS.sigmas_px
    graph = train_pixels(pixel_features(bands, sigmas), truth.ravel(), PARAMS, 1)
    found = PixelClassifier(graph, (2, 5), 6, sigmas, threads=1)(bands)
    assert found.shape == (6, 40, 50)
    np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)
    assert not found[[0, 1, 3, 4]].any()
    assert (found.argmax(axis=0) == truth).mean() > 0.9


def test_one_class_alone_is_answered_everywhere():
    bands = picture()
    features = pixel_features(bands, PARAMS.sigmas_px)
    graph = train_pixels(features, np.full(len(features), 3, dtype=np.uint8), PARAMS, 1)
    found = PixelClassifier(graph, (3,), 6, PARAMS.sigmas_px, threads=1)(bands)
    np.testing.assert_allclose(found[3], 1, atol=1e-5)
