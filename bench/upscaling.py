"""Enlarging four times: what each choice costs, and how near it comes to the truth on ground it has not seen.

    .venv/bin/python -m bench.upscaling time
    .venv/bin/python -m bench.upscaling evaluate --scenes data/ships/real
    .venv/bin/python -m bench.upscaling ncnn --picture data/ships/real/scenes/lb_1.png --left 655 --top 560

`time` runs the choices in turn on the same picture, with random weights, on which the cost does not depend; RRDBNet
once, the others several times. It prints the medians and writes build/bench/upscaling.json. `evaluate` fits the fast
network once without each ground, and writes build/bench/upscaling_evaluated.json; killed and called again, it goes on.
`sightline aoi train-upscaler` fits it on all scenes and saves it. `ncnn` holds RRDBNet with its published weights
(`make realesrgan`) against the program that they are made for, on a crop of 80 x 80 pixels; the package `ncnn` must be
installed. It writes build/bench/upscaling_ncnn.json.
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
from sightline.maps.upscaling.published import X4PLUS, open_installed, open_published
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


# ----------------------------------------------------------------------------------------------------------- ncnn

NCNN_SIDE_PX = 80


def against_ncnn(picture: Path, left: int, top: int) -> dict[str, float]:
    """How far the answer to a crop is from ncnn's, in grey levels before they are rounded; and its contrast."""
    import torch
    from PIL import Image

    with Image.open(picture) as opened:
        crop = np.asarray(opened.convert("RGB").crop((left, top, left + NCNN_SIDE_PX, top + NCNN_SIDE_PX)))
    planes = np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
    network = open_published(open_installed())
    with torch.inference_mode():
        answer = 255 * network(torch.from_numpy(planes[None].copy()))[0].numpy()
    apart = np.abs(answer - 255 * ncnn_answer(planes))
    return {"greatest": float(apart.max()), "mean": float(apart.mean()), "contrast": float(answer.std())}


def ncnn_answer(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """What ncnn makes of (3, h, w) in 0 .. 1 with the installed files: (3, 4 h, 4 w)."""
    import tempfile

    import ncnn

    source = open_installed()
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / pinned.name for pinned in (X4PLUS.graph, X4PLUS.weights)]
        for path, pinned in zip(paths, (X4PLUS.graph, X4PLUS.weights), strict=True):
            path.write_bytes(source.read(pinned))
        network = ncnn.Net()
        network.opt.use_fp16_packed = network.opt.use_fp16_storage = network.opt.use_fp16_arithmetic = False
        if network.load_param(str(paths[0])) or network.load_model(str(paths[1])):
            raise RuntimeError("ncnn does not read the published files")
    extractor = network.create_extractor()
    image = ncnn.Mat(planes)  # it does not copy: both must live until the answer is there
    extractor.input("data", image)
    _, answer = extractor.extract("output")
    return np.array(answer, dtype=np.float32)


# ----------------------------------------------------------------------------------------------------------- main


def main() -> None:
    """Run one of the three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["time", "evaluate", "ncnn"])
    parser.add_argument("--scenes", type=Path, help="folder of a set with whole scenes")
    parser.add_argument("--picture", type=Path, help="for ncnn")
    parser.add_argument("--left", type=int, default=0, help="first column of the crop for ncnn")
    parser.add_argument("--top", type=int, default=0, help="its first row")
    parser.add_argument("--side", type=int, default=512, help="pixels of a side of the timed picture")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of the training, instead of the recipe's")
    parser.add_argument("--seed", type=int, default=20)
    given = parser.parse_args()
    settings = load_settings()
    params = load_upscale_params(settings.root / "params.yaml")
    if given.steps:
        params = params.model_copy(update={"schedule": params.schedule.model_copy(update={"steps": given.steps})})
    if {"time": True, "evaluate": given.scenes, "ncnn": given.picture}[given.what] is None:
        parser.error(f"{given.what} needs {'--scenes' if given.what == 'evaluate' else '--picture'}")
    if given.what == "ncnn":
        found = against_ncnn(given.picture, given.left, given.top)
        print("  ".join(f"{name} {value:.5f}" for name, value in found.items()), "grey levels")
        write_json(settings.build / "bench" / "upscaling_ncnn.json", found)
    elif given.what == "time":
        times = time_all(contenders(params), given.side, given.rounds)
        show_times(times)
        write_json(settings.build / "bench" / "upscaling.json", {"side_px": given.side, "choices": times})
    else:
        report = evaluate(given.scenes, params, given.seed, settings.build)
        show_evaluated(report)
        write_json(settings.build / "bench" / "upscaling_evaluated.json", report)


if __name__ == "__main__":
    main()
