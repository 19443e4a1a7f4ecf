"""The last of ranked answers that is to be taken for the largest F1."""

from __future__ import annotations

import numpy as np

from sightline.vision.thresholds import best_cut


def cut(scores: list[float], right: list[int], missed: int = 0) -> int:
    return best_cut(np.array(scores), np.cumsum(right), sum(right) + missed)


def test_it_ends_with_the_last_right_answer_that_is_worth_the_wrong_ones_before() -> None:
    assert cut([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0]) == 1
    assert cut([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1]) == 3
    assert cut([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 0, 0, 1]) == 0


def test_answers_of_equal_score_are_taken_together() -> None:
    assert cut([0.9, 0.5, 0.5, 0.5], [1, 1, 0, 0]) == 0
    assert cut([0.9, 0.5, 0.5], [0, 1, 1]) == 2


def test_what_was_never_found_counts_against_a_short_answer() -> None:
    assert cut([0.9, 0.8, 0.7], [1, 0, 1], missed=4) == 2
