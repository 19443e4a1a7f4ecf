"""The endpoint of pv_hotspots as it runs: bad images, real thermograms, and what it does not load."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.services.endpoint_process import Running, serve
from tests.unit.bad_images import BAD_IMAGES
from tests.unit.tasks.pv_hotspots.networks import MODULES, picture, png, tiny_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    tiny_model().save(folder)
    return folder


@pytest.fixture(scope="module")
def server(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("root")
    with serve("services.endpoint:pv_hotspots", root, model_dir=str(saved)) as running:
        running.wait_until_ready()
        yield running


def test_boxes_come_with_rise_and_severity(server: Running) -> None:
    status, answer = server.predict(png(picture(hot=(5,))))
    assert status == 200
    assert len(answer["modules"]) == len(MODULES)
    defected = [module for module in answer["modules"] if module["class"] == "defected"]
    assert [module["box"] for module in defected] == [list(MODULES[5])]
    assert defected[0]["rise"] > 50
    assert {module["severity"] for module in answer["modules"]} == {"unknown"}
    assert answer["version"] == 0


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_images_are_refused_with_their_reason(server: Running, name: str) -> None:
    content, words = BAD_IMAGES[name]
    status, answer = server.predict(content)
    assert status == 422, answer
    assert set(answer) == {"error", "where", "way_out"}
    assert words in answer["error"] or (name == "empty" and "no image" in answer["error"])


def test_bad_images_among_good_ones_fail_alone(server: Running) -> None:
    good = png(picture(hot=(2,)))
    uploads = [content for content, _ in BAD_IMAGES.values()] + [good] * len(BAD_IMAGES)
    results: list[tuple[int, Any]] = [(0, None)] * len(uploads)

    def send(first: int) -> None:
        for index in range(first, len(uploads), 8):
            results[index] = server.predict(uploads[index])

    clients = [threading.Thread(target=send, args=(first,)) for first in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    statuses = [status for status, _ in results]
    assert statuses == [422] * len(BAD_IMAGES) + [200] * len(BAD_IMAGES)
    answers = [answer for status, answer in results if status == 200]
    assert all(answer["modules"] == answers[0]["modules"] for answer in answers)


def test_the_process_holds_no_training_library(server: Running) -> None:
    workers = psutil.Process(server.process.pid).children(recursive=True)
    assert workers
    for worker in workers:
        libraries = Path(f"/proc/{worker.pid}/maps").read_text(encoding="utf-8")
        assert "onnxruntime" in libraries
        assert "libtorch" not in libraries


def test_real_thermograms_are_answered(server: Running, real_data: Path) -> None:
    files = sorted((real_data / "pv_hotspots").glob("**/images/*.jpg"))
    assert files
    for file in files:
        status, answer = server.ask(
            "POST", f"/v1/predict?source={file.name}", file.read_bytes(), {"Content-Type": "image/jpeg"}
        )
        assert status == 200
        assert answer["radiometric"]
        assert (answer["image"]["width"], answer["image"]["height"]) == (640, 512)
        assert {module["rise_unit"] for module in answer["modules"]} == {"K"}
