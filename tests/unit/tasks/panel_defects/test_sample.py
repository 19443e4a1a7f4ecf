"""The synthetic photographs: the layout is read back, and every class is there."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from sightline.limits import Limits
from sightline.tasks.panel_defects.data import CLASSES, load_manifest, read_labels, read_photograph
from sightline.tasks.panel_defects.params import Params
from sightline.tasks.panel_defects.synthetic.panel_scene import draw_panels
from sightline.tasks.panel_defects.synthetic.sample import write_sample
from sightline.tasks.panel_defects.synthetic.soiling import SPOILS
from tests.parameters import changed, params_of

PARAMS = changed(params_of("panel_defects", Params).sample, scenes=14, side_px=96, repeated_share=0.5)


class Silent:
    def advance(self, done, total, what):
        self.last = (done, total)

    def metrics(self, step, values): ...


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "sample"
    write_sample(root, PARAMS, Silent())
    return load_manifest(root)


def test_every_picture_can_be_used(manifest):
    assert [s.problem for s in manifest.samples if s.problem] == []
    assert {(s.figures["width"], s.figures["height"]) for s in manifest.samples} == {(96, 96)}


def test_the_strata_have_their_shares_and_clean_pictures_no_defect(manifest):
    assert {s.stratum for s in manifest.samples} == {"clean", *CLASSES[1:]}
    for sample in manifest.samples:
        if sample.stratum == "clean":
            assert sample.figures["share_defects"] == 0
    scenes = Counter(s.stratum for s in {s.id.split("-_")[0]: s for s in manifest.samples}.values())
    assert scenes["clean"] == 3
    assert scenes["physical-damage"] == 1


def test_most_spoilt_pictures_show_their_defect(manifest):
    spoilt = [s for s in manifest.samples if s.stratum != "clean"]
    shown = [s.figures[f"share_{s.stratum}"] > 0 for s in spoilt]
    assert np.mean(shown) > 0.7


def test_pictures_that_are_there_twice_are_one_group(manifest):
    scene = {s.id: s.id.split("-_")[0] for s in manifest.samples}
    assert len(manifest) > PARAMS.scenes
    for first in manifest.samples:
        for second in manifest.samples:
            if scene[first.id] == scene[second.id]:
                assert first.group == second.group


def test_labels_lie_where_the_picture_changes(manifest):
    sample = max(manifest.samples, key=lambda s: s.figures["share_snow-covered"])
    picture, mask = read_photograph(manifest.path(sample), Limits()), read_labels(manifest, sample)
    assert picture[mask == 5].mean() > picture[mask == 0].mean() + 20


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others(manifest, tmp_path):
    write_sample(tmp_path / "again", PARAMS, Silent())
    write_sample(tmp_path / "other", PARAMS.model_copy(update={"seed": 2}), Silent())
    digest = load_manifest(tmp_path / "again").samples[0].sha256
    assert [s.sha256 for s in load_manifest(tmp_path / "again").samples] == [s.sha256 for s in manifest.samples]
    assert digest not in {s.sha256 for s in load_manifest(tmp_path / "other").samples}
    document = "_annotations.coco.json"
    assert (tmp_path / "again" / document).read_bytes() == (manifest.root / "sample" / document).read_bytes()


@pytest.mark.parametrize("name", SPOILS)
def test_what_spoils_a_panel_changes_it_there(name):
    rng = np.random.default_rng(4)
    flat = draw_panels(rng, PARAMS.scene)
    spoilt, area = SPOILS[name](rng, PARAMS.soiling, flat, PARAMS.scene.cell_px)
    change = np.abs(spoilt - flat).mean(axis=2)
    assert area.any()
    assert change[area].mean() > 5 * change[~area].mean() if not area.all() else change.mean() > 0
    assert np.isfinite(spoilt).all()
