"""The model: one figure of the picture, and a threshold. Pre- and post-processing belong to it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from sightline.errors import DataRejected, ModelMissing, ModelRejected
from sightline.files import write_text
from sightline.limits import Cost, Limits
from sightline.task import Card, Prediction
from sightline.vision.images import noise_picture, probe, read_bytes


@dataclass(frozen=True)
class Picture:
    """An input: (h, w) float64 grey levels in 0..255, with what drift looks at."""

    sha256: str
    statistics: Mapping[str, float]
    pixels: NDArray[np.float64]


def feature(candidate: str, pixels: NDArray[np.float64]) -> float:
    """What a candidate looks at: the peak over the median, or only the mean."""
    return float(pixels.max() - np.median(pixels)) if candidate == "peak" else float(pixels.mean())


class Threshold:
    """Says "spot" where the feature lies above the threshold on its card."""

    def __init__(self, card: Card) -> None:
        self.card = card

    def read(self, source: Path | bytes, limits: Limits) -> Picture:
        """Decode a PNG; its size is asked of the header, before any pixel is decoded."""
        name = "the upload" if isinstance(source, bytes) else str(source)
        try:
            data = source if isinstance(source, bytes) else source.read_bytes()
            if len(data) > limits.bytes:
                raise DataRejected(
                    f"{len(data)} bytes are more than {limits.bytes}", where=name, way_out="Raise SIGHTLINE_MAX_BYTES."
                )
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                if image.width * image.height > limits.pixels:
                    size = f"{image.width}x{image.height} pixels"
                    raise DataRejected(
                        f"{size} are more than {limits.pixels}", where=name, way_out="Raise SIGHTLINE_MAX_PIXELS."
                    )
                pixels = np.asarray(image.convert("L"), dtype=np.float64)
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataRejected(f"this is no whole PNG ({error})", where=name, way_out="Send a PNG.") from error
        statistics = {"level": float(pixels.mean()), "contrast": float(pixels.std())}
        return Picture(hashlib.sha256(data).hexdigest(), statistics, pixels)

    def weigh(self, source: Path | bytes, limits: Limits, _: Mapping[str, float]) -> Cost:
        """What a picture takes, by its head: eight bytes a pixel for its float64, and as many to compute with."""
        where = "the upload" if isinstance(source, bytes) else str(source)
        head = probe(read_bytes(source, limits, where), where)
        return Cost((head.height, head.width), head.decoding_values, head.pixels, 24 * head.pixels)

    def example(self) -> bytes:
        """Noise of the size of a picture."""
        return noise_picture(3, 32, 32, 255)

    def predict(self, batch: Sequence[Picture]) -> list[Prediction]:
        """One answer a picture."""
        return [self._predict(picture) for picture in batch]

    def _predict(self, picture: Picture) -> Prediction:
        score = feature(self.card.candidate, picture.pixels)
        spot = int(score > self.card.thresholds["spot"])
        inputs = {f"input_{name}": value for name, value in picture.statistics.items()}
        row = {**inputs, "output_score": score, "output_spot": spot}
        embedding = np.quantile(picture.pixels, np.linspace(0, 1, 9)).astype(np.float32)
        return Prediction(row, embedding, {"class": self.card.classes[spot], "score": score})

    def draw(self, source: Picture, prediction: Prediction) -> NDArray[np.uint8]:
        """The picture, framed in red where a spot is seen and in green where none is."""
        drawn = np.repeat(source.pixels.astype(np.uint8)[..., None], 3, axis=2)
        frame = np.ones(source.pixels.shape, dtype=bool)
        frame[1:-1, 1:-1] = False
        drawn[frame] = (255, 0, 0) if prediction.row["output_spot"] else (0, 160, 0)
        return drawn

    def save(self, directory: Path) -> None:
        """The card is all there is; a network would put its weights beside it (safetensors, ONNX: no pickle)."""
        write_text(directory / "card.json", self.card.model_dump_json(indent=2) + "\n")


def restore(directory: Path, name: str) -> Threshold:
    """Read what `save` wrote."""
    path = directory / "card.json"
    try:
        card = Card.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelMissing("there is no card.json", where=directory, way_out="Name a saved model's folder.") from error
    except ValidationError as error:
        raise ModelRejected("this is no card", where=path, way_out="Train the model again.") from error
    if card.task != name or "spot" not in card.thresholds:
        raise ModelRejected(f"this is no model of {name}", where=path, way_out="Name a folder of this task.")
    return Threshold(card)
