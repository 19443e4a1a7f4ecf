"""YOLOv8n-seg with ByteTrack, as one takes it off the shelf, on the videos of `bench.battery_videos`.

    OMP_NUM_THREADS=1 python -m bench.battery_rival --work DIR [--fit 9 60 36 --every 2 --real FOLDER --epochs 5]

A network of ultralytics, from its architecture alone (no weights, nothing is downloaded), learns "faulty cell" from the
frames of a synthetic set; three of four videos. Its thresholds are chosen on the others as those of the candidates are.
ByteTrack joins what it finds in the frames of a video to tracks; a track's cell is the one that most of its pixels lie
in, by the geometry that all candidates go by. Evaluated on another synthetic set and on FOLDER, with the metrics of
the task. A network that DIR has is taken as it is.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from bench.battery_videos import Steps, cpu_task, held_out_sets, show, synthetic
from sightline.task import Manifest, Prediction, Sample
from sightline.tasks.battery_faults import metrics
from sightline.tasks.battery_faults.calibrate import choose_thresholds
from sightline.tasks.battery_faults.clip import Clip, read_clip
from sightline.tasks.battery_faults.data import LOOKS, read_truth, source_of
from sightline.tasks.battery_faults.metrics import FoundTrack, Told
from sightline.tasks.battery_faults.order import CellsInSight
from sightline.tasks.battery_faults.runs import Mask, RunLengths
from sightline.tasks.battery_faults.thermal import Thermal
from sightline.tasks.battery_faults.thermometer import Thermometer
from sightline.tasks.battery_faults.verdict import Thresholds
from sightline.tasks.pv_hotspots.yolo import prepare_environment
from sightline.vision.evaluation import Evaluated, rows_of

SPANS_K = ((-10.0, 30.0), (-2.0, 6.0))
"""Of the two temperature planes of a picture: all that a short can do, and weak ones in steps of 0.03 K."""


def picture_of(thermal: Thermal) -> NDArray[np.uint8]:
    """(h, w, 3) for a network of 8 bits: kelvin over the frame's median, coarse and fine, and shading.

    On equal terms with the learned stages: colours of a bar, and counts of 16 bits that no picture holds, are turned
    into temperatures first. 0 where none is told.
    """
    known = thermal.valid
    over = thermal.kelvin - (np.median(thermal.kelvin[known]) if known.any() else 0.0)
    planes = [np.where(known, np.clip((over - low) / (high - low), 0.0, 1.0), 0.0) for low, high in SPANS_K]
    picture: NDArray[np.uint8] = np.rint(np.stack([*planes, thermal.shading], axis=-1) * 255).astype(np.uint8)
    return picture


def clip_of(data: Manifest, sample: Sample) -> Clip:
    """A video of a set."""
    return read_clip(source_of(data, sample), data.limits)


# --------------------------------------------------------------------------------------------------------- training


def write_pictures(data: Manifest, samples: Sequence[Sample], folder: Path, size_px: int) -> int:
    """Frames that tell temperatures, and outlines of their faulty cells, as ultralytics reads them; how many.

    They are as small as it would make them itself, in the same way, each time that it reads one.
    """
    import cv2

    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    count = 0
    for number, sample in enumerate(samples):
        tracks = read_truth(data, sample).tracks
        clip = clip_of(data, sample)
        thermometer = Thermometer(clip.scale)
        for frame, thermal in enumerate(map(thermometer.measure, clip.frames())):
            if thermal.scaled:
                name, count = f"{number:03d}-{frame:05d}", count + 1
                share = size_px / max(thermal.size)
                small = cv2.resize(picture_of(thermal), None, fx=share, fy=share, interpolation=cv2.INTER_LINEAR)
                cv2.imwrite(str(folder / "images" / f"{name}.png"), small[..., ::-1])
                masks = [track.masks[frame] for track in tracks]
                lines = [outline(mask.decode()) for mask in masks if mask is not None and mask.area_px]
                (folder / "labels" / f"{name}.txt").write_text("".join(lines))
    return count


def outline(mask: Mask) -> str:
    """A line of the class and the largest outline in shares of the picture's sides."""
    import cv2

    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    points = max(found, key=cv2.contourArea)[:, 0] + 0.5
    if len(points) < 3:
        return ""
    return "0 " + " ".join(f"{share:.6f}" for share in (points / mask.shape[::-1]).ravel()) + "\n"


def train(pictures: Path, out: Path, epochs: int, size_px: int) -> None:
    """A network from nothing, with the trainer of ultralytics; written to `out`."""
    from ultralytics import YOLO
    from ultralytics.models.yolo.segment import SegmentationTrainer
    from ultralytics.utils import SETTINGS

    SETTINGS.update({"sync": False, "mlflow": False})  # of no one but this process: see prepare_environment

    class Trainer(SegmentationTrainer):  # type: ignore[misc]
        """Without what would be downloaded (fonts for plots) and without its validation."""

        def get_dataset(self) -> dict[str, object]:
            images = str(pictures / "images")
            return {"names": {0: "faulty cell"}, "nc": 1, "channels": 3, "train": images, "val": images}

        def validate(self) -> tuple[dict[str, float], float]:
            return {}, 0.0

        def final_eval(self) -> None:
            """Nothing: the task's metrics evaluate."""

    YOLO("yolov8n-seg.yaml").train(
        trainer=Trainer,
        data="pictures",
        epochs=epochs,
        imgsz=size_px,
        batch=8,
        nbs=8,  # a step of the optimiser a batch
        optimizer="AdamW",
        lr0=1e-3,
        cos_lr=True,
        warmup_epochs=0.5,
        # What changes a temperature, or puts cells of several packs into one picture, is no picture of a pack.
        **{"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0, "mosaic": 0.0, "erasing": 0.0},
        **{"amp": False, "pretrained": False, "device": "cpu", "workers": 0, "seed": 0},
        **{"val": False, "plots": False, "project": str(out.parent), "name": "yolo", "exist_ok": True},
    )
    (out.parent / "yolo" / "weights" / "last.pt").replace(out)


# --------------------------------------------------------------------------------------------------------- tracking


def stand_in_for_lap() -> ModuleType:
    """The trackers of ultralytics want the package `lap` for one function: scipy solves the same assignments.

    It is `lap.lapjv(costs, extend_cost=True, cost_limit=limit)`: what stays alone costs half of the limit.
    """
    from scipy.optimize import linear_sum_assignment

    def lapjv(costs: NDArray[Any], extend_cost: bool, cost_limit: float) -> tuple[float, NDArray[Any], NDArray[Any]]:
        assert extend_cost
        n, m = costs.shape
        whole = np.full((n + m, n + m), cost_limit / 2)
        whole[:n, :m], whole[n:, m:] = costs, 0.0
        rows, columns = linear_sum_assignment(whole)
        x, y = columns[np.argsort(rows)][:n], np.argsort(columns)[:m]
        return float(whole[rows, columns].sum()), np.where(x < m, x, -1), np.where(y < n, y, -1)

    module = ModuleType("lap")
    module.__dict__.update({"__version__": "0", "lapjv": lapjv})
    return module


def tracker_file(folder: Path) -> Path:
    """ByteTrack's own settings, with unlikely tracks too: thresholds come later, and precision is over all of them."""
    from ultralytics.utils import ROOT

    settings = yaml.safe_load((ROOT / "cfg" / "trackers" / "bytetrack.yaml").read_text())
    settings |= {"track_high_thresh": 0.1, "track_low_thresh": 0.02, "new_track_thresh": 0.1, "fuse_score": False}
    path = folder / "bytetrack.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@dataclass
class Followed:
    """One track of a video.

    Attributes:
        frames: frame -> its confidence and its mask.
        votes: pixels in each cell, of the whole track.
    """

    frames: dict[int, tuple[float, RunLengths]] = field(default_factory=dict)
    votes: dict[int, int] = field(default_factory=dict)

    @property
    def scores(self) -> dict[int, float]:
        """Frame -> the lower one of its confidence and that of the frame before, as `verdict` takes it."""
        alone = (0.0, None)
        return {frame: min(one[0], self.frames.get(frame - 1, alone)[0]) for frame, one in self.frames.items()}


class Rival:
    """The network with its tracker.

    Args:
        weights: of `train`.
        tracker: of `tracker_file`.
        size_px: longer side of what the network is shown.
    """

    def __init__(self, weights: Path, tracker: Path, size_px: int) -> None:
        from ultralytics import YOLO

        self._network, self._tracker, self._size_px = YOLO(str(weights)), tracker, size_px
        self.seconds, self.frames = 0.0, 0

    def watch(self, clip: Clip, cells: int) -> tuple[int, bool, dict[int, Followed]]:
        """A video: its frames, whether one told temperatures, and what was followed."""
        thermometer, sight = Thermometer(clip.scale), CellsInSight(cells)
        tracks, number, scaled = dict[int, Followed](), 0, False
        for number, frame in enumerate(clip.frames(), start=1):
            began = time.process_time()
            thermal = thermometer.measure(frame)
            self._push(thermal, number - 1, sight, tracks)
            self.seconds, self.frames = self.seconds + time.process_time() - began, self.frames + 1
            scaled |= thermal.scaled
        return number, scaled, tracks

    def _push(self, thermal: Thermal, frame: int, sight: CellsInSight, tracks: dict[int, Followed]) -> None:
        found = self._network.track(
            picture_of(thermal)[..., ::-1],
            persist=frame > 0,
            tracker=str(self._tracker),
            **{"conf": 0.02, "imgsz": self._size_px, "retina_masks": True, "device": "cpu", "verbose": False},
        )[0]
        cells = sight.push(thermal)
        if found.boxes.id is None or not thermal.scaled:
            return
        masks = found.masks.data.numpy() > 0
        for id_, score, mask in zip(found.boxes.id.int().tolist(), found.boxes.conf.tolist(), masks, strict=True):
            track = tracks.setdefault(id_, Followed())
            track.frames[frame] = score, RunLengths.encode(mask)
            if not isinstance(cells, str):
                for label, pixels in enumerate(np.bincount(cells.labels[mask])[1:], start=1):
                    cell = sight.number(label)
                    track.votes[cell] = track.votes.get(cell, 0) + int(pixels)


def told_of(frames: int, scaled: bool, tracks: dict[int, Followed], thresholds: Thresholds) -> Told:
    """What is said of a video."""
    found = []
    for one in tracks.values():
        masks = tuple(one.frames[frame][1] if frame in one.frames else None for frame in range(frames))
        cell = max(one.votes, key=lambda cell: one.votes[cell], default=None)
        found.append(FoundTrack(cell, max(one.scores.values()), masks))
    best = max(found, key=lambda track: track.score, default=None)
    score = best.score if best is not None else 0.0
    alarms = [frame for one in tracks.values() for frame, told in one.scores.items() if told >= thresholds.faulty]
    verdict = "faulty" if alarms else "healthy" if scaled and score < thresholds.healthy else "cannot_say"
    return Told(verdict, score, best.cell if best else None, min(alarms, default=None), tuple(found))


def chosen(rival: Rival, data: Manifest, samples: Sequence[Sample], cells: int) -> Thresholds:
    """Two thresholds, by videos that the network did not learn from."""
    nothing = Thresholds(1.0, 1.0)
    scores = [told_of(*rival.watch(clip_of(data, sample), cells), nothing).score for sample in samples]
    return choose_thresholds(np.array(scores), np.array([int(sample.figures["faulty"]) for sample in samples]))


def evaluated(rival: Rival, data: Manifest, cells: int, thresholds: Thresholds) -> Iterator[Evaluated]:
    """Each video with its statistics, as `BatteryFaults` evaluates its own candidates."""
    for sample in data.samples:
        told = told_of(*rival.watch(clip_of(data, sample), cells), thresholds)
        row: dict[str, float | int | str] = {"output_verdict": told.verdict, "output_reason": ""}
        yield (
            sample,
            metrics.video_statistics(told, read_truth(data, sample)),
            Prediction(row, np.zeros(1, np.float32), {}),
        )


def weights_of(data: Manifest, work: Path, epochs: int, size_px: int) -> Path:
    """The weights of the network, trained on three of four videos if that was not done before."""
    weights = work / "yolo.pt"
    if not weights.is_file():
        videos = [sample for number, sample in enumerate(data.samples) if number % 4]
        count = write_pictures(data, videos, work / "pictures", size_px)
        began = time.process_time()
        train(work / "pictures", weights, epochs, size_px)
        seconds = time.process_time() - began
        print(f"{count} frames of {len(videos)} videos, {epochs} epochs: {seconds:.0f} CPU seconds")
    return weights


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--every", type=int, default=1, help="of the held-out videos, which are evaluated")
    parser.add_argument("--fit", type=int, nargs=3, default=(9, 20, 36), metavar=("SEED", "VIDEOS", "FRAMES"))
    parser.add_argument("--evaluate", type=int, nargs=3, default=(1022, 48, 24), metavar=("SEED", "VIDEOS", "FRAMES"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--size-px", type=int, default=320)
    args = parser.parse_args()
    prepare_environment()
    sys.modules.setdefault("lap", stand_in_for_lap())
    task = cpu_task()
    cells = task.params.train.rule.cells
    data = synthetic(task, args.work / "data" / "fit", 1, args.fit)
    held_out = held_out_sets(task, args)
    weights = weights_of(data, args.work, args.epochs, args.size_px)
    rival = Rival(weights, tracker_file(args.work), args.size_px)
    thresholds = chosen(rival, data, data.samples[::4], cells)
    print(f"{thresholds}, by {len(data.samples[::4])} videos")
    for name, videos in held_out.items():
        rival.seconds, rival.frames = 0.0, 0
        rows = rows_of(evaluated(rival, videos, cells, thresholds), len(videos), "video", Steps())
        print(f"{name}: {rival.frames / rival.seconds:.1f} frames a CPU second, decoded already")
        show(task, f"YOLOv8n-seg, {name}", rows)
        for look in LOOKS if name == "synthetic" else ():
            show(task, f"YOLOv8n-seg, {look}", [row for row in rows if row.stratum.startswith(look)])


if __name__ == "__main__":
    main()
