"""Enlarging four times: what each choice costs, and how near it comes to the truth on ground it has not seen.

    .venv/bin/python -m bench.upscaling time
    .venv/bin/python -m bench.upscaling evaluate --scenes data/ships/real

`time` runs the choices in turn on the same picture, with random weights, on which the cost does not depend; RRDBNet
once, the others several times. It prints the medians and writes build/bench/upscaling.json. `evaluate` fits the fast
network once without each ground, and writes build/bench/upscaling_evaluated.json; killed and called again, it goes on.
`sightline aoi train-upscaler` fits it on all scenes and saves it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.files import write_json
from sightline.limits import Limits
from sightline.maps.upscaling.compact import FACTOR, build_compact, reach_px
from sightline.maps.upscaling.evaluate import BASELINES, summarise
from sightline.maps.upscaling.params import UpscaleParams, load_upscale_params
from sightline.maps.upscaling.rrdb import build_rrdb
from sightline.maps.upscaling.train import leave_one_ground_out
from sightline.maps.upscaling.upscale import (
    Precision,
    Upscaler,
    fast_upscaler,
    network_upscaler,
    open_upscaler,
    rrdb_windows,
)
from sightline.progress import Bars
from sightline.settings import load_settings
from sightline.tasks.ships.grounds import read_ground_scenes
from sightline.vision.graphs import open_session

Picture = NDArray[np.uint8]
Run = Callable[[Picture], Picture]


# ----------------------------------------------------------------------------------------------------------- time


def contenders(params: UpscaleParams) -> dict[str, Run]:
    """Name -> enlargement. The fast network also through ONNX Runtime and in each precision."""
    import torch

    torch.manual_seed(0)
    network = build_compact(params.features, params.depth).eval()
    runs: dict[str, Run] = {name: open_upscaler(name) for name in BASELINES}
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    for precision in precisions:
        runs[f"fast, torch {precision}"] = fast_upscaler(network, params.depth, precision)
    runs["fast, ONNX Runtime"] = _through_onnx(network, params.depth)
    rrdb = build_rrdb()
    for precision in precisions:
        runs[f"realesrgan, torch {precision}"] = network_upscaler("realesrgan", rrdb, rrdb_windows(), precision, "")
    return runs


def _through_onnx(network: Any, depth: int) -> Upscaler:
    """The same network and windows in ONNX Runtime; windows smaller than a whole one are run at their size."""
    plain = fast_upscaler(network, depth, "float32")
    session = open_session(export(network, plain.plan.stride_px + 2 * reach_px(depth)), threads=None)

    def enlarge(window: Picture) -> Picture:
        image = window[None].astype(np.float32) / np.float32(255)
        answer = session.run(None, {"image": image})[0][0]
        return np.asarray(np.rint(answer * np.float32(255)).clip(0, 255), dtype=np.uint8)

    return Upscaler("fast", FACTOR, plain.plan, enlarge)


def export(network: Any, side_px: int) -> bytes:
    """The network as an ONNX graph: `image` (1, 3, h, w) of any size."""
    import tempfile
    import warnings

    import torch

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # the tracer warns of branches that depend on shapes
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, side_px, side_px),),
            str(Path(folder) / "graph.onnx"),
            input_names=["image"],
            output_names=["answer"],
            dynamic_axes={"image": {2: "h", 3: "w"}, "answer": {2: "h4", 3: "w4"}},
            opset_version=17,
            dynamo=False,
        )
        return (Path(folder) / "graph.onnx").read_bytes()


def time_all(runs: dict[str, Run], side_px: int, rounds: int) -> dict[str, dict[str, float]]:
    """Name -> seconds a megapixel of the input, and how many rounds the median is of; all take turns."""
    picture = np.random.default_rng(0).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):  # the first round warms up
        for name, run in runs.items():
            slow = name.startswith("realesrgan")
            if slow and number > 1:
                continue
            part = picture[:128, :128] if slow and number == 0 else picture
            started = time.perf_counter()
            run(part)
            if number:
                spent[name].append((time.perf_counter() - started) / (part.shape[0] * part.shape[1] / 1e6))
    return {name: {"s_per_mp": statistics.median(each), "rounds": len(each)} for name, each in spent.items()}


def show_times(found: dict[str, dict[str, float]]) -> None:
    """Print the table."""
    print(f"{'':<28}{'s a megapixel':>15}{'rounds':>8}")
    for name, one in found.items():
        print(f"{name:<28}{one['s_per_mp']:>15.3f}{one['rounds']:>8.0f}")


# ---------------------------------------------------------------------------------------------------------- evaluate


def evaluate(scenes: Path, params: UpscaleParams, seed: int, build: Path) -> dict[str, Any]:
    """Figures of each scene and way, and their summary."""
    found_scenes = read_ground_scenes(scenes, Limits())
    with Bars("upscaling") as bars:
        found = leave_one_ground_out(found_scenes, params, seed, build / "bench" / "upscaling", bars)
    rows = [{"scene": one.scene, "ground": one.ground, "way": one.way, **vars(one.figures)} for one in found]
    return {"summary": summarise(found), "rows": rows, "parameters": params.model_dump(mode="json")}


def show_evaluated(report: dict[str, Any]) -> None:
    """Print the table."""
    print(f"{'scene':<12}{'ground left out':<18}{'way':<10}{'PSNR dB':>9}{'SSIM':>9}")
    for row in report["rows"]:
        print(f"{row['scene']:<12}{row['ground']:<18}{row['way']:<10}{row['psnr_db']:>9.2f}{row['ssim']:>9.4f}")
    summary = report["summary"]
    print(f"\nmean of {summary['scenes']} scenes on {summary['grounds']} grounds")
    for way, one in summary["ways"].items():
        print(
            f"{way:<40}{one['psnr_db']:>9.2f}{one['ssim']:>9.4f}   at least {one['least_gain_db']:+.2f} dB on bicubic"
        )


# ----------------------------------------------------------------------------------------------------------- main


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "evaluate"])
    parser.add_argument("--scenes", type=Path, help="folder of a set with whole scenes")
    parser.add_argument("--side", type=int, default=512, help="pixels of a side of the timed picture")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of the training, instead of the recipe's")
    parser.add_argument("--seed", type=int, default=20)
    given = parser.parse_args()
    settings = load_settings()
    params = load_upscale_params(settings.root / "params.yaml")
    if given.steps:
        params = params.model_copy(update={"schedule": params.schedule.model_copy(update={"steps": given.steps})})
    if given.what != "time" and given.scenes is None:
        parser.error("--scenes is needed")
    if given.what == "time":
        times = time_all(contenders(params), given.side, given.rounds)
        show_times(times)
        write_json(settings.build / "bench" / "upscaling.json", {"side_px": given.side, "choices": times})
    else:
        report = evaluate(given.scenes, params, given.seed, settings.build)
        show_evaluated(report)
        write_json(settings.build / "bench" / "upscaling_evaluated.json", report)


if __name__ == "__main__":
    main()
