"""Splits: whatever the groups, none is divided, none moves, and every part gets its share."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from sightline.params import DataParams
from sightline.splits import SPLITS, apply_splits, assign, read_splits, write_splits
from sightline.task import Manifest, Sample
from tests.parameters import changed, platform_params

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=8)


def make_samples(groups: dict[str, list[str]], set_name: str = "real") -> list[Sample]:
    """Group -> the strata of its samples."""
    return [
        Sample(f"{group}/{i}", set_name, {"image": f"{group}/{i}.png"}, f"{group}{i}", "", group, stratum)
        for group, strata in groups.items()
        for i, stratum in enumerate(strata)
    ]


STRATA = st.lists(st.sampled_from(["none", "defects", "many"]), min_size=1, max_size=12)
GROUPS = st.dictionaries(NAMES, STRATA, min_size=1, max_size=14)
PARAMS = st.builds(
    changed,
    st.just(platform_params().data),
    folds=st.integers(2, 6),
    validation_share=st.floats(0.05, 0.4),
    test_share=st.floats(0.05, 0.4),
)


@given(GROUPS, GROUPS, PARAMS)
def test_every_group_gets_one_place_and_keeps_it_when_more_arrive(
    early: dict[str, list[str]], late: dict[str, list[str]], params: DataParams
) -> None:
    first = assign(make_samples(early), params)
    assert set(first) == {("real", group) for group in early}
    both = make_samples(early) + make_samples({g: s for g, s in late.items() if g not in early})
    second = assign(both, params, first)
    assert {key: second[key] for key in first} == first
    assert set(second) == {("real", sample.group) for sample in both}
    assert all(p.split in SPLITS and 0 <= p.fold < params.folds for p in second.values())


@given(GROUPS, PARAMS)
def test_a_group_is_in_one_split_and_one_fold(groups: dict[str, list[str]], params: DataParams) -> None:
    samples = make_samples(groups)
    placed = apply_splits(Manifest(Path("data"), tuple(samples)), assign(samples, params), params.folds)
    parts = Counter((s.group, s.split, s.fold) for s in placed.samples)
    assert len(parts) == len(groups)


@given(GROUPS, PARAMS, st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(
    groups: dict[str, list[str]], params: DataParams, rng: random.Random
) -> None:
    samples = make_samples(groups)
    shuffled = rng.sample(samples, len(samples))
    assert assign(samples, params) == assign(shuffled, params)


@given(GROUPS, GROUPS, PARAMS)
def test_sets_do_not_influence_each_other(
    real: dict[str, list[str]], synthetic: dict[str, list[str]], params: DataParams
) -> None:
    alone = assign(make_samples(real), params)
    together = assign(make_samples(real) + make_samples(synthetic, "sample"), params)
    assert {key: together[key] for key in alone} == alone


@given(GROUPS, PARAMS)
def test_no_part_stays_empty_while_there_are_groups_enough(groups: dict[str, list[str]], params: DataParams) -> None:
    places = assign(make_samples(groups), params).values()
    if len(groups) >= len(SPLITS):
        assert {p.split for p in places} == set(SPLITS)
    if len(groups) >= params.folds:
        assert {p.fold for p in places} == set(range(params.folds))


@given(st.integers(10, 40), st.integers(1, 5), PARAMS)
def test_groups_of_one_size_are_shared_out_as_asked(count: int, size: int, params: DataParams) -> None:
    groups = {f"g{number}": ["none"] * size for number in range(count)}
    found = Counter(p.split for p in assign(make_samples(groups), params).values())
    wanted = {"validation": params.validation_share, "test": params.test_share}
    wanted["train"] = 1 - sum(wanted.values())
    for split, share in wanted.items():
        assert abs(found[split] - share * count) <= 2, (split, share, count, dict(found))


@given(st.integers(4, 8))
def test_a_rare_stratum_reaches_every_part(count: int) -> None:
    groups = {f"rare{number}": ["defects"] * 2 for number in range(count)}
    groups |= {f"plain{number}": ["none"] * 2 for number in range(4 * count)}
    places = assign(make_samples(groups), platform_params().data)
    assert {places["real", f"rare{number}"].split for number in range(count)} == set(SPLITS)


@given(st.dictionaries(NAMES, STRATA, min_size=0, max_size=14), PARAMS)
def test_what_is_written_is_read(groups: dict[str, list[str]], params: DataParams) -> None:
    assignment = assign(make_samples(groups), params)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "splits.csv"
        write_splits(path, assignment)
        assert read_splits(path) == assignment
        before = path.read_bytes()
        write_splits(path, dict(reversed(assignment.items())))
        assert path.read_bytes() == before, "the same assignment gives the same bytes"
