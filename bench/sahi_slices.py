"""SAHI with YOLOv8n on one scene: what `bench.ship_scan --sahi PYTHON` runs in an environment of its own.

    .tools/uv/bin/uv venv --python .venv/bin/python build/bench/sahi
    VIRTUAL_ENV=build/bench/sahi .tools/uv/bin/uv pip install 'sahi>=0.12' 'ultralytics-opencv-headless>=8.4'

Slices of 256 x 256 px of the scene at 3 m, a fifth of each shared with its neighbour, each answered by YOLOv8n at its
own input of 640 px: SAHI's usual way. Random weights: what they cost does not depend on them. Prints the seconds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sahi import AutoDetectionModel
from sahi.predict import get_sliced_prediction
from ultralytics import YOLO

SLICE_PX = 256
SHARED = 0.2


def main(scene: str, threads: str) -> None:
    """Predict the scene of a .npy file twice, a small part to warm up, then all."""
    torch.set_num_threads(int(threads))
    pixels = np.load(scene, allow_pickle=False)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "yolov8n.pt"
        YOLO("yolov8n.yaml").save(str(weights))
        model = AutoDetectionModel.from_pretrained("ultralytics", model_path=str(weights), device="cpu")
    sides = {"slice_height": SLICE_PX, "slice_width": SLICE_PX}
    shared = {"overlap_height_ratio": SHARED, "overlap_width_ratio": SHARED}
    for part in (pixels[: 2 * SLICE_PX, : 2 * SLICE_PX], pixels):
        started = time.perf_counter()
        get_sliced_prediction(part, model, **sides, **shared, verbose=0)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(*sys.argv[1:])
