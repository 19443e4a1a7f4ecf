"""Index rules: fitted where they separate a class, absent where there is none of it, and kept in a card."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sightline.tasks.land_cover.examples import StoredExamples
from sightline.tasks.land_cover.params import Params
from sightline.tasks.land_cover.rules import FEATURES, Condition, Rule, fit_rules, rule_features
from sightline.tasks.land_cover.shapes import CLASSES
from tests.parameters import changed, params_of

WATER, TREES = CLASSES.index("standing_water"), CLASSES.index("trees")
SIDE = 40
RULES = params_of("land_cover", Params).train.rules


class Labelled(StoredExamples):
    """Tiles in memory."""

    def __init__(self, *tiles):
        self.tiles = tiles
        self.counts = np.array([[((bits >> k) & 1).sum() for k in range(10)] for _, bits in tiles])
        self.pixels = np.array([bits.size for _, bits in tiles])

    def __len__(self):
        return len(self.tiles)

    def __getitem__(self, index):
        return self.tiles[index]


def tile(seed):
    """Water in the left half, dry land in the right."""
    rng = np.random.default_rng(seed)
    bands = rng.uniform(0.3, 0.4, (8, SIDE, SIDE)).astype(np.float32)
    bands[6] = 0.6
    bands[6, :, : SIDE // 2] = 0.15
    bits = np.zeros((SIDE, SIDE), dtype=np.uint16)
    bits[:, : SIDE // 2] = 1 << WATER
    return bands.astype(np.float16), bits


def tile_of_dark_water(seed):
    """As `tile`, but the upper half is dark, and water is there only; a random blue makes EVI useless."""
    bands, bits = tile(seed)
    bands[1] = np.random.default_rng(seed + 100).uniform(0, 0.4, (SIDE, SIDE))
    bands[:, : SIDE // 2] *= 0.4
    bits[SIDE // 2 :] = 0
    return bands, bits


def masks(rules, bands):
    return {kind: rule(rule_features(np.asarray(bands, dtype=np.float32))) for kind, rule in rules.items()}


def test_a_class_that_an_index_separates_is_found_on_another_tile():
    rules = fit_rules(Labelled(tile(0), tile(1)), changed(RULES, classes=("standing_water", "trees")), seed=1)
    assert set(rules) == {WATER}  # there are no trees to learn from
    bands, bits = tile(2)
    assert np.mean(masks(rules, bands)[WATER] == (bits > 0)) > 0.98
    assert len(rules[WATER].conditions) == 1  # another one would not help


def test_a_second_condition_is_taken_where_the_first_is_not_enough():
    rules = fit_rules(Labelled(tile_of_dark_water(0)), changed(RULES, classes=("standing_water",)), seed=1)
    assert len(rules[WATER].conditions) == 2
    bands, bits = tile_of_dark_water(3)
    assert np.mean(masks(rules, bands)[WATER] == (bits > 0)) > 0.95


def test_only_the_named_classes_get_a_rule():
    assert fit_rules(Labelled(tile(0)), changed(RULES, classes=("trees",)), seed=1) == {}


def test_the_same_seed_gives_the_same_rule():
    examples, params = Labelled(tile(0), tile(1)), changed(RULES, pixels_per_tile=200)
    assert fit_rules(examples, params, 1) == fit_rules(examples, params, 1)


def test_a_rule_survives_its_card():
    rule = Rule((Condition("ndwi", 0.1234567890123, 1.0), Condition("brightness", -1.0, 0.2)))
    document = json.loads(rule.model_dump_json())
    assert document == [["ndwi", 0.1234567890123, 1.0], ["brightness", -1.0, 0.2]]
    assert Rule.model_validate(document) == rule


@pytest.mark.parametrize("document", [[["ndwi", 0.1]], [["colour", 0, 1]], [["ndwi", "wet", 1]], None])
def test_what_is_no_rule_is_refused(document):
    with pytest.raises(ValueError, match="Rule"):
        Rule.model_validate(document)


def test_features_are_the_indices_and_the_brightness():
    bands = np.full((8, 2, 3), 0.25, dtype=np.float32)
    features = rule_features(bands)
    assert features.shape == (len(FEATURES), 2, 3)
    assert features[FEATURES.index("brightness")] == pytest.approx(0.25)
