"""The plain classifier's answer as context: answered by trees that never saw the picture's group, kept in a file."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.panel_defects.context import Answers, WithContext, fit_trees, folds_of
from sightline.tasks.panel_defects.domain import PHOTOGRAPHS
from sightline.tasks.panel_defects.examples import store_examples
from sightline.tasks.panel_defects.params import PixelParams
from sightline.tasks.panel_defects.sample import SampleParams, write_sample
from sightline.tasks.panel_defects.train import measure_bands
from tests.toy import Silent

CLASSES = len(PHOTOGRAPHS.classes)
PARAMS = PixelParams(trees=4, pixels_per_image=100, pixels_per_tree=400, sigmas_px=(1.0,))


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    root = tmp_path_factory.mktemp("panel_defects") / "sample"
    write_sample(root, SampleParams(scenes=6, side_px=64), Silent())
    return store_examples(PHOTOGRAPHS, PHOTOGRAPHS.load(root), 0.5, root.parent / "examples", Silent())


def test_a_group_lies_in_one_fold_and_folds_are_of_a_size():
    groups = tuple(f"site {number // 3}" for number in range(60))
    folds = folds_of(groups, 4, 1)
    assert all(len(set(folds[np.array(groups) == group])) == 1 for group in groups)
    assert np.bincount(folds).tolist() == [15, 15, 15, 15]
    assert not np.array_equal(folds, folds_of(groups, 4, 2))


def test_trees_answer_with_probabilities_of_all_classes(examples):
    trees = fit_trees(examples, range(3), measure_bands(examples), CLASSES, PARAMS, 1, Silent())
    pixels, mask = examples[5]
    answer = trees(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    assert answer.shape == (CLASSES, *mask.shape)
    np.testing.assert_allclose(answer.sum(axis=0), 1, atol=1e-5)


def test_answers_are_asked_for_once_and_read_from_the_file_then(examples, tmp_path):
    asked = []

    def answer(index):
        asked.append(index)
        return np.full((CLASSES, *examples[index][1].shape), index / 8, dtype=np.float32)

    path = tmp_path / "answers.bin"
    first, again = (Answers(path, examples, CLASSES, answer, Silent()) for _ in range(2))
    assert asked == list(range(len(examples)))
    for index in range(len(examples)):
        np.testing.assert_array_equal(first[index], np.full_like(first[index], index / 8))
        np.testing.assert_array_equal(again[index], first[index])


def test_a_broken_off_file_is_written_anew(examples, tmp_path):
    def fail(index):
        if index == 2:
            raise OSError("no space left")
        return np.zeros((CLASSES, *examples[index][1].shape), dtype=np.float32)

    path = tmp_path / "answers.bin"
    with pytest.raises(OSError, match="no space"):
        Answers(path, examples, CLASSES, fail, Silent())
    answers = Answers(path, examples, CLASSES, lambda i: np.ones((CLASSES, *examples[i][1].shape), "f4"), Silent())
    assert answers[0].min() == 1


def test_context_follows_the_bands(examples, tmp_path):
    def answer(index):
        return np.stack([examples[index][1] == number for number in range(CLASSES)]).astype(np.float32)

    known = WithContext(examples, Answers(tmp_path / "answers.bin", examples, CLASSES, answer, Silent()))
    pixels, mask = known[1]
    assert pixels.shape == (*mask.shape, 3 + CLASSES)
    np.testing.assert_array_equal(pixels[..., 3:].argmax(axis=2), mask)
    np.testing.assert_array_equal(pixels[..., :3], examples[1][0])
