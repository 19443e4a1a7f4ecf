"""The description of an endpoint: OpenAPI for programs, a page for people that needs no network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import get_args

import sightline
from sightline.drift.familiarity import Word
from sightline.serving.areas import RESULTS
from sightline.serving.guard import refusals
from sightline.serving.orders import AreaOrder
from sightline.settings import Settings
from sightline.task import Card, Json

_JSON = "application/json"
_PROBLEM = {_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_TILE = {"provider": "Its name.", "z": "The level.", "x": "The column.", "y": "The row, from the north."}
_PROBLEMS = {
    "400": "The form cannot be read.",
    "401": "The token is missing or wrong.",
    "403": "There is no token, and another machine or another site's page asks.",
    "404": "There is nothing of that name; says what there is.",
    "408": "The body did not arrive in time.",
    "413": "The upload is larger than the limit, or would take too long or too much memory; says what can be answered.",
    "415": "The media type is not taken.",
    "422": "The image cannot be read or has more pixels than the limit, or a condition cannot be.",
    "429": "Too many wrong tokens came from this address.",
    "431": "A line of the head is too long.",
    "503": "No champion is loaded, or there is too much work before it; see Retry-After.",
}

_ANSWERS = ("422", "503")
"""What refuses an image, besides the guard."""


def describe(task: str, card: Card | None, settings: Settings, areas: bool = False) -> dict[str, Json]:
    """The OpenAPI document (3.0, which older viewers read too).

    Args:
        task: its name.
        card: of the version that answers, for the media types it reads; None while there is none.
        settings: for the limits and whether a token is asked for.
        areas: whether the model that answers looks at areas of the map.
    """
    formats = card.formats if card else ("image/jpeg", "image/png", "image/tiff")
    conditions = card.conditions if card else {}
    paths = {**_predicting(formats, conditions), **(_areas() if areas else {}), **_about()}
    document: dict[str, Json] = {
        "openapi": "3.0.3",
        "info": {
            "title": f"Sightline: {task}",
            "version": sightline.__version__,
            "description": f"At most {settings.max_bytes} bytes and {settings.max_pixels} pixels an image.",
        },
        "paths": {path: _guarded(path, methods) for path, methods in paths.items()},
        "components": {"schemas": _schemas() | (_area_schemas() if areas else {})},
    }
    if settings.token.get_secret_value():
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _guarded(path: str, methods: Mapping[str, Json]) -> dict[str, Json]:
    """The operations of a path, also with what the guard before it answers."""
    refused = _problem_responses(*refusals(path))
    return {
        method: {**operation, "responses": dict(sorted((refused | operation["responses"]).items()))}
        for method, operation in methods.items()
    }


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
    raster = _in_path("name", "Which: `mask` holds the class of each pixel.")
    described = [_query(name, "number", f"Of the image: {meaning}.") for name, meaning in conditions.items()]
    png = {"image/png": binary}
    answer = {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}
    return {
        "/v1/predict": {
            "post": {
                "summary": "Predict one image",
                "description": "With `Accept: image/png` the answer is the picture of /v1/picture.",
                "parameters": [source, picture, rasters, exports, *described],
                "requestBody": body,
                "responses": {
                    "200": {"description": "The answer; its row is in the log.", "content": {**answer, **png}}
                }
                | _problem_responses(*_ANSWERS),
            }
        },
        "/v1/raster/{name}": {
            "post": {
                "summary": "Predict one image and return one of the answer's rasters",
                "parameters": [raster, source, *described],
                "requestBody": body,
                "responses": {"200": {"description": "The raster, as large as the image.", "content": png}}
                | _problem_responses("404", *_ANSWERS),
            }
        },
        "/v1/picture": {
            "post": {
                "summary": "Predict one image and draw the answer on it",
                "parameters": [source, *described],
                "requestBody": body,
                "responses": {"200": {"description": "The picture.", "content": png}} | _problem_responses(*_ANSWERS),
            }
        },
    }


def _areas() -> dict[str, Json]:
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/AreaOrder"}}}}
    area = {"application/json": {"schema": {"$ref": "#/components/schemas/Area"}}}
    planned = {
        "200": {"description": "Tiles, megapixels, seconds, terms, and the zoom that fits.", "content": {_JSON: {}}}
    }
    created = {
        "200": {"description": "It is done.", "content": area},
        "202": {"description": "It is queued or running: ask at `Location`.", "content": area},
    }
    refused = {
        "422": {"description": "A key or a value is wrong, or a limit or the terms forbid it.", "content": _PROBLEM},
        "503": {"description": "No champion, or too many areas are waiting; see Retry-After.", "content": _PROBLEM},
    }
    number = _in_path("id", "Of the area.")
    gone = {"404": {"description": "There is no such area, file or tile.", "content": _PROBLEM}}
    shown = {"200": {"description": "The area.", "content": area}} | gone
    files = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in sorted(set(RESULTS.values()))}
    file = {"200": {"description": "The file.", "content": files}} | gone
    tile = {"200": {"description": "The tile.", "content": {"image/png": {}, "image/jpeg": {}}}} | gone
    return {
        "/v1/areas": {
            "post": {
                "summary": "Look at an area on the map",
                "description": "Plans, downloads, stitches, enlarges where asked for, looks; waits `wait_s` for it.",
                "requestBody": body,
                "responses": created | refused,
            },
            "get": {
                "summary": "The newest areas, and who has tiles",
                "responses": {"200": {"description": "OK", "content": {_JSON: {}}}},
            },
        },
        "/v1/areas/plan": {
            "post": {
                "summary": "What an area would take; nothing is downloaded",
                "requestBody": body,
                "responses": planned | refused,
            }
        },
        "/v1/areas/{id}": {
            "get": {"summary": "How far an area is, or what was found", "parameters": [number], "responses": shown},
            "delete": {"summary": "Cancel an area, remove its results", "parameters": [number], "responses": shown},
        },
        "/v1/areas/{id}/{file}": {
            "get": {
                "summary": "A file of the results",
                "parameters": [number, _in_path("file", f"One of {', '.join(RESULTS)}.")],
                "responses": file,
            }
        },
        "/v1/tiles/{provider}/{z}/{x}/{y}": {
            "get": {
                "summary": "A tile of the map",
                "parameters": [_in_path(name, what) for name, what in _TILE.items()],
                "responses": tile,
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


def _in_path(name: str, what: str) -> Json:
    return _query(name, "string", what) | {"in": "path", "required": True}


def _query(name: str, kind: str, what: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind}, "description": what}


def _problem_responses(*statuses: str) -> dict[str, Json]:
    return {s: {"description": _PROBLEMS[s], "content": _PROBLEM} for s in statuses}


def _schemas() -> dict[str, Json]:
    text, number = {"type": "string"}, {"type": "integer"}
    return {
        "Answer": {
            "type": "object",
            "description": "The task's own answer (boxes, polygons ...), and where it comes from.",
            "required": ["task", "version", "prediction_id", "sha256", "familiarity", "background"],
            "properties": {
                "task": text,
                "version": number | {"description": "The model version that answered."},
                "prediction_id": text | {"description": "Of its row in the ledger: a UUID; older rows have a number."},
                "sha256": text | {"description": "Of the image's bytes."},
                "familiarity": {"$ref": "#/components/schemas/Familiarity"},
                "background": {"$ref": "#/components/schemas/Background"},
                "picture": text | {"description": "The drawn answer, where it was asked for."},
            },
            "additionalProperties": True,
        },
        "Model": {
            "type": "object",
            "properties": {
                "task": text,
                "version": number,
                "since_s": {"type": "number"},
                "card": {"type": "object"},
                "background": {"$ref": "#/components/schemas/Background"},
            },
        },
        **_background_schemas(),
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


def _background_schemas() -> dict[str, Json]:
    text, number = {"type": "string"}, {"type": "number", "nullable": True}
    parts = {"type": "array", "items": {"type": "object", "properties": {"set": text, "kind": text}}}
    return {
        "Familiarity": {
            "type": "object",
            "description": "How far the image lies from what the model was trained and evaluated on.",
            "required": ["word", "reason"],
            "properties": {
                "word": text | {"enum": list(get_args(Word))},
                "reason": text,
                "distance": number | {"description": "To the nearest sample; 1 is usual among the samples."},
                "distance_quantile": number | {"description": "Share of the samples that lie less far, 0 to 1."},
                "outside": {"type": "object", "description": "Figures beyond the samples' range."},
                "groups": {"type": "integer", "description": "Independent groups of samples compared with."},
            },
        },
        "Background": {
            "type": "object",
            "description": "What the version was trained and evaluated on.",
            "properties": {
                "trained_on": parts,
                "evaluated_on": parts,
                "data_version": text,
                "only_synthetic": {"type": "boolean", "nullable": True},
                "summary": text,
            },
        },
    }


def _area_schemas() -> dict[str, Json]:
    fields = AreaOrder.model_fields.items()
    text, number = {"type": "string"}, {"type": "integer"}
    return {
        "AreaOrder": {
            "type": "object",
            "description": "One of bbox, geojson and wkt, and how to look.",
            "properties": {
                name: {"description": str(field.description), "default": field.default} for name, field in fields
            },
            "additionalProperties": False,
        },
        "Area": {
            "type": "object",
            "required": ["id", "task", "state", "progress", "plan", "files"],
            "properties": {
                "id": text,
                "task": text,
                "state": text | {"enum": ["queued", "running", "done", "failed", "cancelled"]},
                "progress": {"type": "object", "description": "`done` of `total`, and `what` is done."},
                "plan": {"type": "object"},
                "files": {"type": "object", "description": "Name -> where to get it."},
                "summary": {
                    "type": "object",
                    "description": "Of an area that is done: counts, tiles that lack, credit.",
                },
                "version": number | {"description": "The model version that looked."},
                "prediction_ids": {"type": "array", "items": text, "description": "Rows in the ledger."},
                "problem": {"$ref": "#/components/schemas/Problem"},
            },
            "additionalProperties": True,
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


def _shown(parameter: Json) -> str:
    return f"{{{parameter['name']}}}" if parameter["in"] == "path" else f"?{parameter['name']}="


def _route(path: str, method: str, operation: Json) -> str:
    takes = ", ".join(operation.get("requestBody", {}).get("content", {}))
    rows = "".join(
        f"<tr><td>{status}</td><td>{_prose(response['description'])}</td>"
        f"<td>{escape(', '.join(response['content']))}</td></tr>"
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
