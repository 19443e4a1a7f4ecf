"""The OpenAPI document of an endpoint: made by FastAPI from the routes' types, and told of the model that answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.routing import BaseRoute

import sightline
from sightline.serving.answers import answer_of
from sightline.serving.champion import Champion
from sightline.serving.predicting import FORMATS, image_body, predicting
from sightline.serving.rules import Rules
from sightline.serving.uploads import media_types
from sightline.settings import Settings
from sightline.task import Json

_FORM = "multipart/form-data"
_OF_FRAMEWORK = ("HTTPValidationError", "ValidationError")


@dataclass(eq=False)
class Description:
    """The document, which differs with the model that answers: what it reads, what it can be told, its rasters.

    Attributes:
        task: its name.
        answer: what the task's models answer.
        settings: for the limits and whether a token is asked for.
        rules: which routes are open.
        always: the routes that are there for every model, but those that answer an image.
        on_map: those that are there for models that look at areas.
        of_streams: those that are there for models that answer while a video runs.
    """

    task: str
    answer: type[BaseModel]
    settings: Settings
    rules: Rules
    always: Sequence[BaseRoute]
    on_map: Sequence[BaseRoute]
    of_streams: Sequence[BaseRoute]

    def document(
        self, champion: Champion | None, looks_at_areas: bool, watches_streams: bool = False
    ) -> dict[str, Json]:
        """OpenAPI 3.1, for the champion; None while there is none."""
        if champion is None:
            return self._described(FORMATS, (), (), looks_at_areas, watches_streams)
        card = champion.model.card
        return self._described(
            media_types(card),
            tuple(card.conditions.items()),
            champion.warmed.rasters,
            looks_at_areas,
            watches_streams,
        )

    @cached_property
    def _described(self) -> Callable[..., dict[str, Json]]:
        return lru_cache(maxsize=2)(self._describe)

    def _describe(
        self,
        formats: tuple[str, ...],
        conditions: tuple[tuple[str, str], ...],
        rasters: tuple[str, ...],
        looks_at_areas: bool,
        watches_streams: bool,
    ) -> dict[str, Json]:
        answering = predicting(answer_of(self.task, self.answer, rasters)).routes
        document: dict[str, Any] = get_openapi(
            title=f"Sightline: {self.task}",
            version=sightline.__version__,
            description=f"At most {self.settings.max_bytes} bytes and {self.settings.max_pixels} pixels an image.",
            routes=[
                *answering,
                *(self.of_streams if watches_streams else ()),
                *(self.on_map if looks_at_areas else ()),
                *self.always,
            ],
        )
        schemas = document["components"]["schemas"]
        for _, operation in _operations(document):
            _take_images(operation, formats, conditions)
            _name_body(operation, schemas)
            _leave_out_the_frameworks(operation)
        for name in _OF_FRAMEWORK:
            schemas.pop(name, None)
        ask_for_token(document, self.rules, self.settings)
        return document


def ask_for_token(document: dict[str, Any], rules: Rules, settings: Settings) -> None:
    """Say in a document which routes want a token, where the settings ask for one."""
    if not settings.token.get_secret_value():
        return
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path, operation in _operations(document):
        if rules.of(path).open:
            operation["security"] = []


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _take_images(operation: dict[str, Any], formats: tuple[str, ...], conditions: tuple[tuple[str, str], ...]) -> None:
    """What the model reads, and what it can be told of an image."""
    content = operation.get("requestBody", {}).get("content", {})
    if not set(FORMATS) & set(content):
        return
    if _FORM in content:  # frames of a camera are pictures, whatever else the model reads
        operation["requestBody"] = image_body(formats)
    operation["parameters"] += [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": f"Of the image: {meaning}.",
            "schema": {"type": "number"},
        }
        for name, meaning in conditions
    ]


def _name_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """A type in a body gets a name, so that a generated client has it."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("title")
        if name:
            schemas[name] = content["schema"]
            content["schema"] = {"$ref": f"#/components/schemas/{name}"}


def _leave_out_the_frameworks(operation: dict[str, Any]) -> None:
    """Its form of refusing what no route here refuses: parts of a path are any text."""
    responses = operation["responses"]
    if _OF_FRAMEWORK[0] in str(responses.get("422", "")):
        del responses["422"]
    operation["responses"] = dict(sorted(responses.items()))
