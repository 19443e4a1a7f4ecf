from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sightline.drift.background import UNKNOWN, Background, Part
from sightline.drift.familiarity import Reference
from sightline.errors import BackendError, ModelRejected
from sightline.pipeline.serve import log_into
from sightline.serving.questions import Answered
from sightline.stores.database import Database
from sightline.stores.predictions import Predictions
from sightline.task import Prediction, Row
from tests.toy import ToyInput
from tests.unit.serving.harness import Answer, CountingModel, Endpoint, SetChampions, ask, assert_problem, png

PNG = {"Content-Type": "image/png"}


@pytest.fixture
def model() -> CountingModel:
    return CountingModel()


@pytest.fixture
def endpoint(tmp_path: Path, model: CountingModel) -> Endpoint:
    return Endpoint(tmp_path, SetChampions(model))


def form(name: str = "image", content: bytes | None = None, filename: str = "a.png") -> dict[str, Any]:
    head = f'--xx\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'.encode()
    content = png() if content is None else content
    return {
        "body": [head + content + b"\r\n--xx--\r\n"],
        "headers": {"Content-Type": "multipart/form-data; boundary=xx"},
    }


# ------------------------------------------------------------------------------------------------------ answers


def test_an_image_gets_the_tasks_answer_and_its_lineage(endpoint: Endpoint) -> None:
    (answer,) = endpoint.run({"body": [png(150)], "headers": PNG})
    assert answer.status == 200
    (row,) = endpoint.predictions.given("toy")
    assert answer.json == {
        "spot": True,
        "peak": 150.0,
        "task": "toy",
        "version": 1,
        "prediction_id": row.id,
        "sha256": row.sha256,
        **UNKNOWN.attached(Prediction(row.row, row.embedding, {})),
    }
    assert row.row == {"input_mean": 150.0, "output_spot": 1}
    assert row.embedding.tolist() == [150.0, 150.0]


def test_an_answer_says_what_the_model_was_trained_on_and_how_far_the_image_lies(
    tmp_path: Path, model: CountingModel
) -> None:
    champions = SetChampions(model)
    samples = [Row(f"sample/{n}", "", f"g{n}", "a", {}, {"input_mean": 40.0 + n}, (60.0 + n, 40.0)) for n in range(9)]
    champions.known = Background((Part("sample", 9),), (Part("sample", 3),), "1a2b3c4d5e", Reference(samples))
    near, far, told_of_model = Endpoint(tmp_path, champions).run(
        {"body": [png(44)], "headers": PNG},
        {"body": [png(255)], "headers": PNG},
        {"method": "GET", "path": "/v1/model"},
    )
    assert far.json["familiarity"]["word"] == "unlike anything it was trained on"
    assert far.json["familiarity"]["outside"] == {"input_mean": {"value": 255.0, "low": 40.0, "high": 48.0}}
    assert near.json["familiarity"]["outside"] == {}
    for background in (near.json["background"], told_of_model.json["background"]):
        assert background["trained_on"] == [{"set": "sample", "kind": "synthetic", "n": 9}]
        assert background["evaluated_on"] == [{"set": "sample", "kind": "synthetic", "n": 3}]
        assert background["summary"].endswith("the model has never seen a real input")


def test_a_version_whose_evaluation_is_broken_answers_all_the_same(tmp_path: Path, model: CountingModel) -> None:
    class Broken(SetChampions):
        def background(self, number: int) -> Background:
            raise ModelRejected("the evaluation of this version cannot be read", where=f"build/{number}")

    (answer,) = Endpoint(tmp_path, Broken(model)).run({"body": [png(150)], "headers": PNG})
    assert (answer.status, answer.json["familiarity"]["word"]) == (200, "not known")


def test_the_row_is_on_disk_before_the_answer_leaves(tmp_path: Path, model: CountingModel) -> None:
    order: list[str] = []
    predictions = Predictions(Database(f"sqlite:///{tmp_path}/ledger.sqlite"))

    def log(answered: Sequence[Answered]) -> Sequence[int]:
        ids = log_into(predictions, "toy")(answered)
        order.append(f"{predictions.count('toy')} in the ledger")
        return ids

    endpoint = Endpoint(tmp_path, SetChampions(model), log)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            order.append(message["type"])
            await send(message)

        await endpoint.guarded(scope, receive, sending)

    endpoint.within(lambda: ask(app, body=[png()], headers=PNG))
    assert order[0] == "1 in the ledger"


def test_a_form_brings_the_file_and_its_name(endpoint: Endpoint) -> None:
    raw, formed, named = endpoint.run(
        {"body": [png()], "headers": PNG},
        form(filename="C:\\pictures\\roof\x01 7.png"),
        {"body": [png()], "headers": PNG, "path": "/v1/predict?source=../../roof.png"},
    )
    assert raw.json["sha256"] == formed.json["sha256"]
    assert [row.source for row in endpoint.predictions.given("toy")] == ["", "roof 7.png", "roof.png"]
    assert named.status == 200


@pytest.mark.parametrize("kind", ["image/png", "IMAGE/PNG; x=y", "application/octet-stream", ""])
def test_media_types_that_are_taken(endpoint: Endpoint, kind: str) -> None:
    (answer,) = endpoint.run({"body": [png()], "headers": {"Content-Type": kind} if kind else {}})
    assert answer.status == 200


def test_the_answer_can_be_a_picture(endpoint: Endpoint) -> None:
    asked, accepted, both = endpoint.run(
        {"path": "/v1/picture", "body": [png(9)], "headers": PNG},
        {"body": [png(9)], "headers": {**PNG, "Accept": "image/png"}},
        {"path": "/v1/predict?picture=true", "body": [png(9)], "headers": PNG},
    )
    for content in (asked.body, accepted.body, base64.b64decode(both.json["picture"].partition(",")[2])):
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        assert pixels.shape == (8, 8, 3)
        assert (pixels == 9).all()
    ids = {answer.id for answer in endpoint.predictions.given("toy")}
    assert len(ids) == 3
    assert asked.headers["x-sightline-version"] == "1"
    assert asked.headers["x-sightline-prediction-id"] in ids


def test_requests_at_the_same_time_share_batches_and_each_gets_its_own_answer(
    endpoint: Endpoint, model: CountingModel
) -> None:
    async def crowd() -> list[Answer]:
        return await asyncio.gather(*(ask(endpoint.guarded, body=[png(v)], headers=PNG) for v in range(60)))

    answers = endpoint.within(crowd)
    assert [answer.json["peak"] for answer in answers] == list(range(60))
    assert len({answer.json["prediction_id"] for answer in answers}) == 60
    assert endpoint.predictions.count("toy") == 60


# ------------------------------------------------------------------------------------------------------ refusals


def test_what_is_no_image_is_refused_with_the_reason(endpoint: Endpoint) -> None:
    text, cut, nothing, html = endpoint.run(
        {"body": [b"hello"], "headers": PNG},
        {"body": [png()[:40]], "headers": PNG},
        {"body": [b""], "headers": PNG},
        {"body": [b"<html>"], "headers": {"Content-Type": "text/html"}},
    )
    assert_problem(text, 422, "not an image")
    assert_problem(cut, 422, "not an image")
    assert_problem(nothing, 422, "no image")
    assert_problem(html, 415, "image/png")
    assert endpoint.predictions.count("toy") == 0


def test_conditions_of_the_image_come_as_query_parameters(tmp_path: Path) -> None:
    model = ConditionedModel()
    endpoint = Endpoint(tmp_path, SetChampions(model))
    request = {"method": "POST", "headers": PNG, "body": [png()]}
    given, strange, wrong, described = endpoint.run(
        {**request, "path": "/v1/predict?gain=2.5&source=a.png"},
        {**request, "path": "/v1/predict?gane=2.5"},
        {**request, "path": "/v1/predict?gain=much"},
        {"method": "GET", "path": "/v1/openapi.json"},
    )
    assert (given.status, given.json["peak"]) == (200, 125)
    assert (strange.status, strange.json["where"], "gain" in strange.json["way_out"]) == (422, "gane", True)
    assert (wrong.status, wrong.json["where"]) == (422, "gain")
    names = [p["name"] for p in described.json["paths"]["/v1/predict"]["post"]["parameters"]]
    assert names == ["source", "picture", "rasters", "exports", "gain"]


def test_rasters_come_as_png_of_their_own_or_within_the_answer(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(MaskingModel()))
    request = {"method": "POST", "headers": PNG, "body": [png(side=9)]}
    alone, within, strange = endpoint.run(
        {**request, "path": "/v1/raster/mask"},
        {**request, "path": "/v1/predict?rasters=true&exports=true"},
        {**request, "path": "/v1/raster/depth"},
    )
    assert (alone.status, alone.headers["content-type"], alone.headers["x-sightline-version"]) == (
        200,
        "image/png",
        "1",
    )
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(alone.body))), np.full((9, 9), 3))
    address = within.json["mask"]
    assert base64.b64decode(address.removeprefix("data:image/png;base64,")) == alone.body
    assert within.json["exports"] == {"geojson": {"type": "FeatureCollection", "features": []}}
    assert (strange.status, "mask" in strange.json["way_out"]) == (404, True)
    described = endpoint.app.state.endpoint.describe()["paths"]
    assert "404" in described["/v1/raster/{name}"]["post"]["responses"]


class MaskingModel(CountingModel):
    """The toy model, which answers a mask too."""

    def predict(self, batch: Sequence[ToyInput]) -> list[Prediction]:
        exports = {"geojson": {"type": "FeatureCollection", "features": []}}
        return [
            replace(answer, exports=exports, rasters={"mask": np.full(item.pixels.shape, 3, dtype=np.uint8)})
            for item, answer in zip(batch, super().predict(batch), strict=True)
        ]


class ConditionedModel(CountingModel):
    """The toy model, which can be told how much brighter the scene was."""

    def __init__(self) -> None:
        super().__init__()
        self.card = self.card.model_copy(update={"conditions": {"gain": "how much brighter the scene was"}})

    def under(self, source: ToyInput, conditions: Mapping[str, float]) -> ToyInput:
        return replace(source, pixels=(source.pixels * conditions["gain"]).astype(np.uint8))


def test_limits_of_bytes_and_pixels(tmp_path: Path, model: CountingModel) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(model), max_bytes=2000, max_pixels=5000)
    heavy, wide = endpoint.run({"body": [b"x" * 2001], "headers": PNG}, {"body": [png(side=100)], "headers": PNG})
    assert_problem(heavy, 413, "2000 bytes")
    assert_problem(wide, 422, "10000 pixels")


def test_broken_forms_are_refused(endpoint: Endpoint) -> None:
    boundary = {"Content-Type": "multipart/form-data; boundary=xx"}
    other, text, no_boundary, cut, two = endpoint.run(
        form(name="file"),
        {
            "body": [b'--xx\r\nContent-Disposition: form-data; name="image"\r\n\r\nabc\r\n--xx--\r\n'],
            "headers": boundary,
        },
        {"body": form()["body"], "headers": {"Content-Type": "multipart/form-data"}},
        {"body": [form()["body"][0][:90]], "headers": boundary},
        {"body": [form()["body"][0].removesuffix(b"--xx--\r\n") + form()["body"][0]], "headers": boundary},
    )
    assert_problem(other, 422, "image")
    assert_problem(text, 422, "image")
    assert_problem(no_boundary, 400, "boundary")
    assert_problem(cut, 400, "cut off")
    assert_problem(two, 422, "2 files")


BOUNDARY = {"Content-Type": "multipart/form-data; boundary=xx"}


def test_the_heads_of_a_form_are_bounded(endpoint: Endpoint) -> None:
    endless = f'name="{";" * 20_000}'
    disposition, media_type, lines, fields = endpoint.run(
        {
            "body": [f"--xx\r\nContent-Disposition: form-data; {endless}\r\n\r\na\r\n--xx--".encode()],
            "headers": BOUNDARY,
        },
        {"body": form()["body"], "headers": {"Content-Type": f"multipart/form-data; boundary=xx; {endless[:5_000]}"}},
        {"body": [b"--xx\r\n" + b"A: b\r\n" * 20 + b"\r\na\r\n--xx--"], "headers": BOUNDARY},
        {"body": [b"--xx\r\nA: b\r\n\r\na\r\n" * 20 + b"--xx--"], "headers": BOUNDARY},
    )
    assert_problem(disposition, 400, "header size")
    assert_problem(media_type, 400, "longer than 4096")
    assert_problem(lines, 400, "header count")
    assert_problem(fields, 400, "16 fields")


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("filename*=undefined''a.png", None),
        ("filename*=idna''a.png", None),
        ("filename*=utf-8''%00a.png", "a.png"),
        ("filename*=UTF-8''%C3%BC.png", "ü.png"),
        ("filename*=utf-8''%ff.png", "\ufffd.png"),
        ("filename*" + "9" * 3000 + "=a.png", None),
        ('filename="ü.png"', "ü.png"),
        ('filename="a\\"b.png"', 'a"b.png'),
        ("filename=", ""),
    ],
)
def test_names_of_files_in_whatever_form(endpoint: Endpoint, parameter: str, name: str | None) -> None:
    head = f'--xx\r\nContent-Disposition: form-data; name="image"; {parameter}\r\n\r\n'.encode()
    (answer,) = endpoint.run({"body": [head + png() + b"\r\n--xx--\r\n"], "headers": BOUNDARY})
    if name is None:
        assert_problem(answer, 422, "0 files")
    else:
        assert answer.status == 200, answer.body
        assert [row.source for row in endpoint.predictions.given("toy")] == [name]


@pytest.mark.parametrize(
    "boundary", ["boundary*=idna''xx", "boundary*=undefined''xx", "boundary*0=xx", "boundary=" + "x" * 300]
)
def test_boundaries_that_are_none(endpoint: Endpoint, boundary: str) -> None:
    (answer,) = endpoint.run({**form(), "headers": {"Content-Type": f"multipart/form-data; {boundary}"}})
    assert_problem(answer, 400, "oundary")


_KINDS = ("image/png", "multipart/form-data; boundary=xx", "multipart/form-data; boundary=", "a/b", ";")
_HEADS = (b"", b"--xx\r\n", b'--xx\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n')


def test_rubbish_is_refused_and_never_fails_the_server(endpoint: Endpoint) -> None:
    with asyncio.Runner() as runner:

        @given(
            body=st.builds(bytes.__add__, st.sampled_from(_HEADS), st.binary(max_size=400)),
            kind=st.sampled_from(_KINDS),
            accept=st.text('abc*/,;=q \\"', max_size=20),
        )
        @settings(max_examples=200, deadline=None)
        def refused(body: bytes, kind: str, accept: str) -> None:
            request = ask(endpoint.guarded, body=[body], headers={"Content-Type": kind, "Accept": accept})
            answer = runner.run(request)
            assert answer.status in (400, 415, 422)
            assert_problem(answer, answer.status)

        async def ready() -> None:
            while (await ask(endpoint.app, "GET", "/v1/ready")).status != 200:
                await asyncio.sleep(0.01)

        lifespan = endpoint.app.router.lifespan_context(endpoint.app)
        runner.run(lifespan.__aenter__())
        runner.run(ready())
        refused()
        runner.run(lifespan.__aexit__(None, None, None))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_wrong_methods_are_told_the_right_one(endpoint: Endpoint, method: str) -> None:
    (answer,) = endpoint.run({"method": method})
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    ["/v1/nothing", "/v1/static/../app.py", "/v1/static/nothing.js", "/v1/static/%2e%2e", f"/v1/static/{'a' * 300}.js"],
)
def test_what_is_not_there_is_404(endpoint: Endpoint, path: str) -> None:
    (answer,) = endpoint.run({"method": "GET", "path": path})
    assert_problem(answer, 404)


# ------------------------------------------------------------------------------------------------------ failures


def test_an_input_that_fails_in_the_model_fails_alone_and_silently(tmp_path: Path) -> None:
    model = CountingModel(poison=13)
    endpoint = Endpoint(tmp_path, SetChampions(model))

    async def crowd() -> list[Answer]:
        return await asyncio.gather(*(ask(endpoint.guarded, body=[png(v)], headers=PNG) for v in range(10, 20)))

    answers = endpoint.within(crowd)
    statuses = {answer.status: answer for answer in answers}
    assert sorted(answer.status for answer in answers) == [200] * 9 + [500]
    assert_problem(statuses[500], 500, "the server failed")
    assert "secret" not in statuses[500].body.decode()


def test_when_the_ledger_fails_there_is_no_answer(tmp_path: Path, model: CountingModel) -> None:
    def full(answered: Sequence[Answered]) -> Sequence[int]:
        raise BackendError("the disk is full", where="/srv/sightline/state/ledger.sqlite")

    (answer,) = Endpoint(tmp_path, SetChampions(model), full).run({"body": [png()], "headers": PNG})
    assert_problem(answer, 503, "the disk is full")
    assert answer.headers["retry-after"] == "1"
    assert "/srv" not in answer.body.decode()


def test_it_is_ready_only_while_answers_can_be_written(tmp_path: Path, model: CountingModel) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(model))
    ready = {"method": "GET", "path": "/v1/ready"}

    async def story() -> list[Answer]:
        def asked(**request: Any) -> Any:
            return ask(endpoint.guarded, **request)

        answers = [await asked(**ready), await asked(body=[png()], headers=PNG)]
        endpoint.settings.ledger.unlink()  # it is made anew
        answers += [await asked(**ready), await asked(body=[png()], headers=PNG)]
        endpoint.settings.ledger.unlink()
        endpoint.settings.ledger.mkdir()
        answers += [await asked(**ready), await asked(body=[png()], headers=PNG)]
        endpoint.settings.ledger.rmdir()
        return [*answers, await asked(**ready)]

    answers = endpoint.within(story)
    assert [answer.status for answer in answers] == [200, 200, 200, 200, 503, 503, 200]
    assert_problem(answers[4], 503, "cannot be opened")
    assert str(tmp_path) not in answers[4].body.decode()


def test_it_is_not_ready_while_a_call_of_the_model_is_stuck(tmp_path: Path, model: CountingModel) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(model))

    async def story() -> None:
        engine = endpoint.app.state.engine
        model.gate.clear()
        asked = asyncio.create_task(ask(endpoint.guarded, body=[png()], headers=PNG))
        await asyncio.sleep(0.1)
        engine.check(time.monotonic() + 60)
        with pytest.raises(BackendError, match="has not come back"):
            engine.check(time.monotonic() + 100)
        model.gate.set()
        await asked
        engine.check(time.monotonic() + 100)

    endpoint.within(story)


def test_an_unknown_raster_is_refused_before_anything_is_answered(endpoint: Endpoint) -> None:
    (answer,) = endpoint.run({"path": "/v1/raster/depth", "body": [png()], "headers": PNG})
    assert_problem(answer, 404, "no such raster")
    assert endpoint.predictions.count("toy") == 0


def test_over_capacity_new_requests_are_told_to_come_back(tmp_path: Path, model: CountingModel) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(model), max_queue=3)

    async def crowd() -> list[Answer]:
        model.gate.clear()
        first = [asyncio.create_task(ask(endpoint.guarded, body=[png()], headers=PNG)) for _ in range(3)]
        await asyncio.sleep(0.05)
        late = await ask(endpoint.guarded, body=[png()], headers=PNG)
        model.gate.set()
        return [*await asyncio.gather(*first), late]

    answers = endpoint.within(crowd)
    assert [answer.status for answer in answers] == [200, 200, 200, 503]
    assert answers[-1].headers["retry-after"] == "1"


def test_what_nobody_waits_for_is_not_computed(tmp_path: Path, model: CountingModel) -> None:
    endpoint = Endpoint(tmp_path, SetChampions(model), max_batch=1)

    async def leave() -> int:
        model.gate.clear()
        busy = [asyncio.create_task(ask(endpoint.guarded, body=[png()], headers=PNG)) for _ in range(8)]
        await asyncio.sleep(0.05)
        before = len(model.batches)
        gone = await ask(endpoint.guarded, body=[png()], headers=PNG, gone_after_s=0.01)
        model.gate.set()
        await asyncio.gather(*busy)
        assert gone.status == 499
        return len(model.batches) - before

    assert endpoint.within(leave) == 8


# ------------------------------------------------------------------------------------------------------ champions


def test_without_a_champion_it_is_alive_but_not_ready(tmp_path: Path) -> None:
    ready, live, predicted, model = Endpoint(tmp_path, SetChampions()).run(
        {"method": "GET", "path": "/v1/ready"},
        {"method": "GET", "path": "/v1/live"},
        {"body": [png()], "headers": PNG},
        {"method": "GET", "path": "/v1/model"},
    )
    for answer in (ready, predicted, model):
        assert_problem(answer, 503, "toy has no champion")
        assert "retry-after" in answer.headers
    assert live.status == 200


def test_requests_across_promotion_and_rollback_are_all_answered(tmp_path: Path) -> None:
    champions = SetChampions(CountingModel(1), CountingModel(2))
    endpoint = Endpoint(tmp_path, champions)
    seen: list[tuple[int, int]] = []

    async def client(until: asyncio.Event) -> None:
        while not until.is_set():
            answer = await ask(endpoint.guarded, body=[png()], headers=PNG)
            seen.append((answer.status, answer.json.get("version", 0)))

    async def wait_for(version: int) -> None:
        for _ in range(1000):
            if seen and seen[-1][1] == version:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"version {version} never answered")

    async def story() -> None:
        done = asyncio.Event()
        clients = [asyncio.create_task(client(done)) for _ in range(6)]
        for version in (1, 2, 1):
            champions.number = version
            await wait_for(version)
        done.set()
        await asyncio.gather(*clients)

    endpoint.within(story)
    assert {status for status, _ in seen} == {200}
    assert endpoint.predictions.count("toy") == len(seen)


def test_a_newer_version_that_cannot_be_loaded_is_a_warning(tmp_path: Path, model: CountingModel) -> None:
    champions = SetChampions(model, CountingModel(task="ships"))
    endpoint = Endpoint(tmp_path, champions)

    async def story() -> tuple[Answer, Answer, Answer]:
        champions.number = 2
        for _ in range(500):
            ready = await ask(endpoint.guarded, "GET", "/v1/ready")
            if "warning" in ready.json:
                break
            await asyncio.sleep(0.01)
        metrics = await ask(endpoint.guarded, "GET", "/v1/metrics")
        return ready, metrics, await ask(endpoint.guarded, body=[png()], headers=PNG)

    ready, metrics, answer = endpoint.within(story)
    assert ready.status == 200
    assert "ships" in ready.json["warning"]
    assert 'sightline_champion_load_failures_total{task="toy"}' in metrics.body.decode()
    assert answer.json["version"] == 1


# ------------------------------------------------------------------------------------------------------ about it


def test_the_model_tells_its_card(endpoint: Endpoint) -> None:
    (answer,) = endpoint.run({"method": "GET", "path": "/v1/model"})
    assert (answer.json["version"], answer.json["card"]["classes"]) == (1, ["no", "spot"])


def test_metrics_count_requests_batches_and_stages(endpoint: Endpoint) -> None:
    *_, metrics = endpoint.run(
        {"body": [png()], "headers": PNG}, {"body": [b"x"], "headers": PNG}, {"method": "GET", "path": "/v1/metrics"}
    )
    text = metrics.body.decode()
    assert 'sightline_requests_total{route="/v1/predict",status="200",task="toy"} 1.0' in text
    assert 'sightline_requests_total{route="/v1/predict",status="422",task="toy"} 1.0' in text
    assert 'sightline_champion_version{task="toy"} 1.0' in text
    for stage in ("read", "predict", "log"):
        assert f'sightline_stage_seconds_count{{stage="{stage}",task="toy"}}' in text


def test_pages_take_nothing_from_the_network(endpoint: Endpoint) -> None:
    pages = endpoint.run(
        *({"method": "GET", "path": p} for p in ("/", "/v1/docs", "/v1/static/page.js", "/v1/static/style.css"))
    )
    for page in pages:
        assert page.status == 200
        assert "http://" not in page.body.decode()
        assert "https://" not in page.body.decode()
        assert "//" not in page.headers["content-type"]
