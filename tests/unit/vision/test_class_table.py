"""Tables of classes for `Task.plots`."""

from __future__ import annotations

import json

import numpy as np

from sightline.vision.evaluation import class_table, curve


def test_a_row_a_class_with_null_where_a_share_is_undefined() -> None:
    shares = {"precision": np.array([0.123456, np.nan])}
    table = class_table(("dust", "snow"), shares, {"pixels": np.array([7.0, 0.0])})
    assert table == {"columns": ["class", "precision", "pixels"], "rows": [["dust", 0.1235, 7], ["snow", None, 0]]}
    assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_a_curve_has_the_labels_of_its_axes() -> None:
    assert curve((0.0, 0.5), (1.0, 0.25), ("recall", "precision")) == {
        **{"x": [0.0, 0.5], "y": [1.0, 0.25]},
        **{"xlabel": "recall", "ylabel": "precision"},
    }
