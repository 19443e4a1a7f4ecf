"""The routes that answer an image."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response

from sightline.conditions import parse_conditions
from sightline.errors import RequestError
from sightline.serving.questions import Answered
from sightline.serving.routing import BINARY, Responses, Router, media, problems, query_parameters
from sightline.serving.rules import Rule
from sightline.serving.state import endpoint_of
from sightline.serving.uploads import media_types, read_upload
from sightline.task import Json

Flag = Annotated[bool, BeforeValidator(lambda text: str(text).lower() in ("1", "true", "yes"))]

RasterName = Annotated[str, Path(description="Which: `mask` holds the class of each pixel.")]


class Options(BaseModel):
    """Query parameters that are no conditions of the image."""

    source: str = Field(default="", description="The file's name, kept in the log; a form brings it by itself.")
    picture: Flag = Field(default=False, description="Also return the drawn answer, as a data address in `picture`.")
    rasters: Flag = Field(
        default=False, description="Also return the answer's rasters (`mask` ...), as data addresses."
    )
    exports: Flag = Field(
        default=False, description="Also return the answer's interchange formats (GeoJSON ...) in `exports`."
    )


FORMATS = ("image/jpeg", "image/png", "image/tiff")
"""Media types that are described while no model answers."""


def image_body(formats: tuple[str, ...]) -> Json:
    """The body of a request with an image: its bytes, or a form with the file in the field `image`."""
    form: dict[str, Json] = {"type": "object", "required": ["image"], "properties": {"image": BINARY}}
    content: dict[str, Json] = {kind: {"schema": BINARY} for kind in formats}
    return {"required": True, "content": {**content, "multipart/form-data": {"schema": form}}}


def predicting(answer: type[BaseModel]) -> Router:
    """The routes.

    Args:
        answer: of an endpoint; see `answers.answer_of`.
    """
    router = Router(Rule(upload=True))
    body = image_body(FORMATS)
    source = {"requestBody": body, "parameters": query_parameters(Options, "source")}
    answered = {**media(["image/png"], "The answer; its row is in the log."), "model": answer}
    router.post(
        "/v1/predict",
        summary="Predict one image",
        responses={200: answered, **problems(422, 503)},
        openapi_extra={"requestBody": body, "parameters": query_parameters(Options)},
    )(predict)
    router.post(
        "/v1/picture",
        summary="Predict one image and draw the answer on it",
        responses=_png("The picture.") | problems(422, 503),
        response_class=Response,
        openapi_extra=source,
    )(draw_picture)
    router.post(
        "/v1/raster/{name}",
        summary="Predict one image and return one of the answer's rasters",
        responses=_png("The raster, as large as the image.") | problems(404, 422, 503),
        response_class=Response,
        openapi_extra=source,
    )(read_raster)
    return router


_HEADERS: Json = {
    "X-Sightline-Version": {"description": "The model version that answered.", "schema": {"type": "integer"}},
    "X-Sightline-Data-Version": {
        "description": "Of the data that it was trained on; empty where it is not known.",
        "schema": {"type": "string"},
    },
    "X-Sightline-Prediction-Id": {"description": "Its row in the ledger.", "schema": {"type": "string"}},
}


def _png(description: str) -> Responses:
    return {200: {**media(["image/png"], description), "headers": _HEADERS}}


# ------------------------------------------------------------------------------------------------- handlers


async def predict(request: Request) -> Response:
    """With `Accept: image/png` the answer is the picture of /v1/picture."""
    if _wants_picture(request):
        return await draw_picture(request)
    wanted = Options.model_validate(dict(request.query_params))
    engine = endpoint_of(request).engine
    async with _answer(request) as answered:
        document: dict[str, Json] = {
            **answered.prediction.document,
            "task": engine.task,
            "version": answered.version,
            "prediction_id": answered.id,
            "sha256": answered.question.input.sha256,
            **answered.question.champion.background.attached(answered.prediction),
        }
        if wanted.picture:
            document["picture"] = _data_address(await engine.draw(answered))
        if wanted.rasters:
            for name in answered.prediction.rasters:
                document[name] = _data_address(await engine.raster(answered, name))
        if wanted.exports:
            document["exports"] = dict(answered.prediction.exports)
        return Response(json.dumps(document, allow_nan=False), media_type="application/json")


async def draw_picture(request: Request) -> Response:
    """The boxes, masks or outlines that were found, on the image."""
    async with _answer(request) as answered:
        png = await endpoint_of(request).engine.draw(answered)
        return Response(png, headers=_lineage(answered), media_type="image/png")


async def read_raster(request: Request, name: RasterName) -> Response:
    """`exports` and the document of /v1/predict tell the same in other forms."""
    engine = endpoint_of(request).engine
    known = engine.champion().warmed.rasters
    if name not in known:
        way_out = f"There are: {', '.join(known)}." if known else "Ask /v1/predict."
        raise RequestError(f"{engine.task} answers no such raster", where=name[:100], way_out=way_out, status=404)
    async with _answer(request) as answered:
        png = await engine.raster(answered, name)
        return Response(png, headers=_lineage(answered), media_type="image/png")


@asynccontextmanager
async def _answer(request: Request) -> AsyncIterator[Answered]:
    """The answer to an upload; what it holds in memory counts till the end."""
    endpoint = endpoint_of(request)
    card = endpoint.engine.champion().model.card
    given = ((name, text) for name, text in request.query_params.multi_items() if name not in Options.model_fields)
    conditions = parse_conditions(given, card)
    upload = await read_upload(request, media_types(card), endpoint.settings.max_bytes)
    async with endpoint.engine.answering(upload.content, upload.name, conditions, lambda: _gone(request)) as answered:
        yield answered


def _lineage(answered: Answered) -> dict[str, str]:
    return {
        "X-Sightline-Version": str(answered.version),
        "X-Sightline-Data-Version": answered.question.champion.background.data_version,
        "X-Sightline-Prediction-Id": str(answered.id),
    }


def _data_address(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _wants_picture(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return "image/png" in accepted and "application/json" not in accepted and "*/*" not in accepted


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
