"""The description of an endpoint: OpenAPI for programs, a page for people that needs no network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape

import sightline
from sightline.settings import Settings
from sightline.task import Card, Json

_PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
_PROBLEMS = {
    "400": "The form cannot be read.",
    "401": "The token is missing or wrong.",
    "408": "The body did not arrive in time.",
    "413": "The upload is larger than the limit.",
    "415": "The media type is not taken.",
    "422": "The image cannot be read or has more pixels than the limit, or a condition cannot be.",
    "503": "No champion is loaded, or too many requests are waiting; see Retry-After.",
}


def describe(task: str, card: Card | None, settings: Settings) -> dict[str, Json]:
    """The OpenAPI document (3.0, which older viewers read too).

    Args:
        task: its name.
        card: of the version that answers, for the media types it reads; None while there is none.
        settings: for the limits and whether a token is asked for.
    """
    formats = card.formats if card else ("image/jpeg", "image/png", "image/tiff")
    conditions = card.conditions if card else {}
    document: dict[str, Json] = {
        "openapi": "3.0.3",
        "info": {
            "title": f"Sightline: {task}",
            "version": sightline.__version__,
            "description": f"At most {settings.max_bytes} bytes and {settings.max_pixels} pixels an image.",
        },
        "paths": {**_predicting(formats, conditions), **_about()},
        "components": {"schemas": _schemas()},
    }
    if settings.token.get_secret_value():
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _predicting(formats: tuple[str, ...], conditions: Mapping[str, str]) -> dict[str, Json]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": {"type": "string", "format": "binary"}},
    }
    body = {
        "required": True,
        "content": {**dict.fromkeys(formats, binary), "multipart/form-data": {"schema": form}},
    }
    source = _query("source", "string", "The file's name, kept in the log; a form brings it by itself.")
    picture = _query("picture", "boolean", "Also return the drawn answer, as a data address in `picture`.")
    rasters = _query("rasters", "boolean", "Also return the answer's rasters (`mask` ...), as data addresses.")
    exports = _query("exports", "boolean", "Also return the answer's interchange formats (GeoJSON ...) in `exports`.")
    raster = _query("name", "string", "Which: `mask` holds the class of each pixel.") | {"in": "path", "required": True}
    told = [_query(name, "number", f"Of the image: {meaning}.") for name, meaning in conditions.items()]
    png = {"image/png": binary}
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    return {
        "/v1/predict": {
            "post": {
                "summary": "Predict one image",
                "description": "With `Accept: image/png` the answer is the picture of /v1/picture.",
                "parameters": [source, picture, rasters, exports, *told],
                "requestBody": body,
                "responses": {
                    "200": {"description": "The answer; its row is in the log.", "content": {**answer, **png}}
                }
                | _problem_responses(),
            }
        },
        "/v1/raster/{name}": {
            "post": {
                "summary": "Predict one image and return one of the answer's rasters",
                "parameters": [raster, source, *told],
                "requestBody": body,
                "responses": {"200": {"description": "The raster, as large as the image.", "content": png}}
                | _problem_responses(),
            }
        },
        "/v1/picture": {
            "post": {
                "summary": "Predict one image and draw the answer on it",
                "parameters": [source, *told],
                "requestBody": body,
                "responses": {"200": {"description": "The picture.", "content": png}} | _problem_responses(),
            }
        },
    }


def _about() -> dict[str, Json]:
    model = {"application/json": {"schema": {"$ref": "#/components/schemas/Model"}}}
    return {
        "/v1/model": _get("The model that answers, with its card", model, "503"),
        "/v1/ready": _get("Whether a model answers; says why not", {"application/json": {}}, "503"),
        "/v1/live": _get("Whether the process runs", {"application/json": {}}),
        "/v1/metrics": _get("Figures for Prometheus", {"text/plain": {}}),
        "/v1/openapi.json": _get("This description", {"application/json": {}}),
        "/v1/docs": _get("This description as a page", {"text/html": {}}),
        "/": _get("A page to try it: upload an image, see the answer", {"text/html": {}}),
    }


def _get(summary: str, content: Json, *problems: str) -> Json:
    responses = {"200": {"description": "OK", "content": content}}
    return {"get": {"summary": summary, "responses": responses | _problem_responses(*problems)}}


def _query(name: str, kind: str, what: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind}, "description": what}


def _problem_responses(*statuses: str) -> dict[str, Json]:
    content = {"application/json": {"schema": _PROBLEM_REF}}
    return {s: {"description": _PROBLEMS[s], "content": content} for s in statuses or _PROBLEMS}


def _schemas() -> dict[str, Json]:
    text, number = {"type": "string"}, {"type": "integer"}
    return {
        "Answer": {
            "type": "object",
            "description": "The task's own answer (boxes, polygons ...), and where it comes from.",
            "required": ["task", "version", "prediction_id", "sha256"],
            "properties": {
                "task": text,
                "version": number | {"description": "The model version that answered."},
                "prediction_id": number | {"description": "Its row in the ledger."},
                "sha256": text | {"description": "Of the image's bytes."},
                "picture": text | {"description": "The drawn answer, where it was asked for."},
            },
            "additionalProperties": True,
        },
        "Model": {
            "type": "object",
            "properties": {"task": text, "version": number, "since_s": {"type": "number"}, "card": {"type": "object"}},
        },
        "Problem": {
            "type": "object",
            "required": ["error", "where", "way_out"],
            "properties": {
                "error": text | {"description": "What is wrong."},
                "where": text | {"description": "The field it is about."},
                "way_out": text | {"description": "What to do now."},
            },
        },
    }


def docs_page(document: dict[str, Json]) -> str:
    """The document as a plain page."""
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


def _route(path: str, method: str, operation: Json) -> str:
    takes = ", ".join(operation.get("requestBody", {}).get("content", {}))
    rows = "".join(
        f"<tr><td>{status}</td><td>{_prose(response['description'])}</td>"
        f"<td>{escape(', '.join(response['content']))}</td></tr>"
        for status, response in operation["responses"].items()
    )
    queries = "".join(
        f"<li><code>?{p['name']}=</code> {_prose(p['description'])}</li>" for p in operation.get("parameters", ())
    )
    return (
        f"<section><h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation['summary'])}. "
        f"{_prose(operation.get('description', ''))}</p>"
        + (f"<p>Takes {escape(takes)}.</p>" if takes else "")
        + (f"<ul>{queries}</ul>" if queries else "")
        + f"<table>{rows}</table></section>"
    )
