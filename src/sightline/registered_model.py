"""What MLflow loads when someone asks it for a model of the registry ("models from code": no pickle).

mlflow.pyfunc.load_model("models:/pv_hotspots@champion").predict(pandas.DataFrame({"image": [image_bytes]}))
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow.pyfunc.model import PythonModel

from sightline.task import Limits
from sightline.tasks import restore_model

if TYPE_CHECKING:
    import pandas as pd


class SightlineModel(PythonModel):
    """Answers a table of encoded images with the JSON documents of the endpoint."""

    def load_context(self, context: Any) -> None:
        """Read the saved directory among the version's artifacts."""
        self._model = restore_model(context.model_config["task"], Path(context.artifacts["directory"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[str]:  # noqa: ARG002
        """A document an image, in order."""
        inputs = [self._model.read(bytes(image), Limits()) for image in model_input["image"]]
        return [json.dumps(prediction.document) for prediction in self._model.predict(inputs)]


mlflow.models.set_model(SightlineModel())
