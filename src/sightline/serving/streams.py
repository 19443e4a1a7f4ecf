"""The routes of streams: frames of a camera one by one, by a websocket or a request each; its state; its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from sightline.conditions import parse_conditions
from sightline.errors import RequestError, SightlineError
from sightline.serving.access import OWN_PROTOCOL
from sightline.serving.camera import Sent
from sightline.serving.cameras import Cameras
from sightline.serving.predicting import FORMATS
from sightline.serving.prefixes import prefix_of
from sightline.serving.problems import problem
from sightline.serving.refusing import refuse
from sightline.serving.routing import BINARY, Router, problems, query_parameters
from sightline.serving.rules import Rule
from sightline.serving.state import endpoint_of
from sightline.serving.stream_answers import FrameAnswer, StreamOverview, WholeAnswer
from sightline.serving.uploads import read_upload

log = logging.getLogger(__name__)

frames = Router(Rule(upload=True))
watching = Router()

CameraName = Annotated[str, Path(alias="camera", description="Its name: the client's own choice.")]


class FrameOptions(BaseModel):
    """Query parameters that are no conditions of the camera."""

    time_s: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="Seconds after the first frame; else when it arrives."
    )


_CONFLICT = {409: "Another connection sends its frames, or it has begun under other conditions."}


@frames.post(
    "/v1/streams/{camera}/frames",
    summary="Answer the next frame of a camera",
    responses={
        200: {"model": FrameAnswer, "description": "What can be said after it."},
        **problems(404, 422, 503, better=_CONFLICT),
    },
    openapi_extra={
        "requestBody": {"required": True, "content": {kind: {"schema": BINARY} for kind in FORMATS}},
        "parameters": query_parameters(FrameOptions),
    },
)
async def push_frame(request: Request, camera: CameraName) -> Response:
    """The camera is remembered from its first frame on; conditions are told with that one.

    By a websocket at /v1/streams/{camera} frames are binary messages and answers JSON. It answers the newest frame and
    says how many it skipped; the word `close` ends the camera. A page names the subprotocols `sightline` and
    `bearer.TOKEN`.
    """
    endpoint = endpoint_of(request)
    options = _options(request)
    conditions = _conditions(request)
    upload = await read_upload(request, FORMATS, endpoint.settings.max_bytes)
    sent = Sent(upload.content, conditions or None, options.time_s)
    return JSONResponse(await endpoint.cameras.push(camera, sent))


@watching.get("/v1/streams", summary="The cameras that are remembered", responses={200: {"model": StreamOverview}})
async def list_streams(request: Request) -> Response:
    """One that sends nothing for a while is forgotten."""
    return JSONResponse(endpoint_of(request).cameras.overview())


@watching.delete(
    "/v1/streams/{camera}",
    summary="End a camera, and answer all that it sent",
    responses={
        200: {"model": WholeAnswer, "description": "The answer to the whole."},
        **problems(
            404,
            better={409: "A connection sends its frames.", 422: "There was no frame that could be answered."},
        ),
    },
)
async def end_stream(request: Request, camera: CameraName) -> Response:
    """Its next frame begins anew."""
    return JSONResponse(await endpoint_of(request).cameras.end(camera))


def _options(request: Request) -> FrameOptions:
    given = request.query_params.get("time_s")
    try:
        return FrameOptions.model_validate({} if given is None else {"time_s": given})
    except ValueError as error:
        raise RequestError(
            f"{given!r} is no time", where="time_s", way_out="Give seconds after the first frame.", status=422
        ) from error


def _conditions(connection: HTTPConnection) -> Mapping[str, float]:
    card = endpoint_of(connection).engine.champion().model.card
    given = ((name, text) for name, text in connection.query_params.multi_items() if name not in _NO_CONDITIONS)
    return parse_conditions(given, card)


_NO_CONDITIONS = (*FrameOptions.model_fields, "source")


# ---------------------------------------------------------------------------------------------- a websocket


@watching.websocket("/v1/streams/{camera}")
async def watch_camera(websocket: WebSocket) -> None:
    """Frames in, answers out; the newest frame wins."""
    cameras, name = endpoint_of(websocket).cameras, websocket.path_params["camera"]
    try:
        with cameras.holding(name, _conditions(websocket) or None):
            named = websocket.scope.get("subprotocols", ())
            await websocket.accept(OWN_PROTOCOL if OWN_PROTOCOL in named else None)
            await _Conversation(websocket, cameras, name).run()
    except SightlineError as error:  # before it was accepted
        await refuse(error, websocket.scope, websocket.receive, websocket.send)


class _Conversation:
    """One connection: a task receives, and what answers takes the newest frame."""

    def __init__(self, websocket: WebSocket, cameras: Cameras, name: str) -> None:
        self._websocket = websocket
        self._cameras = cameras
        self._name = name
        self._idle_s = endpoint_of(websocket).settings.camera_idle_s
        self._newest: bytes | None = None
        self._skipped = 0
        self._came = asyncio.Event()
        self._ending = ""

    async def run(self) -> None:
        """Until the client leaves, says `close`, or sends nothing for a while."""
        receiving = asyncio.create_task(self._receive())
        try:
            while (sent := await self._next()) is not None:
                await self._say(await self._answer(self._cameras.push(self._name, sent, connected=True)))
            if self._ending == "close":
                await self._say(await self._answer(self._cameras.end(self._name, connected=True)))
            if self._ending != "gone":
                await self._websocket.close(1000, self._ending)
        except (WebSocketDisconnect, RuntimeError):  # the client went while it was answered
            log.info("camera %s: the connection is gone", self._name)
        finally:
            receiving.cancel()

    async def _receive(self) -> None:
        while not self._ending:
            try:
                message = await asyncio.wait_for(self._websocket.receive(), self._idle_s)
            except TimeoutError:
                self._ending = "idle"
            else:
                self._take(message)
            self._came.set()

    def _take(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "websocket.disconnect":
            self._ending = "gone"
        elif message.get("bytes") is not None:
            self._skipped += self._newest is not None
            self._newest = message["bytes"]
        elif str(message.get("text", "")).strip() == "close":
            self._ending = "close"

    async def _next(self) -> Sent | None:
        """The newest frame; None at the end."""
        while self._newest is None and not self._ending:
            self._came.clear()
            await self._came.wait()
        content, self._newest = self._newest, None
        skipped, self._skipped = self._skipped, 0
        return None if content is None or self._ending == "gone" else Sent(content, skipped=skipped)

    async def _answer(self, asked: Any) -> bytes:
        """What comes of it as JSON: the answer, or why there is none."""
        try:
            return json.dumps(await asked, allow_nan=False).encode()
        except Exception as error:
            if not isinstance(error, SightlineError):
                log.exception("camera %s", self._name)
            return bytes(problem(error, prefix_of(self._websocket.scope)).body)

    async def _say(self, document: bytes) -> None:
        await self._websocket.send_text(document.decode())
