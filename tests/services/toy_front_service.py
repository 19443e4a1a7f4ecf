"""A BentoML service of two toy tasks behind one address, for tests; see `toy_service`. The second has no champion."""

from __future__ import annotations

import bentoml

from services.endpoint import OPTIONS, Served, mount_together
from tests.services.toy_service import FileChampions, settings
from tests.toy import ToyAnswer
from tests.unit.serving.harness import SetChampions


@bentoml.service(name="both", **OPTIONS)
class Both:
    """Are there bright spots?"""


mount_together(Both, [Served("toy", ToyAnswer, FileChampions()), Served("spare", ToyAnswer, SetChampions())], settings)
