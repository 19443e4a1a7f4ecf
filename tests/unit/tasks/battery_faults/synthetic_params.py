"""Parameters of a synthetic set for tests: those in force, smaller."""

from __future__ import annotations

from typing import Any

from sightline.tasks.battery_faults.params import SyntheticParams

VALUES: dict[str, Any] = {
    "seed": 1,
    "videos": 100,
    "frames": 36,
    "frame_s": 1.0,
    "healthy_share": 0.35,
    "two_faults_share": 0.1,
    "field_share": 0.5,
    "packs": 12,
    "paths": ["up", "down", "left", "right", "orbit"],
    "png_level": 1,
    "pack": {
        "cells": 3,
        "width_m": [0.115, 0.15],
        "height_m": [0.18, 0.2],
        "thickness_m": [0.0075, 0.022],
        "gap_m": [0.002, 0.02],
        "tab_width": [0.15, 0.25],
        "tab_height_m": [0.008, 0.016],
        "tab_inset": [0.08, 0.16],
        "tab_thickness": [0.4, 0.9],
        "busbar_m": [0.003, 0.005],
    },
    "material": {
        "in_plane_w_per_mk": [18.0, 28.0],
        "through_w_per_mk": [0.8, 1.5],
        "density_kg_per_m3": 2092.0,
        "specific_heat_j_per_kgk": 678.0,
        "metal_w_per_mk": 237.0,
        "metal_j_per_m3k": 2.43e6,
        "convection_w_per_m2k": [5.0, 15.0],
        "emissivity": [0.85, 0.95],
    },
    "grid": {"volume_m": 0.004, "layer_m": 0.00125, "step_s": 0.5},
    "short": {
        "power_w": [0.5, 30.0],
        "radius_m": 0.008,
        "depth_m": 0.0025,
        "below_m": [0.00275, 0.00375],
        "margin": 0.15,
        "onset": [5, 12],
    },
    "uneven": {
        "ambient_k": [285.0, 308.0],
        "gradient_k_per_m": 4.0,
        "offset_k": 0.2,
        "sun_share": 0.4,
        "sun_w_per_m2": [20.0, 150.0],
        "load_w": [3.0, 7.0],
        "load_spread": 0.06,
        "current_share": 0.5,
        "busbar_w": [0.3, 3.0],
        "settled_s": 900.0,
    },
    "fluent": {
        "width_px": 1074,
        "height_px": 417,
        "focal_px": 900.0,
        "oversampling": 2,
        "path": {
            "elevation_deg": [-75.0, 72.0],
            "azimuth_deg": 80.0,
            "begin_deg": 40.0,
            "swept": [0.5, 1.0],
            "fill": [0.3, 0.42],
            "still": [3, 6],
            "hold": [1, 3],
            "shake_deg": 0.0,
            "aim_m": 0.0,
        },
    },
    "field": {
        "width_px": 384,
        "height_px": 288,
        "focal_px": 420.0,
        "oversampling": 2,
        "psf_px": [0.6, 1.2],
        "netd_k": 0.05,
        "pattern_k": 0.04,
        "drift_k": 0.1,
        "vignette_k": 0.12,
        "cell_emissivity": [0.88, 0.97],
        "metal_emissivity": [0.15, 0.5],
        "assumed_emissivity": 0.95,
        "lamp_share": 0.5,
        "lamp_k": [20.0, 80.0],
        "background_k": 0.12,
        "texture_k": 0.05,
        "occluders": 1,
        "occluder_m": [0.006, 0.03],
        "occluder_k": [-2.0, 8.0],
        "automatic_share": 0.1,
    },
    "field_path": {
        "elevation_deg": [-20.0, 60.0],
        "azimuth_deg": 80.0,
        "begin_deg": 40.0,
        "swept": [0.5, 1.0],
        "fill": [0.55, 0.8],
        "still": [0, 4],
        "hold": [1, 1],
        "shake_deg": 0.4,
        "aim_m": 0.01,
    },
}


def synthetic_params(**changed: Any) -> SyntheticParams:
    """The parameters in force with some values changed; a section's values may be given in part."""
    values = dict(VALUES)
    for name, value in changed.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    return SyntheticParams.model_validate(values)
