"""The synthetic farms: both layouts, half of the places empty, each in two years."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.tasks.panel_defects.chip import BANDS
from sightline.tasks.panel_defects.farms import load_manifest, read_farms
from sightline.tasks.panel_defects.params import FarmParams
from sightline.tasks.panel_defects.synthetic.farm_sample import write_farm_sample
from tests.parameters import changed, params_of

PARAMS = changed(
    params_of("solar_farms", FarmParams).sample,
    places=6,
    side_px=128,
    shift_m=100.0,
    land={"length_m": (150.0, 350.0), "width_m": (120.0, 250.0), "field_m": (150.0, 300.0)},
)


class Silent:
    def advance(self, done, total, what): ...

    def metrics(self, step, values): ...


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sample"
    write_farm_sample(root, PARAMS, Silent())
    return load_manifest(root)


def test_every_chip_can_be_used_and_lies_in_one_of_both_layouts(manifest):
    assert [s.problem for s in manifest.samples if s.problem] == []
    assert sorted({s.input_file.partition(".")[2] for s in manifest.samples}) == ["tfrecord.gz", "tif"]
    assert len(manifest) == 2 * PARAMS.places


def test_half_of_the_places_are_empty(manifest):
    assert sum(s.stratum == "farm" for s in manifest.samples) == PARAMS.places


def test_a_place_is_one_group_in_both_years(manifest):
    assert {s.group for s in manifest.samples} == {f"2022_us_{n:05d}" for n in range(PARAMS.places)}
    assert all(s.id[-5:] == s.group[-5:] for s in manifest.samples)


def test_outlines_alone_find_a_farm_again(manifest, tmp_path):
    """As with the published records, whose coordinates tell nothing."""
    for sample in manifest.samples:
        for role in sample.files:
            target = tmp_path / "set" / sample.files[role]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(manifest.path(sample, role).read_bytes())
    farms = [s for s in load_manifest(tmp_path / "set").samples if s.stratum == "farm"]
    assert len({s.group for s in farms}) < len(farms)
    assert all(s.id[-5:] == s.group[-5:] for s in farms)


def test_panels_look_like_panels(manifest):
    """Darker than what is around them, without the red edge of plants, as reflectance in 0 .. 1."""
    near_infrared, red = BANDS.index("B8"), BANDS.index("B4")
    for sample, chip, mask in read_farms(manifest):
        assert 0.02 < chip.bands.mean() < 0.6
        assert chip.filled == ()
        if sample.stratum == "farm":
            farm = chip.bands[:, mask > 0].mean(axis=1)
            assert (farm[near_infrared] - farm[red]) / (farm[near_infrared] + farm[red]) < 0.6
            assert farm[near_infrared] < chip.bands[near_infrared, mask == 0].mean()


def test_bands_of_60_m_are_smoother(manifest):
    _, chip, _ = next(read_farms(manifest))
    rough = [np.abs(np.diff(band, axis=1)).mean() / band.mean() for band in chip.bands]
    assert rough[BANDS.index("B1")] < 0.5 * rough[BANDS.index("B2")]


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(manifest, tmp_path):
    few = PARAMS.model_copy(update={"places": 2, "side_px": 64})
    for name, params in (("a", few), ("b", few), ("c", few.model_copy(update={"seed": 2}))):
        write_farm_sample(tmp_path / name, params, Silent())
    first, again, other = (load_manifest(tmp_path / name).samples for name in "abc")
    assert [(s.sha256, s.labels_sha256) for s in first] == [(s.sha256, s.labels_sha256) for s in again]
    assert not {s.sha256 for s in first} & {s.sha256 for s in other}
