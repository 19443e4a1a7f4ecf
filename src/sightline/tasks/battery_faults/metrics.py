"""Evaluating answers to videos: sufficient statistics a video, and pooled metrics of weighted videos.

Average precision and recall of tracks are those of YouTube-VIS (Yang, Fan and Xu, 2019): the overlap of two tracks is
the sum of their intersections over the sum of their unions, through all frames; ten thresholds, 101 recall points, at
most 10 tracks a video. In the published protocol annotations of nothing but nulls count as faults that nobody can find.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sightline.task import Curve, Json, Plot, Rows
from sightline.tasks.battery_faults.runs import Mask, RunLengths
from sightline.tasks.battery_faults.ytvis import Track, Video
from sightline.vision.average_precision import Ranked, Ranking, ranked_statistics
from sightline.vision.evaluation import curve

Floats = NDArray[np.float64]

MOST_TRACKS = 10
"""Of a video, the likeliest."""

BORDER_SHARE = 0.005
"""Width of a mask's border as a share of the frame's diagonal, in the overlap of borders (Boundary IoU, Cheng et al.
2021, who take 0.02 for everyday pictures; a cell is as narrow as 23 times this)."""

FALSE_ALARM_SHARE = 0.01
"""Of healthy videos, at which the smallest rise that is found is told."""

DETECTED_SHARE = 0.9
"""Of the faulty videos of that rise."""

SHOWN_K = 1.0
"""Rise in sight of the camera, from which on a fault counts in `cell_accuracy_shown`."""

VERDICTS = ("healthy", "faulty", "cannot_say")

VISIBILITY = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of a cell that are seen, by which frames are sorted."""

_BINS = 10  # of the reliability plot


@dataclass(frozen=True)
class FoundTrack:
    """One faulty cell through a video, as a model tells it.

    Attributes:
        cell: which one; None where the model cannot tell.
        score: 0 .. 1.
        masks: one a frame, None where it is not told.
        coarse: the same before they were refined; None where there is no such stage.
    """

    cell: int | None
    score: float
    masks: tuple[RunLengths | None, ...]
    coarse: tuple[RunLengths | None, ...] | None = None


@dataclass(frozen=True)
class Told:
    """What a model says of a whole video.

    Attributes:
        verdict: one of VERDICTS.
        score: probability that a cell is faulty, the highest over all frames.
        cell: the one that it says is.
        detected: the frame from which on it says so; None where it never does.
        tracks: all that it found, below its threshold too.
    """

    verdict: str
    score: float
    cell: int | None
    detected: int | None
    tracks: tuple[FoundTrack, ...]


class VideoStatistics(BaseModel):
    """What evaluating one video leaves.

    Attributes:
        tracks, published: its tracks against the truth, without and with the empty annotations.
        border, border_coarse: the same by the borders of masks, after and before they were refined.
        iou: of each true track with the one that covers it best.
        faulty: whether a cell is.
        verdict: of the model.
        score: of the model.
        right_cell: whether it names a cell that is faulty.
        delay: frames from the onset to the verdict; None where the fault was not found.
        rise_k: highest rise of a faulty cell; None where nobody knows, or none is faulty.
        shown_k: the same, of places that were in sight.
        seen: for each bin of VISIBILITY frames in which so much of a faulty cell was seen, sum of their IoU.
    """

    model_config = ConfigDict(frozen=True)

    tracks: Ranked
    published: Ranked
    border: Ranked
    border_coarse: Ranked
    iou: tuple[float, ...]
    faulty: bool
    verdict: str
    score: float
    right_cell: bool
    delay: int | None
    rise_k: float | None
    shown_k: float | None
    seen: tuple[tuple[float, float], ...]

    @property
    def iou_mean(self) -> float | None:
        """Over the true tracks; None where there is none."""
        return float(np.mean(self.iou)) if self.iou else None


def video_statistics(told: Told, video: Video) -> dict[str, Json]:
    """`VideoStatistics` as JSON."""
    found = sorted(told.tracks, key=lambda track: -track.score)[:MOST_TRACKS]
    scores = np.array([track.score for track in found], dtype=np.float64)
    whole, border = overlaps([track.masks for track in found], video.tracks, video.size)
    _, rough = overlaps([track.coarse or track.masks for track in found], video.tracks, video.size)
    truths = len(video.tracks)
    faulty = {fault.cell for fault in video.facts.faults}
    return {
        "tracks": ranked_statistics(whole, scores, truths),
        "published": ranked_statistics(whole, scores, truths + video.empty_annotations),
        "border": ranked_statistics(border, scores, truths),
        "border_coarse": ranked_statistics(rough, scores, truths),
        "iou": [round(float(one), 6) for one in whole.max(axis=0)] if whole.size else [0.0] * truths,
        "faulty": bool(faulty),
        "verdict": told.verdict,
        "score": round(told.score, 7),
        "right_cell": told.verdict == "faulty" and told.cell in faulty,
        "delay": _delay(told, video),
        "rise_k": _highest_k(video, video.facts.rise_k),
        "shown_k": _highest_k(video, video.facts.shown_k),
        "seen": _seen(found, video),
    }


def overlaps(
    found: Sequence[Sequence[RunLengths | None]], truths: Sequence[Track], size: tuple[int, int]
) -> tuple[Floats, Floats]:
    """Intersection over union through all frames, (n, m): of the masks, and of their borders."""
    shape = (len(found), len(truths))
    both, either = np.zeros((2, *shape)), np.zeros((2, *shape))
    if not both.size:
        return both[0], both[1]
    frames = len(truths[0].masks)
    for frame in range(frames):
        answers = [_with_border(masks[frame] if frame < len(masks) else None, size) for masks in found]
        wanted = [_with_border(track.masks[frame], size) for track in truths]
        for i, answer in enumerate(answers):
            for j, truth in enumerate(wanted):
                for kind, (a, b) in enumerate(zip(answer, truth, strict=True)):
                    common = int((a & b).sum())
                    both[kind, i, j] += common
                    either[kind, i, j] += int(a.sum()) + int(b.sum()) - common
    shares = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    return shares[0], shares[1]


def _with_border(runs: RunLengths | None, size: tuple[int, int]) -> tuple[Mask, Mask]:
    if runs is None:
        nothing = np.zeros(size, dtype=bool)
        return nothing, nothing
    mask = runs.decode()
    return mask, border_of(mask)


def border_of(mask: Mask) -> Mask:
    """The pixels of a mask (h, w) that are near its edge; where the frame ends is no edge of what it shows."""
    import cv2

    reach = max(round(BORDER_SHARE * float(np.hypot(*mask.shape))), 1)
    inside = cv2.erode(
        mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=reach, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(mask & (inside == 0))


def _delay(told: Told, video: Video) -> int | None:
    """Frames from the onset of the fault that was found to the verdict; None where it was not found."""
    onsets = [fault.onset for fault in video.facts.faults if fault.cell == told.cell]
    if told.verdict != "faulty" or told.detected is None or not onsets:
        return None
    return max(told.detected - onsets[0], 0)


def _highest_k(video: Video, rises_k: Sequence[Sequence[float]]) -> float | None:
    """The highest rise of a faulty cell; None where nobody knows, or none is faulty."""
    cells = [fault.cell - 1 for fault in video.facts.faults]
    if not cells or not rises_k:
        return None
    return round(max(row[cell] for row in rises_k for cell in cells), 4)


def _seen(found: Sequence[FoundTrack], video: Video) -> list[list[float]]:
    """For each bin of VISIBILITY: frames in which so much of a faulty cell was seen, and the sum of their IoU."""
    bins = np.zeros((len(VISIBILITY) - 1, 2))
    for track in video.tracks if video.facts.visible else ():
        if track.cell is None:
            continue
        best = next((one for one in found if one.cell == track.cell), None)
        for frame, runs in enumerate(track.masks):
            if runs is None:
                continue
            place = int(np.searchsorted(VISIBILITY, video.facts.visible[frame][track.cell - 1], side="left")) - 1
            bins[max(place, 0)] += 1, _mask_iou(runs, best.masks[frame] if best is not None else None)
    return bins.round(6).tolist()


def _mask_iou(truth: RunLengths, answer: RunLengths | None) -> float:
    if answer is None:
        return 0.0
    a, b = truth.decode(), answer.decode()
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else 0.0


# ------------------------------------------------------------------------------------------------- pooled metrics


class Pool:
    """The rows as arrays, made once: the bootstrap only changes the weights."""

    def __init__(self, given: Sequence[Mapping[str, Json]]) -> None:
        statistics = [VideoStatistics.model_validate(one) for one in given]
        self.rankings = _rankings(statistics)
        self._faulty = np.array([one.faulty for one in statistics], dtype=bool)
        self._verdict = np.array([one.verdict for one in statistics], dtype=str)
        self._right = np.array([one.right_cell for one in statistics], dtype=bool)
        self.scores = np.array([one.score for one in statistics], dtype=np.float64)
        self._delay = _numbers(one.delay for one in statistics)
        self._rise_k = _numbers(one.rise_k for one in statistics)
        self._shown = _numbers(one.shown_k for one in statistics) >= SHOWN_K
        self._iou = _numbers(one.iou_mean for one in statistics)

    def score(self, weights: Floats) -> dict[str, float]:
        """Pooled metrics; NaN where there is nothing to evaluate."""
        precision = {name: ranking.average_precision(weights) for name, ranking in self.rankings.items()}
        faulty, told = self._faulty, self._verdict == "faulty"
        return {
            "map": _mean(precision["tracks"]),
            "ap50": precision["tracks"][0],
            "ap75": precision["tracks"][5],
            "mar": self.rankings["tracks"].average_recall(weights),
            "map_published": _mean(precision["published"]),
            "mar_published": self.rankings["published"].average_recall(weights),
            "border_map": _mean(precision["border"]),
            "border_map_coarse": _mean(precision["border_coarse"]),
            "border_gain": _mean(precision["border"]) - _mean(precision["border_coarse"]),
            "iou_mean": _weighted_mean(self._iou, weights),
            "cell_accuracy": _share(self._right[faulty], weights[faulty]),
            "cell_accuracy_shown": _share(self._right[self._shown], weights[self._shown]),
            "verdict_accuracy": _share(np.where(faulty, self._right, self._verdict == "healthy"), weights),
            "false_alarms": _share(told[~faulty], weights[~faulty]),
            "cannot_say": _share(self._verdict == "cannot_say", weights),
            "delay_frames": _weighted_mean(self._delay, weights),
            "smallest_rise_k": self.smallest_rise_k(weights),
            "calibration_error": self.calibration_error(weights),
        }

    def smallest_rise_k(self, weights: Floats) -> float:
        """The rise from which on faults are found as often as DETECTED_SHARE asks; NaN where they never are.

        The threshold is the lowest with at most FALSE_ALARM_SHARE of the healthy videos above it. How often a rise is
        found is the share that only grows with the rise (isotonic regression, Barlow et al. 1972).
        """
        rises, detected = self.detection_by_rise(weights)
        enough = np.flatnonzero(detected >= DETECTED_SHARE)
        return float(rises[enough[0]]) if len(enough) else float("nan")

    def detection_by_rise(self, weights: Floats) -> tuple[Floats, Floats]:
        """Rises of the faulty videos, growing, and how often a fault of that rise is found."""
        from sklearn.isotonic import isotonic_regression

        healthy, known = ~self._faulty & (weights > 0), self._faulty & np.isfinite(self._rise_k) & (weights > 0)
        if not healthy.any() or not known.any():
            return np.empty(0), np.empty(0)
        threshold = _quantile_above(self.scores[healthy], weights[healthy], FALSE_ALARM_SHARE)
        order = np.argsort(self._rise_k[known], kind="stable")
        found = (self.scores[known] > threshold)[order].astype(np.float64)
        fitted = isotonic_regression(found, sample_weight=weights[known][order], y_min=0, y_max=1)
        return self._rise_k[known][order], np.asarray(fitted, dtype=np.float64)

    def reliability(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean score, share of faulty videos and weight of each bin of scores that is not empty."""
        place = np.minimum((self.scores * _BINS).astype(int), _BINS - 1)
        size = np.bincount(place, weights, _BINS)
        kept = size > 0
        told = np.bincount(place, weights * self.scores, _BINS)[kept] / size[kept]
        true = np.bincount(place, weights * self._faulty, _BINS)[kept] / size[kept]
        return told, true, np.asarray(size[kept], dtype=np.float64)

    def calibration_error(self, weights: Floats) -> float:
        """Expected calibration error of the score (Naeini, Cooper and Hauskrecht, 2015)."""
        told, true, size = self.reliability(weights)
        return float(np.abs(told - true) @ size / size.sum()) if size.sum() else float("nan")


def _rankings(statistics: Sequence[VideoStatistics]) -> dict[str, Ranking]:
    return {
        "tracks": Ranking.of([one.tracks for one in statistics]),
        "published": Ranking.of([one.published for one in statistics]),
        "border": Ranking.of([one.border for one in statistics]),
        "border_coarse": Ranking.of([one.border_coarse for one in statistics]),
    }


def _numbers(values: Iterable[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _share(hits: Floats | NDArray[np.bool_], weights: Floats) -> float:
    total = float(weights.sum())
    return float(weights @ hits) / total if total else float("nan")


def _weighted_mean(values: Floats, weights: Floats) -> float:
    known = np.isfinite(values)
    return _share(values[known], weights[known])


def _quantile_above(scores: Floats, weights: Floats, share: float) -> float:
    """The lowest of these scores above which at most `share` of the weight lies."""
    order = np.argsort(scores)
    above = weights.sum() - np.cumsum(weights[order])
    return float(scores[order][above <= share * weights.sum()][0])


# ---------------------------------------------------------------------------------------------------------- plots

Cells = Sequence[float | str | None]
"""Of a table, in one row."""

CURVES = {
    "precision_recall": ("recall of faulty cells (IoU 0.5)", "precision"),
    "detection": ("rise of the faulty cell [K]", "share found at 1 % false alarms"),
    "reliability": ("score", "share of videos with a fault"),
}


def plots(rows: Rows) -> dict[str, Plot]:
    """Precision over recall, detection over the rise, the reliability of the score, verdicts, visibility, videos."""
    pool, ones = Pool([row.statistics for row in rows]), np.ones(len(rows))
    videos = [VideoStatistics.model_validate(row.statistics) for row in rows]
    ranking = pool.rankings["tracks"]
    recall, precision = ranking.curves(ones, max(float(ranking.truth.sum()), 1.0))
    told, true, _ = pool.reliability(ones)
    columns = ["video", "truth", "verdict", "right cell", "score", "delay [frames]", "rise [K]", "IoU"]
    return {
        "precision_recall": _curve("precision_recall", recall[0], precision[0]),
        "detection": _curve("detection", *pool.detection_by_rise(ones)),
        "reliability": _curve("reliability", told, true),
        "verdicts": {"columns": ["truth", *VERDICTS], "rows": _verdicts(videos)},
        "visibility": {"columns": ["share seen", "frames", "mean IoU"], "rows": _visibility(videos)},
        "videos": {"columns": columns, "rows": [_line(row.key, one) for row, one in zip(rows, videos, strict=True)]},
    }


def _curve(name: str, x: Floats, y: Floats) -> Curve:
    return curve(np.round(x, 4).tolist(), np.round(y, 4).tolist(), CURVES[name])


def _verdicts(videos: Sequence[VideoStatistics]) -> list[Cells]:
    return [
        [
            name,
            *(sum(one.faulty == faulty and one.verdict == verdict for one in videos) for verdict in VERDICTS),
        ]
        for faulty, name in ((False, "healthy"), (True, "faulty"))
    ]


def _visibility(videos: Sequence[VideoStatistics]) -> list[Cells]:
    sums = np.sum([np.array(one.seen) for one in videos], axis=0)
    return [
        [f"{low:.0%} to {high:.0%}", int(frames), round(float(total / frames), 4) if frames else None]
        for low, high, (frames, total) in zip(VISIBILITY[:-1], VISIBILITY[1:], sums, strict=True)
    ]


def _line(key: str, one: VideoStatistics) -> Cells:
    iou = None if one.iou_mean is None else round(one.iou_mean, 4)
    truth, right = ("faulty", one.right_cell) if one.faulty else ("healthy", None)
    return [key, truth, one.verdict, right, one.score, one.delay, one.rise_k, iou]
