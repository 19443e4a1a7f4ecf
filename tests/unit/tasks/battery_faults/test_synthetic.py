"""The synthetic set: read by the loader of the published one, the same bits each time, and as hard as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.tasks.battery_faults.params import SyntheticParams
from sightline.tasks.battery_faults.synthetic.exposures import Exposure, exposures, thermals
from sightline.tasks.battery_faults.synthetic.looks import looks
from sightline.tasks.battery_faults.synthetic.plan import draw_scene, plans
from sightline.tasks.battery_faults.synthetic.sample import BASE, write_sample
from sightline.tasks.battery_faults.ytvis import Video, read_videos
from tests.unit.tasks.battery_faults.synthetic_params import synthetic_params


class Heard:
    """Keeps what a task tells of its progress."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []

    def advance(self, done: int, total: int, what: str) -> None:
        """Keep it."""
        assert what.startswith("video ")
        self.told.append((done, total))

    def metrics(self, step: int, values: Any) -> None:
        """There are none."""


def small(**changed: Any) -> SyntheticParams:
    """A set of a few small videos."""
    given: dict[str, Any] = {
        "seed": 1,
        "videos": 6,
        "frames": 4,
        "frame_s": 5.0,
        "packs": 3,
        "grid": {"volume_m": 0.012, "layer_m": 0.0025, "step_s": 1.0},
        "short": {"onset": [1, 2], "power_w": [10.0, 30.0]},
        "fluent": {"width_px": 268, "height_px": 104, "focal_px": 225.0},
        "field": {"width_px": 96, "height_px": 72, "focal_px": 105.0},
        "uneven": {"settled_s": 60.0},
    }
    return synthetic_params(**{**given, **changed})


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def videos(root: Path) -> list[Video]:
    (document,) = (root / BASE / "annotations").iterdir()
    entries = read_videos(document)
    assert [entry.problem for entry in entries] == [""] * len(entries)
    return [entry.video for entry in entries]


def test_the_loader_reads_what_was_drawn(tmp_path: Path) -> None:
    params, heard = small(videos=3, healthy_share=0.34, two_faults_share=0.33), Heard()
    write_sample(tmp_path, params, heard)
    assert heard.told == [(1, 3), (2, 3), (3, 3)]
    for number, video in enumerate(videos(tmp_path)):
        drawn = list(exposures(draw_scene(params, number), params))
        assert video.name == draw_scene(params, number).name
        assert video.facts.path in video.name
        assert len(video.facts.faults) == plans(params)[number].faults
        assert video.facts.look == plans(params)[number].look
        assert video.size == drawn[0].instances.shape
        assert np.array(video.facts.visible) == pytest.approx(np.array([one.share for one in drawn]), abs=1e-4)
        _check_tracks(video, drawn)


def _check_tracks(video: Video, drawn: list[Exposure]) -> None:
    """Each fault that is ever in sight has a mask wherever it is: the whole cell, from its onset on."""
    tracks = {track.cell: track for track in video.tracks}
    for fault in video.facts.faults:
        in_sight = [k for k, one in enumerate(drawn) if k >= fault.onset and (one.instances == fault.cell).any()]
        assert (fault.cell in tracks) == bool(in_sight)
        for k, mask in enumerate(tracks[fault.cell].masks if in_sight else ()):
            assert (mask is not None) == (k in in_sight)
            assert mask is None or (mask.decode() == (drawn[k].instances == fault.cell)).all()
        rise = [row[fault.cell - 1] for row in video.facts.rise_k]
        shown = [row[fault.cell - 1] for row in video.facts.shown_k]
        assert all(0 <= part <= whole + 1e-3 for part, whole in zip(shown, rise, strict=True))
        assert all(part == 0 for part, one in zip(shown, drawn, strict=True) if not one.share[fault.cell - 1])
        assert rise[-1] > max(0.5, rise[max(fault.onset - 1, 0)])


def test_heat_on_the_far_side_is_not_in_sight() -> None:
    """A short near the front face, half a lap later: from behind nothing of its heat is seen yet."""
    still = {"still": [16, 16], "shake_deg": 0.0, "aim_m": 0.0}
    params = small(videos=6, frames=16, healthy_share=0.0, two_faults_share=0.0, field_share=1.0, field_path=still)
    for number in range(params.videos):
        scene = draw_scene(params, number)
        if scene.path != "orbit":
            continue
        (cell,) = (short.cell - 1 for short in scene.case.shorts)
        taken = list(exposures(scene, params))
        assert min(one.shown_k[cell] - one.rise_k[cell] for one in taken) < -0.1
        return
    raise AssertionError("no video of these goes round the pack")


def test_the_same_bits_however_many_draw(tmp_path: Path) -> None:
    params = small()
    for processes in (1, 2):
        write_sample(tmp_path / str(processes), params, Heard(), processes)
    assert files(tmp_path / "1") == files(tmp_path / "2")
    other = small(seed=2)
    write_sample(tmp_path / "other", other, Heard(), 1)
    assert files(tmp_path / "other") != files(tmp_path / "1")


def test_shares_are_met_and_groups_are_mixed() -> None:
    params = synthetic_params(videos=100, packs=12)
    planned = plans(params)
    healthy = [plan for plan in planned if plan.faults == 0]
    assert len(healthy) == 35
    assert sum(plan.faults == 2 for plan in planned) == 10
    assert {plan.look for plan in healthy} == {"fluent", "field"}
    assert {plan.path for plan in planned} == {"up", "down", "left", "right", "orbit"}
    assert len({plan.pack for plan in planned}) == 12
    powers = [short.power_w for number in range(100) for short in draw_scene(params, number).case.shorts]
    assert min(powers) >= 0.5
    assert max(powers) <= 30
    assert np.median(np.log(powers)) == pytest.approx(np.log(np.sqrt(0.5 * 30)), abs=0.6)


@pytest.mark.parametrize("look", ["fluent", "field"])
def test_videos_to_learn_from_need_no_file(look: str) -> None:
    """Half as wide, so four times as fast; the pack is found, and the faulty cell lies in it from its onset on."""
    field = {"width_px": 384, "height_px": 288, "focal_px": 420.0, "automatic_share": 0.0, "occluders": 0}
    fluent = {"width_px": 1074, "height_px": 417, "focal_px": 900.0}
    share = float(look == "field")
    params = small(videos=1, healthy_share=0.0, two_faults_share=0.0, field_share=share, fluent=fluent, field=field)
    scene = draw_scene(params, 0)
    width = {"fluent": 537, "field": 192}[look]
    for frame, seen in enumerate(looks(params, 0, width)):
        assert seen.thermal.size[1] == width
        (mask,) = seen.masks
        assert (mask is not None) == (frame >= scene.onsets[0])
        assert seen.pack is not None
        if mask is not None:
            x0, y0, x1, y1 = seen.pack
            assert mask[int(y0) : int(y1), int(x0) : int(x1)].sum() > 0.9 * mask.sum()


def test_healthy_packs_as_published_are_at_300_kelvin() -> None:
    params = small(videos=1, field_share=0.0, healthy_share=1.0)
    for thermal, exposure in thermals(params, 0):
        assert thermal.picture is exposure.pixels
        assert exposure.rise_k == pytest.approx([0, 0, 0], abs=1e-3)
        assert np.nanmedian(thermal.kelvin[exposure.instances > 0]) == pytest.approx(300, abs=0.5)


def test_counts_say_the_temperature_with_the_noise_they_should_have() -> None:
    """Between two frames of a still camera nothing but the noise changes."""
    still = {"still": [4, 4], "shake_deg": 0.0, "aim_m": 0.0}
    changes = {"automatic_share": 0.0, "drift_k": 0.0, "occluders": 0, "lamp_share": 0.0, "psf_px": [0.5, 0.5]}
    field = {"width_px": 192, "height_px": 144, "focal_px": 210.0, **changes}
    params = small(videos=1, frames=3, frame_s=0.01, field_share=1.0, healthy_share=1.0, field=field, field_path=still)
    (first, shot), (second, _), _ = list(thermals(params, 0))
    assert shot.pixels.dtype == np.uint16
    assert (first.kelvin - second.kelvin).std() == pytest.approx(0.05 * np.sqrt(2), rel=0.05)
    ambient = draw_scene(params, 0).case.surroundings.ambient_k
    assert abs(np.median(first.kelvin[shot.instances > 0]) - ambient) < 8


def test_pictures_with_a_scale_say_the_temperature() -> None:
    size = {"width_px": 384, "height_px": 288, "focal_px": 420.0}
    counted, pictured = (
        small(videos=1, field_share=1.0, healthy_share=1.0, field={**size, "automatic_share": share})
        for share in (0.0, 1.0)
    )
    for (counts, shot), (picture, _) in zip(thermals(counted, 0), thermals(pictured, 0), strict=True):
        assert shot.scale.kelvin_per_count == 0.01
        both = counts.valid & picture.valid & (shot.instances > 0)
        assert both.sum() > 0.8 * (shot.instances > 0).sum()
        assert np.sqrt(np.mean((counts.kelvin - picture.kelvin)[both] ** 2)) < 0.15


def test_a_plain_rule_fails_on_some_videos_of_the_field() -> None:
    """The warmest place 1.5 K over the pack's median says `faulty`: right as published, not here."""
    small_field = {"width_px": 192, "height_px": 144, "focal_px": 210.0}
    given = {"videos": 10, "frames": 4, "frame_s": 8.0, "healthy_share": 0.5, "short": {"onset": [1, 2]}}
    outcomes = {}
    for look, share in (("fluent", 0.0), ("field", 1.0)):
        params = small(**given, field_share=share, field=small_field, uneven={"settled_s": 400.0})
        said = [_warm(list(thermals(params, number))) for number in range(10)]
        truth = [plan.faults > 0 for plan in plans(params)]
        outcomes[look] = [(is_so, rule) for is_so, rule in zip(truth, said, strict=True)]
    assert (False, True) not in outcomes["fluent"]  # no false alarm
    assert outcomes["field"].count((False, True)) >= 2
    assert outcomes["field"].count((True, True)) >= 2


def _warm(video: list[tuple[Any, Exposure]]) -> bool:
    def over(kelvin: NDArray[np.float32], cells: NDArray[np.uint8]) -> float:
        pack = kelvin[(cells > 0) & np.isfinite(kelvin)]
        return float(np.percentile(pack, 99) - np.median(pack)) if len(pack) else 0.0

    return max(over(thermal.kelvin, exposure.instances) for thermal, exposure in video) > 1.5
