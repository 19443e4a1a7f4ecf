"""Examples on disk: what was read comes back, a half-written folder is written again, pixels stay on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sightline.limits import Limits
from sightline.task import Manifest, Sample
from sightline.tasks.panel_defects.domain import FARMS, PHOTOGRAPHS, Domain
from sightline.tasks.panel_defects.examples import store_examples
from sightline.tasks.panel_defects.params import FarmParams, Params
from sightline.tasks.panel_defects.picture import Picture
from sightline.tasks.panel_defects.synthetic.farm_sample import write_farm_sample
from sightline.tasks.panel_defects.synthetic.sample import write_sample
from sightline.vision.examples import usable_samples
from tests.parameters import changed, params_of
from tests.toy import Silent


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("panels") / "sample"
    write_sample(root, changed(params_of("panel_defects", Params).sample, scenes=6, side_px=64), Silent())
    return PHOTOGRAPHS.load(root)


@pytest.fixture(scope="module")
def farms(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("farms") / "sample"
    write_farm_sample(
        root, changed(params_of("solar_farms", FarmParams).sample, places=2, side_px=64, shift_m=50.0), Silent()
    )
    return FARMS.load(root)


def test_photographs_come_back_as_they_were(photographs: Manifest, tmp_path: Path) -> None:
    examples = store_examples(PHOTOGRAPHS, photographs, 1.0, tmp_path / "examples", Silent())
    assert len(examples) == len(photographs)
    assert examples.strata == tuple(sample.stratum for sample in photographs.samples)
    for index, sample in enumerate(photographs.samples):
        pixels, mask = examples[index]
        picture = PHOTOGRAPHS.picture(photographs.path(sample), Limits())
        np.testing.assert_array_equal(np.round(pixels * 255), picture.pixels)
        np.testing.assert_array_equal(mask, PHOTOGRAPHS.labels(photographs, sample))


def test_farms_come_back_to_half_precision(farms: Manifest, tmp_path: Path) -> None:
    examples = store_examples(FARMS, farms, 1.0, tmp_path / "examples", Silent())
    assert examples.bands == 13
    for index, (_, picture, truth) in enumerate(FARMS.labelled(farms)):
        pixels, mask = examples[index]
        np.testing.assert_allclose(pixels, picture.pixels, rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(mask, truth)


def test_scaled_examples_have_scaled_masks(photographs: Manifest, tmp_path: Path) -> None:
    pixels, mask = store_examples(PHOTOGRAPHS, photographs, 0.5, tmp_path / "examples", Silent())[0]
    assert (pixels.shape, mask.shape) == ((32, 32, 3), (32, 32))
    whole = PHOTOGRAPHS.labels(photographs, photographs.samples[0])
    assert (mask > 0).mean() == pytest.approx((whole > 0).mean(), abs=0.02)


def test_what_is_finished_is_taken_and_what_is_half_written_is_not(photographs: Manifest, tmp_path: Path) -> None:
    folder = tmp_path / "examples"
    first = store_examples(PHOTOGRAPHS, photographs, 1.0, folder, Silent())
    expected = [first[index][1].copy() for index in range(len(first))]
    none = replace(photographs, samples=())
    assert len(store_examples(PHOTOGRAPHS, none, 1.0, folder, Silent())) == len(first)
    (folder / "index.json").unlink()  # killed before the last write
    (folder / "pixels.bin").write_bytes(b"half")
    again = store_examples(PHOTOGRAPHS, photographs, 1.0, folder, Silent())
    assert all(np.array_equal(again[index][1], mask) for index, mask in enumerate(expected))


def test_a_set_that_is_empty_is_no_trouble(photographs: Manifest, tmp_path: Path) -> None:
    assert len(store_examples(PHOTOGRAPHS, replace(photographs, samples=()), 1.0, tmp_path / "none", Silent())) == 0


def test_samples_with_a_problem_or_without_labels_are_left_out(photographs: Manifest, tmp_path: Path) -> None:
    first, second, *rest = photographs.samples
    bad = replace(first, problem="broken"), replace(second, files={"image": second.input_file})
    mixed = replace(photographs, samples=(*bad, *rest))
    assert usable_samples(mixed, "labels") == tuple(rest)
    assert len(store_examples(PHOTOGRAPHS, mixed, 1.0, tmp_path / "examples", Silent())) == len(rest)


def many(count: int, side: int) -> Domain:
    """A domain whose pictures are made as they are asked for."""

    def labelled(manifest: Manifest):
        for number, sample in enumerate(manifest.samples):
            pixels = np.full((side, side, 3), number, dtype=np.uint8)
            yield sample, Picture(pixels, pixels, "", {}), np.zeros((side, side), dtype=np.uint8)

    return replace(PHOTOGRAPHS, labelled=labelled)


def test_memory_does_not_grow_with_the_set(tmp_path: Path) -> None:
    """200 MB of pictures are written and read with a few of them in memory."""
    import tracemalloc

    count, side = 64, 1024
    samples = tuple(Sample(str(n), "real", {"image": "a", "labels": "b"}, "", "", str(n), "x") for n in range(count))
    tracemalloc.start()
    try:
        examples = store_examples(many(count, side), Manifest(tmp_path, samples), 1.0, tmp_path / "examples", Silent())
        levels = [float(examples[index][0][0, 0, 0]) for index in range(count)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert levels == pytest.approx([number / 255 for number in range(count)])
    assert peak < 60 * 2**20  # one picture is 3 MB, and 12 MB as floats
