"""Which query is to tell which fault; and what the losses make of it. Worked by hand."""

from __future__ import annotations

import math

import pytest

from sightline.tasks.battery_faults.losses import dice, focal, stage_one_losses
from sightline.tasks.battery_faults.matching import Targets, boxes_of, costs, giou, match
from sightline.tasks.battery_faults.query import Layer
from tests.unit.tasks.battery_faults.packs import TINY


def targets_of(*faults):
    """One clip; each fault is a list of boxes x0, y0, x1, y1 in a frame of 8 x 16 pixels, None where it is hidden."""
    import torch

    masks = torch.zeros(1, len(faults), len(faults[0]), 8, 16, dtype=torch.bool)
    for number, boxes in enumerate(faults):
        for frame, box in enumerate(boxes):
            if box:
                masks[0, number, frame, box[1] : box[3], box[0] : box[2]] = True
    return Targets(masks, boxes_of(masks), masks.any(dim=(3, 4)))


def layer_of(probabilities, boxes):
    """Queries with one probability each, in boxes that stay."""
    import torch

    frames = 2
    logits = torch.logit(torch.tensor(probabilities)).expand(1, frames, -1)
    return Layer(logits, torch.tensor(boxes).expand(1, frames, -1, -1), torch.zeros(1, frames, len(boxes), 4))


LEFT, RIGHT = (0, 0, 8, 8), (8, 0, 16, 8)
LEFT_BOX, RIGHT_BOX = [0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]


def test_boxes_lie_around_their_masks():
    boxes = targets_of([LEFT, (3, 2, 5, 6)], [None, RIGHT]).boxes
    assert boxes[0, 0].tolist() == [LEFT_BOX, [0.25, 0.5, 0.125, 0.5]]
    assert boxes[0, 1].tolist() == [[0, 0, 0, 0], RIGHT_BOX]


def test_giou_worked_by_hand():
    import torch

    left, right = torch.tensor(LEFT_BOX), torch.tensor(RIGHT_BOX)
    assert float(giou(left, left)) == pytest.approx(1)
    assert float(giou(left, right)) == pytest.approx(0)  # they touch: no overlap, and a hull that they fill
    half = torch.tensor([0.25, 0.5, 0.25, 1.0])
    assert float(giou(left, half)) == pytest.approx(0.5)
    far = torch.tensor([0.875, 0.5, 0.25, 1.0])
    assert float(giou(torch.tensor([0.125, 0.5, 0.25, 1.0]), far)) == pytest.approx(-0.5)


def test_costs_worked_by_hand():
    """Query 0 is sure and in place, query 1 is in place of the other cell; the hidden frame does not count."""
    layer = layer_of([0.9, 0.1], [LEFT_BOX, RIGHT_BOX])
    cost = costs(layer, targets_of([LEFT, None], [RIGHT, RIGHT]), TINY.loss)[0]
    sure = 0.25 * 0.1**2 * -math.log(0.9) - 0.75 * 0.9**2 * -math.log(0.1)
    unsure = 0.25 * 0.9**2 * -math.log(0.1) - 0.75 * 0.1**2 * -math.log(0.9)
    assert cost[0].tolist() == pytest.approx([2 * sure + 5 * 0 - 2 * 1, 2 * sure + 5 * 0.5 - 2 * 0], abs=1e-5)
    assert cost[1].tolist() == pytest.approx([2 * unsure + 5 * 0.5 - 2 * 0, 2 * unsure + 5 * 0 - 2 * 1], abs=1e-5)


def test_the_assignment_is_the_cheapest_of_all_not_each_faults_own():
    """Both faults would rather have query 0; together it is cheaper to give the left one query 1."""
    layer = layer_of([0.5, 0.5, 0.5], [[0.45, 0.5, 0.5, 1.0], [0.2, 0.5, 0.5, 1.0], [0.05, 0.1, 0.05, 0.05]])
    matched = match(layer, targets_of([LEFT, LEFT], [(6, 0, 14, 8)] * 2), TINY.loss)
    pairs = set(zip(matched.query.tolist(), matched.fault.tolist(), strict=True))
    assert pairs == {(1, 0), (0, 1)}


def test_a_fault_that_never_shows_is_given_to_nobody():
    matched = match(layer_of([0.5, 0.5], [LEFT_BOX, RIGHT_BOX]), targets_of([None, None], [RIGHT, None]), TINY.loss)
    assert (matched.query.tolist(), matched.fault.tolist()) == ([1], [1])
    assert len(match(layer_of([0.5], [LEFT_BOX]), targets_of([None, None]), TINY.loss).clip) == 0


def test_focal_and_dice_worked_by_hand():
    import torch

    logits = torch.logit(torch.tensor([0.9, 0.9]))
    found, false = focal(logits, torch.tensor([1.0, 0.0])).tolist()
    assert found == pytest.approx(0.25 * 0.01 * -math.log(0.9), rel=1e-4)
    assert false == pytest.approx(0.75 * 0.81 * -math.log(0.1), rel=1e-4)
    truth = torch.tensor([[[1.0, 1.0, 0.0, 0.0]]])
    assert float(dice(torch.tensor([[[99.0, 99.0, -99.0, -99.0]]]), truth)) == pytest.approx(0, abs=1e-6)
    assert float(dice(torch.tensor([[[99.0, -99.0, 99.0, -99.0]]]), truth)) == pytest.approx(1 - 3 / 5)


class Drawn:
    """What an answer is made of, as far as losses go; masks fill the left half of the frame."""

    def __init__(self, *layers):
        import torch

        self.layers = layers
        self.mask_features = torch.zeros(1, 2, 8, 1, 2)

    def masks(self, mask_features, queries, boxes):
        import torch

        return torch.tensor([[[50.0, -50.0]]]).expand(len(queries), -1, -1)


def loss_of(probabilities, targets):
    drawn = Drawn(layer_of(probabilities, [LEFT_BOX, RIGHT_BOX]))
    parts, _ = stage_one_losses(drawn, drawn, targets, TINY.loss)
    return {name: float(value) for name, value in parts.items()}


def test_right_answers_cost_less_than_wrong_ones():
    right = loss_of([0.99, 0.01], targets_of([LEFT, LEFT]))
    assert right["box"] == pytest.approx(0, abs=1e-6)
    assert right["giou"] == pytest.approx(0, abs=1e-6)
    assert right["fault"] < 1e-4
    assert loss_of([0.01, 0.01], targets_of([LEFT, LEFT]))["fault"] > 100 * right["fault"]
    assert loss_of([0.99, 0.01], targets_of([RIGHT, RIGHT]))["dice"] > 3 * right["dice"]


def test_of_a_healthy_clip_only_alarms_are_learnt():
    healthy = targets_of([None, None])
    assert set(loss_of([0.9, 0.1], healthy)) == {"fault"}
    assert loss_of([0.9, 0.1], healthy)["fault"] > 10 * loss_of([0.1, 0.1], healthy)["fault"]


def test_before_the_onset_an_alarm_is_wrong_and_while_hidden_it_is_not():
    late, hidden = targets_of([None, LEFT]), targets_of([LEFT, None])
    assert loss_of([0.99, 0.01], late)["fault"] > 1
    assert loss_of([0.99, 0.01], hidden)["fault"] < 1e-4
