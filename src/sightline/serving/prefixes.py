"""Where the routes of a task lie for its clients: at `/v1/predict`, or below `/v1/ships/` where tasks share an address.

The routes of a task are the same in both cases, and declared without the task. Who hands a request on to a task's
application puts the prefix into its scope; whatever then tells a client an address asks the prefix for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.types import Scope

from sightline.task import Json

API = "/v1/"
"""What the addresses of all routes begin with, as they are declared; the page is at `/`."""

_KEY = "sightline.prefix"


@dataclass(frozen=True)
class Prefix:
    """What stands in front of a task's routes.

    Attributes:
        api: what the addresses of its routes begin with, for `API`.
        page: the address of the page.
    """

    api: str = API
    page: str = "/"

    def told(self, text: str) -> str:
        """A text with the addresses in it as the client knows them."""
        return text.replace(API, self.api)

    def path(self, path: str) -> str:
        """The address of a route by its declared path."""
        return self.page if path == "/" else self.told(path)

    def throughout(self, document: Json) -> Json:
        """A document with the addresses in all of its texts as the client knows them."""
        match document:
            case str():
                return self.told(document)
            case list():
                return [self.throughout(one) for one in document]
            case dict():
                return {key: self.throughout(value) for key, value in document.items()}
        return document

    def description(self, document: dict[str, Json]) -> dict[str, Json]:
        """An OpenAPI document with the addresses as the client knows them."""
        paths = cast(dict[str, Json], document["paths"])
        moved = {self.path(path): self.throughout(item) for path, item in paths.items()}
        return {**cast(dict[str, Json], self.throughout(document)), "paths": moved}


ALONE = Prefix()
"""Of a task that is served alone."""


def below(task: str) -> Prefix:
    """Of a task among others."""
    return Prefix(f"{API}{task}/", f"/{task}/")


def put(scope: Scope, prefix: Prefix, path: str) -> Scope:
    """The scope of a request as the application of a task gets it; `path` is one of its own."""
    return {**scope, "path": path, _KEY: prefix}


def prefix_of(scope: Scope) -> Prefix:
    """What stands in front of the routes of the application that got this request."""
    prefix: Prefix = scope.get(_KEY, ALONE)
    return prefix
