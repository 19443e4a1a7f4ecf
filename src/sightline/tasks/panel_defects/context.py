"""A network that sees the plain classifier's answer beside the picture (auto-context, Tu and Bai, 2010).

Few hundred pictures teach a network little of colour and texture that trees do not learn better from single pixels;
what it adds is where things are. In training each picture is answered by trees that were grown without its group
(stacking, Wolpert, 1992): else the network would learn to trust answers that are better than any it will see.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.task import Report
from sightline.tasks.panel_defects.augment import Normalisation
from sightline.tasks.panel_defects.examples import StoredExamples, mapped
from sightline.tasks.panel_defects.params import PixelParams
from sightline.tasks.panel_defects.pixels import PixelClassifier, pixel_features, train_pixels

Floats = NDArray[np.float32]
Mask = NDArray[np.uint8]


class Trees:
    """The plain classifier, fitted on some of the examples.

    Attributes:
        graph: see `pixels.train_pixels`.
        found: the classes it has seen, in the order of the graph's columns.
    """

    def __init__(self, graph: bytes, found: tuple[int, ...], classes: int, sigmas_px: tuple[float, ...]) -> None:
        self.graph = graph
        self.found = found
        self._classify = PixelClassifier(graph, found, classes, sigmas_px)

    def __call__(self, bands: Floats) -> Floats:
        """(bands, h, w), normalised -> probabilities (classes, h, w)."""
        return self._classify(bands)


def fit_trees(
    examples: StoredExamples,
    chosen: Iterable[int],
    normalisation: Normalisation,
    classes: int,
    params: PixelParams,
    seed: int,
    report: Report,
) -> Trees:
    """Grow the trees on pixels drawn from the chosen examples."""
    features, truth, numbers = [], [], list(chosen)
    for done, index in enumerate(numbers, start=1):
        pixels, mask = examples[index]
        rng = np.random.default_rng([seed, index])
        drawn = rng.choice(mask.size, min(params.pixels_per_image, mask.size), replace=False)
        features.append(pixel_features(normalised(pixels, normalisation), params.sigmas_px)[drawn])
        truth.append(mask.ravel()[drawn])
        report.progress(done, len(numbers) + 1, f"trees: picture {done}/{len(numbers)}")
    labels = np.concatenate(truth)
    graph = train_pixels(np.concatenate(features), labels, params, seed)
    report.progress(1, 1, "trees")
    found = tuple(int(index) for index in np.unique(labels))
    return Trees(graph, found, classes, params.sigmas_px)


def normalised(pixels: NDArray[Any], normalisation: Normalisation) -> Floats:
    """(h, w, bands) in 0 .. 1 -> (bands, h, w) as the classifier and the networks take them."""
    return np.ascontiguousarray(normalisation(pixels).transpose(2, 0, 1))


class Answers:
    """Probabilities (classes, h, w) of each example, in a file that is mapped into memory.

    Args:
        path: the file; taken as it is where it is there.
        examples: what is answered.
        classes: how many there are.
        answer: of an example's number.
    """

    def __init__(
        self, path: Path, examples: StoredExamples, classes: int, answer: Callable[[int], Floats], report: Report
    ) -> None:
        self._shapes = [(classes, *examples[index][1].shape) for index in range(len(examples))]
        self._starts = np.concatenate([[0], np.cumsum([np.prod(shape) for shape in self._shapes])]).astype(np.int64)
        if not path.exists():
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                for index in range(len(examples)):
                    file.write(answer(index).astype(np.float16).tobytes())
                    report.progress(index + 1, len(examples), f"context {index + 1}/{len(examples)}")
            partial.rename(path)
        self._values = mapped(path, "float16")

    def __getitem__(self, index: int) -> Floats:
        return self._values[self._starts[index] : self._starts[index + 1]].reshape(self._shapes[index]).astype("f4")


class WithContext:
    """Examples with probabilities of the classes as further bands; see `augment.Examples`."""

    def __init__(self, examples: StoredExamples, answers: Answers) -> None:
        self.strata = examples.strata
        self._examples = examples
        self._answers = answers

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], Mask]:
        pixels, mask = self._examples[index]
        return np.concatenate([pixels, self._answers[index].transpose(1, 2, 0)], axis=2), mask


def folds_of(groups: tuple[str, ...], folds: int, seed: int) -> NDArray[np.int64]:
    """(n,) the fold of each example; a group is never divided."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {name: int(place) % folds for name, place in zip(names, order, strict=True)}
    return np.array([fold[group] for group in groups])
