"""Stage 2: a mask's border, refined where it needs to be (after Mask Transfiner, Ke et al., 2022).

A mask that is made smaller and larger again loses detail in few places only: |M - up(down(M))|. A detector finds these
incoherent places, and those where the coarse mask is wrong altogether; where the coarse mask has its own border is
looked at anyway. They are the nodes of a quadtree:

    level 0   squares of 4 px, the roots: those that are incoherent are split
    level 1   squares of 2 px, four of each split root: those that are incoherent are split again
    level 2   single pixels, four of each split square

A transformer lets all nodes of a mask talk, from features of several scales and where they lie, and tells each one's
label. Labels are written back from the largest squares to the smallest; elsewhere the coarse mask stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline.tasks.battery_faults.attention import sine_positions
from sightline.tasks.battery_faults.params import NetworkParams, RefineParams
from sightline.tasks.battery_faults.pyramid import CHANNELS, Features, build_feedforward, spread_faint

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


SIDES_PX = (4, 2, 1)
"""Of the squares, level by level."""

_LIKELY = 0.5
"""Probability of incoherence from which on a square is split."""

_FINE_CHANNELS = 16


@dataclass(frozen=True)
class Nodes:
    """Nodes of one level of m trees, filled up to k a tree.

    Attributes:
        index: (m, k), which square of its level, counted by rows.
        used: (m, k) bool; the rest only fills up.
        logits: (m, k), of lying in the mask.
    """

    index: Tensor
    used: Tensor
    logits: Tensor


@dataclass(frozen=True)
class Refined:
    """What stage 2 makes of m masks.

    Attributes:
        logits: (m, h, w), the coarse mask's where there is no node.
        incoherence: (m, h / 4, w / 4) and (m, h / 2, w / 2): logits of the detector.
        nodes: of the three levels.
    """

    logits: Tensor
    incoherence: tuple[Tensor, Tensor]
    nodes: tuple[Nodes, Nodes, Nodes]


def incoherence(mask: Tensor) -> Tensor:
    """Where a mask loses detail at half its size, as a mask of that half: (m, h, w) bool -> (m, h / 2, w / 2) bool.

    Down is the majority of four pixels, up repeats it: a square is incoherent where its four pixels differ.
    """
    import torch

    return torch.nn.functional.max_pool2d(_lost(mask)[:, None].float(), 2)[:, 0] > 0


def _lost(mask: Tensor) -> Tensor:
    """|M - up(down(M))|: (m, h, w) bool."""
    again = shrink(mask, 2).repeat_interleave(2, dim=1).repeat_interleave(2, dim=2)
    return mask ^ again


def shrink(mask: Tensor, side_px: int) -> Tensor:
    """The majority of each square of pixels; a half counts as inside. (m, h, w) bool -> (m, h / side, w / side)."""
    import torch

    return torch.nn.functional.avg_pool2d(mask[:, None].float(), side_px)[:, 0] >= 0.5


def incoherence_targets(mask: Tensor) -> tuple[Tensor, Tensor]:
    """What the detector is to find in a true mask (m, h, w) bool: squares of 4 px and of 2 px that are to be split.

    A square of 4 px is incoherent too where one of its squares of 2 px is.
    """
    import torch

    fine = incoherence(mask)
    coarse = incoherence(shrink(mask, 2)) | (torch.nn.functional.max_pool2d(fine[:, None].float(), 2)[:, 0] > 0)
    return coarse, fine


def detector_targets(coarse: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """As `incoherence_targets` of the true mask; squares of 4 px that the coarse logits (m, h, w) get wrong, too."""
    roots, splits = incoherence_targets(truth)
    return roots | (shrink(coarse > 0, 4) ^ shrink(truth, 4)), splits


def build_refiner(network: NetworkParams, params: RefineParams, stem: int, early: int) -> Module:
    """Stage 2: `Features` of m frames and coarse logits (m, h, w) -> `Refined`.

    A third argument, the true masks (m, h, w), has the tree grow where these are incoherent too, for training.

    Args:
        network: stage 1, of which the features are.
        params: of this stage.
        stem: channels of these features.
        early: the same.
    """
    import torch

    class Refiner(torch.nn.Module):
        """See `build_refiner`."""

        def __init__(self) -> None:
            super().__init__()
            width = params.width
            self.fine = torch.nn.Sequential(
                torch.nn.Conv2d(CHANNELS + 1, _FINE_CHANNELS, 3, padding=1),
                torch.nn.ReLU(),
                torch.nn.Conv2d(_FINE_CHANNELS, _FINE_CHANNELS, 3, padding=1),
                torch.nn.ReLU(),
            )
            self.narrow_stem = torch.nn.Conv2d(stem, _FINE_CHANNELS, 1)
            self.narrow_early = torch.nn.Conv2d(early, width, 1)
            self.narrow_deep = torch.nn.Conv2d(network.width, width, 1)
            self.detect_roots = _detector(2 * width + 2, width)
            self.detect_splits = _detector(2 * _FINE_CHANNELS + 3, _FINE_CHANNELS)
            self.described = torch.nn.Linear(2 * _FINE_CHANNELS + 2 * width + 1, width)
            self.level = torch.nn.Parameter(torch.randn(len(SIDES_PX), width) * 0.02)
            self.layers = torch.nn.ModuleList(_build_layer(params) for _ in range(params.layers))
            self.label = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 1))

        def forward(self, features: Features, coarse: Tensor, truth: Tensor | None = None) -> Refined:
            maps = self._maps(features)
            found = self._detect(maps, coarse)
            roots = incoherence_targets(coarse > 0)[0]
            if truth is None:
                wanted: tuple[Tensor, Tensor | None] = (roots, None)
            else:
                right = detector_targets(coarse, truth)
                wanted = (roots | right[0], right[1])
            places, used = grow(found, wanted, (params.most_roots, params.most_splits))
            logits = self._label(maps, coarse, places, used)
            nodes = tuple(Nodes(*parts) for parts in zip(places, used, logits, strict=True))
            assert len(nodes) == 3
            return Refined(write_back(coarse, nodes), found, nodes)

        def _maps(self, features: Features) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            """What is seen of a frame at 1, 1/2, 1/4 and 1/8 of its size."""
            return (
                self.fine(spread_faint(features.frames)),
                torch.relu(self.narrow_stem(features.stem)),
                torch.relu(self.narrow_early(features.early)),
                torch.relu(self.narrow_deep(features.level(0))),
            )

        def _detect(self, maps: tuple[Tensor, ...], coarse: Tensor) -> tuple[Tensor, Tensor]:
            """Logits of incoherence of the squares of 4 px and of 2 px; those of 4 px are told first."""
            fine, stem, early, deep = maps
            probability = coarse.sigmoid()[:, None]
            at_four = torch.nn.functional.avg_pool2d(probability, 4)
            border = 4 * at_four * (1 - at_four)
            roots = self.detect_roots(torch.cat([early, _double(deep), at_four, border], dim=1))
            at_two = torch.nn.functional.avg_pool2d(probability, 2)
            seen = [stem, torch.nn.functional.avg_pool2d(fine, 2), at_two, 4 * at_two * (1 - at_two)]
            splits = self.detect_splits(torch.cat([*seen, _double(roots).sigmoid()], dim=1))
            return roots[:, 0].float(), splits[:, 0].float()

        def _label(
            self, maps: tuple[Tensor, ...], coarse: Tensor, places: tuple[Tensor, ...], used: tuple[Tensor, ...]
        ) -> list[Tensor]:
            """Logits of each level's nodes."""
            height, width = coarse.shape[1:]
            middles = [middles_of(part, side, (height, width)) for part, side in zip(places, SIDES_PX, strict=True)]
            levels = torch.cat([own.expand(part.shape[1], -1) for own, part in zip(self.level, places, strict=True)])
            where = torch.cat(middles, dim=1)
            described = [sample_at(part, where) for part in (*maps, coarse[:, None])]
            values = self.described(torch.cat([one.to(described[0].dtype) for one in described], dim=2))
            values = values + sine_positions(where, params.width) + levels
            # A tree without nodes would have nothing to attend to: its first node, unused, then stands for one.
            there = torch.cat(used, dim=1)
            there[:, 0] |= ~there.any(dim=1)
            for layer in self.layers:
                values = layer(values, there)
            logits = self.label(values).squeeze(-1).float()
            return list(logits.split([part.shape[1] for part in places], dim=1))

    return Refiner()


def _detector(inputs: int, hidden: int) -> Module:
    import torch

    return torch.nn.Sequential(
        torch.nn.Conv2d(inputs, hidden, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(hidden, hidden, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(hidden, 1, 1),
    )


def _double(picture: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.interpolate(picture, scale_factor=2, mode="bilinear")


def _build_layer(params: RefineParams) -> Module:
    import torch

    class NodeLayer(torch.nn.Module):
        """All nodes of a tree look at each other."""

        def __init__(self) -> None:
            super().__init__()
            self.asked = torch.nn.Linear(params.width, 3 * params.width)
            self.joined = torch.nn.Linear(params.width, params.width)
            self.norm = torch.nn.LayerNorm(params.width)
            self.forward_part = build_feedforward(params.width, params.feedforward)

        def forward(self, values: Tensor, used: Tensor) -> Tensor:
            trees, count, width = values.shape
            shape = (trees, count, 3, params.heads, width // params.heads)
            query, key, value = self.asked(values).view(shape).permute(2, 0, 3, 1, 4)
            seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=used[:, None, None])
            joined = self.joined(seen.transpose(1, 2).reshape(trees, count, width))
            transformed: Tensor = self.forward_part(self.norm(values + joined))
            return transformed

    return NodeLayer()


# ----------------------------------------------------------------------------------------------------------- tree


def grow(
    found: tuple[Tensor, Tensor], wanted: tuple[Tensor | None, Tensor | None], most: tuple[int, int]
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
    """The tree's nodes: index and use of each level's, as in `Nodes`.

    Args:
        found: logits of incoherence, (m, h / 4, w / 4) and (m, h / 2, w / 2).
        wanted: squares that are to be split whatever was found, for training.
        most: squares split at most, of 4 px and of 2 px; the likeliest first.
    """
    urgency = [_urgency(logits, target) for logits, target in zip(found, wanted, strict=True)]
    width = found[0].shape[2]
    roots, split = _likeliest(urgency[0].flatten(1), most[0])
    children = children_of(roots, width)
    inner = split.repeat_interleave(4, dim=1)
    offered = urgency[1].flatten(1).gather(1, children).masked_fill(~inner, 0.0)
    chosen, split_again = _likeliest(offered, most[1])
    leaves = children_of(children.gather(1, chosen), 2 * width)
    return (roots, children, leaves), (split, inner, split_again.repeat_interleave(4, dim=1))


def _urgency(logits: Tensor, wanted: Tensor | None) -> Tensor:
    """Probability of incoherence; what is wanted comes before all that is found."""
    probability = logits.detach().sigmoid()
    return probability if wanted is None else probability + wanted.float()


def _likeliest(urgency: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Which of the squares (m, k) are split, and which of these are likely enough.

    No more are returned than the fullest tree needs, but one at least.
    """
    likely = int((urgency > _LIKELY).sum(dim=1).max()) if len(urgency) else 0
    values, index = urgency.topk(min(max(likely, 1), most, urgency.shape[1]), dim=1)
    return index, values > _LIKELY


def children_of(index: Tensor, width: int) -> Tensor:
    """The four quarters of each square (m, k), as indices into a level of twice the size: (m, 4 k).

    Args:
        index: of squares, counted by rows.
        width: squares in a row of their level.
    """
    import torch

    row, column = index // width, index % width
    corners = [(2 * row + down) * 2 * width + 2 * column + right for down in (0, 1) for right in (0, 1)]
    return torch.stack(corners, dim=2).flatten(1)


def middles_of(index: Tensor, side_px: int, size: tuple[int, int]) -> Tensor:
    """Middles of squares (m, k) of a picture (h, w), as shares: (m, k, 2), x and y."""
    import torch

    rows, columns = size[0] // side_px, size[1] // side_px
    return torch.stack([(index % columns + 0.5) / columns, (index // columns + 0.5) / rows], dim=2)


def sample_at(picture: Tensor, places: Tensor) -> Tensor:
    """Values of (m, c, h, w) at places (m, k, 2), between pixels: (m, k, c)."""
    import torch

    grid = (2 * places - 1)[:, None].to(picture.dtype)
    sampled = torch.nn.functional.grid_sample(picture, grid, padding_mode="border", align_corners=False)
    return sampled[:, :, 0].transpose(1, 2)


def write_back(coarse: Tensor, nodes: tuple[Nodes, ...]) -> Tensor:
    """Logits (m, h, w) with the labels of nodes in place, the smallest squares last."""
    import torch

    whole = coarse.float()
    for side, level in zip(SIDES_PX, nodes, strict=True):
        rows, columns = whole.shape[1] // side, whole.shape[2] // side
        flat = torch.zeros(len(whole), rows * columns, device=whole.device)
        # Indices of one level are distinct among those in use; the rest must not overwrite them, so it is left out.
        tree, place = level.used.nonzero(as_tuple=True)
        square = level.index[tree, place]
        flat = flat.index_put((tree, square), level.logits[tree, place])
        there = torch.zeros_like(flat, dtype=torch.bool).index_put(
            (tree, square), torch.ones_like(tree, dtype=torch.bool)
        )
        there, flat = (
            torch.unflatten(part, 1, (rows, columns)).repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)
            for part in (there, flat)
        )
        whole = torch.where(there, flat, whole)
    return whole


# --------------------------------------------------------------------------------------------------------- losses


def stage_two_losses(refined: Refined, coarse: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Means over squares and nodes, for coarse logits (m, h, w) and true masks (m, h, w) bool."""
    import torch

    wanted = detector_targets(coarse, truth)
    detector = sum(
        (_balanced(logits, target.float()) for logits, target in zip(refined.incoherence, wanted, strict=True)),
        torch.zeros((), device=truth.device),
    )
    labels, logits = [], []
    for side, level in zip(SIDES_PX, refined.nodes, strict=True):
        labels.append(shrink(truth, side).flatten(1).gather(1, level.index)[level.used])
        logits.append(level.logits[level.used])
    told, right = torch.cat(logits), torch.cat(labels).float()
    nodes = torch.nn.functional.binary_cross_entropy_with_logits(told, right, reduction="sum") / max(len(told), 1)
    return {"incoherence": detector, "nodes": nodes}


def _balanced(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with Dice: incoherent squares are few, and to miss one costs more than to split one in vain."""
    import torch

    weight = torch.full((), 3.0, device=logits.device)
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, pos_weight=weight)
    probability = logits.sigmoid()
    overlap = (2 * (probability * wanted).sum() + 1) / (probability.sum() + wanted.sum() + 1)
    return entropy + 1 - overlap
