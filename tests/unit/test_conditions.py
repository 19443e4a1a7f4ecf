"""What a user tells of an input besides its bytes."""

from __future__ import annotations

import pytest

from sightline.conditions import check_gsd, parse_conditions, put_under
from sightline.errors import RequestError
from tests.toy import ToyModel
from tests.unit.serving.harness import card

CARD = card().model_copy(update={"conditions": {"gsd_m": "size of a pixel on the ground, metres"}})


def test_texts_become_numbers():
    assert parse_conditions([("gsd_m", " 3e-1 ")], CARD) == {"gsd_m": 0.3}
    assert parse_conditions([], CARD) == {}


@pytest.mark.parametrize(
    ("given", "where", "named"),
    [
        ([("gsd", "3")], "gsd", "gsd_m"),
        ([("gsd_m", "three")], "gsd_m", "not a number"),
        ([("gsd_m", "nan")], "gsd_m", "not a number"),
        ([("gsd_m", "inf")], "gsd_m", "not a number"),
        ([("gsd_m", "1"), ("gsd_m", "2")], "gsd_m", "twice"),
    ],
)
def test_what_is_wrong_is_named(given, where, named):
    with pytest.raises(RequestError) as caught:
        parse_conditions(given, CARD)
    assert caught.value.where == where
    assert named in str(caught.value)


def test_a_model_without_conditions_gets_its_input_as_it_is():
    source = object()
    assert put_under(ToyModel(card()), source, {}) is source


def test_metres_a_pixel_that_no_image_has_are_refused():
    check_gsd(0.1, (0.1, 30.0))
    check_gsd(30.5, (0.1, 30.0), slack=1.02)
    for gsd_m in (0.05, 75_500.0, float("nan")):
        with pytest.raises(RequestError, match=r"not a possible pixel size .* Give 0\.1 to 30 metres") as caught:
            check_gsd(gsd_m, (0.1, 30.0), slack=1.02)
        assert (caught.value.where, caught.value.status) == ("gsd_m", 422)
