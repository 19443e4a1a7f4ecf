"""Figures of videos, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.task import Row
from sightline.tasks.battery_faults.metrics import FoundTrack, Pool, Told, border_of, overlaps, plots, video_statistics
from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.ytvis import Facts, Fault, Track, Video

SIZE = (20, 40)


def block(x0, x1, y0=0, y1=20):
    mask = np.zeros(SIZE, dtype=bool)
    mask[y0:y1, x0:x1] = True
    return RunLengths.encode(mask)


def faulty(cell=1, onset=0, frames=4, rise_k=5.0, mask=None, shown_k=()):
    """A video of three cells of which one is faulty."""
    mask = block(0, 10) if mask is None else mask
    rises = tuple(tuple(rise_k * k / (frames - 1) if c + 1 == cell else 0.0 for c in range(3)) for k in range(frames))
    facts = Facts(
        "up", (Fault(cell, onset),), cells=3, rise_k=rises, shown_k=shown_k, visible=((0.8, 0.8, 0.8),) * frames
    )
    masks = (None,) * onset + (mask,) * (frames - onset)
    return Video(1, f"v{cell}", ("a.png",) * frames, SIZE, (Track(1, masks, cell),), facts)


def healthy(empty=0, frames=4):
    return Video(2, "null", ("a.png",) * frames, SIZE, (), Facts("up"), empty)


def told(cell, score, masks, verdict="faulty", detected=0, coarse=None):
    return Told(verdict, score, cell, detected, (FoundTrack(cell, score, masks, coarse),))


def nothing(score=0.1, verdict="healthy"):
    return Told(verdict, score, None, None, ())


def scored(*pairs):
    statistics = [video_statistics(answer, video) for answer, video in pairs]
    return Pool(statistics).score(np.ones(len(statistics)))


def test_the_overlap_of_tracks_is_summed_over_all_frames_before_it_is_divided():
    found, truth = [block(0, 10), block(0, 20), None], Track(1, (block(0, 10), block(0, 10), block(0, 10)))
    shares, _ = overlaps([found], [truth], SIZE)
    assert shares[0, 0] == pytest.approx((200 + 200 + 0) / (200 + 400 + 200))


def test_a_fault_whose_heat_was_never_in_sight_is_counted_apart():
    seen, hidden = faulty(shown_k=((0.0, 0.0, 0.0),) * 3 + ((4.0, 0.0, 0.0),)), faulty(shown_k=((0.2, 3.0, 0.0),) * 4)
    score = scored((told(1, 0.9, seen.tracks[0].masks), seen), (nothing(), hidden), (nothing(), faulty()))
    assert (score["cell_accuracy"], score["cell_accuracy_shown"]) == (pytest.approx(1 / 3), 1)
    assert np.isnan(scored((nothing(), faulty()))["cell_accuracy_shown"])  # nobody knows what was in sight


def test_a_perfect_answer_scores_one_in_every_figure():
    video = faulty(onset=1)
    score = scored((told(1, 0.9, video.tracks[0].masks, detected=3), video), (nothing(), healthy()))
    assert (score["map"], score["mar"], score["border_map"], score["cell_accuracy"]) == (1, 1, 1, 1)
    assert (score["false_alarms"], score["verdict_accuracy"], score["delay_frames"]) == (0, 1, 2)


def test_an_annotation_of_nothing_counts_in_the_published_protocol_alone():
    """Five faulty videos found, and one healthy whose empty annotation nobody can find: 84 of the 101 recall points."""
    pairs = [(told(1, 0.9, faulty().tracks[0].masks), faulty()) for _ in range(5)]
    score = scored(*pairs, (nothing(), healthy(empty=1)))
    assert score["map"] == 1
    assert score["map_published"] == pytest.approx(84 / 101)
    assert score["mar_published"] == pytest.approx(5 / 6)


def test_an_overlap_of_two_thirds_counts_at_the_thresholds_below_it():
    video = faulty()
    answer = told(1, 0.9, (block(0, 15),) * 4)  # 200 of 300 pixels
    score = scored((answer, video))
    assert score["map"] == pytest.approx(0.4)  # 0.50, 0.55, 0.60, 0.65
    assert (score["ap50"], score["ap75"], score["iou_mean"]) == (1, 0, pytest.approx(2 / 3, abs=1e-6))


def test_a_likelier_false_alarm_halves_the_precision():
    video = faulty()
    wrong = told(2, 0.99, (block(10, 20),) * 4)
    score = scored((told(1, 0.9, video.tracks[0].masks), video), (wrong, healthy()))
    assert score["map"] == pytest.approx(0.5)
    assert score["false_alarms"] == 1


def test_the_wrong_cell_is_no_right_answer_and_has_no_delay():
    score = scored((told(3, 0.9, (block(20, 30),) * 4), faulty(cell=1)))
    assert score["cell_accuracy"] == 0
    assert np.isnan(score["delay_frames"])


def test_cannot_say_is_neither_right_nor_a_false_alarm():
    score = scored((nothing(0.5, "cannot_say"), faulty()), (nothing(0.4, "cannot_say"), healthy()))
    assert (score["cannot_say"], score["verdict_accuracy"], score["false_alarms"]) == (1, 0, 0)


def test_stage_two_is_credited_with_the_border_alone():
    video = faulty(mask=block(5, 15, 5, 15))
    rough = (block(4, 16, 4, 16),) * 4
    score = scored((told(1, 0.9, video.tracks[0].masks, coarse=rough), video))
    assert score["border_map"] == 1
    assert score["border_map_coarse"] < 1
    assert score["border_gain"] == pytest.approx(1 - score["border_map_coarse"])


def test_the_frames_rim_is_no_border():
    assert border_of(block(0, 40).decode()).sum() == 0
    assert border_of(block(0, 10).decode()).sum() == 20  # one column, a pixel wide


def test_the_smallest_rise_is_told_at_few_false_alarms():
    def video(rise_k):
        return faulty(rise_k=rise_k)

    rises = np.linspace(0.5, 5, 10)
    pairs = [(nothing(0.2 + 0.1 * rise_k), video(rise_k)) for rise_k in rises]
    quiet = [(nothing(0.3), healthy()) for _ in range(100)]
    # 0.3 is reached by 1.0 K and passed by 1.5 K.
    assert scored(*pairs, *quiet)["smallest_rise_k"] == pytest.approx(1.5)
    loud = [(nothing(0.65), healthy())] * 2  # two in a hundred are too many: the threshold goes above them
    assert scored(*pairs, *quiet[:98], *loud)["smallest_rise_k"] == pytest.approx(5.0)
    assert np.isnan(scored(*quiet)["smallest_rise_k"])


def test_calibration_compares_scores_with_how_often_they_are_right():
    pairs = [(nothing(0.75), faulty()), (nothing(0.75), healthy()), (nothing(0.0), healthy())]
    assert scored(*pairs)["calibration_error"] == pytest.approx(0.25 * 2 / 3)


def test_figures_without_faults_are_undefined_not_zero():
    score = scored((nothing(), healthy()))
    assert np.isnan(score["map"])
    assert np.isnan(score["cell_accuracy"])
    assert score["false_alarms"] == 0


def test_weights_count_like_repeated_videos():
    videos = [faulty(cell=1), faulty(cell=2, mask=block(10, 20)), healthy(empty=1)]
    answers = [told(1, 0.9, (block(0, 14),) * 4), told(1, 0.7, (block(0, 10),) * 4), nothing()]
    statistics = [video_statistics(a, v) for a, v in zip(answers, videos, strict=True)]
    weighted = Pool(statistics).score(np.array([2.0, 1.0, 3.0]))
    repeated = [statistics[k] for k in (0, 0, 1, 2, 2, 2)]
    assert weighted == pytest.approx(Pool(repeated).score(np.ones(6)), nan_ok=True)


def test_plots_tell_verdicts_visibility_and_each_video():
    video = replace(faulty(), name="v")
    rows = [
        Row("s/v", "0", "g", "faulty", video_statistics(told(1, 0.9, video.tracks[0].masks), video)),
        Row("s/n", "1", "g", "healthy", video_statistics(nothing(), healthy())),
    ]
    made = plots(rows)
    assert made["verdicts"]["rows"] == [["healthy", 1, 0, 0], ["faulty", 0, 1, 0]]
    assert made["visibility"]["rows"][3] == ["75% to 100%", 4, 1.0]
    assert made["videos"]["rows"][0][:4] == ["s/v", "faulty", "faulty", True]
