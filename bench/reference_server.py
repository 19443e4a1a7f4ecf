"""The way the reference project serves: FastAPI, an `async` route, the network in eager PyTorch, one image a call.

Weights, input and all that is done before and after the network are those of the endpoint it is compared with, so
only the way of serving differs. The saved model is the folder that SIGHTLINE_MODEL_DIR names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors.torch
import torch
from fastapi import FastAPI, File

from sightline.limits import Limits
from sightline.tasks.pv_hotspots.data import CLASSES
from sightline.tasks.pv_hotspots.detector import Boxes, decode, fit_frame
from sightline.tasks.pv_hotspots.feature import Level
from sightline.tasks.pv_hotspots.model import WEIGHTS, HotspotModel, Recipe
from sightline.tasks.pv_hotspots.yolo import ARCHITECTURE, prepare_environment

_DEEPEST_LAYER = 9  # where the embedding is taken, as in the exported graph


class EagerDetector:
    """`detector.Detector` with the network in eager PyTorch."""

    def __init__(self, weights: bytes, recipe: Recipe) -> None:
        prepare_environment()
        from ultralytics.nn.tasks import DetectionModel

        self._recipe = recipe
        self._network = DetectionModel(ARCHITECTURE, nc=len(CLASSES), ch=3, verbose=False)
        self._network.load_state_dict(safetensors.torch.load(weights))
        self._network.eval().fuse(verbose=False)
        self._deepest: Any = None
        self._network.model[_DEEPEST_LAYER].register_forward_hook(self._keep)

    def _keep(self, _module: Any, _inputs: Any, output: Any) -> None:
        self._deepest = output

    def __call__(self, level: Level) -> Boxes:
        """Find the modules in one frame."""
        picture, factor = fit_frame(level, self._recipe.input)
        with torch.inference_mode():
            answer = self._network(torch.from_numpy(picture)[None].float() / 255)
            embedding = self._deepest.mean(dim=(2, 3))
        height, width = level.shape
        boxes = (answer[0] if isinstance(answer, tuple | list) else answer)[0]
        values: np.ndarray[Any, Any] = boxes.numpy()
        return decode(values, embedding[0].numpy(), self._recipe.detection, (width, height), factor)


def load_model(directory: Path) -> HotspotModel:
    """The saved model with its network in PyTorch."""
    model = HotspotModel.restore(directory)
    model.__dict__["detector"] = EagerDetector(model.files[WEIGHTS], model.recipe)  # in place of the ONNX session
    return model


def make_app() -> FastAPI:
    """`python -m uvicorn --factory bench.reference_server:make_app`."""
    model = load_model(Path(os.environ["SIGHTLINE_MODEL_DIR"]))
    app = FastAPI()

    @app.get("/health")
    def health() -> dict[str, bool]:
        return {"ready": True}

    @app.post("/predict")
    async def predict(image: Annotated[bytes, File()]) -> dict[str, Any]:
        (prediction,) = model.predict([model.read(image, Limits())])
        return prediction.document

    return app
