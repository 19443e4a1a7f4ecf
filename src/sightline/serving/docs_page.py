"""The description of an endpoint as a page for people, which needs no network."""

from __future__ import annotations

import re
from html import escape

from pydantic import BaseModel, Field

from sightline.serving.prefixes import ALONE, Prefix
from sightline.task import Json


class _Info(BaseModel):
    title: str
    description: str


class _Parameter(BaseModel):
    name: str
    place: str = Field(validation_alias="in")
    description: str


class _Content(BaseModel):
    """Of a request or of a response, by media type."""

    description: str = ""
    content: dict[str, object] = {}


class _Operation(BaseModel):
    summary: str
    description: str = ""
    parameters: list[_Parameter] = []
    body: _Content = Field(_Content(), validation_alias="requestBody")
    responses: dict[str, _Content]


class _OpenApi(BaseModel):
    info: _Info
    paths: dict[str, dict[str, _Operation]]


def docs_page(document: dict[str, Json], prefix: Prefix = ALONE) -> str:
    """An OpenAPI document as a plain page.

    Args:
        document: with the addresses that clients know.
        prefix: of the other pages.
    """
    read = _OpenApi.model_validate(document)
    info = read.info
    routes = "".join(
        _route(path, method, operation) for path, methods in read.paths.items() for method, operation in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info.title)}</title>'
        f'<link rel="stylesheet" href="{prefix.api}static/style.css"></head><body><main>'
        f"<h1>{escape(info.title)}</h1><p>{escape(info.description)} "
        f'As <a href="{prefix.api}openapi.json">OpenAPI</a>. <a href="{prefix.page}">Try it</a>.</p>'
        f"{routes}</main></body></html>"
    )


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _shown(parameter: _Parameter) -> str:
    return f"{{{parameter.name}}}" if parameter.place == "path" else f"?{parameter.name}="


def _route(path: str, method: str, operation: _Operation) -> str:
    takes = ", ".join(operation.body.content)
    rows = "".join(
        f"<tr><td>{status}</td><td>{_prose(response.description)}</td>"
        f"<td>{escape(', '.join(response.content))}</td></tr>"
        for status, response in operation.responses.items()
    )
    queries = "".join(f"<li><code>{_shown(p)}</code> {_prose(p.description)}</li>" for p in operation.parameters)
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.summary)}. "
        f"{_prose(operation.description)}</p>"
        + (f"<p>Takes {escape(takes)}.</p>" if takes else "")
        + (f"<ul>{queries}</ul>" if queries else "")
        + f"<table>{rows}</table></section>"
    )
