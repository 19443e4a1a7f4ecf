"""Training of the fast enlargement: honest pairs, a resumable fit that learns, and an evaluation on unseen ground."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from sightline.errors import DataRejected
from sightline.limits import Limits
from sightline.maps.upscaling.evaluate import Compared, compare, summarise
from sightline.maps.upscaling.fidelity import SHAVE_PX, Fidelity, fidelity
from sightline.maps.upscaling.pairs import GroundScene, Pairs, degrade, fine_px
from sightline.maps.upscaling.params import load_upscale_params
from sightline.maps.upscaling.train import leave_one_ground_out, save_fast, train_fast
from sightline.maps.upscaling.upscale import open_upscaler, read_fast
from sightline.tasks.ships.grounds import read_ground_scenes
from tests.contract.subjects import ROOT, Silent
from tests.parameters import changed

SCHEDULE = {
    "steps": 4, "batch": 2, "learning_rate": 0.002, "weight_decay": 0.0, "warmup_steps": 1, "ema_decay": 0.5,
    "report_every": 2, "precision": "float32",
}  # fmt: skip
RECIPE = load_upscale_params(ROOT / "params.yaml")
PARAMS = changed(RECIPE, features=8, depth=1, crop_px=12, schedule=SCHEDULE)
EXACT = changed(RECIPE.degrade, blur_px=(0.0, 0.0), noise=(0.0, 0.0), evaluated_blur_px=0.0, evaluated_noise=0.0)


def scene(name="a", ground="g", height=120, width=140, seed=0):
    """Straight edges and bright dots on a smooth ground: what an enlargement can sharpen."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 120, (height // 16 + 2, width // 16 + 2, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).copy()
    for _ in range(60):
        top, left = int(rng.integers(height - 12)), int(rng.integers(width - 12))
        pixels[top : top + int(rng.integers(3, 12)), left : left + int(rng.integers(3, 12))] = rng.integers(256, size=3)
    return GroundScene(name, ground, pixels)


# -------------------------------------------------------------------------------------------------------------- pairs


def test_a_coarser_picture_keeps_levels_and_places():
    fine = np.zeros((40, 48, 3), dtype=np.uint8)
    fine[16:20, 24:28] = 160  # one coarse pixel
    coarse = degrade(fine, 0.5, 0.0, np.random.default_rng(0)).astype(float)
    assert coarse.shape == (10, 12, 3)
    rows, columns = np.indices(coarse.shape[:2])
    shares = coarse[..., 0] / coarse[..., 0].sum()
    assert ((shares * rows).sum(), (shares * columns).sum()) == pytest.approx((4, 6), abs=0.02)
    assert coarse[..., 0].sum() == pytest.approx(160, abs=6)
    assert coarse.max() < 120  # the optics spread it
    flat = np.full((16, 16, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(degrade(flat, 0.6, 0.0, np.random.default_rng(0)), flat[:4, :4])


def test_noise_is_as_strong_as_asked():
    noisy = degrade(np.full((400, 400, 3), 100, dtype=np.uint8), 0.5, 3.0, np.random.default_rng(0))
    assert noisy.std() == pytest.approx(math.hypot(3.0, 12**-0.5), rel=0.03)  # and the rounding


def test_sides_that_do_not_divide_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="cannot be made 4 times coarser"):
        degrade(np.zeros((41, 40, 3), np.uint8), 0.5, 1.0, np.random.default_rng(0))


def test_pairs_show_the_same_ground():
    params = PARAMS.model_copy(update={"degrade": EXACT})
    coarse, fine = Pairs([scene()], params, seed=3)(0)
    assert (coarse.shape, fine.shape) == ((2, 3, 12, 12), (2, 3, 48, 48))
    assert coarse.dtype == fine.dtype == np.float32
    means = fine.reshape(2, 3, 12, 4, 12, 4).mean(axis=(3, 5))
    np.testing.assert_allclose(coarse, means, atol=0.51 / 255)  # rounded to 8 bits


def test_a_batch_depends_on_seed_and_step_alone():
    scenes = [scene(), scene("b", "h", seed=1)]
    first, again, other = (Pairs(scenes, PARAMS, seed=3)(step) for step in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_real_scenes_hang_together_by_their_ground(real_data):
    scenes = read_ground_scenes(real_data / "ships", Limits())
    grounds = {one.name: one.ground for one in scenes}
    assert grounds == {
        "lb_1": "lb_1", "scene_2": "lb_1", "sfbay_4": "sfbay_4",
        "scene_1": "scene_1", "scene_4": "scene_1", "sfbay_1": "scene_1",
    }  # fmt: skip
    assert min(min(one.pixels.shape[:2]) for one in scenes) >= fine_px(RECIPE)


def test_scenes_need_no_labels_but_names_of_their_own(tmp_path):
    for folder in ("scenes", "scenes_more"):
        (tmp_path / folder).mkdir()
        Image.fromarray(scene().pixels).save(tmp_path / folder / f"{folder}.png")
    assert [one.name for one in read_ground_scenes(tmp_path, Limits())] == ["scenes", "scenes_more"]
    Image.fromarray(scene().pixels).save(tmp_path / "scenes" / "scenes_more.png")
    with pytest.raises(DataRejected, match="2 pictures of scenes_more"):
        read_ground_scenes(tmp_path, Limits())


# ----------------------------------------------------------------------------------------------------------- training


def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    scenes = [scene()]

    class Killed(Silent):
        def metrics(self, step, values):
            super().metrics(step, values)
            if step == 4 and not (tmp_path / "was_killed").exists():
                (tmp_path / "was_killed").touch()
                raise KeyboardInterrupt

    params = PARAMS.model_copy(update={"schedule": PARAMS.schedule.model_copy(update={"steps": 6})})
    card, weights = train_fast(scenes, params, 1, tmp_path / "whole", Silent())
    progress = Killed()
    with pytest.raises(KeyboardInterrupt):
        train_fast(scenes, params, 1, tmp_path / "killed", progress)
    assert train_fast(scenes, params, 1, tmp_path / "killed", progress) == (card, weights)
    assert [one["step"] for one in progress.figures] == [
        2,
        4,
        4,
        6,
    ]  # the killed step was not kept, nor the first again


def test_a_fit_is_saved_and_answers(tmp_path):
    unseen = scene("b", "h", seed=2)
    progress = Silent()
    card, weights = train_fast([scene()], PARAMS, 1, tmp_path / "work", progress, [unseen])
    save_fast(tmp_path / "models" / "fast", card, weights)
    save_fast(tmp_path / "models" / "fast", card, weights)  # in place of an older one
    upscaler = read_fast(tmp_path / "models" / "fast", "float32")
    (found,) = compare([unseen], {"fast": upscaler}, PARAMS.degrade)
    assert progress.figures[-1]["unseen_psnr_db"] == pytest.approx(found.figures.psnr_db, abs=0.01)
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["fast"]
    assert json.loads((tmp_path / "models" / "fast" / "card.json").read_text())["provenance"]["grounds"] == ["g"]


def test_scenes_that_cannot_be_learnt_from_are_refused(tmp_path):
    with pytest.raises(DataRejected, match="no scene is left"):
        train_fast([], PARAMS, 1, tmp_path, Silent())
    with pytest.raises(DataRejected, match=r"tiny: .* fewer than 72 px"):
        train_fast([scene("tiny", height=60)], PARAMS, 1, tmp_path, Silent())


@pytest.mark.slow
def test_a_short_fit_beats_the_kernels_on_ground_it_has_not_seen(tmp_path):
    torch.manual_seed(0)
    schedule = {**SCHEDULE, "steps": 400, "batch": 8, "warmup_steps": 20, "ema_decay": 0.98, "report_every": 100}
    params = changed(RECIPE, features=16, depth=2, crop_px=16, schedule=schedule)
    scenes = [scene(str(number), str(number), 200, 240, number) for number in range(2)]
    found = leave_one_ground_out(scenes, params, 1, tmp_path, Silent())
    ways = summarise(found)["ways"]
    assert ways["fast"]["psnr_db"] > ways["lanczos"]["psnr_db"] + 0.5
    assert ways["fast"]["psnr_db"] > ways["bicubic"]["psnr_db"] + 0.5


# ---------------------------------------------------------------------------------------------------------- evaluating


def test_each_ground_is_evaluated_by_a_network_that_has_not_seen_it(tmp_path):
    scenes = [scene("a", "north"), scene("b", "north", seed=1), scene("c", "south", seed=2)]
    found = leave_one_ground_out(scenes, PARAMS, 1, tmp_path, Silent())
    assert [(one.scene, one.way) for one in found] == [
        (name, way) for name in "abc" for way in ("bicubic", "lanczos", "fast")
    ]
    seen = {}
    for folder in tmp_path.iterdir():
        card = json.loads((folder / "network" / "card.json").read_text())
        seen[folder.name.split("-")[0]] = card["provenance"]["grounds"]
    assert seen == {"north": ["south"], "south": ["north"]}
    progress = Silent()
    assert leave_one_ground_out(scenes, PARAMS, 1, tmp_path, progress) == found
    assert progress.steps == []  # nothing was trained again
    with pytest.raises(DataRejected, match="1 ground"):
        leave_one_ground_out(scenes[:2], PARAMS, 1, tmp_path, Silent())


def test_the_summary_tells_the_worst_scene_too():
    figures = {("bicubic", "a"): 30, ("bicubic", "b"): 26, ("fast", "a"): 33, ("fast", "b"): 26.5}
    found = [Compared(name, "g", way, Fidelity(psnr, 0.8, 100)) for (way, name), psnr in figures.items()]
    summary = summarise(found)
    assert (summary["scenes"], summary["grounds"]) == (2, 1)
    assert summary["ways"]["fast"] == pytest.approx({"psnr_db": 29.75, "ssim": 0.8, "least_gain_db": 0.5})
    assert summary["ways"]["bicubic"]["least_gain_db"] == 0


def test_all_ways_are_given_the_same_coarse_picture():
    way = open_upscaler("bicubic")
    first, second = compare([scene()], {"one": way, "other": way}, PARAMS.degrade)
    assert first.figures == second.figures


# ----------------------------------------------------------------------------------------------------------- fidelity


def test_psnr_and_ssim_agree_with_another_implementation():
    from torchmetrics.functional.image import structural_similarity_index_measure

    truth = scene(height=90, width=70).pixels
    answer = degrade(truth.repeat(4, axis=0).repeat(4, axis=1), 0.7, 5.0, np.random.default_rng(1))
    found = fidelity(truth, answer)
    inner = np.s_[SHAVE_PX:-SHAVE_PX, SHAVE_PX:-SHAVE_PX]
    first, second = (
        torch.from_numpy(one[inner].transpose(2, 0, 1)[None].astype(np.float64)) for one in (truth, answer)
    )
    assert found.psnr_db == pytest.approx(10 * math.log10(255**2 / float(((first - second) ** 2).mean())))
    _, padded = structural_similarity_index_measure(second, first, data_range=255.0, sigma=1.5, return_full_image=True)
    theirs = float(padded[..., 5:-5, 5:-5].mean())  # only windows that lie inside count here
    assert found.ssim == pytest.approx(theirs, abs=1e-6)
    assert found.pixels == 82 * 62


def test_equal_pictures_and_borders():
    truth = scene(height=60, width=60).pixels
    assert fidelity(truth, truth) == Fidelity(math.inf, pytest.approx(1.0), 52 * 52)
    frame = truth.copy()
    frame[:SHAVE_PX] = 0
    assert fidelity(truth, frame).psnr_db == math.inf
    with pytest.raises(ValueError, match="cannot be compared"):
        fidelity(truth, truth[:50])


# ------------------------------------------------------------------------------------------------------------- params


@pytest.mark.parametrize("wrong", [{"depth": -1}, {"degrade": {"noise": [2.0, 1.0]}}, {"loss": "gan"}, {"depths": 3}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValidationError):
        changed(RECIPE, **wrong)
