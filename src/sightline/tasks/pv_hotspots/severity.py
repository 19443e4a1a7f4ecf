"""How severe a hot spot is: its rise at standard irradiance, where the user knows irradiance and calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sightline.errors import RequestError

SEVERITIES = ("unknown", "low", "medium", "high")

CONDITIONS = {
    "irradiance_w_per_m2": "irradiance on the modules when the picture was taken, W/m2; a severity needs it",
    "calibrated": "1 where the camera's temperatures are calibrated, else 0; a severity needs 1",
}
"""What a user may tell of a thermogram."""

_MOST_W_PER_M2 = 2000.0  # edges of clouds add some 30 % to a clear sky's 1100


@dataclass(frozen=True)
class Conditions:
    """What the user must know for a severity: the irradiance (0: not known), and that the camera was calibrated."""

    irradiance_w_per_m2: float
    calibrated: bool


def read_conditions(given: Mapping[str, float]) -> Conditions:
    """The conditions among `CONDITIONS` that a user gave.

    Raises:
        RequestError: a value that cannot be.
    """
    irradiance = given.get("irradiance_w_per_m2", 0.0)
    if "irradiance_w_per_m2" in given and not 0 < irradiance <= _MOST_W_PER_M2:
        raise RequestError(
            f"{irradiance:g} W/m2 is not a possible irradiance on a module",
            where="irradiance_w_per_m2",
            way_out=f"Give the irradiance in the modules' plane: above 0, at most {_MOST_W_PER_M2:g}.",
            status=422,
        )
    calibrated = given.get("calibrated", 0.0)
    if calibrated not in (0.0, 1.0):
        raise RequestError(
            f"{calibrated:g} must be 0 or 1",
            where="calibrated",
            way_out=("Give 1 if they are calibrated, else 0."),
            status=422,
        )
    return Conditions(irradiance, calibrated == 1.0)


def severity(rise_k: float, conditions: Conditions | None) -> str:
    """low: below 10 K at 1000 W/m2; medium: below 20 K; high; unknown where the conditions are not known."""
    if conditions is None or not conditions.calibrated or conditions.irradiance_w_per_m2 <= 0:
        return "unknown"
    at_standard = rise_k * 1000 / conditions.irradiance_w_per_m2
    return SEVERITIES[1 + int(np.searchsorted((10.0, 20.0), at_standard, side="right"))]
