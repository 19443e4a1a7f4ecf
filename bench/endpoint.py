"""The endpoint against the reference project's way of serving, same weights and input size, in one run.

    .venv/bin/python -m bench.endpoint --model build/models/pv_hotspots/fused/final

Prints requests a second, p50 and p99 at 1, 8 and 32 clients of the reference (FastAPI, `async` route, eager PyTorch,
one image a call), of the endpoint in float32 and of the endpoint in int8; whether the answers are equal; what int8
costs in AP50; and where the time of one image goes. Writes build/bench/endpoint.json. The servers are asked in turn,
a round after another, so that what else the machine does falls on all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.load import Load, ask_once, drive, upload_request
from sightline.errors import DataMissing
from sightline.files import write_json
from sightline.limits import Limits
from sightline.runtime.processes import Group, Server
from sightline.serving import serve_command
from sightline.settings import load_settings
from sightline.tasks import restore_model

TASK = "pv_hotspots"
ROOT = Path(__file__).resolve().parents[1]
SYSTEMS = ("reference", "float32", "int8")


@dataclass(frozen=True)
class Contender:
    """One server of the comparison."""

    server: Server
    port: int
    path: str

    def requests(self, images: Sequence[bytes]) -> list[bytes]:
        """An upload an image."""
        return [upload_request(self.path, image) for image in images]


def main() -> None:
    """Run the comparison."""
    options = _options()
    folder = load_settings().build / "bench"
    images = _images(options.images, options.count)
    evaluated = _evaluate(
        options.model, options.images
    )  # first: what is wrong with the images is told before the minutes
    contenders = _contenders(options.model, folder)
    group = Group(folder, lambda line: print(line, file=sys.stderr))
    try:
        for contender in contenders.values():  # one by one: each measures its best batch when it starts
            group.start([contender.server])
        for contender in contenders.values():
            drive(contender.port, contender.requests(images), clients=2, duration_s=3)  # warm
        equality = {name: _differences(contenders, name, images) for name in SYSTEMS[1:]}
        loads = _measure(contenders, images, options)
    finally:
        group.stop()
    result = {
        "model": str(options.model),
        "images": len(images),
        "cores": os.cpu_count(),
        "load_average_before": options.load_average,
        "systems": {name: {str(n): _figures(load) for n, load in by.items()} for name, by in loads.items()},
        "against_reference": {
            name: {str(n): round(loads[name][n].rate / loads["reference"][n].rate, 2) for n in options.clients}
            for name in SYSTEMS[1:]
        },
        "differences": equality,
        "evaluated": evaluated,
        "stages_ms": _stages(options.model, images),
    }
    write_json(folder / "endpoint.json", result)
    _print(result)


def _options() -> argparse.Namespace:
    settings = load_settings()
    parser = argparse.ArgumentParser(description="The endpoint against the reference's way of serving.")
    parser.add_argument("--model", type=Path, default=settings.build / "models" / TASK / "fused" / "final")
    parser.add_argument("--images", type=Path, default=settings.data / TASK / "sample", help="a labelled set")
    parser.add_argument("--count", type=int, default=24, help="images of it that are sent, in turn")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=8.0, help="of one round of one server and number of clients")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    options.model = options.model.resolve()
    options.load_average = os.getloadavg()[0]
    return options


def _images(folder: Path, count: int) -> list[bytes]:
    files = sorted(folder.glob("**/images/*.jpg"))[:count]
    if not files:
        raise DataMissing(
            "no images/*.jpg are here", where=folder, way_out=f"`sightline data sample {TASK}` writes some."
        )
    return [file.read_bytes() for file in files]


# ------------------------------------------------------------------------------------------------------- servers


def _contenders(model: Path, folder: Path) -> dict[str, Contender]:
    reference = _free_port()
    command = (sys.executable, "-m", "uvicorn", "--factory", "bench.reference_server:make_app")
    quiet = ("--host", "127.0.0.1", "--port", str(reference), "--log-level", "warning")
    server = Server(
        "reference",
        (*command, *quiet),
        ROOT,
        f"http://127.0.0.1:{reference}",
        f"http://127.0.0.1:{reference}/health",
        environment={"SIGHTLINE_MODEL_DIR": str(model)},
    )
    ours = {precision: _endpoint(precision, model, folder) for precision in SYSTEMS[1:]}
    return {"reference": Contender(server, reference, "/predict"), **ours}


def _endpoint(precision: str, model: Path, folder: Path) -> Contender:
    """Our endpoint with the same weights; the precision is written on the card of a copy."""
    root = folder / precision
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(model, root / "model")
    card = json.loads((root / "model" / "card.json").read_text(encoding="utf-8"))
    card["preprocessing"]["precision"] = precision
    (root / "model" / "card.json").write_text(json.dumps(card), encoding="utf-8")
    port = _free_port()
    settings = load_settings().model_copy(update={"root": root, "endpoint_port": port})
    command, environment = serve_command(settings, TASK)
    environment["SIGHTLINE_MODEL_DIR"] = str(root / "model")
    address = f"http://127.0.0.1:{port}"
    server = Server(precision, tuple(command), ROOT, address, f"{address}/v1/ready", environment=environment)
    return Contender(server, port, "/v1/predict")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _measure(
    contenders: Mapping[str, Contender], images: Sequence[bytes], options: argparse.Namespace
) -> dict[str, dict[int, Load]]:
    loads = {name: {clients: Load() for clients in options.clients} for name in contenders}
    for turn in range(options.rounds):
        for clients in options.clients:
            for name, contender in contenders.items():
                print(f"round {turn + 1}/{options.rounds}: {name}, {clients} clients", file=sys.stderr)
                loads[name][clients] += drive(contender.port, contender.requests(images), clients, options.seconds)
    return loads


def _figures(load: Load) -> dict[str, float]:
    return {
        "requests_per_s": round(load.rate, 2),
        "p50_ms": round(load.quantile_ms(0.5), 1),
        "p99_ms": round(load.quantile_ms(0.99), 1),
        "requests": len(load.seconds),
        "errors": load.errors,
    }


# ------------------------------------------------------------------------------------------------------- answers


def _differences(contenders: Mapping[str, Contender], name: str, images: Sequence[bytes]) -> dict[str, float]:
    """How far the answers of a system lie from the reference's: modules that one of them lacks, largest deviations."""
    lacking, total, classes, box_px, score = 0, 0, 0, 0.0, 0.0
    for image in images:
        expected, found = (
            {_place(module): module for module in _answer(contenders[system], image)["modules"]}
            for system in ("reference", name)
        )
        total += len(expected)
        pairs = [(module, _nearest(module, found)) for module in expected.values()]
        matched = [(one, other) for one, other in pairs if other is not None]
        lacking += len(expected) - len(matched) + max(len(found) - len(matched), 0)
        for one, other in matched:
            classes += one["class"] != other["class"]
            box_px = max(box_px, float(np.abs(np.subtract(one["box"], other["box"])).max()))
            score = max(score, abs(one["defect_probability"] - other["defect_probability"]))
    return {"modules": total, "lacking": lacking, "other_class": classes, "box_px": box_px, "probability": score}


def _answer(contender: Contender, image: bytes) -> Any:
    return json.loads(ask_once(contender.port, upload_request(contender.path, image)))


def _place(module: Mapping[str, Any]) -> tuple[float, ...]:
    return tuple(module["box"])


def _nearest(module: Mapping[str, Any], others: Mapping[tuple[float, ...], Any]) -> Any:
    """The module whose box is within 4 px on all sides; None where there is none."""
    if not others:
        return None
    place = min(others, key=lambda other: float(np.abs(np.subtract(other, module["box"])).max()))
    return others[place] if float(np.abs(np.subtract(place, module["box"])).max()) <= 4 else None


def _evaluate(directory: Path, images: Path) -> dict[str, dict[str, float]]:
    """AP50 of both precisions on the labelled set that was sent."""
    from sightline.params import load_section
    from sightline.tasks import open_task, params_model

    task = open_task(TASK, load_section(ROOT / "params.yaml", TASK, params_model(TASK)))
    manifest = task.load(images)
    evaluated = {}
    for precision in SYSTEMS[1:]:
        model: Any = restore_model(TASK, directory)
        model.precision = precision
        rows = task.evaluate(model, manifest.where(lambda sample: not sample.problem), _Silent())
        scores = task.score(rows, np.ones(len(rows)))
        evaluated[precision] = {name: round(value, 4) for name, value in scores.items() if name.startswith("ap50")}
        evaluated[precision]["frames"] = len(rows)
    return evaluated


class _Silent:
    """Progress that nobody reads."""

    def advance(self, done: int, total: int, what: str) -> None:
        """Nothing."""

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""


# --------------------------------------------------------------------------------------------------------- stages


def _stages(directory: Path, images: Sequence[bytes]) -> dict[str, float]:
    """Where the time of one image goes, in milliseconds of one thread (the median over the images)."""
    model: Any = restore_model(TASK, directory)
    small: Any = restore_model(TASK, directory)
    model.threads = small.threads = 1
    small.precision = "int8"
    inputs = [model.read(image, Limits()) for image in images]
    predictions = model.predict(inputs)
    small.predict(inputs[:1])
    pairs = list(zip(inputs, predictions, strict=True))
    return {
        "read (decode, radiometry, palette, statistics)": _median_ms(lambda i: model.read(i, Limits()), images),
        "predict float32 (find modules, features, document)": _median_ms(lambda t: model.predict([t]), inputs),
        "predict int8": _median_ms(lambda t: small.predict([t]), inputs),
        "find modules float32 (input, network, boxes)": _median_ms(lambda t: model.detector(t.level), inputs),
        "find modules int8": _median_ms(lambda t: small.detector(t.level), inputs),
        "JSON": _median_ms(lambda p: json.dumps(p.document), predictions),
        "draw (only where a picture is asked for)": _median_ms(lambda pair: model.draw(*pair), pairs),
    }


def _median_ms(call: Callable[[Any], object], items: Sequence[Any]) -> float:
    times = []
    for item in items:
        start_s = time.perf_counter()
        call(item)
        times.append(time.perf_counter() - start_s)
    return round(statistics.median(times) * 1000, 2)


def _print(result: Mapping[str, Any]) -> None:
    print(f"{'':<10} {'clients':>7} {'requests/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'errors':>7} {'x reference':>12}")
    for name, by_clients in result["systems"].items():
        for clients, figures in by_clients.items():
            ratio = result["against_reference"].get(name, {}).get(clients, 1.0)
            print(
                f"{name:<10} {clients:>7} {figures['requests_per_s']:>10} {figures['p50_ms']:>9} {figures['p99_ms']:>9}"
                f" {figures['errors']:>7} {ratio:>12}"
            )
    for title in ("differences", "evaluated", "stages_ms"):
        print(f"{title}:")
        for name, value in result[title].items():
            print(f"  {name}: {value}")


if __name__ == "__main__":
    main()
