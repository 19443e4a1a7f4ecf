"""Parameters of a synthetic set for tests: those in force, smaller."""

from __future__ import annotations

from typing import Any

from sightline.tasks.battery_faults.params import Params, SyntheticParams
from tests.parameters import changed, params_of


def synthetic_params(**changes: Any) -> SyntheticParams:
    """The parameters in force with some values changed; a section's values may be given in part."""
    return changed(params_of("battery_faults", Params).sample, **changes)
