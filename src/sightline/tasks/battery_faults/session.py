"""One camera's memory: frames in, and what is said of the pack out; see `sightline.capabilities.Session`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.capabilities import Frame
from sightline.errors import DataRejected
from sightline.task import Finding, Json, Prediction
from sightline.tasks.battery_faults.answer import (
    Answer,
    CellState,
    Fault,
    FrameAnswer,
    Mask,
    Scaled,
    Temperatures,
    VideoFacts,
)
from sightline.tasks.battery_faults.clip import frame_statistics
from sightline.tasks.battery_faults.history import History, Moment, moment_of
from sightline.tasks.battery_faults.metrics import FoundTrack, Told
from sightline.tasks.battery_faults.runs import RunLengths
from sightline.tasks.battery_faults.thermometer import Scale, Thermometer
from sightline.tasks.battery_faults.verdict import REASONS, CellView, FrameView, Judge, Method, Standing, Thresholds
from sightline.vision.answers import box_of
from sightline.vision.calibration import Calibration

FAULTY_CELL = "faulty_cell"
TRACKS = "ytvis.json"
"""The export that holds the masks of all listed frames, as YouTube-VIS writes results."""

_SEVERE_K = ((10.0, "high"), (3.0, "medium"))
_KELVIN, _SCORE = 2, 6  # decimals


@dataclass(frozen=True)
class Seen:
    """A frame that was pushed, with what was told of it.

    Attributes:
        standing: what is said after it.
        moment: what was told of it.
        view: the same as the method told it.
    """

    standing: Standing
    moment: Moment
    view: FrameView


class PackSession:
    """What is known of one pack.

    Args:
        method: of the candidate, with nothing remembered yet.
        thresholds: of the model.
        scale: what the frames' numbers mean.
        calibration: from the method's scores to probabilities.
    """

    def __init__(self, method: Method, thresholds: Thresholds, scale: Scale, calibration: Calibration) -> None:
        self._method = method
        self._thermometer = Thermometer(scale)
        self._judge, self._history = Judge(thresholds, calibration), History()
        self._size, self._first = (0, 0), dict[str, float]()
        self._scaled: Scaled = "none"

    def push(self, frame: Frame) -> Prediction:
        """What can be said after this frame.

        Raises:
            DataRejected: it has another size or kind than those before; the session stands as it stood.
        """
        seen = self.look(frame)
        standing, moment, view = seen.standing, seen.moment, seen.view
        answer = _frame_answer(standing, moment, view)
        row: dict[str, float | int | str] = {
            **{f"input_{name}": value for name, value in frame_statistics(frame).items()},
            **_row_of(standing),
            "output_rise_k": round(max(moment.rises_k.values(), default=0.0), _KELVIN),
            "output_cells_seen": len(view.cells),
        }
        return Prediction(
            row,
            _embedding(view.embedding, self._method.width),
            answer.model_dump(mode="json"),
            found=said_of(standing, _rise_of(moment, standing)),
            findings=_findings(answer.cells, standing),
        )

    def look(self, frame: Frame) -> Seen:
        """As `push`, without the documents."""
        thermal = self._thermometer.measure(frame)
        self._first = self._first or frame_statistics(frame)
        height, width = thermal.size
        self._size = height, width
        if thermal.valid.any():
            self._scaled = "counts" if frame.pixels.dtype == np.uint16 else "colour_bar"
        view = self._method.push(thermal)
        faulty = frozenset(cell for cell, one in view.cells.items() if self._judge.looks_faulty(one.probability))
        moment = moment_of(frame.number, thermal.time_s, view, faulty)
        self._history.add(moment, view)
        return Seen(self._judge.push(view, frame.number), moment, view)

    @property
    def shown_frame(self) -> int | None:
        """The frame in which the fault is seen best by now, as the answer to the whole will say; None before any."""
        return None if self._history.best is None else self._history.best.frame

    def told(self) -> Told:
        """The whole as it is evaluated: every cell that looked faulty in some frame, those below the threshold too."""
        standing, history = self._judge.standing, self._history
        scores = self._judge.scores
        tracks = tuple(
            FoundTrack(cell, scores[cell], masks, _if_any(history.masks(cell, coarse=True)))
            for cell in sorted(scores)
            if _if_any(masks := history.masks(cell)) is not None
        )
        return Told(standing.verdict, standing.score, standing.cell, standing.since, tracks)

    def close(self) -> Prediction:
        """The answer to all frames.

        Raises:
            DataRejected: there was none.
        """
        history, standing = self._history, self._judge.standing
        if not history.frames or history.best is None:
            raise DataRejected("the video has no frames", way_out="Push at least one frame before closing.")
        ordered = sorted(standing.faulty.items(), key=lambda one: -one[1])
        faults = [self._fault(cell, score) for cell, score in ordered]
        said = said_of(standing, faults[0].rise_k if faults else None)
        height, width = self._size
        answer = Answer(
            video=VideoFacts(width=width, height=height, frames=history.frames, every=history.every),
            verdict=standing.verdict,
            reason=standing.reason,
            said=said,
            cell=standing.cell,
            score=round(standing.score, _SCORE),
            since_frame=standing.since,
            shown_frame=history.best.frame,
            faults=faults,
            temperatures=self._temperatures(),
            scale=self._scaled,
        )
        highest = max((max(one.rises_k.values(), default=0.0) for one in history.moments), default=0.0)
        given = {**self._first, "frames": float(history.frames)}
        row: dict[str, float | int | str] = {
            **{f"input_{name}": value for name, value in given.items()},
            **_row_of(standing),
            "output_rise_k": round(highest, _KELVIN),
        }
        summary: dict[str, float | int | str] = {"verdict": standing.verdict, "score": round(standing.score, 3)}
        if faults:
            summary |= {"cell": faults[0].cell, "rise_k": faults[0].rise_k or 0.0}
        return Prediction(
            row,
            _embedding(history.embedding, self._method.width),
            answer.model_dump(mode="json"),
            exports={TRACKS: self._tracks()},
            found=said,
            summary=summary,
            findings=_findings(faults, standing),
        )

    # -------------------------------------------------------------------------------------------- documents

    def _fault(self, cell: int, score: float) -> Fault:
        history = self._history
        masks = zip(history.moments, history.masks(cell), strict=True)
        first = next((one for one, mask in masks if mask is not None), None)
        runs = history.best.masks.get(cell) if history.best is not None else None
        rises = [one.rises_k[cell] for one in history.moments if cell in one.rises_k]
        return Fault(
            cell=cell,
            score=round(score, _SCORE),
            rise_k=_rounded(max(rises, default=None)),
            onset_frame=None if first is None else first.frame,
            onset_s=None if first is None else first.time_s,
            box=None if runs is None else _box(runs),
        )

    def _temperatures(self) -> Temperatures:
        moments, cells = self._history.moments, range(1, self._history.cells + 1)
        return Temperatures(
            frames=[one.frame for one in moments],
            times_s=[one.time_s for one in moments],
            kelvin=[[_rounded(one.kelvin.get(cell)) for cell in cells] for one in moments],
        )

    def _tracks(self) -> list[dict[str, Json]]:
        """Results as YouTube-VIS wants them; the video's number is the caller's."""
        return [
            {
                "video_id": 1,
                "category_id": 1,
                "score": round(track.score, _SCORE),
                "cell": track.cell,
                "frames": [one.frame for one in self._history.moments],
                "segmentations": [
                    None if runs is None else {"size": list(runs.size), "counts": runs.compressed}
                    for runs in track.masks
                ],
            }
            for track in self.told().tracks
        ]


def said_of(standing: Standing, rise_k: float | None) -> str:
    """The answer in words."""
    if standing.verdict == "cannot_say":
        return f"cannot say: {REASONS[standing.reason]}"
    if standing.verdict == "healthy":
        return "healthy"
    cells = sorted(standing.faulty, key=lambda cell: -standing.faulty[cell])
    named = f"cell {cells[0]} is" if len(cells) == 1 else f"cells {', '.join(map(str, cells))} are"
    rise = "" if rise_k is None else f", {rise_k:+.1f} K"
    return f"{named} faulty{rise}, since frame {standing.since}"


def _rise_of(moment: Moment, standing: Standing) -> float | None:
    return None if standing.cell is None else moment.rises_k.get(standing.cell)


def _if_any(masks: tuple[RunLengths | None, ...]) -> tuple[RunLengths | None, ...] | None:
    return masks if any(one is not None for one in masks) else None


def _findings(cells: Sequence[Fault | CellState], standing: Standing) -> tuple[Finding, ...]:
    """The faulty cells among what an answer lists, the hottest first."""
    found = [(one.rise_k or 0.0, one.cell, one.box) for one in cells if one.cell in standing.faulty]
    return tuple(
        Finding(
            FAULTY_CELL,
            round(standing.faulty[cell], _SCORE),
            box_of(box),
            _severity(rise_k),
            {"cell": cell, "rise_k": rise_k},
        )
        for rise_k, cell, box in sorted(found, key=lambda one: -one[0])
        if box is not None
    )


def _frame_answer(standing: Standing, moment: Moment, view: FrameView) -> FrameAnswer:
    return FrameAnswer(
        verdict=standing.verdict,
        reason=standing.reason,
        cell=standing.cell,
        score=round(standing.score, _SCORE),
        frame=moment.frame,
        time_s=moment.time_s,
        since_frame=standing.since,
        cells=[_cell_state(cell, one, moment) for cell, one in sorted(view.cells.items())],
    )


def _cell_state(cell: int, view: CellView, moment: Moment) -> CellState:
    runs = moment.masks.get(cell)
    return CellState(
        cell=cell,
        probability=round(view.probability, _SCORE),
        kelvin=_rounded(moment.kelvin.get(cell)),
        rise_k=_rounded(moment.rises_k.get(cell)),
        box=None if runs is None else _box(runs),
        mask=None if runs is None else Mask(size=list(runs.size), counts=runs.compressed),
    )


def _row_of(standing: Standing) -> dict[str, float | int | str]:
    return {
        "output_verdict": standing.verdict,
        "output_reason": standing.reason,
        "output_score": round(standing.score, _SCORE),
        "output_cell": standing.cell or 0,
    }


def _embedding(values: Sequence[float], width: int) -> NDArray[np.float32]:
    """As many values as the method always tells; zeros where it told none."""
    return np.array(values, dtype=np.float32) if len(values) else np.zeros(width, dtype=np.float32)


def _severity(rise_k: float) -> str:
    return next((word for least_k, word in _SEVERE_K if rise_k >= least_k), "low")


def _box(runs: RunLengths) -> list[float]:
    return [float(value) for value in runs.box]


def _rounded(kelvin: float | None) -> float | None:
    return None if kelvin is None or not np.isfinite(kelvin) else round(float(kelvin), _KELVIN)
