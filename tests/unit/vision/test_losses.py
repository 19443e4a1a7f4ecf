"""Losses: perfect answers cost nothing, absent classes are left out."""

from __future__ import annotations

import pytest

from sightline.vision.losses import exclusive_loss, overlapping_loss

pytestmark = pytest.mark.slow  # torch takes seconds to load


def certain(truth, classes):
    import torch

    return 40.0 * torch.nn.functional.one_hot(truth, classes).permute(0, 3, 1, 2).float() - 20.0


@pytest.mark.parametrize("name", ["jaccard", "jaccard+entropy"])
def test_a_perfect_answer_costs_nothing_though_classes_are_absent(name):
    import torch

    truth = torch.tensor([[[0, 1], [1, 0]]])
    assert float(exclusive_loss(name, [1.0] * 4)(certain(truth, 4), truth)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", ["jaccard", "jaccard+entropy"])
def test_the_opposite_answer_costs_most(name):
    import torch

    truth = torch.tensor([[[0, 1], [1, 0]]])
    right, wrong = certain(truth, 2), certain(1 - truth, 2)
    unsure = torch.zeros_like(right)
    loss = exclusive_loss(name, [1.0, 1.0])
    assert float(loss(right, truth)) < float(loss(unsure, truth)) < float(loss(wrong, truth))


def test_a_weight_makes_a_class_dearer():
    import torch

    truth = torch.tensor([[[0, 1], [1, 1]]])
    missed = certain(torch.zeros_like(truth), 2)
    plain, heavy = exclusive_loss("jaccard+entropy", [1.0, 1.0]), exclusive_loss("jaccard+entropy", [0.1, 2.0])
    assert float(heavy(missed, truth)) > float(plain(missed, truth))


def test_an_absent_class_is_no_burden_where_classes_overlap():
    import torch

    truth = torch.zeros(1, 3, 4, 4)
    truth[:, 0] = 1
    answer = 40.0 * truth - 20.0
    assert float(overlapping_loss()(answer, truth)) == pytest.approx(0, abs=1e-3)
