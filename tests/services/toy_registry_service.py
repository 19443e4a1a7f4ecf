"""A BentoML service of the toy task whose champion comes from MLflow, for tests."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, mount
from sightline.pipeline.serve import RegistryChampions
from sightline.settings import load_settings
from sightline.stores.ledger import Ledger
from sightline.tracking import Tracking
from tests.toy import ToyTask

settings = load_settings()


@bentoml.service(name="toy", **OPTIONS)
class Toy:
    """Is there a bright spot?"""


mount(Toy, "toy", RegistryChampions("toy", Tracking(settings), Ledger(settings.ledger), ToyTask().restore), settings)
