"""What is answered of all tasks behind one address, as types, for its OpenAPI."""

from __future__ import annotations

from pydantic import Field

from sightline.serving.answers import Background, Said
from sightline.serving.champion import State


class TaskInfo(Said):
    """A task behind this address."""

    task: str
    state: State = Field(description="Only a task that is ready answers images.")
    problem: str | None = Field(
        description="Why it does not answer, or a newer version cannot; null where all is well."
    )
    version: int | None = Field(description="The model version that answers; null while none does.")
    data_version: str | None = Field(description="Of the data that it was trained on; empty where it is not known.")
    routes: str = Field(description="What the addresses of its routes begin with.")
    page: str = Field(description="Where its page lies.")
    formats: list[str] = Field(description="Media types that the model reads.")
    conditions: dict[str, str] = Field(description="What can be told of an image: query parameter -> meaning.")
    rasters: list[str] = Field(description="Names of the rasters that it answers.")
    areas: bool = Field(description="It looks at areas of the map too.")
    streams: bool = Field(description="It answers the frames of cameras too.")


class TaskList(Said):
    """The tasks behind this address."""

    tasks: list[TaskInfo]


class AnsweringModel(Said):
    """A model that answers."""

    task: str
    version: int
    candidate: str = Field(description="How it was made, as the task's parameters name it.")
    since_s: float = Field(description="When it began to answer, Unix time.")
    data_version: str = Field(description="Of the data that it was trained on; empty where it is not known.")
    background: Background


class ModelList(Said):
    """The models that answer."""

    models: list[AnsweringModel]


class AllReady(Said):
    """Each task that has a champion answers."""

    ready: bool
    tasks: list[str] = Field(description="Those that answer.")
    without_champion: list[str] = Field(description="Those that have no champion yet.")
    warnings: dict[str, str] = Field(description="Task -> why a newer version of it cannot take over.")
