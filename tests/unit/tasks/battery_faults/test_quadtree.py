"""The quadtree is split where a mask loses detail, and its labels are written back there and nowhere else."""

from __future__ import annotations

from sightline.tasks.battery_faults.quadtree import (
    Nodes,
    children_of,
    grow,
    incoherence,
    incoherence_targets,
    middles_of,
    shrink,
    write_back,
)


def disc(radius_px=20.0, size=(64, 96)):
    import torch

    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    return ((x - 45.3) ** 2 + (y - 31.7) ** 2 < radius_px**2)[None]


def test_incoherence_is_what_is_lost_at_half_the_size():
    import torch

    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, :2, :2] = True
    mask[0, 2, 2] = True
    assert incoherence(mask)[0].tolist() == [[False, False], [False, True]]
    assert shrink(mask, 2)[0].tolist() == [[True, False], [False, False]]


def test_targets_follow_the_border_and_fine_ones_lie_in_coarse_ones():
    coarse, fine = incoherence_targets(disc())
    assert (coarse.shape, fine.shape) == ((1, 16, 24), (1, 32, 48))
    assert not coarse[0, 7:9, 10:12].any()  # the middle
    assert not coarse[0, 0].any()
    assert 15 < int(coarse.sum()) < 60
    inside = coarse.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    assert bool((fine <= inside).all())


def test_children_are_the_quarters_of_their_square():
    import torch

    square = torch.tensor([[5]])  # row 1, column 2 of three
    children = children_of(square, 3)
    assert children.tolist() == [[16, 17, 22, 23]]  # rows 2 and 3, columns 4 and 5 of six
    middles = middles_of(children, 2, (8, 12))
    torch.testing.assert_close(middles.mean(dim=1), middles_of(square, 4, (8, 12))[:, 0])


def tree_of(mask, most=(100, 200)):
    """The tree of a detector that finds just what there is."""
    found = tuple(20 * one.float() - 10 for one in incoherence_targets(mask))
    return grow(found, (None, None), most)


def labelled(mask, tree):
    """Nodes that are told right."""
    sides = (4, 2, 1)
    labels = [
        20 * shrink(mask, side).flatten(1).gather(1, index).float() - 10
        for side, index in zip(sides, tree[0], strict=True)
    ]
    return tuple(Nodes(*parts) for parts in zip(*tree, labels, strict=True))


def test_right_labels_give_the_mask_back_whatever_the_coarse_mask_was_at_the_border():
    import torch

    mask = disc()
    coarse = torch.nn.functional.interpolate(
        (20 * shrink(mask, 8).float() - 10)[:, None], scale_factor=8, mode="nearest"
    )[:, 0]
    near = torch.nn.functional.interpolate(
        (20 * shrink(mask, 4).float() - 10)[:, None], scale_factor=4, mode="nearest"
    )[:, 0]
    assert bool(((write_back(near, labelled(mask, tree_of(mask))) > 0) == mask).all())
    refined = write_back(coarse, labelled(mask, tree_of(mask))) > 0
    assert int((refined ^ mask).sum()) < int(((coarse > 0) ^ mask).sum()) / 3


def test_elsewhere_the_coarse_mask_stays():
    import torch

    mask, coarse = disc(), torch.full((1, 64, 96), 3.0)
    nodes = labelled(mask, tree_of(mask))
    roots = torch.zeros(1, 16 * 24, dtype=torch.bool)
    roots[0, nodes[0].index[0]] = True
    covered = roots.view(1, 16, 24).repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)
    assert bool((write_back(coarse, nodes)[~covered] == 3).all())


def test_the_number_of_nodes_is_bounded_and_the_likeliest_come_first():
    import torch

    noise = torch.randn(2, 16, 24, generator=torch.Generator().manual_seed(0)), torch.full((2, 32, 48), 5.0)
    places, used = grow(noise, (None, None), (10, 12))
    assert [one.shape[1] for one in places] == [10, 40, 48]
    assert all(bool(one.all()) for one in used)
    best = noise[0][0].flatten().topk(10).indices
    assert set(places[0][0].tolist()) == set(best.tolist())
    assert set(places[1][0].tolist()) == set(children_of(best[None], 24)[0].tolist())


def test_a_mask_without_incoherent_places_has_no_nodes():
    import torch

    quiet = torch.full((1, 16, 24), -9.0), torch.full((1, 32, 48), 9.0)
    places, used = grow(quiet, (None, None), (10, 12))
    assert not any(bool(one.any()) for one in used)
    coarse = torch.randn(1, 64, 96)
    nodes = tuple(
        Nodes(*parts, torch.zeros_like(parts[1], dtype=torch.float32)) for parts in zip(places, used, strict=True)
    )
    torch.testing.assert_close(write_back(coarse, nodes), coarse)


def test_a_trained_refiner_raises_the_border_of_a_coarse_disc():
    """Trained on discs of other sizes, from the picture and a coarse mask that is off by pixels."""
    import torch

    from sightline.tasks.battery_faults.pyramid import Features
    from sightline.tasks.battery_faults.quadtree import build_refiner, stage_two_losses
    from tests.unit.tasks.battery_faults.packs import TINY

    torch.manual_seed(0)

    def seen(mask):
        """Features in which the disc shows, as a network would have them."""
        frames = torch.stack([mask.float(), mask.float(), torch.ones_like(mask).float()], dim=1)
        small = [torch.nn.functional.avg_pool2d(frames, side) for side in (2, 4, 8)]
        deep = small[2].mean(dim=1, keepdim=True).expand(-1, 32, -1, -1)
        memory = deep.flatten(2).transpose(1, 2)
        sizes = [(int(deep.shape[2]), int(deep.shape[3]))]
        features = Features(
            frames, small[0].repeat(1, 3, 1, 1)[:, :8], small[1].repeat(1, 3, 1, 1)[:, :8], memory, sizes
        )
        coarse = torch.nn.functional.avg_pool2d(mask[:, None].float(), 8)
        blurred = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")[:, 0]
        return features, 12 * (torch.roll(blurred, 2, dims=2) - 0.5)

    refiner = build_refiner(TINY.network, TINY.refine, stem=8, early=8)
    optimiser = torch.optim.AdamW(refiner.parameters(), lr=0.01)
    for step in range(40):
        mask = torch.cat([disc(14.0 + step % 7), disc(22.5 + step % 5)])
        features, coarse = seen(mask)
        losses = stage_two_losses(refiner(features, coarse, mask), coarse, mask)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    mask = disc(19.2)
    features, coarse = seen(mask)
    with torch.inference_mode():
        refined = refiner.eval()(features, coarse).logits > 0
    band = torch.nn.functional.max_pool2d(mask.float(), 9, 1, 4) - -torch.nn.functional.max_pool2d(
        -mask.float(), 9, 1, 4
    )

    def iou(one):
        near = band > 0
        return float((one & mask & near).sum() / ((one | mask) & near).sum())

    assert iou(refined) > iou(coarse > 0) + 0.15
    assert iou(refined) > 0.9
