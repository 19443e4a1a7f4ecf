"""What MLflow loads when someone asks it for a model of the registry ("models from code": no pickle).

mlflow.pyfunc.load_model("models:/pv_hotspots@champion").predict(pandas.DataFrame({"image": [image_bytes]}))
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd  # MLflow reads the type hints of `predict` while it runs
from mlflow.pyfunc.model import PythonModel

from sightline.limits import Limits
from sightline.tasks import restore_model


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
