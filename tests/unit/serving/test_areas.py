"""Areas over HTTP: a toy model and toy surveys behind the real routes, queue and guard."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import mercantile
import pytest
from PIL import Image

from sightline.errors import BackendError, DataRejected
from sightline.maps.upscaling.published import find_installed
from sightline.serving.surveyor import Areas, Rhythm
from sightline.stores.database import Database
from sightline.stores.queue import Queue
from tests.unit.serving.harness import Answer, CountingModel, Endpoint, SetChampions, ask, assert_problem, png
from tests.unit.serving.surveying import SurveyingModel, ToySurveys, until

BBOX = [-5.46, 36.11, -5.40, 36.15]
JSON = {"Content-Type": "application/json"}
QUICK = Rhythm(renew_s=0.02, retry_s=0.01)


class MapEndpoint(Endpoint):
    """The toy endpoint with areas."""

    def __init__(self, root: Path, *models: Any, rhythm: Rhythm = QUICK, **options: Any) -> None:
        self.surveys = ToySurveys(root)
        self.jobs = Queue(Database(f"sqlite:///{root}/state/ledger.sqlite"))
        champions = SetChampions(*(models or (SurveyingModel(),)))
        super().__init__(root, champions, areas=Areas(self.jobs, self.surveys, rhythm), **options)

    async def post(self, document: Any, path: str = "/v1/areas") -> Answer:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return await ask(self.guarded, "POST", path, body=[body], headers=JSON)

    async def get(self, path: str, method: str = "GET") -> Answer:
        return await ask(self.guarded, method, path)

    def place(self, number: int) -> str:
        """Where the first, second ... area of the toy is."""
        return f"/v1/areas/{self.jobs.recent('toy', 100)[-number].id}"

    async def until_state(self, path: str, state: str) -> Any:
        async with asyncio.timeout(60):
            while (answer := await self.get(path)).json["state"] != state:
                await asyncio.sleep(0.01)
        return answer.json


@pytest.fixture
def endpoint(tmp_path: Path) -> MapEndpoint:
    return MapEndpoint(tmp_path)


class Up:
    """An endpoint that stays up, for tests that leave nothing behind in it; two tiles lie in its folder."""

    def __init__(self, root: Path) -> None:
        self.endpoint = MapEndpoint(root, tiles=str(draw_two_tiles(root)))
        self._runner = asyncio.Runner()

    def __enter__(self) -> Up:
        self._lifespan = self.endpoint.app.router.lifespan_context(self.endpoint.app)
        self.run(self._lifespan.__aenter__())
        until(lambda: self.run(self.endpoint.get("/v1/ready")).status == 200)
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._lifespan.__aexit__(None, None, None))
        self._runner.close()

    def run(self, request: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(request)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with Up(tmp_path_factory.mktemp("up")) as found:
        yield found


def gone(folder: Path) -> bool:
    return not folder.exists()


# ------------------------------------------------------------------------------------------------------ answers


def test_a_small_area_is_answered_at_once_and_its_answer_is_in_the_ledger(endpoint: MapEndpoint) -> None:
    answer = endpoint.within(lambda: endpoint.post({"bbox": BBOX, "threshold": 0.25}))
    assert answer.status == 200, answer.body
    job = answer.json
    assert answer.headers["location"] == f"/v1/areas/{job['id']}"
    assert (job["state"], job["version"], job["summary"]["found"]) == ("done", 1, {"raw": {"count": 1}})
    assert job["asked"] == {"threshold": 0.25, "zoom": job["plan"]["zoom"], "upscale": "none"}
    assert (job["plan"]["upscale"], job["plan"]["advised_upscale"]) == ("none", "none")
    assert job["summary"]["familiarity"]["raw"]["word"] == "not known"
    assert job["plan"]["tiles"] > 1
    assert set(job["files"]) == {"raw.geojson", "raw.png", "plan.json"}
    assert endpoint.surveys.thresholds == [0.25]
    (row,) = endpoint.predictions.given("toy")
    assert (row.source, row.version, row.row["output_spot"]) == (f"area {job['id']}", 1, 1)
    assert job["prediction_ids"] == [row.id]


@pytest.mark.parametrize(
    "where",
    [
        {"bbox": "-5.46,36.11,-5.40,36.15"},
        {"wkt": "POLYGON ((-5.46 36.11, -5.40 36.11, -5.40 36.15, -5.46 36.11))"},
        {"geojson": {"type": "Polygon", "coordinates": [[[-5, 36], [-4.99, 36], [-4.99, 36.01], [-5, 36]]]}},
        {"geojson": '{"type": "Polygon", "coordinates": [[[-5, 36], [-4.99, 36], [-4.99, 36.01], [-5, 36]]]}'},
        {"bbox": BBOX, "zoom": 13, "upscale": "bicubic", "passes": 2, "stride": 64, "threshold": None},
    ],
)
def test_an_area_is_told_in_any_of_the_ways(endpoint: MapEndpoint, where: dict[str, Any]) -> None:
    async def story() -> tuple[Answer, Answer]:
        return await endpoint.post(where, "/v1/areas/plan"), await endpoint.post(where)

    planned, answer = endpoint.within(story)
    assert (planned.status, answer.status) == (200, 200), answer.body
    assert planned.json["plan"] == answer.json["plan"]
    assert planned.json["plan"]["zoom"] == where.get("zoom", planned.json["plan"]["zoom"])
    assert "terms" in planned.json["plan"]


def test_a_plan_makes_no_job(endpoint: MapEndpoint) -> None:
    endpoint.within(lambda: endpoint.post({"bbox": BBOX}, "/v1/areas/plan"))
    assert (endpoint.jobs.recent("toy", 5), endpoint.surveys.begun) == ([], [])


def test_a_larger_area_is_a_job_to_come_back_for(endpoint: MapEndpoint) -> None:
    async def story() -> None:
        endpoint.surveys.gate.clear()
        answer = await endpoint.post({"bbox": BBOX, "wait_s": 0})
        assert answer.status == 202
        place = answer.headers["location"]
        running = await endpoint.until_state(place, "running")
        assert "summary" not in running
        until(lambda: endpoint.surveys.begun == [running["id"]])
        endpoint.surveys.gate.set()
        done = await endpoint.until_state(place, "done")
        assert done["summary"]["found"]["raw"]["count"] == 1
        overview = (await endpoint.get("/v1/areas")).json
        assert [job["id"] for job in overview["jobs"]] == [endpoint.jobs.recent("toy", 5)[0].id]
        assert {"esri", "eox"} <= {one["name"] for one in overview["providers"]}
        assert overview["upscale"] == ["auto", "none", "bicubic", "lanczos"]

    endpoint.within(story)


def test_progress_is_written_while_it_runs(endpoint: MapEndpoint) -> None:
    async def story() -> None:
        endpoint.surveys.gate.clear()
        await endpoint.post({"bbox": BBOX, "wait_s": 0})
        async with asyncio.timeout(60):
            while (job := (await endpoint.get(endpoint.place(1))).json)["progress"].get("done") != 1:
                await asyncio.sleep(0.01)
        assert job["progress"] == {"done": 1, "total": 2, "what": "tiles"}
        endpoint.surveys.gate.set()
        await endpoint.until_state(endpoint.place(1), "done")

    endpoint.within(story)


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("body", "where", "words"),
    [
        (b"", "area", "none is given"),
        (b"not json", "body", "not a JSON object"),
        (b"[1, 2]", "body", "not a JSON object"),
        (b'"text"', "body", "not a JSON object"),
        (b"\xff\xfe", "body", "not a JSON object"),
        (b"[" * 100_000, "body", "not a JSON object"),
        (b'{"bbox": [1, 2, 3, NaN]}', "bbox", "west, south, east, north"),
        (b'{"bbox": [1, 2, 3, 1e999]}', "bbox", "west, south, east, north"),
        (b'{"bbox": [1, 2, 3, ' + b"9" * 4000 + b"]}", "bbox", "west, south, east, north"),
        ({"bbox": BBOX, "wkt": "POLYGON ((0 0, 1 0, 1 1, 0 0))"}, "area", "exactly one"),
        ({"bbox": BBOX, "folder": "/etc"}, "folder", "unknown"),
        ({"bbox": BBOX, "tiles": "/etc"}, "tiles", "unknown"),
        ({"bbox": BBOX, "upscaler": "/etc"}, "upscaler", "unknown"),
        ({"bbox": [1, 2, 3]}, "bbox", "west, south, east, north"),
        ({"bbox": [1, 2, 3, "4"]}, "bbox", "west, south, east, north"),
        ({"bbox": {"west": 1}}, "bbox", "west, south, east, north"),
        ({"bbox": None}, "bbox", "west, south, east, north"),
        ({"bbox": [-5.46, 36.11, -5.46, 36.15]}, "bbox", "no area"),
        ({"bbox": [36.11, -5.46, 36.15, -95.40]}, "bbox", "swapped"),
        ({"bbox": "1,2,3,/etc/passwd"}, "bbox", "four numbers"),
        ({"geojson": "/etc/passwd"}, "geojson", "not valid JSON"),
        ({"geojson": ["Polygon"]}, "geojson", "GeoJSON object"),
        ({"geojson": {"type": "Point", "coordinates": [1, 2]}}, "geojson", "Polygon"),
        ({"wkt": "POINT (1 2)"}, "wkt", "neither a POLYGON"),
        ({"wkt": 5}, "wkt", "POLYGON"),
        ({"wkt": "POLYGON ((0 0, 1 1, 1 0, 0 1, 0 0))"}, "wkt", "crosses"),
        ({"bbox": BBOX, "provider": "https://tiles.example/{z}/{x}/{y}"}, "provider", "Choose one of: folder, esri"),
        ({"bbox": BBOX, "provider": "synthetic"}, "provider", "Choose one of: folder, esri"),
        ({"bbox": BBOX, "provider": "../x"}, "provider", "Choose one of: folder, esri"),
        ({"bbox": BBOX, "provider": 3}, "provider", "listed providers"),
        ({"bbox": BBOX, "provider": "osm"}, "provider", "drawn map"),
        ({"bbox": BBOX, "zoom": "deep"}, "zoom", "level from 0 to 24"),
        ({"bbox": BBOX, "zoom": 12.5}, "zoom", "level from 0 to 24"),
        ({"bbox": BBOX, "zoom": True}, "zoom", "level from 0 to 24"),
        ({"bbox": BBOX, "zoom": 25}, "zoom", "0 to 24"),
        ({"bbox": BBOX, "zoom": 10**30}, "zoom", "0 to 24"),
        ({"bbox": BBOX, "zoom": 22}, "zoom", "0 to 19"),
        ({"bbox": BBOX, "upscale": "magic"}, "upscale", "lanczos"),
        ({"bbox": BBOX, "upscale": "fast"}, "upscale", "Offered: auto, none"),
        ({"bbox": BBOX, "upscale": "realesrgan"}, "upscale", "Offered: auto, none"),
        ({"bbox": BBOX, "threshold": 1.5}, "threshold", "0 to 1"),
        ({"bbox": BBOX, "threshold": "0.5"}, "threshold", "0 to 1"),
        (b'{"bbox": [1, 2, 3, 4], "threshold": NaN}', "threshold", "0 to 1"),
        ({"bbox": BBOX, "passes": 3}, "passes", "1 or 2"),
        ({"bbox": BBOX, "passes": True}, "passes", "1 or 2"),
        ({"bbox": BBOX, "stride": 33}, "stride", "multiple of 32"),
        ({"bbox": BBOX, "stride": -32}, "stride", "multiple of 32"),
        ({"bbox": BBOX, "stride": 320}, "stride", "320 px"),
        ({"bbox": BBOX, "wait_s": 51}, "wait_s", "0 to 50"),
        ({"bbox": BBOX, "wait_s": -1}, "wait_s", "0 to 50"),
        ({"bbox": [-10, 30, 10, 45]}, "area", "tiles at zoom"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_cannot_be_is_refused_with_the_field_and_the_way_out(up: Up, body: Any, where: str, words: str) -> None:
    before = len(up.endpoint.jobs.recent("toy", 99))
    for path in ("/v1/areas", "/v1/areas/plan"):
        answer = up.run(up.endpoint.post(body, path))
        assert_problem(answer, 422, words)
        assert answer.json["where"] == where
        assert answer.json["way_out"]
    assert len(up.endpoint.jobs.recent("toy", 99)) == before


def test_media_types_other_than_json_and_endless_bodies_are_refused(endpoint: MapEndpoint) -> None:
    form, endless = endpoint.run(
        {"path": "/v1/areas", "body": [b"bbox=1"], "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"path": "/v1/areas", "body": [b" " * (4 * 2**20 + 1)], "headers": JSON},
    )
    assert_problem(form, 415, "application/json")
    assert_problem(endless, 413, "Simplify")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/areas"),
        ("POST", "/v1/areas/plan"),
        ("GET", "/v1/areas"),
        ("GET", "/v1/areas/1"),
        ("GET", "/v1/tiles/esri/1/1/1"),
    ],
)
def test_other_tasks_have_no_areas(tmp_path: Path, method: str, path: str) -> None:
    endpoint = MapEndpoint(tmp_path, CountingModel())
    answer, described, ready = endpoint.run(
        {"method": method, "path": path, "body": [json.dumps({"bbox": BBOX}).encode()], "headers": JSON},
        {"method": "GET", "path": "/v1/openapi.json"},
        {"method": "GET", "path": "/v1/ready"},
    )
    assert_problem(answer, 404, "toy does not support areas of the map")
    assert not [path for path in described.json["paths"] if "area" in path]
    assert "areas" not in ready.json


def test_without_a_champion_an_area_waits_for_none(tmp_path: Path) -> None:
    endpoint = MapEndpoint(tmp_path)
    endpoint.app.state.engine.keeper._champions.number = 0
    answer = endpoint.within(lambda: endpoint.post({"bbox": BBOX}))
    assert_problem(answer, 503, "toy has no champion")


def test_wrong_methods_are_told_the_right_ones(endpoint: MapEndpoint) -> None:
    deleted, posted = endpoint.run({"method": "DELETE", "path": "/v1/areas"}, {"path": "/v1/areas/1"})
    assert (deleted.status, deleted.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (posted.status, posted.headers["allow"]) == (405, "DELETE, GET, HEAD")


def test_a_token_is_asked_for(endpoint: MapEndpoint) -> None:
    endpoint.guarded = endpoint.guard(token="a-long-enough-secret", max_bytes=1000)
    paths = ("/v1/areas", "/v1/areas/1", "/v1/areas/1/raw.png", "/v1/tiles/esri/1/1/1")
    for answer in endpoint.run(*({"method": "GET", "path": path} for path in paths)):
        assert_problem(answer, 401)


def test_too_many_waiting_areas_are_told_to_come_back(tmp_path: Path) -> None:
    endpoint = MapEndpoint(tmp_path, max_jobs=2)

    async def story() -> Answer:
        endpoint.surveys.gate.clear()
        order = {"bbox": BBOX, "wait_s": 0}
        await endpoint.post(order)
        await endpoint.until_state(endpoint.place(1), "running")  # it waits no more
        assert [(await endpoint.post(order)).status for _ in range(2)] == [202, 202]
        return await endpoint.post(order)

    refused = endpoint.within(story)
    assert_problem(refused, 503, "too many areas are waiting")
    assert "retry-after" in refused.headers


# ------------------------------------------------------------------------------------------------------ failures


def test_a_failed_area_is_answered_with_its_error_and_without_paths(tmp_path: Path) -> None:
    endpoint = MapEndpoint(tmp_path)
    folder = tmp_path / "state" / "areas" / "some"
    endpoint.surveys.failures = [
        DataRejected(f"cannot open {folder}/raw.tif, says a library", where=folder, way_out=f"Look into {folder}/x.")
    ]

    async def story() -> tuple[Answer, Answer]:
        return await endpoint.post({"bbox": BBOX}), await endpoint.get(endpoint.place(1))

    failed, state = endpoint.within(story)
    assert_problem(failed, 422, "cannot open raw.tif, says a library")
    assert failed.headers["location"] == endpoint.place(1)
    assert (state.json["state"], state.json["problem"]) == ("failed", failed.json)
    assert str(tmp_path) not in (failed.body + state.body).decode()


@pytest.mark.skipif(find_installed() is not None, reason="the weights of Real-ESRGAN are installed")
def test_weights_that_the_keeper_said_are_installed_and_are_not(tmp_path: Path) -> None:
    endpoint = MapEndpoint(tmp_path, realesrgan="installed")

    async def story() -> tuple[Answer, Answer]:
        return await endpoint.get("/v1/areas"), await endpoint.post({"bbox": BBOX, "upscale": "realesrgan"})

    overview, failed = endpoint.within(story)
    assert overview.json["upscale"] == ["auto", "none", "bicubic", "lanczos", "realesrgan"]
    assert "make realesrgan" in failed.json["way_out"]


def test_what_nobody_foresaw_is_told_as_that_only(endpoint: MapEndpoint) -> None:
    endpoint.surveys.failures = [ValueError("secret detail of a library")]

    async def story() -> tuple[Answer, Answer]:
        return await endpoint.post({"bbox": BBOX}), await endpoint.post({"bbox": BBOX})

    failed, next_one = endpoint.within(story)
    assert_problem(failed, 500, "the server failed")
    assert "secret" not in failed.body.decode()
    assert next_one.status == 200


def test_a_server_that_fails_is_asked_again_and_the_reason_shown(endpoint: MapEndpoint) -> None:
    endpoint.surveys.failures = [BackendError("the tile server is down", where="tiles.example")] * 2
    answer = endpoint.within(lambda: endpoint.post({"bbox": BBOX}))
    assert (answer.status, answer.json["attempts"]) == (200, 3)
    endpoint = MapEndpoint(endpoint.settings.root)
    endpoint.surveys.failures = [BackendError("the tile server is down", where="tiles.example")] * 9
    failed = endpoint.within(lambda: endpoint.post({"bbox": BBOX}))
    assert_problem(failed, 503, "the tile server is down")
    assert len(endpoint.surveys.failures) == 6


def test_an_area_that_fails_after_its_answer_was_logged_is_not_logged_twice(endpoint: MapEndpoint) -> None:
    endpoint.surveys.late_failures = [BackendError("the disk failed", where="raw.png")]

    async def story() -> tuple[Answer, Answer]:
        return await endpoint.post({"bbox": BBOX}), await endpoint.post({"bbox": BBOX})

    first, second = endpoint.within(story)
    rows = list(endpoint.predictions.given("toy"))
    assert (first.json["attempts"], first.json["prediction_ids"]) == (2, [rows[0].id])
    assert (second.json["attempts"], second.json["prediction_ids"]) == (1, [rows[1].id])  # asked again: another answer
    assert [row.source for row in rows] == [f"area {answer.json['id']}" for answer in (first, second)]


def test_a_first_failure_is_told_while_it_waits_for_the_next_attempt(tmp_path: Path) -> None:
    endpoint = MapEndpoint(tmp_path, rhythm=Rhythm())
    endpoint.surveys.failures = [BackendError("the tile server is down", where="tiles.example")]

    async def story() -> Any:
        first = await endpoint.post({"bbox": BBOX, "wait_s": 0})
        assert first.status == 202
        while "problem" not in (job := (await endpoint.get(endpoint.place(1))).json):
            await asyncio.sleep(0.01)
        return job

    job = endpoint.within(story)
    assert (job["state"], job["attempts"], job["problem"]["error"]) == ("queued", 1, "the tile server is down")


# ------------------------------------------------------------------------------------------------------ cancelling


def test_a_running_area_is_cancelled_and_leaves_nothing(endpoint: MapEndpoint) -> None:
    async def story() -> None:
        endpoint.surveys.gate.clear()
        await endpoint.post({"bbox": BBOX, "wait_s": 0})
        await endpoint.until_state(endpoint.place(1), "running")
        cancelled = await endpoint.get(endpoint.place(1), "DELETE")
        assert (cancelled.status, cancelled.json["state"]) == (200, "cancelled")
        endpoint.surveys.gate.clear()
        await endpoint.post({"bbox": BBOX, "wait_s": 0})  # the next one gets its turn at once
        await endpoint.until_state(endpoint.place(2), "running")
        until(lambda: gone(endpoint.settings.areas / endpoint.jobs.recent("toy", 2)[-1].id))
        endpoint.surveys.gate.set()
        await endpoint.until_state(endpoint.place(2), "done")

    endpoint.within(story)
    second, first = endpoint.jobs.recent("toy", 2)
    assert (first.state, endpoint.surveys.begun) == ("cancelled", [first.id, second.id])
    assert [answer.source for answer in endpoint.predictions.given("toy")] == [f"area {second.id}"]


def test_a_finished_area_can_be_removed(endpoint: MapEndpoint) -> None:
    async def story() -> list[Answer]:
        await endpoint.post({"bbox": BBOX})
        return [
            await endpoint.get(endpoint.place(1) + "/raw.png"),
            await endpoint.get(endpoint.place(1), "DELETE"),
            await endpoint.get(endpoint.place(1) + "/raw.png"),
        ]

    before, removed, after = endpoint.within(story)
    assert (before.status, removed.status, after.status) == (200, 200, 404)
    assert (removed.json["state"], removed.json["files"]) == ("cancelled", {})
    assert gone(endpoint.settings.areas / endpoint.jobs.recent("toy", 2)[-1].id)


def test_when_the_endpoint_ends_the_area_goes_back_and_the_next_one_goes_on_at_once(tmp_path: Path) -> None:
    first = MapEndpoint(tmp_path)

    async def begin() -> None:
        first.surveys.gate.clear()
        await first.post({"bbox": BBOX, "wait_s": 0})
        await first.until_state(first.place(1), "running")

    first.within(begin)
    (job,) = first.jobs.recent("toy", 5)
    assert (job.state, job.attempts) == ("queued", 0)
    assert (first.settings.areas / job.id).is_dir()

    second = MapEndpoint(tmp_path)
    done = second.within(lambda: second.until_state(second.place(1), "done"))
    assert done["attempts"] == 1


# ------------------------------------------------------------------------------------------------------ files


def test_the_files_of_an_area_come_with_their_media_types(endpoint: MapEndpoint) -> None:
    async def story() -> tuple[Answer, Answer, Answer]:
        await endpoint.post({"bbox": BBOX})
        return (
            await endpoint.get(endpoint.place(1) + "/raw.png"),
            await endpoint.get(endpoint.place(1) + "/raw.geojson"),
            await endpoint.get(endpoint.place(1) + "/raw.png", "HEAD"),
        )

    picture, geojson, head = endpoint.within(story)
    assert picture.body == png(150)
    assert picture.headers["content-type"] == "image/png"
    assert geojson.headers["content-type"] == "application/geo+json"
    assert geojson.json["type"] == "FeatureCollection"
    assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "ID/secret.txt",
        "ID/raw.tif",
        "ID/..",
        "ID/../../ledger.sqlite",
        "ID/%2e%2e/%2e%2e/ledger.sqlite",
        "ID/..%2f..%2fledger.sqlite",
        "ID//etc/passwd",
        "../ledger.sqlite",
        "2",
        "2/raw.png",
        "-1",
        "1e3",
        "\u0661",
        "9" * 40,
        "ID/raw.png/x",
    ],
)
def test_nothing_else_is_handed_out(up: Up, path: str) -> None:
    if not up.endpoint.jobs.recent("toy", 1):
        assert up.run(up.endpoint.post({"bbox": BBOX})).status == 200
    there = up.endpoint.jobs.recent("toy", 1)[0].id
    assert_problem(up.run(up.endpoint.get(f"/v1/areas/{path.replace('ID', there)}")), 404)


def test_another_tasks_area_is_not_shown(endpoint: MapEndpoint) -> None:
    key = endpoint.jobs.add("other", {"asked": {}, "plan": {}})
    shown, listed = endpoint.run({"method": "GET", "path": f"/v1/areas/{key}"}, {"method": "GET", "path": "/v1/areas"})
    assert_problem(shown, 404, "no such area")
    assert listed.json["jobs"] == []


def test_the_routes_are_described_and_counted(endpoint: MapEndpoint) -> None:
    described, docs, ready, _, figures = endpoint.run(
        *({"method": "GET", "path": path} for path in ("/v1/openapi.json", "/v1/docs", "/v1/ready", "/v1/areas/7")),
        {"method": "GET", "path": "/v1/metrics"},
    )
    paths = described.json["paths"]
    assert {"post", "get"} == set(paths["/v1/areas"])
    assert {"/v1/areas/plan", "/v1/areas/{id}", "/v1/areas/{id}/{file}"} <= set(paths)
    order = described.json["components"]["schemas"]["AreaOrder"]["properties"]
    assert {"bbox", "geojson", "wkt", "provider", "threshold", "wait_s"} <= set(order)
    assert "/v1/areas" in docs.body.decode()
    assert ready.json["areas"] is True
    assert 'route="/v1/areas/{id}",status="404"' in figures.body.decode()


# ------------------------------------------------------------------------------------------------------ tiles


def draw_two_tiles(root: Path) -> Path:
    """A folder of two tiles at zoom 15."""
    for row in (12000, 12001):
        path = root / "tiles" / "15" / "16000" / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tile_png(row))
    return root / "tiles"


def tile_png(row: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (256, 256), (row % 256, 60, 80)).save(file, "PNG")
    return file.getvalue()


def test_the_operators_own_tiles_are_offered_shown_and_looked_at(tmp_path: Path) -> None:
    endpoint = MapEndpoint(tmp_path, tiles=str(draw_two_tiles(tmp_path)))
    west, south, east, north = mercantile.bounds(16000, 12001, 15)

    async def story() -> list[Answer]:
        return [
            await endpoint.get("/v1/areas"),
            await endpoint.get("/v1/tiles/folder/15/16000/12001"),
            await endpoint.post({"bbox": [west, south, east, north], "provider": "folder"}),
        ]

    overview, tile, looked = endpoint.within(story)
    first = overview.json["providers"][0]
    assert first["name"] == "folder"
    assert first["ground"] == pytest.approx([west, south, east, mercantile.bounds(16000, 12000, 15).north])
    assert (tile.status, tile.body, tile.headers["content-type"]) == (200, tile_png(12001), "image/png")
    assert "max-age" in tile.headers["cache-control"]
    assert (looked.status, looked.json["plan"]["tiles"]) == (200, 1)
    assert str(tmp_path) not in (overview.body + looked.body).decode()


@pytest.mark.parametrize(
    "place",
    [
        "folder/15/16001/12000",
        "folder/14/8000/6000",
        "folder/15/-1/0",
        "folder/15/16000/12000.png",
        "folder/15/..%2f15%2f16000/12000",
        "folder/15/999999999999/1",
        "folder/99/1/1",
        "nobody/1/1/1",
        "synthetic/1/1/1",
        "esri/1/2/0",
        "esri/25/1/1",
    ],
)
def test_tiles_that_cannot_be_are_not_found(up: Up, place: str) -> None:
    assert_problem(up.run(up.endpoint.get(f"/v1/tiles/{place}")), 404)


def test_a_folder_that_the_operator_did_not_name_is_no_provider(endpoint: MapEndpoint) -> None:
    ordered = {"path": "/v1/areas", "body": [json.dumps({"bbox": BBOX, "provider": "folder"}).encode()]}
    refused, tile = endpoint.run(ordered, {"method": "GET", "path": "/v1/tiles/folder/15/16000/12000"})
    assert_problem(refused, 422, "Choose one of: esri")
    assert_problem(tile, 404)


def test_a_folder_that_is_not_there_is_the_operators_fault(tmp_path: Path) -> None:
    endpoint = MapEndpoint(tmp_path, tiles="nowhere")
    answer = endpoint.within(lambda: endpoint.post({"bbox": BBOX, "provider": "folder"}))
    assert_problem(answer, 503, "SIGHTLINE_TILES")
    assert str(tmp_path) not in answer.body.decode()
