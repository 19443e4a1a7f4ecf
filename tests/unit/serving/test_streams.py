"""Frames of cameras, by requests and by websockets, at an endpoint of the toy model."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI

from sightline.capabilities import Frame
from sightline.errors import BackendError
from sightline.pipeline.serve import camera_log
from sightline.serving.camera import Seen
from sightline.serving.predicting import FORMATS
from sightline.serving.stream_answers import FrameAnswer, StreamOverview, WholeAnswer
from sightline.task import Prediction
from tests.toy_stream import ToySession, ToyWatcher, watcher_card
from tests.unit.serving.harness import (
    CountingModel,
    Endpoint,
    Refused,
    SetChampions,
    ask,
    assert_problem,
    converse,
    png,
)

TOKEN = "a-long-enough-secret"


class Watcher(ToyWatcher):
    """The toy model; a push waits for its gate."""

    def __init__(self) -> None:
        super().__init__(watcher_card("toy"))
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def open(self, conditions: Mapping[str, float]) -> ToySession:
        session = super().open(conditions)
        watcher = self

        class Gated(ToySession):
            def push(self, frame: Frame) -> Prediction:
                watcher.begun.set()
                assert watcher.gate.wait(10)
                return super().push(frame)

        return Gated(session.level, session.gain)


class Logs:
    """What opens logs that share a list, and fail when told to."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.fails = False

    def __call__(self) -> Logs:
        return self

    def write(self, seen: Seen) -> str | None:
        if self.fails:
            raise BackendError("the disk is full", where="/secret/place")
        self.seen.append(seen)
        return f"id-{len(self.seen)}" if seen.changed else None


@pytest.fixture
def model() -> Watcher:
    return Watcher()


@pytest.fixture
def logs() -> Logs:
    return Logs()


@pytest.fixture
def endpoint(tmp_path: Path, model: Watcher, logs: Logs) -> Endpoint:
    return endpoint_of(tmp_path, model, logs)


def endpoint_of(root: Path, model: Any, logs: Any, **options: Any) -> Endpoint:
    return Endpoint(root, SetChampions(model), open_camera_log=logs, **options)


def frames(*levels: int, camera: str = "cam", query: str = "", side: int = 8) -> list[dict[str, Any]]:
    path = f"/v1/streams/{camera}/frames{query}"
    return [{"path": path, "body": (png(level, side),), "headers": {"Content-Type": "image/png"}} for level in levels]


END = {"method": "DELETE", "path": "/v1/streams/cam"}
LIST = {"method": "GET", "path": "/v1/streams"}


# ----------------------------------------------------------------------------------------------- by requests


def test_frames_are_answered_one_by_one_and_the_whole_at_the_end(endpoint: Endpoint, logs: Logs) -> None:
    *answers, listed, whole, nothing = endpoint.run(*frames(50, 150, 150, 50), LIST, END, END)
    documents = [FrameAnswer.model_validate(answer.json, strict=True).model_dump() for answer in answers]
    assert [one["verdict"] for one in documents] == ["dark", "dark", "spot", "dark"]
    assert [one["frame"] for one in documents] == [0, 1, 2, 3]
    assert [one["prediction_id"] is not None for one in documents] == [True, False, True, True]
    assert documents[0]["version"] == 1
    times = [one["time_s"] for one in documents]
    assert times == sorted(times)
    (camera,) = StreamOverview.model_validate(listed.json, strict=True).cameras
    assert (camera.camera, camera.frames, camera.verdict, camera.connected) == ("cam", 4, "dark", False)
    assert WholeAnswer.model_validate(whole.json, strict=True).frames == 4
    assert whole.json["onset"] == 2
    assert_problem(nothing, 404, "no such camera")
    assert [seen.frame for seen in logs.seen] == [0, 1, 2, 3, None]


def test_cameras_do_not_disturb_each_other(endpoint: Endpoint) -> None:
    bright, dark = frames(150, 150, camera="one"), frames(50, 50, camera="two")
    answers = endpoint.run(bright[0], dark[0], bright[1], dark[1])
    assert [answer.json["verdict"] for answer in answers] == ["dark", "dark", "spot", "dark"]


def test_a_frame_that_cannot_be_one_is_refused_and_the_camera_goes_on(endpoint: Endpoint) -> None:
    first, other, last = *frames(150), *frames(150, side=9), *frames(150)
    broken = {**first, "body": (b"not what it says",)}
    answers = endpoint.run(first, other, broken, last, LIST, END)
    assert_problem(answers[1], 422)
    assert_problem(answers[2], 422, "not that of a JPEG")
    assert (answers[3].json["verdict"], answers[3].json["frame"]) == ("spot", 3)
    assert answers[4].json["cameras"][0]["refused"] == 2
    assert answers[5].json["refused"] == 2


def test_conditions_are_told_with_the_first_frame(endpoint: Endpoint) -> None:
    told = frames(60, 60, query="?gain=2")
    first, second, plain, other, unknown, impossible = endpoint.run(
        *told,
        *frames(60),
        *frames(60, query="?gain=3"),
        *frames(60, query="?x=1"),
        *frames(9, camera="n", query="?gain=-1"),
    )
    assert (first.status, second.json["verdict"], plain.json["verdict"]) == (200, "spot", "spot")
    assert_problem(other, 409, "other conditions")
    assert_problem(unknown, 422, "gain")
    assert_problem(impossible, 422, "above 0")


def test_a_client_may_tell_the_time(endpoint: Endpoint) -> None:
    first, wrong, infinite = endpoint.run(
        *frames(50, query="?time_s=12.5"), *frames(50, query="?time_s=noon"), *frames(50, query="?time_s=inf")
    )
    assert first.json["time_s"] == 12.5
    assert_problem(wrong, 422, "time_s")
    assert_problem(infinite, 422, "time_s")


def test_names_kinds_and_sizes_are_bounded(tmp_path: Path, model: Watcher, logs: Logs) -> None:
    endpoint = endpoint_of(tmp_path, model, logs, max_pixels=100, max_bytes=5000)
    (picture,) = frames(50)
    bad_name, long_name, kind, pixels, size = endpoint.run(
        {**picture, "path": "/v1/streams/%20/frames"},
        {**picture, "path": f"/v1/streams/{'x' * 65}/frames"},
        {**picture, "headers": {"Content-Type": "video/mp4"}},
        *frames(50, side=11),
        {**picture, "body": (bytes(200_000),)},
    )
    assert_problem(bad_name, 422, "no name of a camera")
    assert_problem(long_name, 422, "no name of a camera")
    assert_problem(kind, 415)
    assert_problem(pixels, 422, "more than 100")
    assert_problem(size, 413)


def test_the_number_of_cameras_is_bounded(tmp_path: Path, model: Watcher, logs: Logs) -> None:
    endpoint = endpoint_of(tmp_path, model, logs, max_cameras=2)
    one, two, three, _, again = endpoint.run(
        *(frames(50, camera=name)[0] for name in "abc"),
        {"method": "DELETE", "path": "/v1/streams/a"},
        *frames(50, camera="c"),
    )
    assert [answer.status for answer in (one, two, again)] == [200, 200, 200]
    assert_problem(three, 503, "SIGHTLINE_MAX_CAMERAS")
    assert three.headers["retry-after"]


def test_an_idle_camera_is_forgotten_and_its_answer_logged(tmp_path: Path, model: Watcher, logs: Logs) -> None:
    endpoint = endpoint_of(tmp_path, model, logs, camera_idle_s=0.02)

    async def work() -> Any:
        await ask(endpoint.guarded, **frames(150)[0])
        for _ in range(500):
            listed = await ask(endpoint.guarded, **LIST)
            if not listed.json["cameras"]:
                return await ask(endpoint.guarded, **frames(150)[0])
            await asyncio.sleep(0.01)
        raise AssertionError("it is remembered for ever")

    assert endpoint.within(work).json["verdict"] == "dark"  # it begins anew
    assert [seen.frame for seen in logs.seen[:2]] == [0, None]


def test_a_new_version_begins_anew_and_says_so(tmp_path: Path, model: Watcher, logs: Logs) -> None:
    champions = SetChampions(model, Watcher())
    endpoint = Endpoint(tmp_path, champions, open_camera_log=logs)

    async def work() -> Any:
        await ask(endpoint.guarded, **frames(150)[0])
        champions.number = 2
        for _ in range(500):
            ready = await ask(endpoint.guarded, "GET", "/v1/ready")
            if ready.json["version"] == 2:
                return [await ask(endpoint.guarded, **frames(150)[0]) for _ in range(2)]
            await asyncio.sleep(0.01)
        raise AssertionError("version 2 never answers")

    first, second = endpoint.within(work)
    assert (first.json["version"], first.json["verdict"], first.json["changed"]) == (2, "dark", True)
    assert "version 2 answers now" in first.json["restarted"]
    assert (second.json["restarted"], second.json["verdict"]) == (None, "spot")
    assert [(seen.version, seen.frame) for seen in logs.seen[:2]] == [(1, 0), (1, None)]


def test_a_ledger_that_fails_does_not_stop_the_stream(endpoint: Endpoint, logs: Logs) -> None:
    logs.fails = True
    (answer,) = endpoint.run(*frames(50))
    assert (answer.status, answer.json["prediction_id"], answer.json["unlogged"]) == (200, None, "the disk is full")
    assert "secret" not in answer.body.decode()


def test_a_defect_of_the_model_costs_the_session(tmp_path: Path, logs: Logs) -> None:
    class Fails(ToySession):
        def push(self, frame: Frame) -> Prediction:
            raise ValueError("secret detail of a library")

    class Model(ToyWatcher):
        def open(self, conditions: Mapping[str, float]) -> ToySession:
            return Fails(100.0)

    failed, listed = endpoint_of(tmp_path, Model(watcher_card("toy")), logs).run(*frames(50), LIST)
    assert_problem(failed, 500)
    assert "secret" not in failed.body.decode()
    assert [(one["camera"], one["frames"]) for one in listed.json["cameras"]] == [("cam", 0)]


def test_frames_that_come_faster_than_answers_are_refused(endpoint: Endpoint, model: Watcher) -> None:
    async def work() -> Any:
        model.gate.clear()
        asking = [asyncio.create_task(ask(endpoint.guarded, **one)) for one in frames(*[50] * 6)]
        while sum(task.done() for task in asking) < 2:
            await asyncio.sleep(0.01)
        model.gate.set()
        return await asyncio.gather(*asking)

    answers = endpoint.within(work)
    assert sorted(answer.status for answer in answers) == [200] * 4 + [503] * 2


def test_a_model_of_single_pictures_answers_no_streams(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(CountingModel()))
    *answers, described = endpoint.run(*frames(50), LIST, {"method": "GET", "path": "/v1/openapi.json"})
    for answer in answers:
        assert_problem(answer, 404, "does not answer streams")
    assert not [path for path in described.json["paths"] if "streams" in path]


def test_the_routes_are_described_for_models_that_answer_streams(endpoint: Endpoint) -> None:
    described, figures = endpoint.run(
        {"method": "GET", "path": "/v1/openapi.json"}, {"method": "GET", "path": "/v1/metrics"}
    )
    OpenAPI.model_validate(described.json)
    paths = described.json["paths"]
    assert {"/v1/streams", "/v1/streams/{camera}", "/v1/streams/{camera}/frames"} <= set(paths)
    push = paths["/v1/streams/{camera}/frames"]["post"]
    schema = push["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/FrameAnswer"}
    assert {one["name"] for one in push["parameters"]} == {"camera", "time_s", "gain"}
    assert set(push["requestBody"]["content"]) == set(FORMATS)
    assert b"sightline_cameras" in figures.body


def test_the_ledger_gets_changes_a_sample_and_the_whole(tmp_path: Path, model: Watcher) -> None:
    endpoint = endpoint_of(tmp_path, model, Logs())
    endpoint.app.state.endpoint.cameras._open_log = camera_log(endpoint.predictions, "toy", 2.0)
    sent = [frames(50 if n < 5 else 150, query=f"?time_s={n / 2}")[0] for n in range(10)]
    endpoint.run(*sent, END)
    rows = list(endpoint.predictions.given("toy", 1))
    counted = {row.frame.number: row.frame.answers for row in rows if row.frame}
    assert set(counted) == {0, 4, 6, 8, 9}  # one in two seconds, the change in frame 6, and the last
    assert sum(counted.values()) == 10
    assert [row.row["output_spot"] for row in rows if row.frame is None] == [1]


# ---------------------------------------------------------------------------------------------- by websockets


def spoken(endpoint: Endpoint, app: Any, *words: Any, path: str = "/v1/streams/cam", **more: Any) -> list[Any]:
    async def work() -> Any:
        return await converse(app, path, *words, **more)

    return [json.loads(word) for word in endpoint.within(work)]


def test_a_websocket_answers_frames_and_the_whole(endpoint: Endpoint) -> None:
    *answers, whole = spoken(endpoint, endpoint.guarded, png(150), "close")
    assert [one["verdict"] for one in answers] == ["dark"]
    assert FrameAnswer.model_validate(answers[0], strict=True)
    assert WholeAnswer.model_validate(whole, strict=True).frames == 1


def test_the_newest_frame_wins_and_the_others_are_counted(endpoint: Endpoint, model: Watcher) -> None:
    """The first frame is at work while nine come: the last of them is answered, eight are skipped."""
    model.gate.clear()

    async def at_work() -> None:
        while not model.begun.is_set():
            await asyncio.sleep(0.01)

    async def let_go() -> None:
        model.gate.set()

    later = (png(50 + n) for n in range(1, 10))
    first, newest, whole = spoken(endpoint, endpoint.guarded, png(50), at_work, *later, let_go, "close")
    assert (first["peak"], first["skipped"]) == (50.0, 0)
    assert (newest["peak"], newest["skipped"], newest["frame"]) == (59.0, 8, 9)
    assert (whole["frames"], whole["skipped"]) == (2, 8)


def test_a_bad_frame_is_answered_with_its_problem_and_the_connection_stays(endpoint: Endpoint) -> None:
    first, whole = spoken(endpoint, endpoint.guarded, b"not what it says", "close")
    assert set(first) == {"error", "where", "way_out"}
    assert "error" in whole  # not one frame


def test_one_connection_a_camera(endpoint: Endpoint, model: Watcher) -> None:
    async def work() -> Any:
        model.gate.clear()
        first = asyncio.create_task(converse(endpoint.guarded, "/v1/streams/cam", png(50), "close"))
        while not model.begun.is_set():
            await asyncio.sleep(0.01)
        try:
            refused = [await ask(endpoint.guarded, **one) for one in (frames(50)[0], END)]
            with pytest.raises(Refused) as second:
                await converse(endpoint.guarded, "/v1/streams/cam", png(50))
        finally:
            model.gate.set()
        return refused, second.value, await first

    refused, second, first = endpoint.within(work)
    for answer in refused:
        assert_problem(answer, 409, "another connection")
    assert_problem(second.answer, 409, "another connection")
    assert len(first) == 2


def test_a_camera_stays_when_its_connection_goes(endpoint: Endpoint) -> None:
    async def work() -> Any:
        await ask(endpoint.guarded, **frames(60, query="?gain=2")[0])
        await converse(endpoint.guarded, "/v1/streams/cam")
        listed = await ask(endpoint.guarded, **LIST)
        return listed, await converse(endpoint.guarded, "/v1/streams/cam", png(60), "close")

    listed, (answer, _) = endpoint.within(work)
    assert [(one["connected"], one["frames"]) for one in listed.json["cameras"]] == [(False, 1)]
    assert json.loads(answer)["verdict"] == "spot"  # the second frame of a camera whose conditions were told before


def test_a_page_gives_the_token_as_a_subprotocol(endpoint: Endpoint) -> None:
    app = endpoint.guard(token=TOKEN)

    async def work() -> Any:
        given = {"subprotocols": ("sightline", f"bearer.{TOKEN}"), "headers": {"Host": "solar.example"}}
        return await converse(app, "/v1/streams/cam", png(50), "close", client="192.168.0.7", **given)

    chosen, *words = endpoint.within(work)
    assert chosen == "sightline"  # and not the token
    assert len(words) == 2


@pytest.mark.parametrize("named", [("sightline",), ("sightline", "bearer.wrong"), ("sightline", TOKEN), ("bearer.",)])
def test_another_subprotocol_is_no_token(endpoint: Endpoint, named: tuple[str, ...]) -> None:
    app = endpoint.guard(token=TOKEN)
    with pytest.raises(Refused) as refused:
        asyncio.run(converse(app, "/v1/streams/cam", png(50), subprotocols=named))
    assert refused.value.answer is not None
    assert_problem(refused.value.answer, 401)


def test_a_subprotocol_is_no_token_of_a_request_and_an_address_is_none_either(endpoint: Endpoint) -> None:
    app = endpoint.guard(token=TOKEN)
    named = {"Sec-WebSocket-Protocol": f"bearer.{TOKEN}"}
    for request in ({"headers": named}, {"path": f"/v1/streams?token={TOKEN}"}):
        answer = asyncio.run(ask(app, **{"method": "GET", "path": "/v1/streams", **request}))
        assert_problem(answer, 401)


def test_where_streams_are_not_answered_a_websocket_is_refused_with_the_reason(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(CountingModel()))
    with pytest.raises(Refused) as refused:
        spoken(endpoint, endpoint.guarded, png(50))
    assert refused.value.answer is not None
    assert_problem(refused.value.answer, 404, "does not answer streams")
    with pytest.raises(Refused) as closed:
        spoken(Endpoint(tmp_path, SetChampions(CountingModel())), endpoint.guarded, png(50), explains=False)
    assert closed.value.code == 1008
