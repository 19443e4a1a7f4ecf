"""A toy model that surveys areas, and toy surveys that need no tiles but plan as the real ones do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sightline.capabilities import OnProgress
from sightline.drift.background import Background
from sightline.errors import ParamsError
from sightline.limits import Limits
from sightline.maps.order import Order
from sightline.maps.tiles import AreaPlan, describe_plan
from sightline.pipeline.serve import MapSurveys
from sightline.serving.orders import Prepared
from sightline.settings import Settings
from sightline.task import Json, Prediction, Progress
from tests.toy import ToyInput
from tests.unit.serving.harness import CountingModel, png


class SurveyingModel(CountingModel):
    """The toy model, which surveys areas too."""

    wanted_gsd_m = 3.0

    adjustable: Mapping[str, str] = {"threshold": "of the peak", "stride_px": "of the scan"}

    def adjusted(self, values: Mapping[str, float]) -> SurveyingModel:
        stride_px = values.get("stride_px", 0)
        if stride_px > 256:
            raise ParamsError(
                f"the scan cannot have a step of {stride_px} px", where="stride", way_out="Give 256 at most."
            )
        model = SurveyingModel(self.number)
        model.threshold = values.get("threshold")
        return model

    threshold: float | None = None

    def survey(self, source: ToyInput, on_progress: OnProgress) -> Prediction:
        on_progress(1, 1)
        return self.predict([source])[0]

    def within(self, prediction: Prediction, area: Any) -> Prediction:
        return prediction


class ToySurveys:
    """Finds one spot in every area, as soon as `gate` is open.

    Fails first with `failures`, in their order, then with `late_failures`, once the answer is logged.
    """

    def __init__(self, root: Path) -> None:
        self._real = MapSurveys(Settings(root=root))
        self.gate = threading.Event()
        self.gate.set()
        self.failures: list[Exception] = []
        self.late_failures: list[Exception] = []
        self.begun: list[str] = []
        self.thresholds: list[float | None] = []

    def plan(self, order: Order, wanted_gsd_m: float) -> AreaPlan:
        return self._real.plan(order, wanted_gsd_m)

    def run(
        self,
        prepared: Prepared,
        background: Background,
        upscaler: Any,
        out: Path,
        progress: Progress,
        answered: Callable[[Any, Prediction], None],
    ) -> dict[str, Json]:
        plan, model = prepared.plan, prepared.model
        assert isinstance(model, SurveyingModel)
        self.begun.append(out.name)
        self.thresholds.append(model.threshold)
        out.mkdir(parents=True, exist_ok=True)
        (out / "plan.json").write_text("{}")
        progress.advance(0, 2, "tiles")
        while not self.gate.wait(0.01):
            progress.advance(1, 2, "tiles")
        if self.failures:
            raise self.failures.pop(0)
        source = model.read(png(150), Limits())
        prediction = model.survey(source, lambda done, total: progress.advance(done, total, "looking"))
        answered(source, prediction)
        if self.late_failures:
            raise self.late_failures.pop(0)
        (out / "raw.png").write_bytes(png(150))
        (out / "raw.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": []}))
        (out / "secret.txt").write_text("not for clients")
        return {
            "plan": describe_plan(plan),
            "tiles_missing": [],
            "model": {"task": model.card.task, "candidate": model.card.candidate, "files": model.card.files},
            "found": {"raw": {"count": 1}},
            "familiarity": {"raw": background.familiarity(prediction).document()},
            "seconds": {"tiles": 0.01},
            "attribution": plan.provider.attribution,
        }


def until(so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for what happens in another thread."""
    end_s = time.monotonic() + timeout_s
    while not so():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.01)
