"""What of the answers of one camera goes into the ledger: changes of the verdict, a sample, and the whole."""

from __future__ import annotations

from sightline.serving.camera import Seen
from sightline.stores.predictions import Answer, Frame, Predictions
from sightline.stores.streams import Keep, StreamLog


class CameraLog:
    """Writes what the rule keeps, and the answer to the whole as a row that stands for itself; of one thread.

    Args:
        predictions: the prediction log.
        task: its name.
        keep: the rule.
    """

    def __init__(self, predictions: Predictions, task: str, keep: Keep) -> None:
        self._predictions = predictions
        self._task = task
        self._log = StreamLog(predictions, keep)

    def write(self, seen: Seen) -> str | None:
        """Write one, or count it; its id, None where it is not kept. Raises BackendError."""
        prediction = seen.prediction
        place = None
        if seen.frame is not None:
            place = Frame(seen.camera, seen.frame, seen.at_s, must_keep=seen.changed)
        answer = Answer(
            self._task, seen.version, seen.sha256, seen.camera, prediction.row, prediction.embedding, frame=place
        )
        if place is not None:
            return self._log.log([answer])[0]
        self._log.close()
        return self._predictions.log([answer])[0]

    def close(self) -> None:
        """Write what is still to be counted. Raises BackendError."""
        self._log.close()
