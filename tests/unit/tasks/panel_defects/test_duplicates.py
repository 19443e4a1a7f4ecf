"""Near-duplicates: what is found alike, and how groups are named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sightline.tasks.panel_defects.duplicates import BITS, connected, difference_hash, near_duplicates


def picture(seed, height=256, width=256):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return coarse.repeat(-(-height // 9), axis=0).repeat(-(-width // 11), axis=1)[:height, :width]


def differing(first, second):
    return int((difference_hash(first) != difference_hash(second)).sum())


def test_another_exposure_and_size_of_a_picture_stay_close():
    one = picture(1)
    assert differing(one, np.clip(one * 0.8 + 10, 0, 255).astype(np.uint8)) <= 16
    assert differing(one, one[::2, ::2]) <= 16
    assert difference_hash(one).shape == (BITS,)


def test_other_pictures_are_far():
    assert differing(picture(1), picture(2)) > 60


def test_grey_pictures_have_a_hash_too():
    assert differing(picture(3), np.asarray(Image.fromarray(picture(3)).convert("L"))) <= 16


@pytest.mark.parametrize("count", [0, 1, 7, 2100])
def test_links_join_what_a_plain_comparison_of_all_pairs_joins(count):
    rng = np.random.default_rng(count)
    hashes = rng.random((max(count // 3, 1), BITS)) < 0.5
    hashes = hashes[rng.integers(len(hashes), size=count)] ^ (rng.random((count, BITS)) < 0.03)
    hashes[count // 2 :: 5] = hashes[: len(hashes[count // 2 :: 5])]  # copies
    names = [f"{number:04d}" for number in range(count)]
    plain = [np.nonzero((hashes[i] ^ hashes[i + 1 :]).sum(axis=1) <= 16)[0] + i + 1 for i in range(count)]
    first = np.repeat(np.arange(count), [len(found) for found in plain])
    groups = connected(names, *near_duplicates(hashes))
    assert groups == connected(names, first, np.concatenate([np.zeros(0, dtype=np.int64), *plain]))
    assert count < 7 or 1 < len(set(groups)) < count


def test_many_pictures_of_one_view_make_no_more_links_than_pictures():
    rng = np.random.default_rng(0)
    hashes = np.zeros((3000, BITS), dtype=bool)
    hashes[1000:, :8] = rng.random((2000, 8)) < 0.5  # some differ, but all are near
    links = near_duplicates(hashes)
    assert len(links[0]) == len(links[1]) == 2999
    assert len(set(connected([f"{n}" for n in range(3000)], *links))) == 1


def test_a_chain_forms_one_group_named_by_its_smallest_member():
    names = ["d", "b", "c", "a"]
    first, second = np.array([0, 1]), np.array([2, 2])
    assert connected(names, first, second) == ["b", "b", "b", "a"]
    assert connected([], first[:0], second[:0]) == []
