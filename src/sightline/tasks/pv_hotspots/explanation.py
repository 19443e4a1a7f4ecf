"""Why a module is called defected: the network, physics, each of the two, or only both together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sightline.tasks.pv_hotspots.scoring import Features, Floats, Scorer


def alone_probability(scorer: Scorer, features: Features) -> dict[str, Floats]:
    """Probability of `defected` of n modules by the network alone and by physics alone: "network", "physics" -> (n,).

    The other's features are then those of the frame's median module.
    """
    usual = {name: np.full_like(values, np.median(values) if len(values) else 0.0) for name, values in features.items()}
    return {
        "network": scorer.probability({**usual, "network": features["network"]}),
        "physics": scorer.probability({**features, "network": usual["network"]}),
    }


def explain(
    alone: Mapping[str, float], threshold: float, network: float, rises: tuple[float, float], unit: str
) -> tuple[str, str]:
    """Who flagged a module ("network", "physics", "network and physics", "both together"), and why, in a sentence.

    Args:
        alone: of `alone_probability`, of this module.
        threshold: from which a module is called defected.
        network: the network's own probability of `defected`.
        rises: hottest spot over the modules around, and over the module's own median.
        unit: of the rises.
    """
    by = " and ".join(name for name, share in alone.items() if share >= threshold) or "both together"
    who = {"network": "by the network, not by physics", "physics": "by physics, not by the network"}.get(by, f"by {by}")
    around, within = rises
    return by, (
        f"flagged {who}: the network gives {network:.0%} for defected; the hottest spot is {around:+.1f} {unit} over "
        f"the modules around and {within:+.1f} {unit} over the module's own median"
    )
