"""A network that has not converged is told from one that has, also where its training was killed."""

from __future__ import annotations

import re

import pytest

from sightline.tasks.battery_faults.convergence import KeptFigures, convergence_note
from sightline.tasks.battery_faults.train import train_stages
from tests.contract.subjects import Silent
from tests.unit.tasks.battery_faults.packs import TINY, stored

GOOD = {"validation_iou_coarse": 0.5, "validation_iou_refined": 0.7, "validation_auc": 0.8}


@pytest.mark.parametrize(
    ("change", "refined", "said"),
    [
        ({}, False, ""),
        ({}, True, ""),
        ({"validation_iou_coarse": 0.49}, True, ""),
        ({"validation_iou_coarse": 0.49}, False, "not converged: .* 0.49"),
        ({"validation_iou_refined": 0.1}, True, "not converged: .* 0.10"),
        ({"validation_auc": 0.5}, True, "not converged: .* 50% of"),
        ({"validation_auc": None}, True, "nobody knows"),
    ],
)
def test_it_has_converged_where_masks_lie_on_faults_and_scores_beat_a_coin(change, refined, said):
    figures = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    note = convergence_note(figures, refined)
    assert re.search(said, note)
    assert bool(note) == bool(said)


def test_a_handful_of_steps_is_marked_also_where_they_were_all_done_before(tmp_path):
    videos = stored(tmp_path / "set", faults=(0, None), length=3)
    first = KeptFigures(Silent(), tmp_path / "figures.json")
    assert "nobody knows" in first.note(refined=True)
    weights = train_stages(videos, videos, TINY, 0, tmp_path / "work", first)
    assert "not converged" in first.note(refined=True)
    again = KeptFigures(Silent(), tmp_path / "figures.json")
    assert train_stages(videos, videos, TINY, 0, tmp_path / "work", again) == weights
    assert again.note(refined=False) == first.note(refined=False) != ""
