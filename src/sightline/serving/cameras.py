"""What an endpoint remembers of cameras: a session of the model for each, bounded in number and let go when idle.

A session belongs to the version that began it. When another version answers, the session ends, its answer to the whole
goes into the ledger, and a new one begins with the next frame.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager, suppress

from sightline.capabilities import Frame, Streaming
from sightline.errors import BackendError, DataRejected, RequestError, SightlineError
from sightline.serving.camera import Camera, FrameLog, Seen, Sent
from sightline.serving.champion import Champion
from sightline.serving.engine import Engine
from sightline.serving.metrics import Metrics
from sightline.settings import Settings
from sightline.task import Json, Prediction
from sightline.video.pictures import picture_pixels

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_WAITING = 4
"""Frames of one camera that wait for the one before."""


class Cameras:
    """The cameras of one endpoint.

    Args:
        engine: for the champion.
        settings: limits.
        metrics: what is counted.
        open_log: what writes the answers of a new camera.
        threads: where frames are answered; whoever made them ends them.
    """

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        metrics: Metrics,
        open_log: Callable[[], FrameLog],
        threads: Executor,
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._metrics = metrics
        self._open_log = open_log
        self._cameras: dict[str, Camera] = {}
        self._threads = threads

    def close_all(self) -> None:
        """Let go of all that is remembered; what was seen goes into the ledger."""
        for camera in self._cameras.values():
            with suppress(Exception):
                self._end(camera)
        self._cameras.clear()

    def overview(self) -> dict[str, Json]:
        """The cameras that are remembered. Raises RequestError (404) where the model answers no streams."""
        self._champion()
        cameras = [camera.document() for camera in self._cameras.values()]
        return {"task": self._engine.task, "cameras": cameras, "most": self._settings.max_cameras}

    # ----------------------------------------------------------------------------------------------- frames

    @contextmanager
    def holding(self, name: str, conditions: Mapping[str, float] | None) -> Iterator[None]:
        """Keep a camera for one connection.

        Raises:
            RequestError: 404, 409 (another connection sends its frames) or 422.
            SightlineError: there is no champion, or no room for another camera.
        """
        camera = self._camera(name, conditions)
        if camera.held:
            raise _taken(name)
        camera.held = True
        try:
            yield
        finally:
            camera.held = False

    async def push(self, name: str, sent: Sent, connected: bool = False) -> dict[str, Json]:
        """The answer to the next frame of a camera.

        Args:
            name: of the camera; it is remembered from its first frame on.
            sent: the frame.
            connected: it comes by the connection that holds the camera.

        Raises:
            DataRejected: the frame cannot be read, or be one of this camera's. The camera is as it was before.
            RequestError: the name or a condition cannot be, another connection sends frames, or the frame is too large.
            BackendError: too many frames wait, there are too many cameras, or the answer takes too long.
            SightlineError: there is no champion.
        """
        if len(sent.content) > self._settings.max_bytes:
            raise RequestError(
                f"the frame is larger than {self._settings.max_bytes} bytes",
                where="frame",
                way_out="Send a smaller picture.",
                status=413,
            )
        camera = self._camera(name, sent.conditions)
        if camera.held and not connected:
            raise _taken(name)
        if camera.waiting >= _MOST_WAITING:
            raise BackendError(
                "frames of this camera come faster than they are answered",
                where=name,
                way_out="Wait for each answer, or use the websocket, which leaves out what is late.",
            )
        camera.waiting += 1
        work = asyncio.create_task(self._push_in_turn(camera, sent))
        work.add_done_callback(lambda done: done.cancelled() or done.exception())  # where nobody waits any more
        try:
            return await asyncio.wait_for(asyncio.shield(work), self._settings.answer_s)
        except TimeoutError as error:
            raise BackendError(
                f"no answer within {self._settings.answer_s:g} s", where=name, way_out="Try again later."
            ) from error

    async def _push_in_turn(self, camera: Camera, sent: Sent) -> dict[str, Json]:
        try:
            async with camera.lock:
                camera, restarted = await self._current(camera)
                document = await self._in_thread(self._push, camera, sent)
                return {**document, "restarted": restarted}
        finally:
            camera.waiting -= 1

    def _push(self, camera: Camera, sent: Sent) -> dict[str, Json]:
        start_s = time.perf_counter()
        camera.last_s = time.monotonic()
        camera.skipped += sent.skipped
        camera.next += sent.skipped + 1
        self._metrics.frames("skipped", sent.skipped)
        try:
            pixels = picture_pixels(sent.content, self._settings.limits, "frame")
            at_s = camera.last_s - camera.began_s if sent.time_s is None else sent.time_s
            prediction = camera.session.push(Frame(pixels, camera.next - 1, at_s))
        except DataRejected:
            camera.refused += 1
            self._metrics.frames("refused")
            raise
        except Exception:  # nobody knows what the session is in now
            self._begin(camera, camera.champion)
            raise
        self._metrics.stage("push", start_s)
        self._metrics.frames("answered")
        return self._answered(camera, sent, prediction, at_s)

    def _answered(self, camera: Camera, sent: Sent, prediction: Prediction, at_s: float) -> dict[str, Json]:
        verdict, before = str(prediction.document.get("verdict", "")), camera.verdict
        camera.answered, camera.verdict = camera.answered + 1, verdict
        sha256 = hashlib.sha256(sent.content).hexdigest()
        camera.digest.update(bytes.fromhex(sha256))
        number = camera.next - 1
        seen = Seen(camera.name, camera.champion.number, sha256, prediction, number, at_s, changed=verdict != before)
        return {
            **prediction.document,
            **self._lineage(camera, sha256),
            "frame": number,
            "time_s": at_s,
            "changed": seen.changed,
            "skipped": sent.skipped,
            **_logged(camera.log, seen),
        }

    def _lineage(self, camera: Camera, sha256: str) -> dict[str, Json]:
        return {
            "task": self._engine.task,
            "version": camera.champion.number,
            "data_version": camera.champion.background.data_version,
            "camera": camera.name,
            "sha256": sha256,
        }

    # ---------------------------------------------------------------------------------------- begin and end

    async def end(self, name: str, connected: bool = False) -> dict[str, Json]:
        """Forget a camera; the answer to all that it sent.

        Raises:
            RequestError: 404: there is none; 409: a connection sends its frames, and is not the one that asks.
            DataRejected: there was no frame that could be answered.
        """
        camera = self._cameras.get(name)
        if camera is None:
            raise RequestError("there is no such camera", where=name[:100], way_out="See /v1/streams.", status=404)
        if camera.held and not connected:
            raise _taken(name)
        async with camera.lock:
            self._forget(camera)
            return await self._in_thread(self._end, camera)

    def _end(self, camera: Camera) -> dict[str, Json]:
        prediction = camera.session.close()
        sha256 = camera.digest.hexdigest()
        seen = Seen(camera.name, camera.champion.number, sha256, prediction, None)
        return {
            **prediction.document,
            **self._lineage(camera, sha256),
            "frames": camera.answered,
            "refused": camera.refused,
            "skipped": camera.skipped,
            **_logged(camera.log, seen),
        }

    async def tidy(self) -> None:
        """Forget what is idle, for as long as the endpoint runs."""
        while True:
            await asyncio.sleep(min(self._settings.camera_idle_s / 4, 30.0))
            await self.forget_idle()

    async def forget_idle(self) -> None:
        """Forget cameras that have sent nothing for a while; the answer to the whole goes into the ledger."""
        since_s = time.monotonic() - self._settings.camera_idle_s
        for camera in [one for one in self._cameras.values() if one.last_s < since_s and not one.waiting]:
            if not camera.held:
                self._forget(camera)
                with suppress(SightlineError):
                    await self._in_thread(self._end, camera)

    def _forget(self, camera: Camera) -> None:
        if self._cameras.get(camera.name) is camera:
            del self._cameras[camera.name]
        self._metrics.cameras.set(len(self._cameras))

    def _champion(self) -> tuple[Champion, Streaming]:
        champion = self._engine.champion()
        if not isinstance(champion.model, Streaming):
            raise RequestError(
                f"{self._engine.task} does not answer streams",
                where="task",
                way_out="Send an image to /v1/predict.",
                status=404,
            )
        return champion, champion.model

    def _camera(self, name: str, conditions: Mapping[str, float] | None) -> Camera:
        """The camera of a name, begun if need be."""
        champion, model = self._champion()
        if not _NAME.fullmatch(name):
            raise RequestError(
                "this is no name of a camera",
                where=name[:100],
                way_out="Use letters, digits, points, dashes and underscores, 64 at most.",
                status=422,
            )
        camera = self._cameras.get(name)
        if camera is None:
            self._make_room()
            told = conditions or {}
            camera = self._cameras[name] = Camera(name, champion, model.open(told), told, self._open_log())
            self._metrics.cameras.set(len(self._cameras))
        elif conditions is not None and dict(conditions) != dict(camera.conditions):
            raise RequestError(
                "the camera has begun under other conditions",
                where=name,
                way_out=f"Send them with its first frame; DELETE /v1/streams/{name} ends it.",
                status=409,
            )
        return camera

    def _make_room(self) -> None:
        if len(self._cameras) >= self._settings.max_cameras:
            raise BackendError(
                "too many cameras are remembered",
                way_out="End one (DELETE /v1/streams/CAMERA), or raise SIGHTLINE_MAX_CAMERAS.",
            )

    async def _current(self, camera: Camera) -> tuple[Camera, str | None]:
        """The camera with a session of the version that answers now; why it began anew, if it did."""
        champion, _ = self._champion()
        if champion.number == camera.champion.number:
            return camera, None
        with suppress(SightlineError):
            await self._in_thread(self._end, camera)
        why = f"version {champion.number} answers now; what version {camera.champion.number} remembered was let go"
        self._begin(camera, champion)
        return camera, why

    def _begin(self, camera: Camera, champion: Champion) -> None:
        """Begin a session anew; the camera and who holds it stay."""
        assert isinstance(champion.model, Streaming)
        camera.champion, camera.session, camera.log = (
            champion,
            champion.model.open(camera.conditions),
            self._open_log(),
        )
        camera.answered, camera.verdict, camera.digest = 0, None, hashlib.sha256()

    async def _in_thread(self, step: Callable[..., dict[str, Json]], camera: Camera, *given: Sent) -> dict[str, Json]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, step, camera, *given)


def _logged(frame_log: FrameLog, seen: Seen) -> dict[str, Json]:
    """The id of its row; a ledger that cannot be written is told of, and does not stop the stream."""
    try:
        return {"prediction_id": frame_log.write(seen), "unlogged": None}
    except BackendError as error:
        log.warning("camera %s: %s", seen.camera, error)
        return {"prediction_id": None, "unlogged": error.what}


def _taken(name: str) -> RequestError:
    return RequestError(
        "another connection sends the frames of this camera",
        where=name,
        way_out="Close that connection, or give this camera another name.",
        status=409,
    )
