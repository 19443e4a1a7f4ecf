"""How a step of a flow runs: tried again where a server or a disk failed, and nothing of it kept by Prefect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from flows.telling import tell
from sightline.errors import BackendError
from sightline.runtime.disk import tells_of_full_disk

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task


class StepOptions(TypedDict):
    """Arguments of `prefect.task`."""

    retries: int
    retry_delay_seconds: list[float]
    retry_condition_fn: Any
    persist_result: bool
    result_serializer: str


def is_worth_retrying(step: Task[Any, Any], _run: TaskRun, state: State[Any]) -> bool:
    """Only what a server or a disk did is tried again: bad data stay bad."""
    error = state.result(raise_on_failure=False)
    if not isinstance(error, BackendError) or tells_of_full_disk(error):
        return False  # a disk without room has none in a minute either
    tell(f"{step.name}: {error} Trying again.")
    return True


STEP = StepOptions(
    retries=3,
    retry_delay_seconds=[5.0, 20.0, 60.0],
    retry_condition_fn=is_worth_retrying,
    persist_result=False,  # DVC, the checkpoints and the registry know what is done
    result_serializer="json",  # never pickle
)
