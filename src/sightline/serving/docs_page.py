"""The description of an endpoint as a page for people, which needs no network."""

from __future__ import annotations

import re
from html import escape

from sightline.task import Json


def docs_page(document: dict[str, Json]) -> str:
    """An OpenAPI document as a plain page."""
    info = document["info"]
    routes = "".join(
        _route(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        '<link rel="stylesheet" href="/v1/static/style.css"></head><body><main>'
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])} "
        'As <a href="/v1/openapi.json">OpenAPI</a>. <a href="/">Try it</a>.</p>'
        f"{routes}</main></body></html>"
    )


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _shown(parameter: Json) -> str:
    return f"{{{parameter['name']}}}" if parameter["in"] == "path" else f"?{parameter['name']}="


def _route(path: str, method: str, operation: Json) -> str:
    takes = ", ".join(operation.get("requestBody", {}).get("content", {}))
    rows = "".join(
        f"<tr><td>{status}</td><td>{_prose(response['description'])}</td>"
        f"<td>{escape(', '.join(response.get('content', ())))}</td></tr>"
        for status, response in operation["responses"].items()
    )
    queries = "".join(
        f"<li><code>{_shown(p)}</code> {_prose(p['description'])}</li>" for p in operation.get("parameters", ())
    )
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}. "
        f"{_prose(operation.get('description', ''))}</p>"
        + (f"<p>Takes {escape(takes)}.</p>" if takes else "")
        + (f"<ul>{queries}</ul>" if queries else "")
        + f"<table>{rows}</table></section>"
    )
