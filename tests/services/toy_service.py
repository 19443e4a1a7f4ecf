"""A BentoML service of the toy task, for tests: its champion is the number in the file `champion` of the root."""

from __future__ import annotations

from collections.abc import Callable

import bentoml

from services.endpoint import OPTIONS, mount
from sightline.drift.background import UNKNOWN, Background
from sightline.errors import ModelMissing, SightlineError
from sightline.settings import load_settings
from sightline.task import Model
from tests.toy import ToyAnswer, ToyTask

settings = load_settings()


class FileChampions:
    """`champion` holds the number; `models/<number>` the saved model."""

    warning: SightlineError | None = None

    def current(self) -> tuple[int, Callable[[], Model]]:
        try:
            number = int((settings.root / "champion").read_text())
        except (OSError, ValueError) as error:
            raise ModelMissing("toy has no champion") from error
        return number, lambda: ToyTask().restore(settings.root / "models" / str(number))

    def background(self, number: int) -> Background:
        return UNKNOWN


@bentoml.service(name="toy", **OPTIONS)
class Toy:
    """Is there a bright spot?"""


mount(Toy, "toy", ToyAnswer, FileChampions(), settings)
