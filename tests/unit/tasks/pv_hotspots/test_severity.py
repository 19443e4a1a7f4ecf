"""Severity at standard irradiance, and what a user may say of the conditions."""

from __future__ import annotations

import pytest

from sightline.errors import RequestError
from sightline.tasks.pv_hotspots.severity import Conditions, read_conditions, severity


@pytest.mark.parametrize(
    ("rise", "conditions", "expected"),
    [
        (30.0, None, "unknown"),
        (30.0, Conditions(1000, calibrated=False), "unknown"),
        (9.9, Conditions(1000, calibrated=True), "low"),
        (10.0, Conditions(1000, calibrated=True), "medium"),
        (19.9, Conditions(1000, calibrated=True), "medium"),
        (20.0, Conditions(1000, calibrated=True), "high"),
        (8.0, Conditions(500, calibrated=True), "medium"),
        (8.0, Conditions(0, calibrated=True), "unknown"),
    ],
)
def test_severity_at_standard_irradiance(rise, conditions, expected):
    assert severity(rise, conditions) == expected


def test_conditions_that_are_not_given_are_not_known():
    assert read_conditions({"calibrated": 1.0}) == Conditions(0.0, calibrated=True)
    assert read_conditions({"irradiance_w_per_m2": 850.0}) == Conditions(850.0, calibrated=False)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"irradiance_w_per_m2": 0.0}, "irradiance_w_per_m2"),
        ({"irradiance_w_per_m2": -5.0}, "irradiance_w_per_m2"),
        ({"irradiance_w_per_m2": 85000.0}, "irradiance_w_per_m2"),
        ({"calibrated": 0.5}, "calibrated"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(given, field):
    with pytest.raises(RequestError) as caught:
        read_conditions(given)
    assert caught.value.where == field
    assert caught.value.status == 422
