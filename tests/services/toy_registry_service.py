"""A BentoML service of the toy task whose champion comes from MLflow, for tests."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, mount
from sightline.pipeline.serve import RegistryChampions
from sightline.settings import load_settings
from sightline.stores.database import Database
from sightline.stores.events import Events
from sightline.tracking import Tracking
from tests.toy import ToyAnswer, ToyTask

settings = load_settings()


@bentoml.service(name="toy", **OPTIONS)
class Toy:
    """Is there a bright spot?"""


events = Events(Database(settings.database_url))
champions = RegistryChampions("toy", Tracking(settings), events, ToyTask().restore)
mount(Toy, "toy", ToyAnswer, champions, settings)
