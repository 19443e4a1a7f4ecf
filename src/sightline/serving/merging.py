"""One OpenAPI document of several tasks, each of which has its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from sightline.serving.prefixes import below
from sightline.task import Json

Document: TypeAlias = dict[str, Any]
_SCHEMA = "#/components/schemas/"


def merge(own: Document, tasks: Mapping[str, Document]) -> dict[str, Json]:
    """The routes of all tasks, each with its prefix, and those that are for no task.

    Types that are the same wherever they occur, and are no task's alone, keep their names. All others get the task's
    before theirs, whatever other tasks have: the names that a generated client has do not hang on them.

    Args:
        own: of the routes that are for no task.
        tasks: task -> its document, with the addresses of a task that is alone.
    """
    shared = _shared([own, *tasks.values()])
    paths, schemas = dict(own["paths"]), dict(own["components"]["schemas"])
    for task, document in tasks.items():
        placed = _renamed(below(task).description(document), _names(task, document, shared))
        for operation in (one for item in placed["paths"].values() for one in item.values()):
            operation["operationId"] = f"{task}_{operation['operationId']}"
            operation["tags"] = [task]
        paths |= placed["paths"]
        schemas |= placed["components"]["schemas"]
    components = {**own["components"], "schemas": dict(sorted(schemas.items()))}
    return {**own, "paths": paths, "components": components, "tags": [{"name": task} for task in tasks]}


def _shared(documents: list[Document]) -> set[str]:
    """Names of the types that are the platform's own: the same in all tasks, down to what they refer to."""
    own, *tasks = (document["components"]["schemas"] for document in documents)
    shared = {
        name
        for name, schema in tasks[0].items()
        if all(one.get(name) == schema for one in tasks) and own.get(name, schema) == schema
    }
    while differing := {name for name in shared if not _referred(tasks[0][name]) <= shared}:
        shared -= differing
    return shared


def _referred(schema: Json) -> set[str]:
    """Names of the types that a type refers to."""
    return {part.partition('"')[0] for part in json.dumps(schema).split(f'"{_SCHEMA}')[1:]}


def _names(task: str, document: Document, shared: set[str]) -> dict[str, str]:
    """A task's types by their names in its own document -> those in the merged one."""
    word = "".join(part.capitalize() for part in task.split("_"))
    return {
        name: name if name in shared or name.startswith(word) else word + name
        for name in document["components"]["schemas"]
    }


def _renamed(document: Document, names: Mapping[str, str]) -> Document:
    renamed: Document = _references(document, names)
    schemas = renamed["components"]["schemas"]
    renamed["components"]["schemas"] = {names[name]: schema for name, schema in schemas.items()}
    return renamed


def _references(part: Any, names: Mapping[str, str]) -> Any:
    """A part of a document with its references changed."""
    match part:
        case list():
            return [_references(one, names) for one in part]
        case dict():
            return {
                key: _reference(value, names) if key == "$ref" else _references(value, names)
                for key, value in part.items()
            }
    return part


def _reference(address: str, names: Mapping[str, str]) -> str:
    name = address.removeprefix(_SCHEMA)
    return _SCHEMA + names[name] if address.startswith(_SCHEMA) else address
